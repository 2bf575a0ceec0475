"""Passwort vergessen: asked for in a web request, answered by the worker."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, func, insert, select
from sqlalchemy.orm import Session

from kmzportal.domain import mail_address
from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.base import Base
from kmzportal.domain.customer import Customer
from kmzportal.domain.recovery_request import RecoveryRequest, draw_reference
from kmzportal.domain.refusals import AccountLocked, TooManyMails
from kmzportal.services import account_link
from kmzportal.services.work import UnitOfWork

#: Past the ORM, which does three times as much for a row that nobody looks at again here (see docs/decisions/0040).
ONE_ROW = insert(Base.metadata.tables[RecoveryRequest.__tablename__])


def ask(work: UnitOfWork, address: str) -> str:
    """Write one row for any address, known or not, and return its Vorgangsnummer."""
    reference = draw_reference()
    canonical = mail_address.canonical(address)
    row = {"reference": reference, "email_canonical": canonical, "requested_at": work.now, "source": work.source}
    work.session.execute(ONE_ROW, row)
    return reference


def unanswered(session: Session) -> Sequence[int]:
    """Return the ids of requests that wait for the worker, oldest first."""
    waiting = select(RecoveryRequest.id).where(RecoveryRequest.answered_at.is_(None))
    return session.scalars(waiting.order_by(RecoveryRequest.requested_at).limit(100)).all()


def answer(work: UnitOfWork, request_id: int) -> None:
    """Look the customer up and mail a link to the stored address; who answers first locks the others out."""
    waiting = select(RecoveryRequest).where(RecoveryRequest.id == request_id, RecoveryRequest.answered_at.is_(None))
    request = work.session.scalar(waiting.with_for_update(skip_locked=True))
    if request is None:
        return
    customer = _customer_of(work, request.email_canonical)
    if customer:
        work.lock(customer)
    request.answered_at = work.now
    request.customer_id = customer.id if customer else None
    request.outcome = _answer(work, request, customer)
    work.record(f"recovery.{request.outcome}", customer, reference=request.reference)


def _answer(work: UnitOfWork, request: RecoveryRequest, customer: Customer | None) -> str:
    if customer is None:
        return "unknown"
    if _asked_too_often(work, request):
        return "capped"
    try:
        if request.email_canonical == customer.email_canonical:
            account_link.send(work, _recovery_link(work, customer, request.requested_at))
        else:
            _send_pending_again(work, customer)
    except AccountLocked:
        work.notify("account_locked", customer)
        return "locked"
    except TooManyMails:
        return "capped"
    return "sent"


def _customer_of(work: UnitOfWork, canonical: str) -> Customer | None:
    """The customer of this address, or the one to whom the desk sent a link there: the stored one goes first.

    Anybody may have entered the address as a new one; without an open link from the desk it is nobody's.
    """
    stored = work.session.scalar(select(Customer).where(Customer.email_canonical == canonical))
    link = None if stored else work.session.scalar(_open_desk_links(work, canonical))
    return link.owner if link else stored


def _recovery_link(work: UnitOfWork, customer: Customer, requested_at: datetime) -> AccountLink:
    """The link of a moment ago with its life extended, or a further one; a stranger can void none."""
    recent = select(AccountLink).where(
        AccountLink.customer_id == customer.id,
        AccountLink.kind == LinkKind.RECOVERY,
        AccountLink.ended_at.is_(None),
        AccountLink.issued_at > requested_at - timedelta(seconds=work.settings["SAME_LINK_WITHIN"]),
    )
    link = work.session.scalar(recent.order_by(AccountLink.issued_at.desc()).limit(1))
    if link is None or customer.locked_at:
        return account_link.issue(work, LinkKind.RECOVERY, customer)
    link.expires_at = work.now + timedelta(seconds=work.settings["RECOVERY_LINK_LIFETIME"])
    return link


def _send_pending_again(work: UnitOfWork, customer: Customer) -> None:
    """Mail the open desk link to the pending address once more."""
    if customer.locked_at:
        raise AccountLocked
    waiting = _open_desk_links(work, customer.pending_email_canonical)
    if link := work.session.scalar(waiting.where(AccountLink.customer_id == customer.id)):
        account_link.send(work, link)


def _open_desk_links(work: UnitOfWork, canonical: str | None) -> Select[AccountLink]:
    waiting = select(AccountLink).join(AccountLink.customer).order_by(AccountLink.issued_at.desc()).limit(1)
    return waiting.where(
        Customer.pending_email_canonical == canonical,
        AccountLink.email == Customer.pending_email,
        AccountLink.kind == LinkKind.DESK,
        AccountLink.ended_at.is_(None),
        AccountLink.expires_at > work.now,
    )


def _asked_too_often(work: UnitOfWork, request: RecoveryRequest) -> bool:
    """Whether this address was mailed often enough, or its source asked for too many addresses."""

    def answered(hours: int) -> int:
        since = work.now - timedelta(hours=hours)
        mails = select(func.count()).where(
            RecoveryRequest.email_canonical == request.email_canonical,
            RecoveryRequest.outcome.in_(("sent", "locked")),
            RecoveryRequest.requested_at > since,
        )
        return work.session.scalar(mails) or 0

    asked_for = select(func.count(RecoveryRequest.email_canonical.distinct())).where(
        RecoveryRequest.source == request.source,
        RecoveryRequest.email_canonical != request.email_canonical,
        RecoveryRequest.requested_at.between(request.requested_at - timedelta(hours=1), request.requested_at),
    )
    crowded = request.source and (work.session.scalar(asked_for) or 0) >= work.settings["RECOVERY_PER_SOURCE"]
    today = answered(hours=24)
    return bool(
        answered(hours=1) >= work.settings["RECOVERY_PER_HOUR"]
        or today >= work.settings["RECOVERY_PER_DAY"]
        or (today and crowded)  # the first of the day is mailed: a school must not be shut out by one of it
    )
