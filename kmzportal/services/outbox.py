"""Der Postausgang: which mail is due, who posts it, and what became of it."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from kmzportal.dates import format_short
from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.customer import Customer
from kmzportal.models.heartbeat import Heartbeat
from kmzportal.models.outgoing_mail import MAIL_STATES, MailState, OutgoingMail
from kmzportal.services.refusals import Refusal
from kmzportal.services.transaction import Transaction, rows_changed, upsert

SILENT_AFTER = 60  # seconds

#: What using the link of a mail did.
REDEEMED = {LinkKind.ADDRESS: "Adresse bestätigt", LinkKind.OBJECTION: "Widersprochen"}


def mail_story(mail: OutgoingMail, now: datetime) -> list[str]:
    """Return what became of a mail, step by step: `abgelehnt: Adresse unbekannt (550)`."""
    story = [_mail_state(mail, now)]
    if mail.state == MailState.DEFERRED and mail.reason:
        story.append(mail.reason)
    if mail.state == MailState.SENT and mail.link and mail.link.opened_at:
        story.append(f"Link geöffnet {format_short(mail.link.opened_at, now)}")
    if mail.state == MailState.SENT and mail.link and mail.link.ended_as == LinkState.REDEEMED:
        done = REDEEMED.get(LinkKind(mail.link.kind), "Passwort gesetzt")
        story.append(f"{done} {format_short(mail.link.ended_at or now, now)}")
    return story


def _mail_state(mail: OutgoingMail, now: datetime) -> str:
    words, code = MAIL_STATES[mail.state], f" ({mail.reply_code})" if mail.reply_code else ""
    if mail.state == MailState.SENT and mail.settled_at:
        return f"{words} {format_short(mail.settled_at, now)}"
    if mail.state == MailState.DEFERRED:
        return f"{words} {format_short(mail.next_try_at, now)}{code}"
    reason = f": {mail.reason.rstrip('.')}" if mail.reason and mail.state != MailState.QUEUED else ""
    return f"{words}{reason}{code}"


LEASE = timedelta(minutes=10)
#: Minutes from each failing try to the next; the last counts for all further ones (RFC 5321, 4.5.4.1).
RETRY_MINUTES = (1, 5, 15, 30, 60)
LINK_PATIENCE = timedelta(hours=24)
NOTICE_PATIENCE = timedelta(days=5)

#: A dead link is never mailed; what its mail becomes, and why.
DEAD_LINKS = {
    LinkState.EXPIRED: (MailState.EXPIRED, "Der Link ist abgelaufen, bevor die E-Mail gesendet war."),
    LinkState.REDEEMED: (MailState.CANCELLED, "Der Link wurde schon benutzt."),
    LinkState.WITHDRAWN: (MailState.CANCELLED, "Der Link wurde zurückgezogen."),
    LinkState.REPLACED: (MailState.CANCELLED, "Der Link wurde durch einen neueren ersetzt."),
}


@dataclass(frozen=True)
class DeliveryResult:
    """What became of one try: sent, deferred or refused. `reason` is German and names neither person nor link."""

    state: MailState
    code: int | None = None  #: of the mail server
    reason: str | None = None
    server_failed: bool = False  #: the mail server is the trouble, so the next mail would fare no better

    @property
    def server_responded(self) -> bool:
        """Whether the mail server works: it said something about this mail."""
        given = self.state in (MailState.SENT, MailState.REFUSED, MailState.DEFERRED)
        return given and self.code is not None and not self.server_failed


def due(session: Session, now: datetime) -> Sequence[int]:
    """Return the ids of mails to be posted now, oldest first."""
    waiting = select(OutgoingMail.id).where(_is_claimable(now))
    return session.scalars(waiting.order_by(OutgoingMail.next_try_at, OutgoingMail.id).limit(100)).all()


def claim(tx: Transaction, mail_id: int) -> OutgoingMail | None:
    """Lease the mail and return it with all that its text needs; None if another has it or it must not go."""
    mine = update(OutgoingMail).where(OutgoingMail.id == mail_id, _is_claimable(tx.now))
    if not rows_changed(tx.session, mine.values(leased_until=tx.now + LEASE, tries=OutgoingMail.tries + 1)):
        return None
    mail = _load(tx.session, mail_id)
    if answer := _reason_to_drop(mail, tx.now):
        settle(tx, mail.id, mail.leased_until, answer)
        return None
    return mail


def settle(tx: Transaction, mail_id: int, lease: datetime | None, answer: DeliveryResult) -> bool:
    """Write down what became of a try; False, and nothing written, if the lease is no longer this one."""
    mail = _load(tx.session, mail_id)
    if answer.state is MailState.DEFERRED:
        return _defer(tx, mail, lease, answer)
    settled = _update(tx, mail, lease, answer, {"state": answer.state, "settled_at": tx.now})
    if settled:
        tx.record(f"mail.{answer.state}", mail.customer or mail.clerk, template=mail.template, code=answer.code)
    return settled


def _defer(tx: Transaction, mail: OutgoingMail, lease: datetime | None, answer: DeliveryResult) -> bool:
    """Try again later; when that would be too late, give up now."""
    next_try = tx.now + _pause(mail.tries)
    if next_try >= _give_up_at(mail):
        return settle(tx, mail.id, lease, replace(answer, state=MailState.EXPIRED))
    return _update(tx, mail, lease, answer, {"state": MailState.DEFERRED, "next_try_at": next_try})


def _update(
    tx: Transaction, mail: OutgoingMail, lease: datetime | None, answer: DeliveryResult, values: dict[str, Any]
) -> bool:
    leased = update(OutgoingMail).where(OutgoingMail.id == mail.id, OutgoingMail.leased_until == lease)
    values |= {"leased_until": None, "reply_code": answer.code, "reason": answer.reason}
    values["outage_since"] = (mail.outage_since or tx.now) if answer.server_failed else None
    written = rows_changed(tx.session, leased.values(values)) == 1
    if answer.server_responded:
        _release_waiting(tx)
    return written


def _release_waiting(tx: Transaction) -> None:
    """The mail server works again: all that it kept waiting is due at once."""
    kept = select(OutgoingMail.id).where(OutgoingMail.outage_since.is_not(None)).with_for_update(skip_locked=True)
    free = update(OutgoingMail).where(OutgoingMail.id.in_(kept)).execution_options(synchronize_session=False)
    rows_changed(tx.session, free.values(outage_since=None, next_try_at=tx.now))


def _is_claimable(now: datetime) -> ColumnElement[bool]:
    free = or_(OutgoingMail.leased_until.is_(None), OutgoingMail.leased_until <= now)
    waits = OutgoingMail.state.in_((MailState.QUEUED, MailState.DEFERRED))
    return and_(waits, OutgoingMail.next_try_at <= now, free)


def _load(session: Session, mail_id: int) -> OutgoingMail:
    """With person and link, so that composing asks the database nothing more."""
    person = (joinedload(OutgoingMail.customer), joinedload(OutgoingMail.clerk), joinedload(OutgoingMail.link))
    return session.get_one(OutgoingMail, mail_id, options=person, populate_existing=True)


def _reason_to_drop(mail: OutgoingMail, now: datetime) -> DeliveryResult | None:
    """Why this mail must not go any more, if so."""
    state = mail.link.state(now) if mail.link else LinkState.OPEN
    if state in DEAD_LINKS:
        return DeliveryResult(DEAD_LINKS[state][0], reason=DEAD_LINKS[state][1])
    if now >= _give_up_at(mail):
        return DeliveryResult(MailState.EXPIRED, mail.reply_code, mail.reason or "Die E-Mail hat zu lange gewartet.")
    return None


def _give_up_at(mail: OutgoingMail) -> datetime:
    link, since = mail.link, mail.retried_at or mail.queued_at
    if link is None:
        return since + NOTICE_PATIENCE
    return min(link.expires_at, since + _patience(link))


def _patience(link: AccountLink) -> timedelta:
    """An objection stands in a notice: it is worth having after days."""
    return NOTICE_PATIENCE if link.kind == LinkKind.OBJECTION else LINK_PATIENCE


def _pause(tries: int) -> timedelta:
    """Return the wait after so many tries, with up to a tenth on top so that not all come back at once."""
    seconds = 60 * RETRY_MINUTES[min(tries, len(RETRY_MINUTES)) - 1]
    return timedelta(seconds=seconds + secrets.randbelow(seconds // 10))


MAILS_SHOWN = 50
#: From these a mail can be sent once more; together, only what is recent enough to be expected.
RETRYABLE = (MailState.DEFERRED, MailState.REFUSED, MailState.BOUNCED, MailState.EXPIRED)
RETRYABLE_TOGETHER = (MailState.DEFERRED, MailState.REFUSED)
RETRY_WINDOW = timedelta(days=5)


class RetryRefused(Refusal):
    """The mail cannot be sent again."""


def list_mails(
    session: Session, state: MailState | None = None, before: int | None = None, customer: Customer | None = None
) -> Sequence[OutgoingMail]:
    """Return mails with person and link, latest first; one more than is shown where older ones follow."""
    whole = (joinedload(OutgoingMail.customer), joinedload(OutgoingMail.clerk), joinedload(OutgoingMail.link))
    wanted = select(OutgoingMail).options(*whole).order_by(OutgoingMail.id.desc()).limit(MAILS_SHOWN + 1)
    if state:
        wanted = wanted.where(OutgoingMail.state == state)
    if before:
        wanted = wanted.where(OutgoingMail.id < before)
    if customer:
        wanted = wanted.where(OutgoingMail.customer_id == customer.id)
    return session.scalars(wanted).all()


def find_mail(session: Session, mail_id: int) -> OutgoingMail | None:
    return session.get(OutgoingMail, mail_id)


def retry_refusal(mail: OutgoingMail, now: datetime) -> str | None:
    """Say in German why this mail cannot be sent once more; None when it can."""
    if mail.state not in RETRYABLE:
        return "Diese E-Mail ist schon unterwegs oder übergeben. Sie kann nicht noch einmal gesendet werden."
    link = mail.link.state(now) if mail.link else LinkState.OPEN
    if link is LinkState.OPEN:
        return None
    why = "Der Link ist abgelaufen." if link is LinkState.EXPIRED else DEAD_LINKS[link][1]
    return f"{why} Senden Sie einen neuen."


def retry(tx: Transaction, mail: OutgoingMail) -> None:
    """Let the mail be due now, with the same link; raises NotAgain."""
    if reason := retry_refusal(mail, tx.now):
        raise RetryRefused(message=reason)
    if not _requeue(tx, [mail]):
        raise RetryRefused(message="Diese E-Mail wird gerade gesendet.")


def retry_all(tx: Transaction) -> int:
    """Let all mails be due now that wait for a later try or were refused lately; return how many."""
    dead = or_(AccountLink.ended_at.is_not(None), AccountLink.expires_at <= tx.now)
    living = or_(OutgoingMail.link_id.is_(None), ~OutgoingMail.link.has(dead))
    lately = OutgoingMail.queued_at > tx.now - RETRY_WINDOW
    waiting = select(OutgoingMail).where(
        OutgoingMail.state.in_(RETRYABLE_TOGETHER), lately, living, _not_leased(tx.now)
    )
    person = (joinedload(OutgoingMail.customer), joinedload(OutgoingMail.clerk))
    return _requeue(tx, tx.session.scalars(waiting.options(*person).order_by(OutgoingMail.id)).all())


def _requeue(tx: Transaction, chosen: Sequence[OutgoingMail]) -> int:
    """Queue those that nobody else posts or has queued at this moment; each stands in its person's history."""
    queued = 0
    for mail in chosen:
        again = update(OutgoingMail).where(
            and_(OutgoingMail.id == mail.id, OutgoingMail.state.in_(RETRYABLE), _not_leased(tx.now))
        )
        afresh = dict.fromkeys(("settled_at", "leased_until", "reply_code", "reason"))
        due_now = {"state": MailState.QUEUED, "next_try_at": tx.now, "retried_at": tx.now}
        if rows_changed(tx.session, again.values(due_now | afresh)):
            tx.record("mail.retried", mail.customer or mail.clerk, template=mail.template)
            queued += 1
    return queued


