"""Answers that the GDPR asks for: who at the desk saw and did what (15), and whom a breach may concern (33, 34)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from kmzportal.dates import BERLIN, format_datetime
from kmzportal.models import AccountLink, AuditEvent, Clerk, Customer, CustomerAccess, LoginSession

SEEN = "Daten angesehen"
EXPORTED = "customers.exported"


@dataclass(frozen=True)
class Concerned:
    """A person whose data somebody may have had in the time of a breach, and how often by which way."""

    person: Customer | Clerk
    logins: int
    sessions: int  #: open at some time
    links: int  #: valid at some time
    accesses: int  #: days on which a clerk saw the data, and actions of clerks
    exports: int  #: of all customers


def accesses(session: Session, customer: Customer) -> list[tuple[str, str, str]]:
    """Return when, by whom and what, latest first: views of the desk, its actions, imports and exports."""
    clerks = {f"clerk:{clerk.id}": f"{clerk.name} ({clerk.initials})" for clerk in session.scalars(select(Clerk))}
    seen = select(CustomerAccess).where(CustomerAccess.customer_id == customer.id)
    found = []
    for one in session.scalars(seen):
        begin = datetime.combine(one.day, time(), BERLIN)
        found.append((begin, f"{one.day:%d.%m.%Y}", clerks[f"clerk:{one.clerk_id}"], SEEN))
    of_desk = or_(AuditEvent.actor.startswith("clerk:"), AuditEvent.actor == "console")
    exported = (AuditEvent.action == EXPORTED) & (AuditEvent.at >= customer.created_at)
    events = select(AuditEvent).where(or_((AuditEvent.customer_id == customer.id) & of_desk, exported))
    for event in session.scalars(events):
        what = " – ".join(filter(None, (event.label, event.remark)))
        found.append((event.at, format_datetime(event.at), clerks.get(event.actor, event.actor_label), what))
    return [row[1:] for row in sorted(found, key=lambda row: row[0], reverse=True)]


def concerned(session: Session, since: datetime, until: datetime) -> list[Concerned]:
    """Return the customers, then the clerks, whom a breach between two times may concern."""
    return [found for table in (Customer, Clerk) for found in _concerned(session, table, since, until)]


def _concerned(session: Session, table: Any, since: datetime, until: datetime) -> list[Concerned]:
    name = f"{table.__tablename__}_id"

    def count(source: Any, *conditions: Any) -> Mapping[int, int]:
        column = getattr(source, name)
        rows = session.execute(select(column, func.count()).where(column.is_not(None), *conditions).group_by(column))
        return Counter({row[0]: row[1] for row in rows})

    during = AuditEvent.at.between(since, until)
    logins = count(AuditEvent, during, AuditEvent.action == "login.succeeded")
    sessions = count(
        LoginSession,
        LoginSession.started_at <= until,
        func.coalesce(LoginSession.ended_at, LoginSession.expires_at) >= since,
    )
    links = count(
        AccountLink,
        AccountLink.issued_at <= until,
        func.coalesce(AccountLink.ended_at, AccountLink.expires_at) >= since,
    )
    seen: Counter[int] = Counter()
    exports = 0
    if table is Customer:
        days = CustomerAccess.day.between(_day(since), _day(until))
        seen.update(count(CustomerAccess, days))
        seen.update(count(AuditEvent, during, AuditEvent.actor.startswith("clerk:")))
        exports = session.scalar(select(func.count(AuditEvent.id)).where(during, AuditEvent.action == EXPORTED)) or 0
    people = session.scalars(select(table).where(table.created_at <= until).order_by(table.id))
    return [
        Concerned(person, logins[person.id], sessions[person.id], links[person.id], seen[person.id], exports)
        for person in people
        if exports or person.id in logins.keys() | sessions.keys() | links.keys() | seen.keys()
    ]


def _day(at: datetime) -> date:
    return at.astimezone(BERLIN).date()
