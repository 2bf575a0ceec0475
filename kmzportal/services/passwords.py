"""Password hashing with Argon2id, and the check of a new password's strength.

The parameters are the second profile of RFC 9106, 4 (64 MiB, t=3, p=4, the default of argon2-cffi). Hashing takes
about 0.2 s, so it runs outside transactions and in few threads: memory stays bounded and pages stay responsive during
many logins (OWASP ASVS 15.2.2). Turns are shared between sources, so that none keeps others from logging in. A password
is normalised (NFKC, NIST SP 800-63B-4, 3.1.1.2), never trimmed or cut.
"""

import gzip
import os
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kmzportal.services.refusals import WeakPassword
from kmzportal.services.shares import Holder, Shares

MAX_LENGTH = 256
EXAMPLE = "lampe honig fahrplan wiese"  # shown beside every field for a new password
SHORTEST_CONTEXT_WORD = 4
#: Turns per process, see Shares; its other threads go on serving pages. Strangers are those without session, link or
#: known device.
WAITING_EACH, STRANGERS, MAX_WAITING = 8, 16, 20
NICENESS = 10  # so that the rendering of pages takes precedence, see docs/decisions/0040

_hasher = PasswordHasher()
_threads: ThreadPoolExecutor
_shares: Shares
_PORTAL = Holder("portal", known=True)
T = TypeVar("T")


def set_hashing_threads(threads: int) -> None:
    """Set how many threads of this process may hash at the same time."""
    global _threads, _shares
    # In Linux each thread has its own niceness, which the threads started by Argon2 inherit.
    _threads = ThreadPoolExecutor(threads, "argon2", initializer=os.nice, initargs=(NICENESS,))
    _shares = Shares(threads, WAITING_EACH, STRANGERS, MAX_WAITING)


set_hashing_threads(1)


@dataclass(frozen=True)
class PasswordCheck:
    """The result of comparing a password with a stored hash, made outside of any transaction."""

    compared_with: str | None
    matches: bool
    new_hash: str | None = None  #: with the current parameters, when those of the stored hash are outdated
    throttled: bool = False  #: it was compared with a decoy only

    def confirms(self, current_hash: str | None) -> bool:
        """Return whether the password matched and the stored hash has not changed since."""
        return self.matches and self.compared_with == current_hash


def hash_password(password: str, holder: Holder = _PORTAL) -> str:
    """Return the PHC string of a new password, when it is the holder's turn; raises TooBusy."""
    return _run(holder, _hasher.hash, _normalized(password))


def check_password(
    password: str, password_hash: str | None, holder: Holder = _PORTAL, throttled: bool = False
) -> PasswordCheck:
    """Compare a password with a stored hash, with equal work when there is none; raises TooBusy.

    `throttled`: it is compared with a decoy, as without that work it and others beside it take another time.
    """
    check = _run(holder, _check, _normalized(password), None if throttled else password_hash)
    return replace(check, throttled=throttled)


def _run(holder: Holder, function: Callable[..., T], *args: str | None) -> T:
    with _shares.turn(holder):
        return _threads.submit(function, *args).result()


def _check(password: str, password_hash: str | None) -> PasswordCheck:
    try:
        matches: bool = _hasher.verify(password_hash or _decoy_hash(), password)
    except InvalidHashError:
        return PasswordCheck(password_hash, matches=False)
    except VerificationError:
        matches = False
    if not (matches and password_hash):
        return PasswordCheck(password_hash, matches=False)
    outdated = _hasher.check_needs_rehash(password_hash)
    return PasswordCheck(password_hash, matches=True, new_hash=_hasher.hash(password) if outdated else None)


def _decoy_hash() -> str:
    """Return a hash that costs as much to verify as a real one and matches no password."""
    salt, digest = (b64encode(bytes(size)).decode().rstrip("=") for size in (_hasher.salt_len, _hasher.hash_len))
    costs = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"


