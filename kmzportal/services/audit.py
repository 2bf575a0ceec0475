"""Das Protokoll: every deed, latest first, filtered by kind, person and day. Reads pages by key from its indexes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.clerk import Clerk
from kmzportal.models.customer import Customer
from kmzportal.models.login_session import LoginSession
from kmzportal.models.outgoing_mail import MAIL_STATES, OutgoingMail

EVENTS_SHOWN = 50
_PEOPLE: dict[str, Any] = {"customer": Customer, "clerk": Clerk}


@dataclass(frozen=True)
class AuditQuery:
    """What is looked for; what is None is not asked for."""

    action: str | None = None
    person: str | None = None  #: a Kundennummer, a mail address, or a clerk's initials
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None  #: the event at which the page before ended


def events(session: Session, wanted: AuditQuery) -> Sequence[AuditEvent]:
    """Return what fits, latest first; one more than is shown where older ones follow."""
    if wanted.person is None:
        return session.scalars(_page(_matching(wanted))).all()
    ways = [way for person in _find_people(session, wanted.person) for way in _conditions(person)]
    found = {event for way in ways for event in session.scalars(_page(_matching(wanted, way)))}
    return sorted(found, key=lambda event: (event.at, event.id), reverse=True)[: EVENTS_SHOWN + 1]


def people(session: Session, events: Iterable[AuditEvent]) -> dict[str, Customer | Clerk]:
    """Return everybody who did something or to whom it was done, by the names that actors have."""
    names = {event.actor for event in events}
    names |= {f"customer:{event.customer_id}" for event in events} | {f"clerk:{event.clerk_id}" for event in events}
    found: dict[str, Customer | Clerk] = {}
    for kind, table in _PEOPLE.items():
        ids = {int(id_) for actor, _, id_ in (name.partition(":") for name in names) if actor == kind and id_.isdigit()}
        found |= {f"{kind}:{one.id}": one for one in session.scalars(select(table).where(table.id.in_(ids)))}
    return found


def _find_people(session: Session, person: str) -> list[Customer | Clerk]:
    """Return the customer and the clerk that are called so."""
    said = person.strip()
    try:
        address = mail_address.canonical(said)
    except mail_address.InvalidAddress:
        address = ""
    customer = select(Customer).where(or_(Customer.number == said, Customer.email_canonical == address))
    clerk = select(Clerk).where(or_(func.lower(Clerk.initials) == said.lower(), Clerk.email_canonical == address))
    return [*session.scalars(customer), *session.scalars(clerk)]


def _conditions(person: Customer | Clerk) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """What was done to the person, and what the person did: each has an index of its own."""
    if isinstance(person, Customer):
        return AuditEvent.customer_id == person.id, AuditEvent.actor == f"customer:{person.id}"
    return AuditEvent.clerk_id == person.id, AuditEvent.actor == f"clerk:{person.id}"


def _matching(wanted: AuditQuery, *ways: ColumnElement[bool]) -> Select[AuditEvent]:
    found = select(AuditEvent).where(*ways)
    if wanted.action:
        found = found.where(AuditEvent.action == wanted.action)
    if wanted.since:
        found = found.where(AuditEvent.at >= wanted.since)
    if wanted.until:
        found = found.where(AuditEvent.at < wanted.until)
    if wanted.before:
        at = select(AuditEvent.at).where(AuditEvent.id == wanted.before).scalar_subquery()
        found = found.where(tuple_(AuditEvent.at, AuditEvent.id) < tuple_(at, wanted.before))
    return found


def _page(found: Select[AuditEvent]) -> Select[AuditEvent]:
    return found.order_by(AuditEvent.at.desc(), AuditEvent.id.desc()).limit(EVENTS_SHOWN + 1)


#: What anybody can cause from outside; it must not push the rest out of view.
_BY_ANYBODY = (
    "login.refused",
    "login.throttled",
    "recovery.sent",
    "recovery.capped",
    "recovery.locked",
    "mail.capped",
)
Row = TypeVar("T", LoginSession, OutgoingMail)


def history(session: Session, customer: Customer, limit: int = 100) -> Sequence[AuditEvent]:
    """Return what happened to the account, the desk's acts included, latest first."""
    by_or_about = or_(AuditEvent.customer_id == customer.id, AuditEvent.actor == f"customer:{customer.id}")
    events = select(AuditEvent).where(by_or_about).order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
    knocking = AuditEvent.action.in_(_BY_ANYBODY)
    own = session.scalars(events.where(~knocking).limit(limit)).all()
    foreign = session.scalars(events.where(knocking).limit(limit // 5)).all()
    return sorted([*own, *foreign], key=lambda event: (event.at, event.id), reverse=True)


def all_data(session: Session, customer: Customer) -> dict[str, object]:
    """Return all that is kept about the customer, with German names; no secret, nobody else's data."""
    events = history(session, customer, limit=1000)
    return {
        "Kundennummer": customer.number,
        "E-Mail-Adresse": customer.email,
        "Neue E-Mail-Adresse, noch nicht bestätigt": customer.pending_email,
        **{label: getattr(customer, name) for name, (label, _) in Customer.DATA_FIELDS.items()},
        "Konto angelegt": customer.created_at,
        "Passwort gesetzt": customer.password_set_at,
        "Konto gesperrt": customer.locked_at,
        "Anmeldungen": [
            {"Angemeldet": one.started_at, "Zuletzt benutzt": one.last_seen, "Gerät": one.device}
            for one in _rows(session, customer, LoginSession)
        ],
        "E-Mails": [
            {"Zeit": one.queued_at, "An": one.recipient, "Zustand": MAIL_STATES[one.state]}
            for one in _rows(session, customer, OutgoingMail)
        ],
        "Verlauf": [
            {"Zeit": event.at, "Vorgang": event.label, "Dazu": event.remark, "Von": event.actor_label}
            for event in events
        ],
    }


def _rows(session: Session, customer: Customer, table: type[Row]) -> Sequence[Row]:
    """Return the customer's rows of a table, latest first."""
    return session.scalars(select(table).where(table.customer_id == customer.id).order_by(table.id.desc())).all()
