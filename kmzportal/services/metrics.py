"""Figures for monitoring, all from the database: they are the same in every process and name no person."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any, NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, lazyload

from kmzportal.models import (
    CaseState,
    Clerk,
    Customer,
    Heartbeat,
    LoginSession,
    MailState,
    OutgoingMail,
    RecoveryRequest,
    SupportCase,
    Throttle,
)
from kmzportal.services import outbox, support

SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}


class Metric(NamedTuple):
    """A gauge: its values by the value of its label, or one value under ""."""

    name: str
    help: str
    values: Mapping[str, float]
    label: str = ""


def collect(session: Session, now: datetime, settings: Mapping[str, Any], schema: str | None) -> Iterator[Metric]:
    yield Metric("build_info", "1; the label is the version of the program", {version("kmzportal"): 1}, "version")
    yield Metric("schema_version", "newest migration that ran", {"": int(schema or 0)})
    size = session.scalar(text(SIZE[session.get_bind().dialect.name]))
    yield Metric("database_bytes", "size of the database", {"": size or 0})
    yield from _mails(session, now)
    outage = outbox.mail_outage(session, now, settings)
    yield Metric("mail_outage", "1 while no mail is sent", {"": float(outage is not None)})
    waiting = select(func.count(), func.min(RecoveryRequest.requested_at)).where(RecoveryRequest.answered_at.is_(None))
    requests, oldest = session.execute(waiting).one()
    yield Metric("recovery_requests_waiting", "requests for a link that the worker has not answered", {"": requests})
    yield Metric("recovery_request_oldest_seconds", "age of the oldest of them", {"": _age(oldest, now)})
    beats = session.execute(select(Heartbeat.loop, Heartbeat.beat_at)).all()
    ages = {loop: _age(beat_at, now) for loop, beat_at in beats}
    yield Metric("heartbeat_age_seconds", "time since each loop of the worker last ran", ages, "loop")
    counted = select(SupportCase.state, func.count()).group_by(SupportCase.state)
    cases = dict.fromkeys(CaseState, 0) | dict(session.execute(counted).all())
    yield Metric("cases", "written requests by state", cases, "state")
    yield Metric("cases_overdue", "open ones after the promised day", {"": support.counts(session, now)[1]})
    yield from _accounts(session, now, settings)


def _mails(session: Session, now: datetime) -> Iterator[Metric]:
    grouped = select(OutgoingMail.state, func.count(), func.min(OutgoingMail.queued_at)).group_by(OutgoingMail.state)
    mails = {state: (number, oldest) for state, number, oldest in session.execute(grouped)}
    numbers = {str(state): mails.get(state, (0, None))[0] for state in MailState}
    yield Metric("mails", "mails in the outbox by state", numbers, "state")
    waiting = (MailState.QUEUED, MailState.DEFERRED)
    ages = {str(state): _age(mails.get(state, (0, None))[1], now) for state in waiting}
    yield Metric("mail_oldest_seconds", "age of the oldest mail that waits", ages, "state")


def _accounts(session: Session, now: datetime, settings: Mapping[str, Any]) -> Iterator[Metric]:
    accounts = {
        "customer": session.scalar(select(func.count(Customer.id))) or 0,
        "clerk": session.scalar(select(func.count(Clerk.id))) or 0,
    }
    yield Metric("accounts", "customers and clerks", accounts, "kind")
    open_ones = select(LoginSession).where(LoginSession.ended_at.is_(None), LoginSession.expires_at > now)
    sessions = session.scalars(open_ones.options(lazyload("*")))
    alive = [bool(login.clerk_id) for login in sessions if login.alive(now)]
    numbers = {"customer": alive.count(False), "clerk": alive.count(True)}
    yield Metric("sessions", "logins that are alive", numbers, "kind")
    free, first, longest, disabled = (
        settings[f"THROTTLE_{name}"] for name in ("FREE_FAILURES", "FIRST_WAIT", "LONGEST_WAIT", "DISABLED_AT")
    )
    failing = session.scalars(select(Throttle).where(Throttle.failures > free))
    waits = [one.failures >= disabled or one.waiting(now, free, first, longest) for one in failing]
    yield Metric("throttled_accounts", "accounts whose logins are refused after failures", {"": sum(waits)})


def _age(since: datetime | None, now: datetime) -> float:
    return (now - since).total_seconds() if since else 0.0