def _normalized(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def check_strength(password: str, minimum: int, known: list[str]) -> None:
    """Raise WeakPassword when the password is too short, too long, common, or consists of `known` words.

    `known` holds what others know of the person and the office: name, mail address, number, town.
    """
    if len(password) < minimum:
        raise WeakPassword(
            message=f"Das Passwort ist zu kurz. Nehmen Sie mindestens {minimum} Zeichen, zum Beispiel vier Wörter."
        )
    if len(password) > MAX_LENGTH:
        raise WeakPassword(message=f"Das Passwort ist zu lang. Möglich sind bis zu {MAX_LENGTH} Zeichen.")
    if EXAMPLE in " ".join(_normalized(password).casefold().split()):
        raise WeakPassword(message="Das ist unser Beispiel. Viele kennen es. Nehmen Sie bitte vier eigene Wörter.")
    if is_common(password):
        raise WeakPassword(
            message="Dieses Passwort ist weit verbreitet und leicht zu erraten. Nehmen Sie vier Wörter, die nicht "
            "zusammengehören."
        )
    if word := _guessable_word(password, known):
        raise WeakPassword(
            message=f"Das Passwort besteht fast nur aus „{word}“. Das können andere erraten. Nehmen Sie andere Wörter."
        )


def _guessable_word(password: str, known: list[str]) -> str | None:
    """Return the longest known word in the password if too little is left without all known words, else None."""
    words = {
        word for text in known for word in (text, *re.split(r"[\s@.-]+", text)) if len(word) >= SHORTEST_CONTEXT_WORD
    }
    rest, found = _unleet(password), []
    for word in sorted(words, key=lambda word: (-len(word), word)):
        if _unleet(word) in rest:
            rest = rest.replace(_unleet(word), "")
            found.append(word)
    return found[0] if found and len(rest) < SHORTEST_CONTEXT_WORD * 2 else None


def _unleet(text: str) -> str:
    return _normalized(text).casefold().translate(str.maketrans("013457@$", "oleastas"))


_LIST_FILE = Path(__file__).with_name("common_passwords.txt.gz")
_MIN_WORD = 3
_MIN_RUN = 4
_KEYBOARD_ROWS = (
    *("01234567890", "abcdefghijklmnopqrstuvwxyz"),
    *("qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-", "qwertyuiop", "zxcvbnm"),
    *("1qay", "2wsx", "3edc", "4rfv", "5tgb", "6zhn", "7ujm", "1qaz", "6yhn", "1q2w3e4r5t6z7u8i9o0p"),
)
_NEIGHBOURS = {pair for row in _KEYBOARD_ROWS for keys in (row, row[::-1]) for pair in pairwise(keys)}


def is_common(password: str) -> bool:
    """Return whether a password is among the first that an attacker would try."""
    return any(_is_easy(text) for text in {_folded(password), _bare_word(password)})


def _bare_word(password: str) -> str:
    """Fold case and remove digits and special characters around the word; without a word inside, keep them."""
    folded = _folded(password)
    word = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded)
    return word if len(word) >= _MIN_WORD else folded


def _folded(password: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", password).casefold())


def _is_easy(text: str) -> bool:
    unit = text[: (text + text).find(text, 1)]  # "hallo" of "hallohallo"; of most texts the whole text
    repeats = len(unit) <= _MIN_RUN and unit != text
    return repeats or _count_runs(text) * _MIN_RUN <= len(text) or _is_listed(text) or _is_listed(_bare_word(unit))


def _count_runs(text: str) -> int:
    """Count the runs in which each character repeats the one before, or is next to it on the keyboard."""
    return 1 + sum(pair not in _NEIGHBOURS and pair[0] != pair[1] for pair in pairwise(text))


def _is_listed(word: str) -> bool:
    return f"\n{word}\n".encode() in _word_list()


@cache
def _word_list() -> bytes:
    return gzip.decompress(_LIST_FILE.read_bytes())
