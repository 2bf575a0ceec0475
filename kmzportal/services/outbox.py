"""The outbox (Postausgang): which mail is due, its result, sending it again, and outages of the mail delivery."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, update
from sqlalchemy.orm import Session, aliased, joinedload

from kmzportal.dates import format_short
from kmzportal.models import (
    IN_NOTICE,
    MAIL_STATES,
    AccountLink,
    Customer,
    Heartbeat,
    LinkState,
    MailState,
    OutgoingMail,
)
from kmzportal.services import clock, links, processes
from kmzportal.services.refusals import Refusal
from kmzportal.services.support import TO_STRANGERS
from kmzportal.services.transaction import Transaction, rows_changed, upsert

LEASE = timedelta(seconds=85)  # renewed while the mail is being sent; at most so long waits the mail of a dead process
#: Minutes from each failed try to the next; the last counts for all further ones (RFC 5321, 4.5.4.1).
RETRY_MINUTES = (1, 5, 15, 30, 60)
LONGEST_PAUSE = timedelta(minutes=2 * RETRY_MINUTES[-1])  # a later next try comes from a clock that was wrong
LINK_PATIENCE = timedelta(hours=24)  # a mail with a link is not sent later than this
NOTICE_PATIENCE = timedelta(days=5)  # any other, and a notice: it is still useful after days
GREYLISTED = timedelta(hours=4)  # after it a refusal for the moment is none for a first mail (RFC 6647, 4.1)
NOTICE_SHOWN = timedelta(days=30)  # how long the desk reads that one did not arrive
#: The mail of an ended link is not sent: the state it gets, and why.
ENDED_LINKS = {
    LinkState.EXPIRED: (MailState.EXPIRED, "Der Link ist abgelaufen, bevor die E-Mail gesendet war."),
    LinkState.REDEEMED: (MailState.CANCELLED, "Der Link wurde schon benutzt."),
    LinkState.WITHDRAWN: (MailState.CANCELLED, "Der Link wurde zurückgezogen."),
    LinkState.REPLACED: (MailState.CANCELLED, "Der Link wurde durch einen neueren ersetzt."),
}
ADDRESS_TAKEN = "Die Adresse gehört schon zu einem anderen Konto. Dort ist das gemeldet."
ADDRESS_GIVEN = "Der Kundenservice hat die Adresse für ein anderes Konto eingetragen."
TOO_MANY_TODAY = "An diese Adresse gingen heute schon zu viele E-Mails."

WAITING = (MailState.QUEUED, MailState.DEFERRED)
MAILS_SHOWN = 50
RETRYABLE = (MailState.DEFERRED, MailState.REFUSED, MailState.BOUNCED, MailState.EXPIRED)
#: "Alle erneut senden" takes only these, and only what is recent enough to be still expected.
RETRYABLE_TOGETHER = (MailState.DEFERRED, MailState.REFUSED)
RETRY_WINDOW = timedelta(days=5)

WORKER_TIMEOUT = 60  # seconds without a heartbeat
REQUESTS_LOOP, MAILS_LOOP, PURGE_LOOP, INBOX_LOOP = "requests", "mails", clock.PURGE_LOOP, "inbox"
SERVER_LOOP = "mail server"
MAIL_LOOPS = (REQUESTS_LOOP, MAILS_LOOP)  # both must run for a mail to arrive
NO_SERVER = "In der Konfiguration steht kein Mailserver (MAIL_SERVER). E-Mails warten, bis einer eingetragen ist."
RESUMES = "E-Mails werden von selbst gesendet, sobald es wieder geht."
WORKER_SILENT = "Der Arbeitsprozess, der E-Mails sendet, meldet sich nicht. E-Mails warten, bis er wieder läuft."

_WITH_PERSON = tuple(map(joinedload, (OutgoingMail.customer, OutgoingMail.clerk, OutgoingMail.link, OutgoingMail.case)))


class RetryRefused(Refusal):
    """The mail cannot be sent again."""


# Delivery: the worker claims a mail, sends it outside of any transaction, and stores the result


@dataclass(frozen=True)
class DeliveryResult:
    """The result of one try: sent, deferred or refused. `reason` is German and names neither person nor link."""

    state: MailState
    code: int | None = None  #: reply code of the mail server
    reason: str | None = None
    server_failed: bool = False  #: the mail server failed, so the next mail would fail too
    may_be_recipient: bool = False  #: unless it failed only for this recipient
    reply: str | None = None  #: the mail server's own words, one line

    @property
    def server_responded(self) -> bool:
        """Whether the mail server works: it replied to this very mail."""
        tried = self.state in (MailState.SENT, MailState.REFUSED, MailState.DEFERRED)
        return tried and self.code is not None and not self.server_failed and not self.may_be_recipient


def due(session: Session, now: datetime, to_strangers: bool | None = None) -> Sequence[Row[int, str]]:
    """Return id and recipient of the mails that are due, the oldest one to each recipient, at most 100.

    Not all to one recipient, and first those who got fewest today: a customer can cause more mails to himself, and a
    stranger to many, than are sent in the same time, and those of others would wait behind them.
    `to_strangers`: only those TO_STRANGERS, or only the others.
    """
    waiting = select(func.min(OutgoingMail.id).label("id"), OutgoingMail.recipient_canonical).where(_is_claimable(now))
    if to_strangers is not None:
        waiting = waiting.where(OutgoingMail.template.in_(TO_STRANGERS) == to_strangers)
    if clock.fault(session, now):  # older mails would expire
        waiting = waiting.where(OutgoingMail.queued_at.between(now - clock.JUMP, now + clock.JUMP))
    earlier = aliased(OutgoingMail)
    sent_today = select(func.count()).where(
        earlier.recipient_canonical == OutgoingMail.recipient_canonical,
        earlier.queued_at > now - timedelta(days=1),
        earlier.settled_at.is_not(None),
    )
    first = waiting.group_by(OutgoingMail.recipient_canonical)
    turns = sent_today.scalar_subquery(), func.min(OutgoingMail.next_try_at), func.min(OutgoingMail.id)
    return session.execute(first.order_by(*turns).limit(100)).all()


def claim(tx: Transaction, mail_id: int) -> OutgoingMail | None:
    """Lease the mail and return it; None if another process has it or it must not be sent any more."""
    free = update(OutgoingMail).where(OutgoingMail.id == mail_id, _is_claimable(tx.now))
    lease = {"leased_until": tx.now + LEASE, "leased_by": processes.own_name()}
    if not rows_changed(tx.session, free.values(lease | {"tries": OutgoingMail.tries + 1})):
        return None
    mail = tx.session.get_one(OutgoingMail, mail_id, options=_WITH_PERSON, populate_existing=True)
    if result := _reason_to_drop(mail, tx.now) or _reason_to_spare(tx, mail):
        settle(tx, mail.id, mail.tries, result)
        return None
    return mail


def renew_lease(tx: Transaction, mail_id: int, claim: int) -> None:
    """Prolong the lease while the mail is being sent; the loop that sends it is alive, however long it waits."""
    tx.session.execute(update(OutgoingMail).where(*_leased(mail_id, claim)).values(leased_until=tx.now + LEASE))
    record_heartbeat(tx, MAILS_LOOP)


def release_dead_leases(tx: Transaction) -> None:
    """Make the mails due that a process of this machine had claimed and that no longer runs."""
    leased = OutgoingMail.leased_until.is_not(None), OutgoingMail.state.in_(WAITING)
    for name in tx.session.scalars(select(OutgoingMail.leased_by).where(*leased).distinct()).all():
        if name and processes.has_ended(name):
            dead = update(OutgoingMail).where(*leased, OutgoingMail.leased_by == name)
            tx.session.execute(dead.values(leased_until=None, leased_by=None))


def _leased(mail_id: int, claim: int) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that the mail is still leased since this claim, the number of its try."""
    return OutgoingMail.id == mail_id, OutgoingMail.tries == claim, OutgoingMail.leased_until.is_not(None)


