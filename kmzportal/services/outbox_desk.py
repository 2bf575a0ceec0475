"""The Postausgang as the desk sees it: which mails there are, and how one goes out again. No link is shown."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session, joinedload

from kmzportal.domain.account_link import AccountLink, LinkState
from kmzportal.domain.customer import Customer
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail
from kmzportal.domain.refusals import Refusal
from kmzportal.services.outbox import DEAD_LINKS
from kmzportal.services.upsert import changed
from kmzportal.services.work import UnitOfWork

SHOWN = 50
#: From these a mail can be sent once more; together, only what is recent enough to be expected.
AGAIN = (MailState.DEFERRED, MailState.REFUSED, MailState.BOUNCED, MailState.EXPIRED)
TOGETHER = (MailState.DEFERRED, MailState.REFUSED)
RECENT = timedelta(days=5)


class NotAgain(Refusal):
    """The mail cannot be sent once more; `reason` is German."""

    def __init__(self, reason: str):
        super().__init__()
        self.reason = reason


def mails(
    session: Session, state: MailState | None = None, before: int | None = None, customer: Customer | None = None
) -> Sequence[OutgoingMail]:
    """Return mails with person and link, latest first; one more than is shown where older ones follow."""
    whole = (joinedload(OutgoingMail.customer), joinedload(OutgoingMail.clerk), joinedload(OutgoingMail.link))
    wanted = select(OutgoingMail).options(*whole).order_by(OutgoingMail.id.desc()).limit(SHOWN + 1)
    if state:
        wanted = wanted.where(OutgoingMail.state == state)
    if before:
        wanted = wanted.where(OutgoingMail.id < before)
    if customer:
        wanted = wanted.where(OutgoingMail.customer_id == customer.id)
    return session.scalars(wanted).all()


def find(session: Session, mail_id: int) -> OutgoingMail | None:
    return session.get(OutgoingMail, mail_id)


def why_not_again(mail: OutgoingMail, now: datetime) -> str | None:
    """Say in German why this mail cannot be sent once more; None when it can."""
    if mail.state not in AGAIN:
        return "Diese E-Mail ist schon unterwegs oder übergeben. Sie kann nicht noch einmal gesendet werden."
    link = mail.link.state(now) if mail.link else LinkState.OPEN
    if link is LinkState.OPEN:
        return None
    why = "Der Link ist abgelaufen." if link is LinkState.EXPIRED else DEAD_LINKS[link][1]
    return f"{why} Senden Sie einen neuen."


def retry(work: UnitOfWork, mail: OutgoingMail) -> None:
    """Let the mail be due now, with the same link; raises NotAgain."""
    if reason := why_not_again(mail, work.now):
        raise NotAgain(reason)
    if not _queue(work, [mail]):
        raise NotAgain("Diese E-Mail wird gerade gesendet.")


def retry_all(work: UnitOfWork) -> int:
    """Let all mails be due now that wait for a later try or were refused lately; return how many."""
    dead = or_(AccountLink.ended_at.is_not(None), AccountLink.expires_at <= work.now)
    living = or_(OutgoingMail.link_id.is_(None), ~OutgoingMail.link.has(dead))
    lately = OutgoingMail.queued_at > work.now - RECENT
    waiting = select(OutgoingMail).where(OutgoingMail.state.in_(TOGETHER), lately, living, _idle(work.now))
    person = (joinedload(OutgoingMail.customer), joinedload(OutgoingMail.clerk))
    return _queue(work, work.session.scalars(waiting.options(*person).order_by(OutgoingMail.id)).all())


def _queue(work: UnitOfWork, chosen: Sequence[OutgoingMail]) -> int:
    """Queue those that nobody else posts or has queued at this moment; each stands in its person's history."""
    queued = 0
    for mail in chosen:
        again = update(OutgoingMail).where(
            and_(OutgoingMail.id == mail.id, OutgoingMail.state.in_(AGAIN), _idle(work.now))
        )
        afresh = dict.fromkeys(("settled_at", "leased_until", "reply_code", "reason"))
        due_now = {"state": MailState.QUEUED, "next_try_at": work.now, "retried_at": work.now}
        if changed(work.session, again.values(due_now | afresh)):
            work.record("mail.retried", mail.customer or mail.clerk, template=mail.template)
            queued += 1
    return queued


def _idle(now: datetime) -> ColumnElement[bool]:
    return or_(OutgoingMail.leased_until.is_(None), OutgoingMail.leased_until <= now)
