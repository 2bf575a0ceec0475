"""Customers by their words: parts of them in any order, one typing error forgiven. Asks indexes alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, column, or_, select, table, text
from sqlalchemy.orm import Session

from kmzportal.domain import customer_search
from kmzportal.domain.customer import Customer
from kmzportal.domain.customer_search import fold, one_letter_off

SHORTEST = 3  # signs; a trigram
SHORTEST_WITH_AN_ERROR = 5
MOST_WORDS = 6
SHOWN = 20
COUNTED = 1000  # whoever finds more has to say more
GUESSED_AMONG = 2000

COLUMNS = (Customer.id, Customer.number, Customer.first_name, Customer.last_name, Customer.school)
WORDS = table("customer_search", column("rowid"), column("customer_search"))


@dataclass(frozen=True)
class Found:
    """The customers to be shown; `more` others fit as well, or even more than that when they were not all counted."""

    hits: Sequence[Any]  #: rows of COLUMNS
    more: int = 0
    uncounted: bool = False
    guessed: bool = False  #: nobody fits to the letter; these are one typing error away


def search(session: Session, query: str) -> Found | None:
    """Return whose number or address it is, or else who fits all words of it; None when it is too short for that."""
    if named := session.execute(select(*COLUMNS).where(_names(query.replace("\0", "").strip()))).all():
        return Found(named)
    words = customer_search.terms(query)[:MOST_WORDS]
    if not any(len(word) >= SHORTEST for word in words):
        return None
    rows = session.execute(select(*COLUMNS).where(_holds(session, words)).limit(COUNTED + 1)).all()
    return _found(rows) if rows else _guessed(session, words)


def holding(session: Session, texts: Sequence[str]) -> ColumnElement[bool]:
    """Whether the customer's text holds one of these, each at least three signs long."""
    return _holds(session, texts[:1], lambda _: tuple(texts))


def take_in(session: Session) -> None:
    """After many changes at once: PostgreSQL keeps them beside its index, where each search would read them all."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT gin_clean_pending_list('customer_search')"))


def _names(whole: str) -> ColumnElement[bool]:
    """Whether it is the whole Kundennummer or address; these have indexes of their own, which no million slows down."""
    number, address = Customer.number.in_((whole, whole.upper())), whole.casefold()
    return or_(number, Customer.email_canonical == address, Customer.pending_email_canonical == address)


def _found(rows: Sequence[Any], guessed: bool = False) -> Found:
    ordered = sorted(rows, key=lambda row: (fold(row.last_name), fold(row.first_name), row.number))
    return Found(ordered[:SHOWN], max(0, min(len(rows), COUNTED) - SHOWN), len(rows) > COUNTED, guessed)


def _guessed(session: Session, words: Sequence[str]) -> Found:
    """Look again with one error in any of the longer words. An error spares the word's beginning or its end."""
    if not any(map(_may_have_an_error, words)):
        return Found([])
    near = select(*COLUMNS, Customer.search).where(_holds(session, words, _pieces)).limit(GUESSED_AMONG)
    return _found([row for row in session.execute(near) if _is_meant(row.search, words)], guessed=True)


def _may_have_an_error(word: str) -> bool:
    """A number that is one digit off is another number."""
    return len(word) >= SHORTEST_WITH_AN_ERROR and not any(map(str.isdigit, word))


def _pieces(word: str) -> tuple[str, ...]:
    whole = f" {word} "
    half = (len(whole) + 1) // 2
    return (whole[: half - 1], whole[half:]) if _may_have_an_error(word) else (word,)


def _is_meant(words_of: str, words: Sequence[str]) -> bool:
    there = words_of.split()
    return all(word in words_of or any(one_letter_off(word, one) for one in there) for word in words)


def _itself(word: str) -> tuple[str, ...]:
    return (word,)


def _holds(session: Session, words: Sequence[str], pieces: Any = _itself) -> ColumnElement[bool]:
    """Whether the customer's text holds, of each word, one of its pieces; short words only begin others."""
    alternatives = [pieces(word) if len(word) >= SHORTEST else (f" {word}",) for word in words]
    if session.get_bind().dialect.name == "sqlite":
        long = [each for each in alternatives if min(map(len, each)) >= SHORTEST]
        rest = [each for each in alternatives if each not in long]
        ids = select(WORDS.c.rowid).where(WORDS.c.customer_search.match(" AND ".join(map(_quoted, long))))
        return and_(Customer.id.in_(ids), *map(_contains, rest))
    return and_(*map(_contains, alternatives))


def _contains(pieces: Iterable[str]) -> ColumnElement[bool]:
    return or_(*(Customer.search.contains(piece, autoescape=True) for piece in pieces))


def _quoted(pieces: Iterable[str]) -> str:
    """Return an expression of FTS5; in its strings only the quote is special, and stands twice."""
    strings = ['"' + piece.replace('"', '""') + '"' for piece in pieces]
    return f"({' OR '.join(strings)})"
