"""Passwort vergessen: asked for in a web request, answered by the worker."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import SystemRandom

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload

from kmzportal import mail_address
from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.models.customer import Customer
from kmzportal.models.recovery_request import RecoveryRequest
from kmzportal.services import links
from kmzportal.services.refusals import AccountLocked, TooManyMails
from kmzportal.services.retention import REQUESTS_KEPT
from kmzportal.services.search import Suggestion, suggestions
from kmzportal.services.tokens import CODE_ALPHABET
from kmzportal.services.transaction import Transaction


def draw_reference() -> str:
    """Return a Vorgangsnummer such as `V-7KQM-3PAX`: short enough for the phone, no look-alikes."""
    signs = "".join(SystemRandom().choices(CODE_ALPHABET, k=8))
    return f"V-{signs[:4]}-{signs[4:]}"


def request_link(tx: Transaction, address: str) -> str:
    """Write one row for any address, known or not, and return its Vorgangsnummer."""
    reference = draw_reference()
    canonical = mail_address.canonical(address)
    tx.session.add(
        RecoveryRequest(reference=reference, email_canonical=canonical, requested_at=tx.now, source=tx.source)
    )
    return reference


def unanswered(session: Session) -> Sequence[int]:
    """Return the ids of requests that wait for the worker, oldest first."""
    waiting = select(RecoveryRequest.id).where(RecoveryRequest.answered_at.is_(None))
    return session.scalars(waiting.order_by(RecoveryRequest.requested_at).limit(100)).all()


def answer(tx: Transaction, request_id: int) -> None:
    """Look the customer up and mail a link to the stored address; who answers first locks the others out."""
    waiting = select(RecoveryRequest).where(RecoveryRequest.id == request_id, RecoveryRequest.answered_at.is_(None))
    request = tx.session.scalar(waiting.with_for_update(skip_locked=True))
    if request is None:
        return
    customer = _find_customer(tx, request.email_canonical)
    if customer:
        tx.lock(customer)
    request.answered_at = tx.now
    request.customer_id = customer.id if customer else None
    request.outcome = _mail_link(tx, request, customer)
    tx.record(f"recovery.{request.outcome}", customer, reference=request.reference)


def _mail_link(tx: Transaction, request: RecoveryRequest, customer: Customer | None) -> str:
    if customer is None:
        return "unknown"
    if _over_cap(tx, request):
        return "capped"
    try:
        if request.email_canonical == customer.email_canonical:
            links.send(tx, _recovery_link(tx, customer, request.requested_at))
        else:
            _resend_pending(tx, customer)
    except AccountLocked:
        tx.notify("account_locked", customer)
        return "locked"
    except TooManyMails:
        return "capped"
    return "sent"


def _find_customer(tx: Transaction, canonical: str) -> Customer | None:
    """The customer of this address, or the one to whom the desk sent a link there: the stored one goes first.

    Anybody may have entered the address as a new one; without an open link from the desk it is nobody's.
    """
    stored = tx.session.scalar(select(Customer).where(Customer.email_canonical == canonical))
    link = None if stored else tx.session.scalar(_open_desk_links(tx, canonical))
    return link.owner if link else stored


def _recovery_link(tx: Transaction, customer: Customer, requested_at: datetime) -> AccountLink:
    """The link of a moment ago with its life extended, or a further one; a stranger can void none."""
    recent = select(AccountLink).where(
        AccountLink.customer_id == customer.id,
        AccountLink.kind == LinkKind.RECOVERY,
        AccountLink.ended_at.is_(None),
        AccountLink.issued_at > requested_at - timedelta(seconds=tx.settings["SAME_LINK_WITHIN"]),
    )
    link = tx.session.scalar(recent.order_by(AccountLink.issued_at.desc()).limit(1))
    if link is None or customer.locked_at:
        return links.issue(tx, LinkKind.RECOVERY, customer)
    link.expires_at = tx.now + timedelta(seconds=tx.settings["RECOVERY_LINK_LIFETIME"])
    return link


def _resend_pending(tx: Transaction, customer: Customer) -> None:
    """Mail the open desk link to the pending address once more."""
    if customer.locked_at:
        raise AccountLocked
    waiting = _open_desk_links(tx, customer.pending_email_canonical)
    if link := tx.session.scalar(waiting.where(AccountLink.customer_id == customer.id)):
        links.send(tx, link)


def _open_desk_links(tx: Transaction, canonical: str | None) -> Select[AccountLink]:
    waiting = select(AccountLink).join(AccountLink.customer).order_by(AccountLink.issued_at.desc()).limit(1)
    return waiting.where(
        Customer.pending_email_canonical == canonical,
        AccountLink.email == Customer.pending_email,
        AccountLink.kind == LinkKind.DESK,
        AccountLink.ended_at.is_(None),
        AccountLink.expires_at > tx.now,
    )


def _over_cap(tx: Transaction, request: RecoveryRequest) -> bool:
    """Whether this address was mailed often enough, or its source asked for too many addresses."""

    def answered(hours: int) -> int:
        since = tx.now - timedelta(hours=hours)
        mails = select(func.count()).where(
            RecoveryRequest.email_canonical == request.email_canonical,
            RecoveryRequest.outcome.in_(("sent", "locked")),
            RecoveryRequest.requested_at > since,
        )
        return tx.session.scalar(mails) or 0

    asked_for = select(func.count(RecoveryRequest.email_canonical.distinct())).where(
        RecoveryRequest.source == request.source,
        RecoveryRequest.email_canonical != request.email_canonical,
        RecoveryRequest.requested_at.between(request.requested_at - timedelta(hours=1), request.requested_at),
    )
    crowded = request.source and (tx.session.scalar(asked_for) or 0) >= tx.settings["RECOVERY_PER_SOURCE"]
    today = answered(hours=24)
    return bool(
        answered(hours=1) >= tx.settings["RECOVERY_PER_HOUR"]
        or today >= tx.settings["RECOVERY_PER_DAY"]
        or (today and crowded)  # the first of the day is mailed: a school must not be shut out by one of it
    )


REQUESTS_SHOWN = 25
UNKNOWN = "unknown"


def recent_requests(session: Session, now: datetime, before: int | None = None) -> Sequence[RecoveryRequest]:
    """Return the requests of the last days, latest first; one more than is shown where older ones follow."""
    wanted = _visible(now).order_by(RecoveryRequest.id.desc()).limit(REQUESTS_SHOWN + 1)
    return session.scalars(wanted.where(RecoveryRequest.id < before) if before else wanted).all()


def find_by_reference(session: Session, now: datetime, said: str) -> Sequence[RecoveryRequest]:
    """Return the one request whose Vorgangsnummer is said on the phone; how it is written does not matter."""
    return session.scalars(_visible(now).where(RecoveryRequest.reference == _normalize_reference(said))).all()


def probably_meant(session: Session, requests: Sequence[RecoveryRequest]) -> dict[str, list[Suggestion]]:
    """Return for each unknown address among these whom it probably means."""
    return suggestions(session, {one.email_canonical for one in requests if one.outcome == UNKNOWN})


def _visible(now: datetime) -> Select[RecoveryRequest]:
    return (
        select(RecoveryRequest)
        .options(joinedload(RecoveryRequest.customer))
        .where(RecoveryRequest.requested_at > now - REQUESTS_KEPT)
    )


def _normalize_reference(said: str) -> str:
    signs = re.sub(r"[^A-Z0-9]", "", said.upper())
    signs = signs[1:] if len(signs) == 9 else signs  # the V before the eight signs
    return f"V-{signs[:4]}-{signs[4:]}"
