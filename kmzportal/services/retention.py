"""What is not kept: each kind of row goes when nobody needs it any longer."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, or_, update

from kmzportal.db import Base
from kmzportal.models.account_link import AccountLink
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.login_session import LoginSession
from kmzportal.models.outgoing_mail import OutgoingMail
from kmzportal.models.recovery_request import RecoveryRequest
from kmzportal.models.throttle import SourceFailure, Throttle
from kmzportal.models.used_puzzle import UsedPuzzle
from kmzportal.services.transaction import Transaction

REQUESTS_KEPT = timedelta(days=7)
SESSIONS_KEPT = timedelta(days=7)
THROTTLES_KEPT = timedelta(days=30)
LINKS_KEPT = timedelta(days=90)
MAILS_KEPT = timedelta(days=90)


def purge(tx: Transaction) -> int:
    """Forget sources and delete old rows; return how many rows that were."""
    rows = _forget_sources(tx) + _delete(tx, UsedPuzzle, UsedPuzzle.expires_at < tx.now)
    rows += _delete(tx, RecoveryRequest, RecoveryRequest.requested_at < tx.now - REQUESTS_KEPT)
    rows += _delete(tx, Throttle, _calmed(tx))
    rows += _delete(tx, LoginSession, _over(tx))
    rows += _delete(tx, AuditEvent, AuditEvent.at < tx.now - timedelta(days=tx.settings["AUDIT_RETENTION"]))
    rows += _delete(tx, OutgoingMail, OutgoingMail.settled_at < tx.now - MAILS_KEPT)
    return rows + _delete(tx, AccountLink, _dead(tx))  # after the mails that point to them


def _forget_sources(tx: Transaction) -> int:
    since = tx.now - timedelta(days=tx.settings["SOURCE_RETENTION"])
    rows = _delete(tx, SourceFailure, SourceFailure.failed_at < since)
    for table, at in ((AuditEvent, AuditEvent.at), (RecoveryRequest, RecoveryRequest.requested_at)):
        old = update(table).where(at < since, table.source.is_not(None)).values(source=None)
        rows += _execute(tx, old)
    return rows


def _calmed(tx: Transaction) -> ColumnElement[bool]:
    """A password that was disabled stays so until a link sets a new one."""
    below = Throttle.failures < tx.settings["THROTTLE_DISABLED_AT"]
    return and_(below, Throttle.failed_at < tx.now - THROTTLES_KEPT)


def _over(tx: Transaction) -> ColumnElement[bool]:
    since = tx.now - SESSIONS_KEPT
    return or_(LoginSession.ended_at < since, LoginSession.expires_at < since)


def _dead(tx: Transaction) -> ColumnElement[bool]:
    since = tx.now - LINKS_KEPT
    ended = or_(AccountLink.ended_at < since, and_(AccountLink.ended_at.is_(None), AccountLink.expires_at < since))
    return and_(ended, ~exists().where(OutgoingMail.link_id == AccountLink.id))


def _delete(tx: Transaction, table: type[Base], old: ColumnElement[bool]) -> int:
    return _execute(tx, delete(table).where(old))


def _execute(tx: Transaction, statement: Any) -> int:
    result: Any = tx.session.execute(statement, execution_options={"synchronize_session": False})
    return int(result.rowcount)
