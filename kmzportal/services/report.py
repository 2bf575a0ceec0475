"""Jahresbericht: for each month what customers did by themselves, what they wrote, and which mails failed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kmzportal.dates import BERLIN, MONTHS
from kmzportal.models import AuditEvent, SupportCase


@dataclass(frozen=True)
class Period:
    name: str  #: of a month in German, or `Jahr`
    events: Mapping[str, int]  #: numbers of audit events by action
    cases: Sequence[SupportCase]  #: received in this time
    today: date

    def number_of(self, *actions: str) -> int:
        return sum(self.events.get(action, 0) for action in actions)

    @property
    def due(self) -> int:
        """How many cases were answered, or should have been: their promised day has passed."""
        return sum(bool(case.answered_at or case.promised_on < self.today) for case in self.cases)

    @property
    def in_time(self) -> int:
        return sum(bool(case.answered_at and _day(case.answered_at) <= case.promised_on) for case in self.cases)

    @property
    def median_days(self) -> float | None:
        """The median number of days from a written request to the use of its link."""
        redeemed = [case for case in self.cases if case.closed_as == "redeemed"]
        waits = [(case.state_since - case.received_at) / timedelta(days=1) for case in redeemed]
        return round(median(waits), 1) if waits else None


def periods(session: Session, year: int, now: datetime, actions: Iterable[str]) -> list[Period]:
    """Return the twelve months of a year, as Berlin counts them, and the whole year as the last.

    Events are those of the `actions`: there is an index for them, and no bound for all the others.
    """
    starts = [datetime.combine(date(year + month // 12, month % 12 + 1, 1), time.min, BERLIN) for month in range(13)]
    counted = select(AuditEvent.action, func.count()).where(AuditEvent.action.in_(set(actions)))
    months = []
    for name, since, until in zip(MONTHS, starts[:-1], starts[1:], strict=True):
        events = counted.where(AuditEvent.at >= since, AuditEvent.at < until).group_by(AuditEvent.action)
        cases = select(SupportCase).where(SupportCase.received_at >= since, SupportCase.received_at < until)
        months.append(Period(name, dict(session.execute(events).all()), session.scalars(cases).all(), _day(now)))
    numbers = sum((Counter(month.events) for month in months), Counter())
    return [*months, Period("Jahr", numbers, [case for month in months for case in month.cases], _day(now))]


def _day(at: datetime) -> date:
    return at.astimezone(BERLIN).date()
