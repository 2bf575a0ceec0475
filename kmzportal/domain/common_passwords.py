"""Knows passwords that many people have: common passwords, German words and names, runs on the keyboard.

A password is compared as a whole, without the digits and signs around it: "Sommer2026!" is "sommer". The list is
built by `tools/common_passwords.py` and searched as one text, which costs 0.2 ms and less memory than a set.
"""

import gzip
import re
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

LIST = Path(__file__).with_name("common_passwords.txt.gz")
SHORTEST_WORD = 3
SHORTEST_RUN = 4
ROWS = (
    *("01234567890", "abcdefghijklmnopqrstuvwxyz"),
    *("qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-", "qwertyuiop", "zxcvbnm"),
    *("1qay", "2wsx", "3edc", "4rfv", "5tgb", "6zhn", "7ujm", "1qaz", "6yhn", "1q2w3e4r5t6z7u8i9o0p"),
)
NEIGHBOURS = {pair for row in ROWS for way in (row, row[::-1]) for pair in pairwise(way)}


def is_common(password: str) -> bool:
    """Tell whether a password is among the first that anybody would try."""
    return any(_easy(text) for text in {_folded(password), plain(password)})


def plain(password: str) -> str:
    """Fold case and take off the digits and signs around the word; with no word inside, keep them."""
    folded = _folded(password)
    word = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded)
    return word if len(word) >= SHORTEST_WORD else folded


def _folded(password: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", password).casefold())


def _easy(text: str) -> bool:
    unit = text[: (text + text).find(text, 1)]  # "hallo" of "hallohallo"; of most texts the whole
    repeats = len(unit) <= SHORTEST_RUN and unit != text
    return repeats or _runs(text) * SHORTEST_RUN <= len(text) or _listed(text) or _listed(plain(unit))


def _runs(text: str) -> int:
    """Count the pieces in which each character is the one before again, or beside it on the keyboard."""
    return 1 + sum(pair not in NEIGHBOURS and pair[0] != pair[1] for pair in pairwise(text))


def _listed(word: str) -> bool:
    return f"\n{word}\n".encode() in _list()


@cache
def _list() -> bytes:
    return gzip.decompress(LIST.read_bytes())
