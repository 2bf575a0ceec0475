"""Puzzles without storage: a signed token identifies a puzzle, and its content derives from a secret key.

The token contains an id, an expiry and the link it is bound to, never the solution: question, pictures and positions
derive from the id by HMAC. A puzzle may be answered only once, or a robot could try all solutions; so the caller stores
`identity(token)` in a unique row and accepts only the first answer.
"""

import hmac
import secrets
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain, combinations
from pathlib import Path
from typing import NamedTuple, TypeVar

from itsdangerous import BadData, URLSafeSerializer

from kmzportal.services.refusals import Refusal

T = TypeVar("T")
FOLDER = Path(__file__).parent / "pictures"
#: The names of pictures in FOLDER, which never leave the server, by the phrase that describes them.
CATALOGUE: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text("utf-8"))

TILES = range(9)
# Every choice of three or four tiles, all equally likely: a random guess is right once in 210.
ANSWERS = [*chain(combinations(TILES, 3), combinations(TILES, 4))]


class PuzzleUnusable(Refusal):
    """The token is forged, expired, or bound to another link."""


@dataclass(frozen=True)
class Puzzle:
    """Token and question for the page; the browser requests the image separately."""

    token: str
    question: str


class _Ticket(NamedTuple):
    """The content of a token; `expiry` in seconds since 1970."""

    id: str
    expiry: int
    bound_to: str


class Puzzles:
    """Makes puzzles and checks answers with one secret key. `lifetime` in seconds, all datetimes aware."""

    def __init__(self, key: bytes, lifetime: int = 900):
        self._key = hmac.digest(key, b"robot check", "sha256")
        self._signer = URLSafeSerializer(key, salt="robot check", signer_kwargs={"digest_method": sha256})
        self._lifetime = lifetime

    def new(self, bound_to: str, now: datetime) -> Puzzle:
        """Return a new puzzle that is valid only for `bound_to`, for example "link:17"."""
        ticket = _Ticket(secrets.token_urlsafe(12), int(now.timestamp()) + self._lifetime, bound_to)
        return self.open(str(self._signer.dumps(ticket)), bound_to, now)

    def open(self, token: str, bound_to: str, now: datetime) -> Puzzle:
        """Return the puzzle of this token; raises PuzzleUnusable."""
        return Puzzle(token, f"Wählen Sie alle Bilder mit {self._phrase(self._own(token, bound_to, now).id)}.")

    def pictures(self, token: str, now: datetime) -> list[str]:
        """Return the names of the nine pictures in order, for `drawing.draw`; the page never contains them."""
        puzzle = self._current(token, now).id
        phrase, answer = self._phrase(puzzle), self._answer(puzzle)
        right = iter(self._shuffled(puzzle, CATALOGUE[phrase]))
        wrong = iter(self._shuffled(puzzle, set(chain(*CATALOGUE.values())) - set(CATALOGUE[phrase])))
        return [next(right if tile in answer else wrong) for tile in TILES]

    def solved_by(self, token: str, chosen: set[int], bound_to: str, now: datetime) -> bool:
        """Return whether exactly the right tiles, counted from 0, were chosen; raises PuzzleUnusable."""
        return chosen == set(self._answer(self._own(token, bound_to, now).id))

    def identity(self, token: str) -> tuple[str, datetime]:
        """Return the id of a puzzle and its expiry, to store it as used."""
        ticket = self._ticket(token)
        return ticket.id, datetime.fromtimestamp(ticket.expiry, UTC)

    def _ticket(self, token: str) -> _Ticket:
        try:
            return _Ticket(*self._signer.loads(token))
        except BadData as error:
            raise PuzzleUnusable from error

    def _current(self, token: str, now: datetime) -> _Ticket:
        ticket = self._ticket(token)
        if now.timestamp() >= ticket.expiry:
            raise PuzzleUnusable
        return ticket

    def _own(self, token: str, bound_to: str, now: datetime) -> _Ticket:
        ticket = self._current(token, now)
        if ticket.bound_to != bound_to:
            raise PuzzleUnusable
        return ticket

    def _phrase(self, puzzle: str) -> str:
        return self._shuffled(puzzle, CATALOGUE)[0]

    def _answer(self, puzzle: str) -> tuple[int, ...]:
        return self._shuffled(puzzle, ANSWERS)[0]

    def _shuffled(self, puzzle: str, items: Iterable[T]) -> list[T]:
        """Return the items in an order that depends on the puzzle and the key, and is random without the key."""
        return sorted(items, key=lambda item: hmac.digest(self._key, f"{puzzle} {item}".encode(), "sha256"))
