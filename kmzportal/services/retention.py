"""Deletes rows after their retention periods."""

from datetime import timedelta
from typing import Any

from sqlalchemy import and_, delete, exists, or_, update

from kmzportal.models import (
    AccountLink,
    AuditEvent,
    LoginSession,
    OutgoingMail,
    RecoveryRequest,
    SourceFailure,
    Throttle,
    UsedPuzzle,
)
from kmzportal.services.transaction import Transaction

REQUESTS_KEPT = timedelta(days=7)
SESSIONS_KEPT = timedelta(days=7)
THROTTLES_KEPT = timedelta(days=30)
LINKS_KEPT = timedelta(days=90)
MAILS_KEPT = timedelta(days=90)


def purge(tx: Transaction) -> int:
    """Delete old rows and old source addresses; return how many rows were deleted or changed."""
    sources = tx.now - timedelta(days=tx.settings["SOURCE_RETENTION"])
    audit = tx.now - timedelta(days=tx.settings["AUDIT_RETENTION"])
    sessions, links = tx.now - SESSIONS_KEPT, tx.now - LINKS_KEPT
    statements = [
        delete(SourceFailure).where(SourceFailure.failed_at < sources),
        update(AuditEvent).where(AuditEvent.at < sources, AuditEvent.source.is_not(None)).values(source=None),
        update(RecoveryRequest)
        .where(RecoveryRequest.requested_at < sources, RecoveryRequest.source.is_not(None))
        .values(source=None),
        delete(UsedPuzzle).where(UsedPuzzle.expires_at < tx.now),
        delete(RecoveryRequest).where(RecoveryRequest.requested_at < tx.now - REQUESTS_KEPT),
        delete(Throttle).where(
            Throttle.failures
            < tx.settings["THROTTLE_DISABLED_AT"],  # a disabled password stays disabled until it is set
            Throttle.failed_at < tx.now - THROTTLES_KEPT,
        ),
        delete(LoginSession).where(or_(LoginSession.ended_at < sessions, LoginSession.expires_at < sessions)),
        delete(AuditEvent).where(AuditEvent.at < audit),
        delete(OutgoingMail).where(OutgoingMail.settled_at < tx.now - MAILS_KEPT),
        delete(AccountLink).where(  # after the mails that refer to them
            or_(AccountLink.ended_at < links, and_(AccountLink.ended_at.is_(None), AccountLink.expires_at < links)),
            ~exists().where(OutgoingMail.link_id == AccountLink.id),
        ),
    ]
    rows = 0
    for statement in statements:
        result: Any = tx.session.execute(statement, execution_options={"synchronize_session": False})
        rows += int(result.rowcount)
    return rows
