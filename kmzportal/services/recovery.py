"""Passwort vergessen: a web request stores the request, the worker answers it with a mail; the desk reads both."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, joinedload

from kmzportal import mail_address
from kmzportal.models import AccountLink, Customer, LinkKind, RecoveryRequest
from kmzportal.services import links
from kmzportal.services.refusals import AccountLocked, TooManyMails
from kmzportal.services.retention import REQUESTS_KEPT
from kmzportal.services.search import Suggestion, suggestions
from kmzportal.services.tokens import new_reference, parse_reference
from kmzportal.services.transaction import Transaction

REQUESTS_SHOWN = 25
SINGLE_LINES = 3  # of one source
UNKNOWN = "unknown"  #: outcome of a request for an address without an account


def request_link(tx: Transaction, address: str) -> str:
    """Insert one row for any address, known or not, and return its Vorgangsnummer, such as `V-7KQM-3PAX`."""
    reference = new_reference()
    canonical = mail_address.canonical(address)
    tx.session.add(
        RecoveryRequest(reference=reference, email_canonical=canonical, requested_at=tx.now, source=tx.source)
    )
    return reference


# The worker


def unanswered(session: Session) -> Sequence[int]:
    """Return the ids of requests that wait for the worker, oldest first, at most 100."""
    waiting = select(RecoveryRequest.id).where(RecoveryRequest.answered_at.is_(None))
    return session.scalars(waiting.order_by(RecoveryRequest.requested_at).limit(100)).all()


def answer(tx: Transaction, request_id: int) -> None:
    """Look up the customer and mail a link to the stored address; skip a request that another worker has."""
    waiting = select(RecoveryRequest).where(RecoveryRequest.id == request_id, RecoveryRequest.answered_at.is_(None))
    request = tx.session.scalar(waiting.with_for_update(skip_locked=True))
    if request is None:
        return
    customer = _find_customer(tx, request.email_canonical)
    if customer:
        tx.lock(customer)
    request.answered_at = tx.now
    request.customer_id = customer.id if customer else None
    request.outcome = _mail_link(tx, request, customer) if customer else UNKNOWN
    tx.record(f"recovery.{request.outcome}", customer, reference=request.reference)


def _find_customer(tx: Transaction, canonical: str) -> Customer | None:
    """Return the customer of this address, or else the one with an open desk link to it as pending address.

    Any customer may enter any address as a new one, so a pending address counts only with a link from the desk.
    """
    stored = tx.session.scalar(select(Customer).where(Customer.email_canonical == canonical))
    link = None if stored else tx.session.scalar(_newest_open_desk_link(tx, canonical))
    return link.owner if link else stored


def _mail_link(tx: Transaction, request: RecoveryRequest, customer: Customer) -> str:
    """Queue the mail and return the outcome of the request."""
    if _over_limit(tx, request):
        return "capped"
    try:
        if request.email_canonical == customer.email_canonical:
            links.send(tx, _recovery_link(tx, customer, request.requested_at))
        else:
            _resend_desk_link(tx, customer, request.email_canonical)
    except AccountLocked:
        tx.notify("account_locked", customer)
        return "locked"
    except TooManyMails:
        return "capped"
    return "sent"


def _recovery_link(tx: Transaction, customer: Customer, requested_at: datetime) -> AccountLink:
    """Return the open link issued within SAME_LINK_WITHIN, with a new expiry, or else a further link.

    Older links stay open, so that a request by another person does not make them useless.
    """
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


def _resend_desk_link(tx: Transaction, customer: Customer, canonical: str) -> None:
    if customer.locked_at:
        raise AccountLocked
    newest = _newest_open_desk_link(tx, canonical)
    if link := tx.session.scalar(newest.where(AccountLink.customer_id == customer.id)):
        links.send(tx, link)


def _newest_open_desk_link(tx: Transaction, canonical: str) -> Select[AccountLink]:
    """Select the newest open desk link that was mailed to this pending address."""
    newest = select(AccountLink).join(AccountLink.customer).order_by(AccountLink.issued_at.desc()).limit(1)
    return newest.where(
        Customer.pending_email_canonical == canonical,
        AccountLink.email == Customer.pending_email,
        AccountLink.kind == LinkKind.DESK,
        AccountLink.ended_at.is_(None),
        AccountLink.expires_at > tx.now,
    )


def _over_limit(tx: Transaction, request: RecoveryRequest) -> bool:
    """Return whether the address got its limit of mails, or its source asked for too many addresses."""
    in_an_hour, in_a_day = (_mails_since(tx, request, tx.now - timedelta(hours=hours)) for hours in (1, 24))
    if in_an_hour >= tx.settings["RECOVERY_PER_HOUR"] or in_a_day >= tx.settings["RECOVERY_PER_DAY"]:
        return True
    # The first mail of a day is always sent: a school shares one source, and one pupil must not block all others.
    if not in_a_day or not request.source:
        return False
    other_addresses = select(func.count(RecoveryRequest.email_canonical.distinct())).where(
        RecoveryRequest.source == request.source,
        RecoveryRequest.email_canonical != request.email_canonical,
        RecoveryRequest.requested_at.between(request.requested_at - timedelta(hours=1), request.requested_at),
    )
    return (tx.session.scalar(other_addresses) or 0) >= int(tx.settings["RECOVERY_PER_SOURCE"])


def _mails_since(tx: Transaction, request: RecoveryRequest, since: datetime) -> int:
    mails = select(func.count()).where(
        RecoveryRequest.email_canonical == request.email_canonical,
        RecoveryRequest.outcome.in_(("sent", "locked")),
        RecoveryRequest.requested_at > since,
    )
    return tx.session.scalar(mails) or 0


# The desk


def recent_requests(
    session: Session, now: datetime, before: int | None = None, source: str | None = None
) -> Sequence[RecoveryRequest]:
    """Return the requests of the last days, latest first; one more than is shown when older ones follow.

    Of a source with more than SINGLE_LINES requests only the latest is returned, so that a flood hides no others;
    `source` returns all of that one.
    """
    requests = _visible(now).order_by(RecoveryRequest.id.desc()).limit(REQUESTS_SHOWN + 1)
    if source:
        requests = requests.where(RecoveryRequest.source == source)
    else:
        floods = _floods(now).subquery()
        requests = requests.outerjoin(floods, floods.c.source == RecoveryRequest.source).where(
            or_(floods.c.source.is_(None), RecoveryRequest.id == floods.c.latest)
        )
    return session.scalars(requests.where(RecoveryRequest.id < before) if before else requests).all()


def floods(session: Session, now: datetime) -> dict[str, int]:
    """Return the sources with more than SINGLE_LINES requests in the last days, and their numbers."""
    return {row.source: row.number for row in session.execute(_floods(now))}


def _floods(now: datetime) -> Select[str | None, int, int]:
    columns = (RecoveryRequest.source, func.count().label("number"), func.max(RecoveryRequest.id).label("latest"))
    counted = select(*columns).where(RecoveryRequest.requested_at > now - REQUESTS_KEPT)
    counted = counted.where(RecoveryRequest.source.is_not(None))
    return counted.group_by(RecoveryRequest.source).having(func.count() > SINGLE_LINES)


def find_by_reference(session: Session, now: datetime, typed: str) -> Sequence[RecoveryRequest]:
    """Return the request with this Vorgangsnummer; case, blanks, hyphens and a missing V are accepted."""
    return session.scalars(_visible(now).where(RecoveryRequest.reference == parse_reference(typed))).all()


def probably_meant(session: Session, requests: Sequence[RecoveryRequest]) -> dict[str, list[Suggestion]]:
    """Return for each unknown address of these requests the customers who probably have it."""
    return suggestions(session, {request.email_canonical for request in requests if request.outcome == UNKNOWN})


def _visible(now: datetime) -> Select[RecoveryRequest]:
    requests = select(RecoveryRequest).options(joinedload(RecoveryRequest.customer))
    return requests.where(RecoveryRequest.requested_at > now - REQUESTS_KEPT)
