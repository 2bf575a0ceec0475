"""A new mail address: asked for, confirmed by its holder, objected to from the old one."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from kmzportal.domain import mail_address
from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.domain.outgoing_mail import OutgoingMail
from kmzportal.domain.refusals import AddressTaken, LinkUnusable, TooManyMails
from kmzportal.services import account_link, login
from kmzportal.services.work import UnitOfWork


def ask_to_change(work: UnitOfWork, customer: Customer, email: str) -> None:
    """Keep the new address pending and mail it a link; the old one is told and can object.

    To a taken address nothing is sent but a notice to its owner, to one that had its mails for today nothing: who
    asks learns neither (standards R064). Who asks too often gets TooManyMails: the portal is no relay (T05).
    """
    work.lock(customer)
    canonical = mail_address.canonical(email)
    if canonical == customer.email_canonical:
        return
    if _asked_today(work, customer) >= work.settings["MAILS_PER_DAY"]:
        raise TooManyMails("mail.capped", customer, template="address_link")
    end_pending(work, customer)
    customer.await_confirmation_of(email)
    work.record("address.change_asked", customer)
    owner = work.session.scalar(select(Customer).where(Customer.email_canonical == canonical))
    if owner and not _told_today(work, owner):
        work.notify("address_taken", owner)
    elif owner:
        work.record("mail.capped", owner, template="address_taken")
    else:
        link = account_link.issue(work, LinkKind.ADDRESS, customer, customer.pending_email)
        work.notify("address_link", customer, to=link.email, link=link)
    tell_old(work, customer, customer.email, "address_change_asked")


def _asked_today(work: UnitOfWork, customer: Customer) -> int:
    asked = select(func.count()).where(
        AuditEvent.customer_id == customer.id,
        AuditEvent.deed == "address.change_asked",
        AuditEvent.at > work.now - timedelta(days=1),
    )
    return work.session.scalar(asked) or 0


def _told_today(work: UnitOfWork, owner: Customer) -> bool:
    """Whether the owner of a wanted address knows already: others must not fill a mailbox by wanting it."""
    told = select(OutgoingMail.id).where(
        OutgoingMail.customer_id == owner.id,
        OutgoingMail.template == "address_taken",
        OutgoingMail.queued_at > work.now - timedelta(days=1),
    )
    return work.session.scalar(told.limit(1)) is not None


def tell_old(work: UnitOfWork, customer: Customer, old: str, template: str) -> None:
    """Mail the old address a notice with "Das war ich nicht"; never names the new one."""
    objection = account_link.issue(work, LinkKind.OBJECTION, customer, old)
    work.send(template, customer, to=old, link=objection, always=True)


def end_pending(work: UnitOfWork, customer: Customer) -> None:
    """Forget an address that waits for confirmation, and every link that went there."""
    pending = customer.pending_email
    customer.await_confirmation_of(None)
    account_link.end(work, customer, LinkState.WITHDRAWN, {LinkKind.ADDRESS})
    if pending:
        account_link.end(work, customer, LinkState.WITHDRAWN, {LinkKind.DESK}, pending)


def end_unconfirmed(work: UnitOfWork, person: Customer | Clerk) -> None:
    """A new password ends the customer's own change of address: who asked for it may be whom it shuts out.

    An address that the desk corrected stays pending; its link sets the password and then lets it count.
    """
    if account_link.end(work, person, LinkState.WITHDRAWN, {LinkKind.ADDRESS}) and isinstance(person, Customer):
        person.await_confirmation_of(None)


def withdraw(work: UnitOfWork, customer: Customer) -> None:
    """The customer keeps the present address after all."""
    end_pending(work, customer)
    work.record("address.change_withdrawn", customer)


def confirm(work: UnitOfWork, link: AccountLink, arrived: datetime) -> None:
    """Let the pending address count from now on; raises LinkUnusable, or AddressTaken by a race."""
    account_link.redeem(work, link, arrived, {LinkKind.ADDRESS})
    if link.owner.pending_email != link.email:
        raise LinkUnusable("link.refused", link.owner, kind=link.kind)
    take_pending(work, link.owner)


def take_pending(work: UnitOfWork, customer: Customer) -> None:
    """Move the customer to the pending address; links to the old one die, both addresses are told."""
    old, new = customer.email, customer.pending_email
    if new is None:
        return
    customer.await_confirmation_of(None)
    try:
        with work.session.begin_nested():
            customer.move_to(new)
    except IntegrityError:
        raise AddressTaken("address.refused", customer) from None
    account_link.end(work, customer, LinkState.WITHDRAWN, {LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS})
    login.forgive(work, customer)  # failed tries with an address that was not known yet
    work.record("address.changed", customer)
    tell_old(work, customer, old, "address_changed_old")
    work.warn("address_changed_new", customer)


def object_to(work: UnitOfWork, link: AccountLink, arrived: datetime) -> None:
    """Das war ich nicht: lock the account, end its sessions and links, forget a pending address."""
    account_link.redeem(work, link, arrived, {LinkKind.OBJECTION})
    customer = link.owner
    end_pending(work, customer)
    account_link.end(work, customer, LinkState.WITHDRAWN, {LinkKind.RECOVERY, LinkKind.DESK})
    login.end_sessions(work, customer)
    customer.locked_at = customer.locked_at or work.now
    if customer.email_canonical != mail_address.canonical(link.email):  # moved: the password may be the thief's
        customer.password_hash = None
    work.record("address.objected", customer)
