"""Whether mail leaves the house; where it does not: since when, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kmzportal.domain.heartbeat import Heartbeat
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail
from kmzportal.services import heartbeat

UNSET = "In der Konfiguration steht kein Mailserver (MAIL_SERVER). E-Mails warten, bis einer eingetragen ist."
BY_ITSELF = "E-Mails gehen von selbst hinaus, sobald es wieder geht."
SILENT = "Der Arbeitsprozess, der E-Mails sendet, meldet sich nicht. E-Mails warten, bis er wieder läuft."


@dataclass(frozen=True)
class Disturbance:
    since: datetime | None  #: unknown while nothing waits
    why: str


def disturbance(session: Session, now: datetime, settings: Mapping[str, Any]) -> Disturbance | None:
    """Return why no mail leaves at the moment; None when all is well."""
    if heartbeat.silent(session, now):
        return Disturbance(_last_sign(session) or _waiting_since(session), SILENT)
    if not settings["MAIL_SERVER"]:
        return None if settings.get("DEMO") else Disturbance(_waiting_since(session), UNSET)
    failed = select(OutgoingMail.disturbed_at, OutgoingMail.reason).where(OutgoingMail.disturbed_at.is_not(None))
    first = session.execute(failed.order_by(OutgoingMail.disturbed_at).limit(1)).first()
    return Disturbance(first[0], f"{first[1]}. {BY_ITSELF}") if first else None


def _last_sign(session: Session) -> datetime | None:
    """When the loop that has been silent for longest was last heard of."""
    return session.scalar(select(func.min(Heartbeat.beat_at)).where(Heartbeat.loop.in_(heartbeat.LOOPS)))


def _waiting_since(session: Session) -> datetime | None:
    waiting = OutgoingMail.state.in_((MailState.QUEUED, MailState.DEFERRED))
    return session.scalar(select(func.min(OutgoingMail.queued_at)).where(waiting))
