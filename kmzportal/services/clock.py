"""Whether the clock of this machine can be believed: nothing is deleted and no mail expires after it has jumped."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kmzportal.dates import format_datetime
from kmzportal.models import AuditEvent, Heartbeat
from kmzportal.services.transaction import Transaction, insert_once, upsert

CLOCKS_DIFFER = timedelta(minutes=1)  # between hosts, at most
JUMP = timedelta(days=2)
PURGE_LOOP = "purge"
JUMPED = (
    "Die Uhr dieses Rechners ist mehr als zwei Tage von der letzten bekannten Zeit entfernt ({known}). Bis sie stimmt, "
    "wird nichts gelöscht, und E-Mails von vorher warten. Stimmt sie doch: kmzportal purge --clock-is-right"
)


def fault(session: Session, now: datetime) -> str | None:
    """Return in German that the clock has jumped since the last known time, else None.

    Also when the portal did not run for days: only a person can say which of the two it was.
    """
    known = last_known_time(session, now)
    return JUMPED.format(known=format_datetime(known)) if known and abs(now - known) > JUMP else None


def last_known_time(session: Session, now: datetime) -> datetime | None:
    """Return when rows were last purged; if never, or in the future, the time of the newest audit event.

    Later audit events do not count: people also log in while the clock is wrong.
    """
    purge = session.get(Heartbeat, PURGE_LOOP, populate_existing=True)
    if purge and purge.beat_at <= now + JUMP:
        return purge.beat_at
    believed = [AuditEvent.at <= now + JUMP]
    if purge and purge.failing_since:
        believed.append(AuditEvent.at < purge.failing_since)
    newest = session.scalar(select(func.max(AuditEvent.at)).where(*believed))
    return newest or session.scalar(select(func.max(AuditEvent.at)))


def record_fault(tx: Transaction, failure: str) -> bool:
    """Store why nothing is purged; return whether that is new. The time of the last purge stays."""
    insert_once(tx.session, Heartbeat, {"loop": PURGE_LOOP, "beat_at": last_known_time(tx.session, tx.now)})
    purge = tx.session.get_one(Heartbeat, PURGE_LOOP)
    new = purge.failing_since is None
    purge.failing_since, purge.failure = purge.failing_since or tx.now, failure
    return new


def record_purge(tx: Transaction) -> None:
    """Store that rows are purged now, so that the clock is believed."""
    beat = {"beat_at": tx.now, "failing_since": None, "failure": None}
    upsert(tx.session, Heartbeat, {"loop": PURGE_LOOP, **beat}, beat)
