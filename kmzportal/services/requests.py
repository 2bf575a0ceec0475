"""Vergessen-Anfragen at the desk: who asked for a new password, and whom an unknown address probably means."""

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from kmzportal.domain.recovery_request import RecoveryRequest
from kmzportal.services.probably_meant import Guess, guesses
from kmzportal.services.retention import REQUESTS_KEPT

SHOWN = 25
UNKNOWN = "unknown"


def recent(session: Session, now: datetime, before: int | None = None) -> Sequence[RecoveryRequest]:
    """Return the requests of the last days, latest first; one more than is shown where older ones follow."""
    wanted = _kept(now).order_by(RecoveryRequest.id.desc()).limit(SHOWN + 1)
    return session.scalars(wanted.where(RecoveryRequest.id < before) if before else wanted).all()


def numbered(session: Session, now: datetime, said: str) -> Sequence[RecoveryRequest]:
    """Return the one request whose Vorgangsnummer is said on the phone; how it is written does not matter."""
    return session.scalars(_kept(now).where(RecoveryRequest.reference == _reference(said))).all()


def probably_meant(session: Session, requests: Sequence[RecoveryRequest]) -> dict[str, list[Guess]]:
    """Return for each unknown address among these whom it probably means."""
    return guesses(session, {one.email_canonical for one in requests if one.outcome == UNKNOWN})


def _kept(now: datetime) -> Select[RecoveryRequest]:
    return (
        select(RecoveryRequest)
        .options(joinedload(RecoveryRequest.customer))
        .where(RecoveryRequest.requested_at > now - REQUESTS_KEPT)
    )


def _reference(said: str) -> str:
    signs = re.sub(r"[^A-Z0-9]", "", said.upper())
    signs = signs[1:] if len(signs) == 9 else signs  # the V before the eight signs
    return f"V-{signs[:4]}-{signs[4:]}"
