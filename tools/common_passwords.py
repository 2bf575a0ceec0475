"""Builds the list of common passwords from Django's (BSD) and the German words of @zxcvbn-ts/language-de (MIT).

pip download --no-deps django==5.2.19 && unzip django-5.2.19-*.whl
npm pack @zxcvbn-ts/language-de@3.0.2 && tar xzf zxcvbn-ts-language-de-3.0.2.tgz
python tools/common_passwords.py django/contrib/auth/common-passwords.txt.gz package/src
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from kmzportal.services.passwords import _LIST_FILE, _bare_word

GERMAN = ("commonWords", "firstnames", "lastnames", "wikipedia")


def words(passwords: Path, german: Path) -> Iterator[str]:
    """Read both sources."""
    yield from gzip.decompress(passwords.read_bytes()).decode().split()
    for name in GERMAN:
        yield from json.loads((german / f"{name}.json").read_text(encoding="utf-8"))


def build(passwords: Path, german: Path) -> None:
    """Write each word once, sorted, between newlines; the same sources give the same bytes."""
    entries = sorted({_bare_word(word) for word in words(passwords, german)} - {""})
    _LIST_FILE.write_bytes(gzip.compress("\n".join(["", *entries, ""]).encode(), 9, mtime=0))
    print(f"{len(entries)} entries, {_LIST_FILE.stat().st_size} bytes")


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