def _not_leased(now: datetime) -> ColumnElement[bool]:
    return or_(OutgoingMail.leased_until.is_(None), OutgoingMail.leased_until <= now)


REQUESTS_LOOP = "requests"
MAILS_LOOP = "mails"
PURGE_LOOP = "purge"
#: Both must be alive for a mail to arrive.
MAIL_LOOPS = (REQUESTS_LOOP, MAILS_LOOP)


def record_heartbeat(tx: Transaction, loop: str) -> None:
    upsert(tx.session, Heartbeat, {"loop": loop, "beat_at": tx.now}, {"beat_at": tx.now})


def worker_silent(session: Session, now: datetime) -> bool:
    """Whether a loop of the worker has not been heard of for too long, or never."""
    heard = select(func.count()).where(
        Heartbeat.loop.in_(MAIL_LOOPS), Heartbeat.beat_at >= now - timedelta(seconds=SILENT_AFTER)
    )
    return (session.scalar(heard) or 0) < len(MAIL_LOOPS)


def is_due(session: Session, loop: str, every: timedelta, now: datetime) -> bool:
    """Whether what is done once in a while was last done longer ago than that, by any worker."""
    last = session.scalar(select(Heartbeat.beat_at).where(Heartbeat.loop == loop))
    return last is None or last <= now - every