def settle(tx: Transaction, mail_id: int, claim: int, result: DeliveryResult) -> bool:
    """Store the result of a try; return False, and store nothing, when another process has claimed the mail since."""
    mail = tx.session.get(OutgoingMail, mail_id, options=_WITH_PERSON, populate_existing=True)
    if mail is None:  # its customer was deleted meanwhile
        return False
    next_try = tx.now + _pause(mail.tries)
    if result.state is MailState.DEFERRED and next_try >= _give_up_at(mail):
        result = replace(result, state=MailState.EXPIRED)
    values: dict[str, Any] = {
        "state": result.state,
        "leased_until": None,
        "leased_by": None,
        "reply_code": result.code,
        "reason": result.reason,
        "reply_text": result.reply,
        "outage_since": (mail.outage_since or tx.now) if result.server_failed else None,
    }
    deferred = result.state is MailState.DEFERRED
    values |= {"next_try_at": next_try} if deferred else {"settled_at": tx.now}
    stored = rows_changed(tx.session, update(OutgoingMail).where(*_leased(mail.id, claim)).values(values)) == 1
    if stored and not deferred:
        tx.record(f"mail.{result.state}", mail.customer or mail.clerk, template=mail.template, code=result.code)
    if result.server_responded:
        _release_waiting(tx)
    return stored


