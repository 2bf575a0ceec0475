"""Customers by their words: parts of them in any order, one typing error forgiven. Asks indexes alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, and_, column, or_, select, table, text, union_all
from sqlalchemy.orm import Session

from kmzportal.models import customer
from kmzportal.models.customer import Customer, fold, one_letter_off

SHORTEST = 3  # signs; a trigram
SHORTEST_WITH_AN_ERROR = 5
MOST_WORDS = 6
SHOWN = 20
COUNTED = 1000  # whoever finds more has to say more
GUESSED_AMONG = 1000

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
    """Return whose number or address it is, or else who fits all words of it; None when it is too short for that.

    A whole number or address means that customer alone, also when others have it as a part of theirs.
    """
    if named := session.execute(select(*COLUMNS).where(_named(query.replace("\0", "").strip()))).all():
        return Found(named)
    words = customer.terms(query)[:MOST_WORDS]
    if not any(len(word) >= SHORTEST for word in words):
        return None
    _plan_for(session, words)
    rows = session.execute(select(*COLUMNS).where(_holds(session, words)).limit(COUNTED + 1)).all()
    return _found(rows) if rows else _guessed(session, words)


def holding(session: Session, texts: Sequence[str]) -> ColumnElement[bool]:
    """Whether the customer's text holds one of these, each at least three signs long."""
    return _holds(session, texts[:1], lambda _: [(text,) for text in texts])


def take_in(session: Session) -> None:
    """After many changes at once: PostgreSQL keeps them beside its index, where each search would read them all."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT gin_clean_pending_list('customer_search')"))


def _named(whole: str) -> ColumnElement[bool]:
    """Whether it is the whole Kundennummer or address; these have indexes of their own, which no million slows down.

    Both addresses are looked up by themselves: asked for one or the other, SQLite reads the table when it believes one
    index to be useless.
    """
    if "@" not in whole:
        return Customer.number.in_({whole, whole.upper()})
    addresses = (Customer.email_canonical, Customer.pending_email_canonical)
    return Customer.id.in_(union_all(*(select(Customer.id).where(one == whole.casefold()) for one in addresses)))


def _plan_for(session: Session, words: Sequence[str]) -> None:
    """Let PostgreSQL plan for these very words, and ask its index for several.

    It would soon plan once for all words, rare or common; and it expects two together as often as chance has it, and
    would read the table for what nobody has.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
        if len(words) > 1:
            session.execute(text("SET LOCAL enable_seqscan = off"))


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


def _pieces(word: str) -> Sequence[Sequence[str]]:
    """Return what is left whole by an error in the first third of a word, in the last, or between them.

    Each piece is a trigram at least, and spares one sign more, as two signs may have changed places.
    """
    if not _may_have_an_error(word):
        return _itself(word)
    whole = f" {word} "
    third = max(SHORTEST, len(whole) // 3)
    last = len(whole) - third - 1
    return (whole[third + 1 :],), (whole[:last],), (whole[:third], whole[last + 1 :])


def _is_meant(words_of: str, words: Sequence[str]) -> bool:
    there = words_of.split()
    return all(word in words_of or any(one_letter_off(word, one) for one in there) for word in words)


def _itself(word: str) -> Sequence[Sequence[str]]:
    return ((word,),)


def _holds(session: Session, words: Sequence[str], pieces: Any = _itself) -> ColumnElement[bool]:
    """Whether the customer's text holds, of each word, all pieces of one kind; short words only begin others."""
    alternatives = [pieces(word) if len(word) >= SHORTEST else ((f" {word}",),) for word in words]
    if session.get_bind().dialect.name == "sqlite":
        long = [each for each in alternatives if min(map(len, chain(*each))) >= SHORTEST]
        rest = [each for each in alternatives if each not in long]
        match = WORDS.c.customer_search.match(" AND ".join(map(_quoted, long)))
        return and_(Customer.id == WORDS.c.rowid, match, *map(_contains, rest))
    return and_(*map(_contains, alternatives))


def _contains(alternatives: Iterable[Sequence[str]]) -> ColumnElement[bool]:
    held = [[Customer.search.contains(piece, autoescape=True) for piece in pieces] for pieces in alternatives]
    return or_(*(and_(*all_of) for all_of in held))


def _quoted(alternatives: Iterable[Sequence[str]]) -> str:
    """Return an expression of FTS5; in its strings only the quote is special, and stands twice."""
    strings = [['"' + piece.replace('"', '""') + '"' for piece in pieces] for pieces in alternatives]
    return f"({' OR '.join(map(' AND '.join, strings))})"
