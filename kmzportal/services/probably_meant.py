"""Whom an unknown mail address probably means, and why we think so. Asks indexes, never reads all customers."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, String, and_, column, func, literal, select, values
from sqlalchemy.orm import Session

from kmzportal.models.customer import Customer, fold, one_letter_off
from kmzportal.services.customers_search import holding

SHOWN = 3
READ_AT_MOST = 1000  # customers for one page of addresses
SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789.-_"
NAME = re.compile(r"([a-z-]{2,})[._]([a-z-]{2,})@")
#: Comparing by bytes; PostgreSQL would follow the order of its language.
BY_BYTES = {"sqlite": (">=", "<"), "postgresql": ("~>=~", "~<~")}
LAST = "\x7f"
#: A list as one parameter: thousands of them would take longer than the look-up.
EACH = {"sqlite": func.json_each, "postgresql": func.json_array_elements_text}
LIGHT = (Customer.id, Customer.email_canonical, Customer.first_name, Customer.last_name)

LETTER = "nur ein Zeichen ist anders"
DOMAIN = "der Teil vor dem @ ist gleich, die Domain ist anders"
NAMED = "Vorname und Nachname stehen in der Adresse"


@dataclass(frozen=True)
class Guess:
    customer: Customer
    why: str


def guesses(session: Session, addresses: Collection[str]) -> dict[str, list[Guess]]:
    """Return for each canonical address at most three customers, the likeliest first.

    What fits more than three customers tells nothing, unless it is a slip of one sign.
    """
    if not addresses:
        return {}
    rows = [*_near(session, addresses), *_named(session, addresses)]
    found = {address: _likeliest(address, rows) for address in addresses}
    ids = {id_ for pairs in found.values() for id_, _ in pairs}
    customers = {one.id: one for one in session.scalars(select(Customer).where(Customer.id.in_(ids)))}
    return {address: [Guess(customers[id_], why) for id_, why in pairs] for address, pairs in found.items()}


def _likeliest(address: str, rows: Sequence[Any]) -> list[tuple[int, str]]:
    fitting: dict[int, str] = {}
    for why, fits in REASONS.items():
        ids = sorted({row.id for row in rows if row.id not in fitting and fits(address, row)})
        if why == LETTER or len(ids) <= SHOWN:
            fitting |= dict.fromkeys(ids, why)
    return list(fitting.items())[:SHOWN]


def _near(session: Session, addresses: Collection[str]) -> Sequence[Any]:
    """Return who has the same name before the @, or is one sign away at the same domain.

    A slip leaves the first two signs right, and they lead to the rest; or it is among them, and there are few.
    """
    at_least, below = BY_BYTES[session.get_bind().dialect.name]
    ways = [way for address in addresses for way in _ways(address)]
    way = values(*(column(name, String) for name in ("low", "high", "ending"))).data(ways).cte("way")
    email = Customer.email_canonical
    leads_to = and_(email.op(at_least)(way.c.low), email.op(below)(way.c.high), email.like(way.c.ending))
    near = session.execute(select(*LIGHT).join(way, leads_to).limit(READ_AT_MOST)).all()
    slips = literal(sorted({slip for address in addresses for slip in _slips_at_the_beginning(address)}), JSON)
    slip = EACH[session.get_bind().dialect.name](slips).table_valued("value", name="slip")
    return [*near, *session.execute(select(*LIGHT).join(slip, email == slip.c.value))]


def _ways(address: str) -> Iterator[tuple[str, str, str]]:
    local, _, domain = address.rpartition("@")
    yield f"{local}@", f"{local}@{LAST}", "%"
    yield local[:2], local[:2] + LAST, f"%@{domain}"


def _slips_at_the_beginning(address: str) -> Iterator[str]:
    for place in (0, 1):
        before, login_session, after = address[:place], address[place : place + 1], address[place + 1 :]
        yield before + after
        yield before + after[:1] + login_session + after[1:]
        for sign in SIGNS:
            yield before + sign + after
            yield before + sign + login_session + after


def _named(session: Session, addresses: Collection[str]) -> Sequence[Any]:
    """Return who is called like the parts of an address `vorname.nachname@…`."""
    names = [f" {name} " for address in addresses if (name := _name(address))]
    return session.execute(select(*LIGHT).where(holding(session, names)).limit(READ_AT_MOST)).all() if names else []


def _name(address: str) -> str | None:
    """Return the folded name that an address is made of, if it looks so."""
    parts = NAME.match(address)
    return fold(f"{parts[1]} {parts[2]}") if parts else None


def _before_the_at(address: str) -> str:
    return address.rpartition("@")[0]


REASONS: dict[str, Callable[[str, Any], bool]] = {
    LETTER: lambda address, row: one_letter_off(address, row.email_canonical),
    DOMAIN: lambda address, row: _before_the_at(address) == _before_the_at(row.email_canonical),
    NAMED: lambda address, row: _name(address) == fold(f"{row.first_name} {row.last_name}"),
}
