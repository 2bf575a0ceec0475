"""How a password is hashed, proved, and judged.

Argon2id with the second profile of RFC 9106, 4 (64 MiB, t=3, p=4, the default of argon2-cffi). Hashing takes
about 0.2 s, so it is done outside transactions and by few threads at a time: memory stays bounded and pages
stay quick while logins storm (standards R035). A password is normalised (NFKC, NIST SP 800-63B-4, 3.1.1.2) and
never trimmed or cut.
"""

import os
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kmzportal.domain.common_passwords import is_common
from kmzportal.domain.refusals import TooBusy, WeakPassword

LONGEST = 256
EXAMPLE = "lampe honig fahrplan wiese"  # stands beside every field for a new password
SHORTEST_CONTEXT_WORD = 4
MOST_WAITING = 16  # in a process; it serves pages with the threads that are left

STEP_BACK = 10  # as nice counts: pages are drawn first, see docs/decisions/0040

_hasher = PasswordHasher()
_threads: ThreadPoolExecutor
_places = BoundedSemaphore(MOST_WAITING)
T = TypeVar("T")


def bound(threads: int) -> None:
    """Let this many threads of this process hash at the same time."""
    global _threads
    # In Linux each thread has a niceness of its own; those that Argon2 begins inherit it.
    _threads = ThreadPoolExecutor(threads, "argon2", initializer=os.nice, initargs=(STEP_BACK,))


bound(1)


@dataclass(frozen=True)
class Proof:
    """Whether a password matched the hash that was read; it counts only while that hash still stands."""

    against: str | None
    holds: bool
    rehashed: str | None = None


def hash_password(password: str) -> str:
    """Return the PHC string of a new password."""
    return _in_turn(_hasher.hash, _normalised(password))


def prove(password: str, against: str | None) -> Proof:
    """Compare a password with a stored hash, with equal work when there is none."""
    return _in_turn(_prove, _normalised(password), against)


def _in_turn(work: Callable[..., T], *what: str | None) -> T:
    """Let the hashing threads do the work; raises TooBusy at once when so many wait already that pages would too."""
    if not _places.acquire(blocking=False):
        raise TooBusy
    try:
        return _threads.submit(work, *what).result()
    finally:
        _places.release()


def _prove(password: str, against: str | None) -> Proof:
    try:
        _hasher.verify(against or _decoy(), password)
    except (VerificationError, InvalidHashError):
        return Proof(against, holds=False)
    outdated = against is not None and _hasher.check_needs_rehash(against)
    return Proof(against, against is not None, _hasher.hash(password) if outdated else None)


def _decoy() -> str:
    """Return what costs as much to verify as a real hash, and matches no password."""
    salt, digest = (b64encode(bytes(size)).decode().rstrip("=") for size in (_hasher.salt_len, _hasher.hash_len))
    costs = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"


def _normalised(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def refuse_weak(password: str, minimum: int, known: list[str]) -> None:
    """Raise WeakPassword when `password` is too short, too long, common, or made of what is `known`.

    `known` holds what others know of the person and the office: name, mail address, number, place.
    """
    if len(password) < minimum:
        raise WeakPassword(
            f"Das Passwort ist zu kurz. Nehmen Sie mindestens {minimum} Zeichen, zum Beispiel vier Wörter."
        )
    if len(password) > LONGEST:
        raise WeakPassword(f"Das Passwort ist zu lang. Möglich sind bis zu {LONGEST} Zeichen.")
    if EXAMPLE in " ".join(_normalised(password).casefold().split()):
        raise WeakPassword("Das ist unser Beispiel. Viele kennen es. Nehmen Sie bitte vier eigene Wörter.")
    if is_common(password):
        raise WeakPassword(
            "Dieses Passwort ist weit verbreitet und leicht zu erraten. Nehmen Sie vier Wörter, die nicht "
            "zusammengehören."
        )
    if word := _context_word(password, known):
        raise WeakPassword(
            f"Das Passwort besteht fast nur aus „{word}“. Das können andere erraten. Nehmen Sie andere Wörter."
        )


def _context_word(password: str, known: list[str]) -> str | None:
    """Return the longest known word in it if, with all of them taken out, too little is left to guess."""
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
    return _normalised(text).casefold().translate(str.maketrans("013457@$", "oleastas"))
