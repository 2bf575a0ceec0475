"""Reports under the GDPR: which clerk saw and did what (15), and which accounts a breach may concern (33, 34)."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from kmzportal.dates import BERLIN, format_datetime
from kmzportal.models import AccountLink, AuditEvent, Clerk, Customer, CustomerAccess, LoginSession

EXPORTED = "customers.exported"


def accesses(session: Session, customer: Customer) -> list[tuple[str, str, str]]:
    """Return time, person and act, latest first: views of the desk, its actions, imports and exports."""
    clerks = {f"clerk:{clerk.id}": f"{clerk.name} ({clerk.initials})" for clerk in session.scalars(select(Clerk))}
    seen = select(CustomerAccess).where(CustomerAccess.customer_id == customer.id)
    found = []
    for one in session.scalars(seen):
        begin = datetime.combine(one.day, time(), BERLIN)
        found.append((begin, f"{one.day:%d.%m.%Y}", clerks[f"clerk:{one.clerk_id}"], "Daten angesehen"))
    of_desk = or_(AuditEvent.actor.startswith("clerk:"), AuditEvent.actor == "console")
    exported = (AuditEvent.action == EXPORTED) & (AuditEvent.at >= customer.created_at)
    events = select(AuditEvent).where(or_((AuditEvent.customer_id == customer.id) & of_desk, exported))
    for event in session.scalars(events):
        what = " – ".join(filter(None, (event.label, event.remark)))
        found.append((event.at, format_datetime(event.at), clerks.get(event.actor, event.actor_label), what))
    return [row[1:] for row in sorted(found, key=lambda row: row[0], reverse=True)]


def concerned(session: Session, since: datetime, until: datetime) -> list[tuple[Customer | Clerk, list[int]]]:
    """Return the customers, then the clerks, that a breach between two times may concern.

    Each with the number of their logins, open sessions and valid links, of the accesses of clerks (days on which one
    saw the data, and actions), and of exports of all customers.
    """
    return [found for table in (Customer, Clerk) for found in _concerned(session, table, since, until)]


def _concerned(
    session: Session, table: Any, since: datetime, until: datetime
) -> Iterator[tuple[Customer | Clerk, list[int]]]:
    def count(source: Any, *conditions: Any) -> Counter[int]:
        column = getattr(source, f"{table.__tablename__}_id")
        rows = session.execute(select(column, func.count()).where(column.is_not(None), *conditions).group_by(column))
        return Counter({row[0]: row[1] for row in rows})

    def count_open(source: Any, begin: Any) -> Counter[int]:
        return count(source, begin <= until, func.coalesce(source.ended_at, source.expires_at) >= since)

    during = AuditEvent.at.between(since, until)
    ways = [
        count(AuditEvent, during, AuditEvent.action == "login.succeeded"),
        count_open(LoginSession, LoginSession.started_at),
        count_open(AccountLink, AccountLink.issued_at),
        Counter(),
    ]
    exports = 0
    if table is Customer:
        days = CustomerAccess.day.between(_day(since), _day(until))
        ways[-1] = count(CustomerAccess, days) + count(AuditEvent, during, AuditEvent.actor.startswith("clerk:"))
        exports = session.scalar(select(func.count(AuditEvent.id)).where(during, AuditEvent.action == EXPORTED)) or 0
    for person in session.scalars(select(table).where(table.created_at <= until).order_by(table.id)):
        if exports or any(person.id in counts for counts in ways):
            yield person, [*(counts[person.id] for counts in ways), exports]


def _day(at: datetime) -> date:
    return at.astimezone(BERLIN).date()
