"""The desk: what clerks do for customers. Each deed stands in the customer's own history, with the clerk's initials."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kmzportal.domain import mail_address
from kmzportal.domain.account_link import LIFETIMES, AccountLink, LinkKind, LinkState
from kmzportal.domain.customer import Customer
from kmzportal.domain.refusals import AccountLocked, AddressTaken, ChangedMeanwhile, LinkUnusable, Refusal
from kmzportal.services import account, account_link, address, login
from kmzportal.services.work import UnitOfWork

LINKS_SHOWN = 10
#: What a new address or a lock puts an end to. An objection outlives both: it is the old mailbox's own.
OPENS_THE_ACCOUNT = {LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS}


class SameAddress(Refusal):
    """The new address is the one that counts already."""


class NumberTaken(Refusal):
    """Another customer has this Kundennummer."""


def owner_of(session: Session, email: str, now: datetime, but: Customer | None = None) -> Customer | None:
    """Return the other customer to whom the address belongs, or for whom it waits while a link to it is open.

    Anybody may have entered an address as their new one: without that end they would keep its owner from it for ever.
    """
    canonical = mail_address.canonical(email)
    opens = (AccountLink.email == Customer.pending_email, AccountLink.ended_at.is_(None), AccountLink.expires_at > now)
    waits = select(AccountLink.id).where(AccountLink.customer_id == Customer.id, *opens).exists()
    theirs = or_(Customer.email_canonical == canonical, and_(Customer.pending_email_canonical == canonical, waits))
    return session.scalars(select(Customer).where(theirs, Customer.id != (but.id if but else 0))).first()


def correct_address(work: UnitOfWork, customer: Customer, seen: int, email: str, check: str, note: str) -> None:
    """Keep the new address pending and mail it the link; open links die, the old address is told and can object.

    A locked account is moved at once and loses its password, but gets no link before it is unlocked: whoever stole it
    would else come back by the stolen address as soon as it is.
    Raises ChangedMeanwhile, SameAddress, AddressTaken or TooManyMails, and then nothing has happened.
    """
    work.lock(customer, seen)
    if mail_address.canonical(email) == customer.email_canonical:
        raise SameAddress
    if owner_of(work.session, email, work.now, but=customer):
        raise AddressTaken("address.refused", customer)
    address.end_pending(work, customer)
    account_link.end(work, customer, LinkState.WITHDRAWN, OPENS_THE_ACCOUNT)
    customer.await_confirmation_of(email)
    work.record("address.corrected", customer, check=check, note=note)
    if customer.locked_at:
        customer.password_hash = None
        address.take_pending(work, customer)
        return
    link = account_link.issue(work, LinkKind.DESK, customer, customer.pending_email, work.initials)
    account_link.send(work, link)
    address.tell_old(work, customer, customer.email, "address_corrected")


def send_link(work: UnitOfWork, customer: Customer, initials: str, why: str = "") -> AccountLink:
    """Mail the link to the account to the stored address; an older one dies. Raises AccountLocked, TooManyMails.

    An address that the desk had corrected waits no longer when its own link dies by this.
    """
    work.lock(customer)
    pending = customer.pending_email
    if pending and account_link.end(work, customer, LinkState.WITHDRAWN, {LinkKind.DESK}, pending):
        customer.await_confirmation_of(None)
    link = account_link.issue(work, LinkKind.DESK, customer, initials=initials)
    account_link.send(work, link)
    work.record("link.sent", customer, by=initials, why=why)
    return link


def send_again(work: UnitOfWork, link: AccountLink) -> None:
    """Mail the same open link once more, and let it live anew; raises LinkUnusable, AccountLocked, TooManyMails."""
    _open(work, link)
    link.expires_at = work.now + timedelta(seconds=work.settings[LIFETIMES[LinkKind(link.kind)]])
    account_link.send(work, link)
    work.record("link.sent_again", link.owner)


def withdraw(work: UnitOfWork, link: AccountLink) -> None:
    """End an open link, and forget the pending address it was sent to; raises LinkUnusable."""
    _open(work, link)
    link.ended_at, link.ended_as = work.now, LinkState.WITHDRAWN
    if link.email == link.owner.pending_email:
        address.end_pending(work, link.owner)
    work.record("link.withdrawn", link.owner, kind=link.kind)


def _open(work: UnitOfWork, link: AccountLink) -> None:
    work.lock(link.owner)
    work.session.refresh(link)
    if link.kind not in OPENS_THE_ACCOUNT or not link.usable(work.now) or link.code_used_up:
        raise LinkUnusable
    if link.owner.locked_at:
        raise AccountLocked("link.refused", link.owner, kind=link.kind)


def create(work: UnitOfWork, number: str, email: str, data: Mapping[str, str]) -> Customer:
    """Enter a customer, who has no password until a link sets one; raises AddressTaken or NumberTaken."""
    if owner_of(work.session, email, work.now):
        raise AddressTaken
    if work.session.scalar(select(Customer.id).where(Customer.number == number)):
        raise NumberTaken
    customer = Customer(number=number, created_at=work.now, **data)
    customer.move_to(email)
    work.session.add(customer)
    try:
        work.session.flush()
    except IntegrityError:  # another clerk was quicker by a moment
        raise ChangedMeanwhile from None
    work.record("customer.created", customer)
    return customer


def correct_data(work: UnitOfWork, customer: Customer, seen: int, data: Mapping[str, str]) -> bool:
    """Take over what the clerk corrected and return whether anything differs; raises ChangedMeanwhile."""
    work.lock(customer, seen)
    return account.change_data(work, customer, data)


def lock(work: UnitOfWork, customer: Customer, why: str) -> None:
    """Let nobody in until the desk unlocks: sessions and links end at once."""
    work.lock(customer)
    customer.locked_at = customer.locked_at or work.now
    login.end_sessions(work, customer)
    address.end_pending(work, customer)
    account_link.end(work, customer, LinkState.WITHDRAWN, OPENS_THE_ACCOUNT)
    work.record("account.locked", customer, why=why)


def unlock(work: UnitOfWork, customer: Customer, why: str) -> None:
    work.lock(customer)
    customer.locked_at = None
    work.record("account.unlocked", customer, why=why)


def links(session: Session, customer: Customer) -> Sequence[AccountLink]:
    """Return the customer's links, latest first."""
    mine = select(AccountLink).where(AccountLink.customer_id == customer.id)
    return session.scalars(mine.order_by(AccountLink.id.desc()).limit(LINKS_SHOWN)).all()
