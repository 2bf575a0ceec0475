"""What is not kept: each kind of row goes when nobody needs it any longer."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, or_, update

from kmzportal.domain.account_link import AccountLink
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.base import Base
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.outgoing_mail import OutgoingMail
from kmzportal.domain.recovery_request import RecoveryRequest
from kmzportal.domain.throttle import SourceFailure, Throttle
from kmzportal.domain.used_puzzle import UsedPuzzle
from kmzportal.services.work import UnitOfWork

REQUESTS_KEPT = timedelta(days=7)
SESSIONS_KEPT = timedelta(days=7)
THROTTLES_KEPT = timedelta(days=30)
LINKS_KEPT = timedelta(days=90)
MAILS_KEPT = timedelta(days=90)


def purge(work: UnitOfWork) -> int:
    """Forget sources and delete old rows; return how many rows that were."""
    rows = _forget_sources(work) + _delete(work, UsedPuzzle, UsedPuzzle.expires_at < work.now)
    rows += _delete(work, RecoveryRequest, RecoveryRequest.requested_at < work.now - REQUESTS_KEPT)
    rows += _delete(work, Throttle, _calmed(work))
    rows += _delete(work, LoginSession, _over(work))
    rows += _delete(work, AuditEvent, AuditEvent.at < work.now - timedelta(days=work.settings["AUDIT_RETENTION"]))
    rows += _delete(work, OutgoingMail, OutgoingMail.settled_at < work.now - MAILS_KEPT)
    return rows + _delete(work, AccountLink, _dead(work))  # after the mails that point to them


def _forget_sources(work: UnitOfWork) -> int:
    since = work.now - timedelta(days=work.settings["SOURCE_RETENTION"])
    rows = _delete(work, SourceFailure, SourceFailure.failed_at < since)
    for table, at in ((AuditEvent, AuditEvent.at), (RecoveryRequest, RecoveryRequest.requested_at)):
        old = update(table).where(at < since, table.source.is_not(None)).values(source=None)
        rows += _execute(work, old)
    return rows


def _calmed(work: UnitOfWork) -> ColumnElement[bool]:
    """A password that was disabled stays so until a link sets a new one."""
    below = Throttle.failures < work.settings["THROTTLE_DISABLED_AT"]
    return and_(below, Throttle.failed_at < work.now - THROTTLES_KEPT)


def _over(work: UnitOfWork) -> ColumnElement[bool]:
    since = work.now - SESSIONS_KEPT
    return or_(LoginSession.ended_at < since, LoginSession.expires_at < since)


def _dead(work: UnitOfWork) -> ColumnElement[bool]:
    since = work.now - LINKS_KEPT
    ended = or_(AccountLink.ended_at < since, and_(AccountLink.ended_at.is_(None), AccountLink.expires_at < since))
    return and_(ended, ~exists().where(OutgoingMail.link_id == AccountLink.id))


def _delete(work: UnitOfWork, table: type[Base], old: ColumnElement[bool]) -> int:
    return _execute(work, delete(table).where(old))


def _execute(work: UnitOfWork, statement: Any) -> int:
    result: Any = work.session.execute(statement, execution_options={"synchronize_session": False})
    return int(result.rowcount)
