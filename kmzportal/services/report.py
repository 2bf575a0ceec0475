"""Jahresbericht: for each month what customers did by themselves, what they wrote, and which mails failed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kmzportal.dates import BERLIN, MONTHS
from kmzportal.models import AuditEvent, SupportCase

#: Audit actions of each column.
COUNTED = {
    "asked": ("recovery.sent", "recovery.unknown", "recovery.locked", "recovery.capped"),
    "sent": ("recovery.sent", "link.sent", "address.corrected"),
    "used": ("password.set",),
    "refused": ("mail.refused",),
    "bounced": ("mail.bounced",),
}


@dataclass
class Month:
    name: str  #: in German, or `Jahr` for the sum
    counts: Counter[str] = field(default_factory=Counter)  #: by a key of COUNTED
    branches: Counter[str] = field(default_factory=Counter)  #: written requests by branch
    channels: Counter[str] = field(default_factory=Counter)
    due: int = 0  #: written requests whose promised day has passed, or that were answered
    in_time: int = 0  #: those of them that were answered by the promised day
    waits: list[float] = field(default_factory=list)  #: days from each request to the use of its link

    @property
    def cases(self) -> int:
        return self.branches.total()

    @property
    def median_days(self) -> float | None:
        """The median number of days from a written request to the use of its link."""
        return round(median(self.waits), 1) if self.waits else None

    def add(self, other: "Month") -> None:
        for name in ("counts", "branches", "channels"):
            getattr(self, name).update(getattr(other, name))
        self.due, self.in_time = self.due + other.due, self.in_time + other.in_time
        self.waits += other.waits


def months(session: Session, year: int, now: datetime) -> list[Month]:
    """Return the twelve months of a year, as Berlin counts them, and their sum as the last."""
    rows, total = [], Month("Jahr")
    for number in range(1, 13):
        month = Month(MONTHS[number - 1])
        since, until = _beginning(year, number), _beginning(year + number // 12, number % 12 + 1)
        month.counts = _count_events(session, since, until)
        cases = select(SupportCase).where(SupportCase.received_at >= since, SupportCase.received_at < until)
        _count_cases(month, session.scalars(cases).all(), now)
        rows.append(month)
        total.add(month)
    return [*rows, total]


def _beginning(year: int, month: int) -> datetime:
    return datetime.combine(date(year, month, 1), time.min, BERLIN).astimezone(UTC)


def _count_events(session: Session, since: datetime, until: datetime) -> Counter[str]:
    actions = {action for actions in COUNTED.values() for action in actions}
    events = select(AuditEvent.action, func.count()).where(
        AuditEvent.action.in_(actions), AuditEvent.at >= since, AuditEvent.at < until
    )
    numbers = dict(session.execute(events.group_by(AuditEvent.action)).all())
    return Counter({name: sum(numbers.get(action, 0) for action in actions) for name, actions in COUNTED.items()})


def _count_cases(month: Month, cases: Sequence[SupportCase], now: datetime) -> None:
    for case in cases:
        month.branches[case.branch] += 1
        month.channels[case.channel] += 1
        day = (case.answered_at or now).astimezone(BERLIN).date()
        month.in_time += bool(case.answered_at and day <= case.promised_on)
        month.due += bool(case.answered_at or day > case.promised_on)
        if case.closed_as == "redeemed":
            month.waits.append((case.state_since - case.received_at) / timedelta(days=1))
