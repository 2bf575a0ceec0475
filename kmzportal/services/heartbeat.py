"""The worker's sign of life, for pages that promise a mail."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kmzportal.domain.heartbeat import SILENT_AFTER, Heartbeat
from kmzportal.services.upsert import upsert
from kmzportal.services.work import UnitOfWork

REQUESTS = "requests"
MAILS = "mails"
PURGE = "purge"
#: Both must be alive for a mail to arrive.
LOOPS = (REQUESTS, MAILS)


def beat(work: UnitOfWork, loop: str) -> None:
    upsert(work.session, Heartbeat, {"loop": loop, "beat_at": work.now}, {"beat_at": work.now})


def silent(session: Session, now: datetime) -> bool:
    """Whether a loop of the worker has not been heard of for too long, or never."""
    heard = select(func.count()).where(
        Heartbeat.loop.in_(LOOPS), Heartbeat.beat_at >= now - timedelta(seconds=SILENT_AFTER)
    )
    return (session.scalar(heard) or 0) < len(LOOPS)


def due(session: Session, loop: str, every: timedelta, now: datetime) -> bool:
    """Whether what is done once in a while was last done longer ago than that, by any worker."""
    last = session.scalar(select(Heartbeat.beat_at).where(Heartbeat.loop == loop))
    return last is None or last <= now - every
