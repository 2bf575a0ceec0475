"""Der Postausgang: which mail is due, who posts it, and what became of it."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session, joinedload

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail
from kmzportal.services.upsert import changed
from kmzportal.services.work import UnitOfWork

LEASE = timedelta(minutes=10)
#: Minutes from each failing try to the next; the last counts for all further ones (RFC 5321, 4.5.4.1).
INTERVALS = (1, 5, 15, 30, 60)
PATIENCE_WITH_A_LINK = timedelta(hours=24)
PATIENCE_WITH_A_NOTICE = timedelta(days=5)

#: A dead link is never mailed; what its mail becomes, and why.
DEAD_LINKS = {
    LinkState.EXPIRED: (MailState.EXPIRED, "Der Link ist abgelaufen, bevor die E-Mail gesendet war."),
    LinkState.REDEEMED: (MailState.CANCELLED, "Der Link wurde schon benutzt."),
    LinkState.WITHDRAWN: (MailState.CANCELLED, "Der Link wurde zurückgezogen."),
    LinkState.REPLACED: (MailState.CANCELLED, "Der Link wurde durch einen neueren ersetzt."),
}


@dataclass(frozen=True)
class Answer:
    """What became of one try: sent, deferred or refused. `reason` is German and names neither person nor link."""

    state: MailState
    code: int | None = None  #: of the mail server
    reason: str | None = None
    disturbed: bool = False  #: the mail server is the trouble, so the next mail would fare no better

    @property
    def heard(self) -> bool:
        """Whether the mail server works: it said something about this mail."""
        given = self.state in (MailState.SENT, MailState.REFUSED, MailState.DEFERRED)
        return given and self.code is not None and not self.disturbed


def due(session: Session, now: datetime) -> Sequence[int]:
    """Return the ids of mails to be posted now, oldest first."""
    waiting = select(OutgoingMail.id).where(_claimable(now))
    return session.scalars(waiting.order_by(OutgoingMail.next_try_at, OutgoingMail.id).limit(100)).all()


def claim(work: UnitOfWork, mail_id: int) -> OutgoingMail | None:
    """Lease the mail and return it with all that its text needs; None if another has it or it must not go."""
    mine = update(OutgoingMail).where(OutgoingMail.id == mail_id, _claimable(work.now))
    if not changed(work.session, mine.values(leased_until=work.now + LEASE, tries=OutgoingMail.tries + 1)):
        return None
    mail = _load(work.session, mail_id)
    if answer := _too_late(mail, work.now):
        settle(work, mail.id, mail.leased_until, answer)
        return None
    return mail


def settle(work: UnitOfWork, mail_id: int, lease: datetime | None, answer: Answer) -> bool:
    """Write down what became of a try; False, and nothing written, if the lease is no longer this one."""
    mail = _load(work.session, mail_id)
    if answer.state is MailState.DEFERRED:
        return _defer(work, mail, lease, answer)
    settled = _write(work, mail, lease, answer, {"state": answer.state, "settled_at": work.now})
    if settled:
        work.record(f"mail.{answer.state}", mail.customer or mail.clerk, template=mail.template, code=answer.code)
    return settled


def _defer(work: UnitOfWork, mail: OutgoingMail, lease: datetime | None, answer: Answer) -> bool:
    """Try again later; when that would be too late, give up now."""
    next_try = work.now + _pause(mail.tries)
    if next_try >= _given_up_at(mail):
        return settle(work, mail.id, lease, replace(answer, state=MailState.EXPIRED))
    return _write(work, mail, lease, answer, {"state": MailState.DEFERRED, "next_try_at": next_try})


def _write(
    work: UnitOfWork, mail: OutgoingMail, lease: datetime | None, answer: Answer, values: dict[str, Any]
) -> bool:
    leased = update(OutgoingMail).where(OutgoingMail.id == mail.id, OutgoingMail.leased_until == lease)
    values |= {"leased_until": None, "reply_code": answer.code, "reason": answer.reason}
    values["disturbed_at"] = (mail.disturbed_at or work.now) if answer.disturbed else None
    written = changed(work.session, leased.values(values)) == 1
    if answer.heard:
        _let_go(work)
    return written


def _let_go(work: UnitOfWork) -> None:
    """The mail server works again: all that it kept waiting is due at once."""
    kept = select(OutgoingMail.id).where(OutgoingMail.disturbed_at.is_not(None)).with_for_update(skip_locked=True)
    free = update(OutgoingMail).where(OutgoingMail.id.in_(kept)).execution_options(synchronize_session=False)
    changed(work.session, free.values(disturbed_at=None, next_try_at=work.now))


def _claimable(now: datetime) -> ColumnElement[bool]:
    free = or_(OutgoingMail.leased_until.is_(None), OutgoingMail.leased_until <= now)
    waits = OutgoingMail.state.in_((MailState.QUEUED, MailState.DEFERRED))
    return and_(waits, OutgoingMail.next_try_at <= now, free)


def _load(session: Session, mail_id: int) -> OutgoingMail:
    """With person and link, so that composing asks the database nothing more."""
    person = (joinedload(OutgoingMail.customer), joinedload(OutgoingMail.clerk), joinedload(OutgoingMail.link))
    return session.get_one(OutgoingMail, mail_id, options=person, populate_existing=True)


def _too_late(mail: OutgoingMail, now: datetime) -> Answer | None:
    """Why this mail must not go any more, if so."""
    state = mail.link.state(now) if mail.link else LinkState.OPEN
    if state in DEAD_LINKS:
        return Answer(DEAD_LINKS[state][0], reason=DEAD_LINKS[state][1])
    if now >= _given_up_at(mail):
        return Answer(MailState.EXPIRED, mail.reply_code, mail.reason or "Die E-Mail hat zu lange gewartet.")
    return None


def _given_up_at(mail: OutgoingMail) -> datetime:
    link, since = mail.link, mail.retried_at or mail.queued_at
    if link is None:
        return since + PATIENCE_WITH_A_NOTICE
    return min(link.expires_at, since + _patience(link))


def _patience(link: AccountLink) -> timedelta:
    """An objection stands in a notice: it is worth having after days."""
    return PATIENCE_WITH_A_NOTICE if link.kind == LinkKind.OBJECTION else PATIENCE_WITH_A_LINK


def _pause(tries: int) -> timedelta:
    """Return the wait after so many tries, with up to a tenth on top so that not all come back at once."""
    seconds = 60 * INTERVALS[min(tries, len(INTERVALS)) - 1]
    return timedelta(seconds=seconds + secrets.randbelow(seconds // 10))