NO_SERVER = "In der Konfiguration steht kein Mailserver (MAIL_SERVER). E-Mails warten, bis einer eingetragen ist."
RESUMES = "E-Mails gehen von selbst hinaus, sobald es wieder geht."
WORKER_SILENT = "Der Arbeitsprozess, der E-Mails sendet, meldet sich nicht. E-Mails warten, bis er wieder läuft."


@dataclass(frozen=True)
class MailOutage:
    since: datetime | None  #: unknown while nothing waits
    why: str


def mail_outage(session: Session, now: datetime, settings: Mapping[str, Any]) -> MailOutage | None:
    """Return why no mail leaves at the moment; None when all is well."""
    if worker_silent(session, now):
        return MailOutage(_last_heartbeat(session) or _waiting_since(session), WORKER_SILENT)
    if not settings["MAIL_SERVER"]:
        return None if settings.get("DEMO") else MailOutage(_waiting_since(session), NO_SERVER)
    failed = select(OutgoingMail.outage_since, OutgoingMail.reason).where(OutgoingMail.outage_since.is_not(None))
    first = session.execute(failed.order_by(OutgoingMail.outage_since).limit(1)).first()
    return MailOutage(first[0], f"{first[1]}. {RESUMES}") if first else None


def _last_heartbeat(session: Session) -> datetime | None:
    """When the loop that has been silent for longest was last heard of."""
    return session.scalar(select(func.min(Heartbeat.beat_at)).where(Heartbeat.loop.in_(MAIL_LOOPS)))


def _waiting_since(session: Session) -> datetime | None:
    waiting = OutgoingMail.state.in_((MailState.QUEUED, MailState.DEFERRED))
    return session.scalar(select(func.min(OutgoingMail.queued_at)).where(waiting))
