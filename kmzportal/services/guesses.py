"""Guessed links and codes, and floods: counters of an hour instead of a row each, recorded when the hour is over."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from kmzportal.dates import format_datetime
from kmzportal.models import RequestCount
from kmzportal.services.alarms import raise_alarm
from kmzportal.services.transaction import Transaction

PER_SOURCE = 20  # an hour; more wrong links are not counted, so that they cost no write, and codes of letters wait
ALARM_AT = 200  # in an hour, of all sources
#: Counters of all sources together, and how the Protokoll names them.
TOTALS = {
    "guess": "Links und Codes, die es nicht gibt",
    "refused": "Falsche Anmeldungen, auch unter Adressen, die es nicht gibt",
    "throttled": "Abgelehnte Anmeldungen unter Adressen, die es nicht gibt",
    "recovery": "Anfragen „Passwort vergessen“",
    "case": "Anfragen an den Kundenservice",
}
FLOOD = 20  # recorded from this number on


def counted_enough(session: Session, now: datetime, source: str | None) -> bool:
    """Return whether the guesses of this source are no longer counted in this hour."""
    counter = session.get(RequestCount, (f"guess:{source}", now.replace(minute=0, second=0, microsecond=0)))
    return counter is not None and counter.number >= PER_SOURCE


def count(tx: Transaction) -> None:
    """Count a link or code that does not exist; raise the alarm when all sources together have too many."""
    tx.count(f"guess:{tx.source}", tx.hour)
    total = tx.count("guess", tx.hour)
    if total >= ALARM_AT:
        raise_alarm(tx, "link_guesses", number=total)


def close_counters(tx: Transaction) -> None:
    """Record the totals of hours that are over, so that they are in the chain of the audit trail, and delete them."""
    ended = select(RequestCount).where(
        RequestCount.counted.in_(TOTALS), RequestCount.hour < tx.now - timedelta(hours=2)
    )
    for row in tx.session.scalars(ended.with_for_update()):
        if row.number >= FLOOD:
            what = f"{TOTALS[row.counted]}, in der Stunde ab {format_datetime(row.hour)}"
            tx.record("flood.counted", what=what, number=row.number)
        tx.session.delete(row)
