"""Das Protokoll: every deed, latest first, filtered by kind, person and day. Reads pages by key from its indexes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_
from sqlalchemy.orm import Session

from kmzportal.domain import mail_address
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer

SHOWN = 50
KINDS: dict[str, Any] = {"customer": Customer, "clerk": Clerk}


@dataclass(frozen=True)
class Wanted:
    """What is looked for; what is None is not asked for."""

    deed: str | None = None
    person: str | None = None  #: a Kundennummer, a mail address, or a clerk's initials
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None  #: the event at which the page before ended


def events(session: Session, wanted: Wanted) -> Sequence[AuditEvent]:
    """Return what fits, latest first; one more than is shown where older ones follow."""
    if wanted.person is None:
        return session.scalars(_latest(_filtered(wanted))).all()
    ways = [way for person in _called(session, wanted.person) for way in _ways(person)]
    found = {event for way in ways for event in session.scalars(_latest(_filtered(wanted, way)))}
    return sorted(found, key=lambda event: (event.at, event.id), reverse=True)[: SHOWN + 1]


def people(session: Session, events: Iterable[AuditEvent]) -> dict[str, Customer | Clerk]:
    """Return everybody who did something or to whom it was done, by the names that actors have."""
    names = {event.actor for event in events}
    names |= {f"customer:{event.customer_id}" for event in events} | {f"clerk:{event.clerk_id}" for event in events}
    found: dict[str, Customer | Clerk] = {}
    for kind, table in KINDS.items():
        ids = {int(id_) for actor, _, id_ in (name.partition(":") for name in names) if actor == kind and id_.isdigit()}
        found |= {f"{kind}:{one.id}": one for one in session.scalars(select(table).where(table.id.in_(ids)))}
    return found


def _called(session: Session, person: str) -> list[Customer | Clerk]:
    """Return the customer and the clerk that are called so."""
    said = person.strip()
    try:
        address = mail_address.canonical(said)
    except mail_address.NotAnAddress:
        address = ""
    customer = select(Customer).where(or_(Customer.number == said, Customer.email_canonical == address))
    clerk = select(Clerk).where(or_(func.lower(Clerk.initials) == said.lower(), Clerk.email_canonical == address))
    return [*session.scalars(customer), *session.scalars(clerk)]


def _ways(person: Customer | Clerk) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """What was done to the person, and what the person did: each has an index of its own."""
    if isinstance(person, Customer):
        return AuditEvent.customer_id == person.id, AuditEvent.actor == f"customer:{person.id}"
    return AuditEvent.clerk_id == person.id, AuditEvent.actor == f"clerk:{person.id}"


def _filtered(wanted: Wanted, *ways: ColumnElement[bool]) -> Select[AuditEvent]:
    found = select(AuditEvent).where(*ways)
    if wanted.deed:
        found = found.where(AuditEvent.deed == wanted.deed)
    if wanted.since:
        found = found.where(AuditEvent.at >= wanted.since)
    if wanted.until:
        found = found.where(AuditEvent.at < wanted.until)
    if wanted.before:
        at = select(AuditEvent.at).where(AuditEvent.id == wanted.before).scalar_subquery()
        found = found.where(tuple_(AuditEvent.at, AuditEvent.id) < tuple_(at, wanted.before))
    return found


def _latest(found: Select[AuditEvent]) -> Select[AuditEvent]:
    return found.order_by(AuditEvent.at.desc(), AuditEvent.id.desc()).limit(SHOWN + 1)
