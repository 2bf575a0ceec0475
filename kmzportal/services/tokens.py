"""Tokens and codes, derived by HMAC-SHA-256 from a key outside the database and a random nonce in the row.

The database holds no secret, so a copy of it gives access to nothing, and a mail sent again contains the same link.
"""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence

from kmzportal.models import AccountLink

CODE_LENGTH = 8  # of a mailed code, without the hyphen
CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # 32 characters; I, O, 0 and 1 are misread

_CODE = "[A-HJ-NP-Za-hj-np-z2-9]{4}"
#: Links, tokens and codes of our mails and letters, also where a quotation breaks a link into lines, and the code of a
#: letter as people write it, without hyphens. A Vorgangsnummer such as `V-7KQM-3PAX` is no secret.
QUOTED = re.compile(
    r"(?:/|%2F)link(?:/|%2F)(?:(?:(?:[ \t]*\n[>| \t]*)?[\w-]){43}|\S+)"
    r"|(?<![\w-])(?=[\w-]*[A-Za-z])(?=[\w-]*[\d_-])[\w-]{40,}"
    rf"|(?<![\w-])(?<!V )(?:{_CODE}-{_CODE}|{_CODE}\W{{0,3}}{_CODE}\W{{0,3}}{_CODE})(?![\w-])"
)


def without_secrets(text: str) -> str:
    """Return a text from outside without the links and codes that it may quote: they must be stored nowhere."""
    return QUOTED.sub(lambda found: found[0] if _is_prose(found[0]) else "(entfernt)", text)


def _is_prose(found: str) -> bool:
    """Return whether these are words and numbers of four characters rather than a code.

    A code is in capitals, as it is printed, or mixes letters and digits in two of its groups.
    """
    groups = re.findall(_CODE, found)
    if "".join(groups) != re.sub(r"\W", "", found) or (found.isupper() and not found.isdigit()):
        return False
    if found.count("-") == 2 and not found.replace("-", "").isdigit():  # as printed, in small letters
        return False
    return len([group for group in groups if not (group.isalpha() or group.isdigit())]) < len(groups) - 1


class LinkKeys:
    """Derives tokens and codes. The first key is the current one; mails composed later may need an older one."""

    def __init__(self, keys: Sequence[str]):
        self._keys = [key.encode() for key in keys]

    def nonce_and_hash(self) -> tuple[str, str]:
        nonce = secrets.token_urlsafe(32)
        return nonce, token_hash(_derive(self._keys[0], "token", nonce))

    def token(self, link: AccountLink) -> str:
        return _derive(self._key_of(link), "token", link.nonce)

    def code(self, link: AccountLink) -> str:
        """Return the eight characters for the mail, grouped `ABCD-EFGH`."""
        return format_code(hmac.digest(self._key_of(link), f"code:{link.nonce}".encode(), "sha256"), groups=2)

    def letter_code(self, link: AccountLink) -> str:
        """Return the twelve characters (60 bits) on a Zugangsbrief, grouped `ABCD-EFGH-JKLM`."""
        return format_code(hmac.digest(self._key_of(link), f"letter:{link.nonce}".encode(), "sha256"), groups=3)

    def code_matches(self, link: AccountLink, typed: str) -> bool:
        return codes_match(typed, self.code(link))

    def derive(self, purpose: str, nonce: str) -> list[bytes]:
        """Return the digest of a nonce for another purpose, under each key, the current one first."""
        return [hmac.digest(key, f"{purpose}:{nonce}".encode(), "sha256") for key in self._keys]

    def fingerprint(self, text: str) -> str:
        """Return a keyed hash, for counting under a text that must not be stored."""
        return _derive(self._keys[0], "fingerprint", text)

    def made(self, link: AccountLink) -> bool:
        """Return whether the link is of one of these keys, not of one that was removed."""
        return self._find_key(link) is not None

    def _find_key(self, link: AccountLink) -> bytes | None:
        made = (key for key in self._keys if token_hash(_derive(key, "token", link.nonce)) == link.token_hash)
        return next(made, None)

    def _key_of(self, link: AccountLink) -> bytes:
        if key := self._find_key(link):
            return key
        raise LookupError(f"No key in LINK_KEY and LINK_KEY_FALLBACKS made the token of link {link.id}.")


def new_reference() -> str:
    """Return a new Vorgangsnummer, such as `V-7KQM-3PAX`."""
    return f"V-{format_code(secrets.token_bytes(8), groups=2)}"


def parse_reference(typed: str) -> str:
    """Return a typed Vorgangsnummer as it is stored; case, blanks, hyphens and a missing V are accepted."""
    characters = normalize_code(typed)
    characters = characters[1:] if len(characters) == 9 else characters  # without the V
    return f"V-{characters[:4]}-{characters[4:]}"


def is_code(typed: str) -> bool:
    """Return whether the text has the length of a mailed code, so that comparing it costs a try."""
    return len(normalize_code(typed)) == CODE_LENGTH


def format_code(digest: bytes, groups: int) -> str:
    """Return so many groups of four characters, such as `ABCD-EFGH`."""
    code = "".join(CODE_ALPHABET[byte % len(CODE_ALPHABET)] for byte in digest[: groups * 4])
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def codes_match(typed: str, code: str) -> bool:
    """Return whether the code was typed; blanks, hyphens and case are ignored."""
    return hmac.compare_digest(normalize_code(typed).encode(), normalize_code(code).encode())


def normalize_code(typed: str) -> str:
    """Return a typed code without blanks and hyphens, in capitals."""
    return "".join(character for character in typed.upper() if character.isalnum())


def _derive(key: bytes, purpose: str, text: str) -> str:
    digest = hmac.digest(key, f"{purpose}:{text}".encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def token_hash(token: object) -> str:
    """Return the hash under which a row is found. A cookie signed by a stranger may hold anything; that finds none."""
    return hashlib.sha256(str(token).encode(errors="replace")).hexdigest()