def _release_waiting(tx: Transaction) -> None:
    """Make every mail due that was deferred because of the mail server."""
    waiting = select(OutgoingMail.id).where(OutgoingMail.outage_since.is_not(None)).with_for_update(skip_locked=True)
    release = update(OutgoingMail).where(OutgoingMail.id.in_(waiting)).execution_options(synchronize_session=False)
    tx.session.execute(release.values(outage_since=None, next_try_at=tx.now))


def _is_claimable(now: datetime) -> ColumnElement[bool]:
    due = or_(OutgoingMail.next_try_at <= now, OutgoingMail.next_try_at > now + LONGEST_PAUSE)
    return and_(OutgoingMail.state.in_(WAITING), due, _is_free(now))


def _is_free(now: datetime) -> ColumnElement[bool]:
    """No process has leased the mail, or only by a clock that was wrong."""
    lease = OutgoingMail.leased_until
    return or_(lease.is_(None), lease <= now, lease > now + LEASE + 2 * clock.CLOCKS_DIFFER)


def _waits_for_hours(now: datetime) -> ColumnElement[bool]:
    """Match mails that their recipient's server has refused for hours, as many do where a mailbox is full (452)."""
    ours = OutgoingMail.template.not_in(TO_STRANGERS), OutgoingMail.outage_since.is_(None)
    return and_(OutgoingMail.state == MailState.DEFERRED, OutgoingMail.queued_at < now - GREYLISTED, *ours)


def _link_state(mail: OutgoingMail, now: datetime) -> LinkState:
    """Return the state of the link as far as the mail needs it.

    A notice is sent whatever became of its link: otherwise whoever ends the link before the mail has left, as by a
    second change, keeps the owner from learning of the first (OWASP ASVS 6.3.7).
    """
    if mail.link is None or mail.link.policy.in_notice:
        return LinkState.OPEN
    return mail.link.state(now)


def _reason_to_drop(mail: OutgoingMail, now: datetime) -> DeliveryResult | None:
    state = _link_state(mail, now)
    if state in ENDED_LINKS:
        return DeliveryResult(ENDED_LINKS[state][0], reason=ENDED_LINKS[state][1])
    if now >= _give_up_at(mail):
        return DeliveryResult(MailState.EXPIRED, mail.reply_code, mail.reason or "Die E-Mail hat zu lange gewartet.")
    return None


def _reason_to_spare(tx: Transaction, mail: OutgoingMail) -> DeliveryResult | None:
    """Return why a new address gets no link: its limit is reached, or it is taken. Then its owner gets a notice.

    Taken is also what the desk has entered for another customer, who has not confirmed it yet: no notice can reach her
    there.
    """
    if mail.link is None or not mail.link.policy.confirms_address:
        return None
    if owner := links.address_owner(tx.session, mail.recipient, tx.now, other_than=mail.customer):
        if owner.email_canonical != mail.recipient_canonical:
            return DeliveryResult(MailState.CANCELLED, reason=ADDRESS_GIVEN)
        _notify_owner(tx, owner)
        return DeliveryResult(MailState.CANCELLED, reason=ADDRESS_TAKEN)
    if not tx.may_mail(mail.recipient_canonical, mail.customer, besides=mail):
        return DeliveryResult(MailState.CANCELLED, reason=TOO_MANY_TODAY)
    return None


