"""Search of customers as a clerk types, and suggestions which customer an unknown mail address belongs to."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rapidfuzz.distance import OSA
from sqlalchemy import ColumnElement, and_, false, func, or_, select, true, union_all
from sqlalchemy.orm import Session

from kmzportal import mail_address, phone
from kmzportal.models import Customer, fold
from kmzportal.plain_text import canonical_number, clean

SHOWN, COUNTED = 20, 1000
MAX_WORDS = 6
MIN_LENGTH = 3  # of one word at least; shorter ones have no trigram
MIN_LENGTH_WITH_TYPO = 5
MAX_SPELLINGS = 10
TEXTS = {"postgresql": 500, "sqlite": 3000}  # rows read for one condition, to find similar words in them
CANDIDATES = 1000
PHONE = re.compile(r"[\d\s()/+.-]*\d[\d\s()/+.-]*")
COLUMNS = (
    *(Customer.id, Customer.number, Customer.first_name, Customer.last_name, Customer.school),
    *(Customer.email, Customer.pending_email, Customer.last_login_at, Customer.password_set_at, Customer.locked_at),
)
SUGGESTED = 3
TYPO = "nur ein Zeichen ist anders"
DOMAIN = "der Teil vor dem @ ist gleich, die Domain ist anders"
NAME = "Vorname und Nachname stehen in der Adresse"
NAME_IN_ADDRESS = re.compile(r"([a-z-]{2,})[._]([a-z-]{2,})@")
LOCAL_PART = "abcdefghijklmnopqrstuvwxyz0123456789.-_"


@dataclass(frozen=True)
class SearchResult:
    """The customers to be shown. `more` others match as well, or even more when not all were counted."""

    hits: Sequence[Any]  #: rows of COLUMNS
    more: int = 0
    uncounted: bool = False
    guessed: bool = False  #: nothing matches exactly; these match with one typo corrected


@dataclass(frozen=True)
class Suggestion:
    customer: Customer
    reason: str


def search(session: Session, query: str) -> SearchResult | None:
    """Return the customer with this number or address, or else all that match every word; None for a short query.

    A complete number or address finds only that customer, even if it is a part of others.
    """
    query = clean(query.replace("\0", "").strip())
    if rows := session.execute(select(*COLUMNS).where(_has_number_or_address(query))).all():
        return SearchResult(rows)
    words = [phone.digits(query)] if PHONE.fullmatch(query) else fold(query).split()[:MAX_WORDS]
    if not any(len(word) >= MIN_LENGTH for word in words):
        return None
    return _matching(session, map(_has_word, words)) or _matching_with_typo(session, words) or SearchResult([])


def _has_number_or_address(query: str) -> ColumnElement[bool]:
    if "@" not in query:
        return or_(Customer.number_canonical == canonical_number(query), Customer.number == query)
    # Two queries: for an OR, SQLite scans the table when most customers have no pending address.
    addresses = (Customer.email_canonical, Customer.pending_email_canonical)
    return Customer.id.in_(union_all(*(select(Customer.id).where(email == query.casefold()) for email in addresses)))


def _has_word(word: str) -> ColumnElement[bool]:
    """Match rows with a word that contains this one; a short one only matches the beginning of a word or a domain."""
    return _contains(word) if len(word) >= MIN_LENGTH else _contains(f" {word}") | _contains(f"@{word}")


def _begins_word(text: str) -> ColumnElement[bool]:
    """Match rows with a word that begins so. SQLite finds a rare first character faster than a blank."""
    return _contains(text) & _contains(f" {text}")


def _contains(text: str) -> ColumnElement[bool]:
    return Customer.search.contains(text, autoescape=True)


def _matching(session: Session, conditions: Iterable[Any], guessed: bool = False) -> SearchResult | None:
    # The inner query needs only the index, which SQLite scans.
    ids = select(Customer.id).where(*conditions).limit(COUNTED + 1)
    rows = session.execute(select(*COLUMNS).where(Customer.id.in_(ids))).all()
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: (fold(row.last_name), fold(row.first_name), row.number))
    return SearchResult(ordered[:SHOWN], max(0, min(len(rows), COUNTED) - SHOWN), len(rows) > COUNTED, guessed)


def _matching_with_typo(session: Session, words: Sequence[str]) -> SearchResult | None:
    """Correct one typo in each word that matches no customer, or in any word if each of them matches some customer."""
    known = {
        word for word in words if len(words) > 1 and session.scalar(select(Customer.id).where(_has_word(word)).limit(1))
    }
    unknown = [word for word in words if word not in known]
    wrong = unknown or words
    correct = [_has_word(word) for word in words if word not in wrong]
    spellings = {word: _spellings(session, word, correct) for word in wrong}
    if not any(spellings.values()):
        return None
    choices = [(*spellings.get(word, ()), *(() if word in unknown else (word,))) for word in words]
    conditions = [or_(false(), *map(_has_word, choice)) for choice in choices]
    return _matching(session, conditions, guessed=True)


def _spellings(session: Session, word: str, correct: Sequence[ColumnElement[bool]]) -> Sequence[str]:
    """Return words one typo away, of customers who match the correct words of the query.

    None has a digit: a number with another digit is another number. The parts before and after the typo are correct;
    one more character is left out, in case two were swapped. PostgreSQL searches its index for each position of the
    typo. SQLite scans all customers once.
    """
    length = len(word)
    if length < MIN_LENGTH_WITH_TYPO or any(map(str.isdigit, word)):
        return []
    database = session.get_bind().dialect.name
    size = 1 if database == "postgresql" else -(-length // 3)
    parts = [(word[:start], word[start + size + 1 :]) for start in range(0, length - 1, size)]
    conditions = [
        and_(_begins_word(before) if before else true(), _contains(f"{after} ") if after else true())
        for before, after in parts
    ]
    conditions = conditions if database == "postgresql" else [or_(*conditions)]
    queries = [select(Customer.search).where(*correct, each).limit(TEXTS[database]) for each in conditions]
    texts = " ".join(text for query in queries for text in session.scalars(query))
    candidates = set(re.findall(rf"(?<= )[^\s\d]{{{length - 1},{length + 1}}}(?= )", texts))
    return sorted(other for other in candidates if OSA.distance(word, other, score_cutoff=1) == 1)[:MAX_SPELLINGS]


_domains: tuple[Any, frozenset[str]] = (None, frozenset())


def known_domains(session: Session, now: datetime) -> frozenset[str]:
    """Return the domains of all customers and of the large providers.

    They are read again every hour and after each new customer, as that scans the table.
    """
    global _domains
    state = session.scalar(select(func.max(Customer.id))), now.replace(minute=0, second=0, microsecond=0)
    if _domains[0] != state:
        email = Customer.email_canonical
        position = func.strpos if session.get_bind().dialect.name == "postgresql" else func.instr
        stored = session.scalars(select(func.substr(email, position(email, "@") + 1)).distinct())
        _domains = state, mail_address.FREE_MAIL.union(stored)
    return _domains[1]


def suggestions(session: Session, addresses: Collection[str]) -> dict[str, list[Suggestion]]:
    """Return for each canonical address at most three customers who probably have it, most likely first.

    A reason that applies to more than three customers is ignored, unless it is a single typo.
    """
    if not addresses:
        return {}
    matches = ((address, NAME_IN_ADDRESS.match(address)) for address in addresses)
    names = {address: fold(f"{match[1]} {match[2]}") for address, match in matches if match}
    candidates = _candidates(session, addresses, set(names.values()))
    found = {address: _likeliest(address, names.get(address), candidates) for address in addresses}
    ids = set().union(*found.values())
    customers = {customer.id: customer for customer in session.scalars(select(Customer).where(Customer.id.in_(ids)))}
    return {
        address: [Suggestion(customers[id_], reason) for id_, reason in reasons.items()]
        for address, reasons in found.items()
    }


def _candidates(session: Session, addresses: Collection[str], names: Collection[str]) -> set[tuple[int, str, str]]:
    """Return id, address and folded name of possible customers, at most CANDIDATES for each condition."""
    email = Customer.email_canonical
    parts = [address.rpartition("@") for address in addresses]
    conditions = (
        or_(*(_begins(f"{local}@") for local, _, _ in parts)),
        or_(*(_begins(local[:2]) & email.endswith(f"@{domain}", autoescape=True) for local, _, domain in parts)),
        email.in_({typo for address in addresses for typo in _typos_at_beginning(address)}),
    )
    columns = (Customer.id, email, Customer.first_name, Customer.last_name)
    # Without LIMIT, PostgreSQL uses its index; with LIMIT it would scan the table.
    named = select(*columns).where(or_(false(), *(_contains(f" {name} ") for name in names))).cte()
    named = named.prefix_with("MATERIALIZED", dialect="postgresql")
    queries = [select(named), *(select(*columns).where(each) for each in conditions)]
    rows = (row for query in queries for row in session.execute(query.limit(CANDIDATES)))
    return {(id_, address, fold(f"{first_name} {last_name}")) for id_, address, first_name, last_name in rows}


def _begins(text: str) -> ColumnElement[bool]:
    return and_(Customer.email_canonical >= text, Customer.email_canonical <= f"{text}\x7f")


def _typos_at_beginning(address: str) -> Iterator[str]:
    for index in (0, 1):
        before, character, after = address[:index], address[index : index + 1], address[index + 1 :]
        yield from (before + after, before + after[:1] + character + after[1:])
        for other in LOCAL_PART:
            yield from (before + other + after, before + other + character + after)


def _likeliest(address: str, name: str | None, candidates: Collection[tuple[int, str, str]]) -> dict[int, str]:
    """Return the ids of at most three of these customers with the reason for each."""
    local = address[: address.rindex("@") + 1]
    fitting = {
        TYPO: {id_ for id_, email, _ in candidates if OSA.distance(address, email, score_cutoff=1) <= 1},
        DOMAIN: {id_ for id_, email, _ in candidates if email.startswith(local)},
        NAME: {id_ for id_, _, its_name in candidates if its_name == name},
    }
    reasons: dict[int, str] = {}
    for reason, ids in fitting.items():
        if reason == TYPO or len(ids - reasons.keys()) <= SUGGESTED:
            reasons |= dict.fromkeys(sorted(ids - reasons.keys()), reason)
    return dict(list(reasons.items())[:SUGGESTED])