def _notify_owner(tx: Transaction, owner: Customer) -> None:
    """Tell the owner of a taken address, at most once a day: more mails would allow mail bombing."""
    tx.lock(owner)
    notices = select(OutgoingMail.id).where(
        OutgoingMail.customer_id == owner.id,
        OutgoingMail.template == "address_taken",
        OutgoingMail.queued_at > tx.now - timedelta(days=1),
    )
    if tx.session.scalar(notices.limit(1)):
        tx.record("mail.capped", owner, template="address_taken")
    else:
        tx.notify("address_taken", owner)


def _give_up_at(mail: OutgoingMail) -> datetime:
    since = mail.retried_at or mail.queued_at
    if mail.link is None or mail.link.policy.in_notice:
        return since + NOTICE_PATIENCE
    return min(mail.link.expires_at, since + LINK_PATIENCE)


def _pause(tries: int) -> timedelta:
    """Return the pause after so many tries, with up to a tenth on top so that not all come back at once."""
    seconds = 60 * RETRY_MINUTES[min(tries, len(RETRY_MINUTES)) - 1]
    return timedelta(seconds=seconds + secrets.randbelow(seconds // 10))


# The desk


def list_mails(
    session: Session, state: MailState | None = None, before: int | None = None, customer: Customer | None = None
) -> Sequence[OutgoingMail]:
    """Return mails with person and link, latest first; one more than is shown when older ones follow."""
    mails = select(OutgoingMail).options(*_WITH_PERSON).order_by(OutgoingMail.id.desc()).limit(MAILS_SHOWN + 1)
    if state:
        mails = mails.where(OutgoingMail.state == state)
    if before:
        mails = mails.where(OutgoingMail.id < before)
    if customer:
        mails = mails.where(OutgoingMail.customer_id == customer.id)
    return session.scalars(mails).all()


def undelivered_lately(session: Session, now: datetime) -> int:
    """Return how many mails of the last RETRY_WINDOW were refused or came back, or wait for hours."""
    ours = OutgoingMail.template.not_in(TO_STRANGERS)  # or a stranger could fill the desk's line with his own
    lately = OutgoingMail.undelivered(), OutgoingMail.queued_at > now - RETRY_WINDOW, ours
    counts = (select(func.count(OutgoingMail.id)).where(*those) for those in (lately, [_waits_for_hours(now)]))
    return sum(session.scalars(count).one() for count in counts)


def came_back(session: Session, address: str) -> OutgoingMail | None:
    """Return the newest mail to this address (canonical form) that got an answer, if it was refused or came back.

    Mails that anyone can cause do not count: whoever caused one knows its Message-ID and can forge a bounce.
    """
    failed = (MailState.REFUSED, MailState.BOUNCED)
    left = OutgoingMail.state.in_((MailState.SENT, *failed))
    ours = OutgoingMail.template.not_in(TO_STRANGERS)
    newest = select(OutgoingMail).where(OutgoingMail.recipient_canonical == address, left, ours)
    mail = session.scalars(newest.order_by(OutgoingMail.id.desc()).limit(1)).first()
    return mail if mail and mail.state in failed else None


def failed_notices(session: Session, customer: Customer, now: datetime) -> Sequence[OutgoingMail]:
    """Return the notices with a link to object that did not arrive lately, the newest of each earlier address.

    Not the newest alone: whoever moved the address can move it once more, and have his own mailbox refuse a notice.
    """
    failed = (MailState.REFUSED, MailState.BOUNCED, MailState.EXPIRED)
    notices = (
        select(OutgoingMail)
        .join(OutgoingMail.link)
        .where(
            OutgoingMail.customer_id == customer.id,
            or_(OutgoingMail.state.in_(failed), _waits_for_hours(now)),
            OutgoingMail.queued_at > now - NOTICE_SHOWN,
            OutgoingMail.recipient_canonical != customer.email_canonical,
            AccountLink.kind.in_(IN_NOTICE),
        )
    )
    newest = {mail.recipient_canonical: mail for mail in session.scalars(notices.order_by(OutgoingMail.id))}
    return list(newest.values())


def newest_mail(session: Session, link: AccountLink) -> OutgoingMail | None:
    """Return the mail with this link that was queued last."""
    mails = select(OutgoingMail).options(*_WITH_PERSON).where(OutgoingMail.link_id == link.id)
    return session.scalars(mails.order_by(OutgoingMail.id.desc()).limit(1)).first()


def mark_bounced(tx: Transaction, mail: OutgoingMail, code: int | None, reason: str) -> None:
    """Mark a mail that came back; one that a process is just sending included, whose result then counts no more."""
    mail.state, mail.settled_at, mail.leased_until, mail.outage_since = MailState.BOUNCED, tx.now, None, None
    mail.leased_by, mail.reply_code, mail.reason, mail.reply_text = None, code, reason, None
    tx.record("mail.bounced", mail.customer or mail.clerk, template=mail.template, code=code)


def mail_story(mail: OutgoingMail, now: datetime) -> list[str]:
    """Return the state of a mail in German, step by step, such as `abgelehnt: Adresse unbekannt (550)`."""
    state, code = MAIL_STATES[mail.state], f" ({mail.reply_code})" if mail.reply_code else ""
    words = [f"Antwort des Mailservers: „{mail.reply_text}“"] if mail.reply_text else []
    if mail.state == MailState.DEFERRED:
        return [f"{state} {format_short(mail.next_try_at, now)}{code}", *filter(None, [mail.reason]), *words]
    if mail.state != MailState.SENT or not mail.settled_at:
        reason = f": {mail.reason.rstrip('.')}" if mail.reason and mail.state != MailState.QUEUED else ""
        return [f"{state}{reason}{code}", *words]
    story = [f"{state} {format_short(mail.settled_at, now)}"]
    if mail.link and mail.link.opened_at:
        story.append(f"Link geöffnet {format_short(mail.link.opened_at, now)}")
    if mail.link and mail.link.ended_as == LinkState.REDEEMED:
        story.append(f"{mail.link.policy.redeemed} {format_short(mail.link.ended_at or now, now)}")
    return story


def retry_refusal(mail: OutgoingMail, now: datetime) -> str | None:
    """Return in German why this mail cannot be sent again; None when it can."""
    if mail.state not in RETRYABLE:
        return "Diese E-Mail ist schon unterwegs oder übergeben. Sie kann nicht noch einmal gesendet werden."
    link = _link_state(mail, now)
    if link is LinkState.OPEN:
        return None
    why = "Der Link ist abgelaufen." if link is LinkState.EXPIRED else ENDED_LINKS[link][1]
    return f"{why} Senden Sie einen neuen."


def retry(tx: Transaction, mail: OutgoingMail) -> None:
    """Make the mail due now, with the same link; raises RetryRefused."""
    if reason := retry_refusal(mail, tx.now):
        raise RetryRefused(message=reason)
    if not _requeue(tx, [mail]):
        raise RetryRefused(message="Diese E-Mail wird gerade gesendet.")


def retry_all(tx: Transaction) -> int:
    """Make all mails due now that wait for a later try or were refused lately; return how many."""
    waiting = select(OutgoingMail).where(*_retryable_together(tx.now))
    return _requeue(tx, tx.session.scalars(waiting.options(*_WITH_PERSON).order_by(OutgoingMail.id)).all())


def retryable_number(session: Session, now: datetime) -> int:
    """Return how many mails retry_all would send again."""
    return session.scalar(select(func.count(OutgoingMail.id)).where(*_retryable_together(now))) or 0


def _retryable_together(now: datetime) -> tuple[ColumnElement[bool], ...]:
    ended = or_(AccountLink.ended_at.is_not(None), AccountLink.expires_at <= now)
    ended = and_(ended, AccountLink.kind.not_in(IN_NOTICE))
    return (
        OutgoingMail.state.in_(RETRYABLE_TOGETHER),
        OutgoingMail.queued_at > now - RETRY_WINDOW,
        or_(OutgoingMail.link_id.is_(None), ~OutgoingMail.link.has(ended)),
        _is_free(now),
    )


def _requeue(tx: Transaction, mails: Sequence[OutgoingMail]) -> int:
    """Queue and record each mail that is not leased and still retryable; return how many."""
    values = dict.fromkeys(("settled_at", "leased_until", "leased_by", "reply_code", "reason", "reply_text"))
    values |= {"state": MailState.QUEUED, "next_try_at": tx.now, "retried_at": tx.now}
    queued = 0
    for mail in mails:
        retryable = and_(OutgoingMail.id == mail.id, OutgoingMail.state.in_(RETRYABLE), _is_free(tx.now))
        if rows_changed(tx.session, update(OutgoingMail).where(retryable).values(values)):
            tx.record("mail.retried", mail.customer or mail.clerk, template=mail.template)
            queued += 1
    return queued


# Outages


@dataclass(frozen=True)
class MailOutage:
    since: datetime | None  #: unknown while no mail waits
    why: str  #: in German


def mail_outage(session: Session, now: datetime, settings: Mapping[str, Any]) -> MailOutage | None:
    """Return why no mail is sent at present, or None when mail is sent."""
    if worker_silent(session, now):
        oldest = select(func.min(Heartbeat.beat_at)).where(Heartbeat.loop.in_(MAIL_LOOPS), Heartbeat.beat_at <= now)
        return MailOutage(session.scalar(oldest) or _waiting_since(session), WORKER_SILENT)
    if not settings["MAIL_SERVER"]:
        return None if settings.get("DEMO") else MailOutage(_waiting_since(session), NO_SERVER)
    failed = select(OutgoingMail).where(OutgoingMail.outage_since.is_not(None))
    first = session.scalars(failed.order_by(OutgoingMail.outage_since).limit(1)).first()
    if first is None:
        return None
    words = f" Antwort des Mailservers: „{first.reply_text}“." if first.reply_text else ""
    return MailOutage(first.outage_since, f"{first.reason}.{words} {RESUMES}")


def public_outage(session: Session, now: datetime, settings: Mapping[str, Any]) -> bool:
    """Return whether pages that anyone can open say that no mail is sent at present.

    By regular checks of the server, not by mails: only a request for an address with an account causes one, and so it
    would begin or end an outage as others could see.
    """
    if worker_silent(session, now):
        return True
    if not settings["MAIL_SERVER"]:
        return not settings.get("DEMO")
    server = session.get(Heartbeat, SERVER_LOOP)
    return server is not None and server.failing_since is not None


def _waiting_since(session: Session) -> datetime | None:
    return session.scalar(select(func.min(OutgoingMail.queued_at)).where(OutgoingMail.state.in_(WAITING)))


def worker_silent(session: Session, now: datetime) -> bool:
    """Return whether a loop that mail needs has sent no heartbeat for WORKER_TIMEOUT; one of the future is none."""
    recent = Heartbeat.beat_at.between(now - timedelta(seconds=WORKER_TIMEOUT), now + clock.CLOCKS_DIFFER)
    alive = select(func.count()).where(Heartbeat.loop.in_(MAIL_LOOPS), recent)
    return (session.scalar(alive) or 0) < len(MAIL_LOOPS)


def record_heartbeat(tx: Transaction, loop: str) -> None:
    upsert(tx.session, Heartbeat, {"loop": loop, "beat_at": tx.now}, {"beat_at": tx.now})


def record_result(tx: Transaction, loop: str, failure: str | None) -> bool:
    """Store what a loop found, in German, None for success; return whether it differs from the last time."""
    record_heartbeat(tx, loop)
    row = tx.session.get_one(Heartbeat, loop, populate_existing=True)
    changed = row.failure != failure
    row.failing_since = (row.failing_since or tx.now) if failure else None
    row.failure = failure
    return changed


def is_due(session: Session, loop: str, every: timedelta, now: datetime) -> bool:
    """Return whether the loop last ran, in any worker process, longer ago than `every`, or in the future."""
    last = session.scalar(select(Heartbeat.beat_at).where(Heartbeat.loop == loop))
    return last is None or last <= now - every or last > now + clock.CLOCKS_DIFFER
