"""Actions of clerks on customers, each recorded in the customer's history with the clerk's initials."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import ENDS_WITH_ADDRESS, AccountLink, Customer, LinkKind, LinkState
from kmzportal.services import accounts, deletion, links
from kmzportal.services.refusals import AccountLocked, AddressTaken, ChangedMeanwhile, LinkUnusable, Refusal
from kmzportal.services.transaction import Transaction

LINKS_SHOWN = 10
TAKEN = "Diese Adresse gehört schon zu einem anderen Konto. "


class SameAddress(Refusal):
    """The new address is the current one."""

    message = "Diese Adresse gilt schon. Nehmen Sie „Link senden“."
    field = "email"


class LetterPrinted(Refusal):
    """A Zugangsbrief was printed since the form was shown, as by this very form before a reload."""

    message = (
        "Dieser Zugangsbrief ist schon gedruckt. Sein Code wird nicht noch einmal gezeigt. Ist der Brief verloren? "
        "Dann drucken Sie einen neuen. Der alte gilt dann nicht mehr."
    )


class NumberTaken(Refusal):
    """Another customer has this Kundennummer."""

    message = "Diese Kundennummer gibt es schon. Suchen Sie danach unter „Kunden“."
    field = "number"


def address_owner(session: Session, email: str, now: datetime, other_than: Customer | None = None) -> Customer | None:
    """Return the customer, `other_than` one, with this address, also pending while a link to it is open.

    Any customer may enter any address as a new one, so a pending address blocks its owner only while the link is open.
    """
    canonical = mail_address.canonical(email)
    is_open = (
        AccountLink.email == Customer.pending_email,
        AccountLink.ended_at.is_(None),
        AccountLink.expires_at > now,
    )
    pending = select(AccountLink.id).where(AccountLink.customer_id == Customer.id, *is_open).exists()
    has_it = or_(Customer.email_canonical == canonical, and_(Customer.pending_email_canonical == canonical, pending))
    return session.scalars(select(Customer).where(has_it, Customer.id != (other_than.id if other_than else 0))).first()


def correct_address(tx: Transaction, customer: Customer, seen_version: int, email: str, check: str, note: str) -> None:
    """Keep the new address pending and mail it the link; open links end, the old address is notified and can object.

    For a locked account the address changes at once, without a link, and the password is deleted: a stolen password
    must not work again after the account is unlocked.
    Raises ChangedMeanwhile, SameAddress, AddressTaken or TooManyMails before anything is changed.
    """
    tx.lock(customer, seen_version)
    if mail_address.canonical(email) == customer.email_canonical:
        raise SameAddress
    if address_owner(tx.session, email, tx.now, other_than=customer):
        raise AddressTaken("address.refused", customer, message=TAKEN + "Den Link dorthin finden Sie beim Formular.")
    links.end(tx, customer, LinkState.WITHDRAWN, ENDS_WITH_ADDRESS)
    customer.set_pending_email(email)
    tx.record("address.corrected", customer, check=check, note=note)
    if customer.locked_at:
        customer.password_hash = None
        accounts.move_email(tx, customer)
        return
    link = links.issue(tx, LinkKind.DESK, customer, customer.pending_email, tx.initials)
    links.send(tx, link)
    accounts.notify_old_address(tx, customer, customer.email, "address_corrected")


def send_link(tx: Transaction, customer: Customer, why: str = "") -> AccountLink:
    """Mail a new link to the stored address; an older one ends. Raises AccountLocked, TooManyMails.

    An address that the desk had corrected is no longer pending when its own link ends by this.
    """
    tx.lock(customer)
    pending = customer.pending_email
    if pending and links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.DESK}, pending):
        customer.set_pending_email(None)
    link = links.issue(tx, LinkKind.DESK, customer, initials=tx.initials)
    links.send(tx, link)
    tx.record("link.sent", customer, why=why)
    return link


def print_letter(
    tx: Transaction, customer: Customer, seen_letter: int, check: str, note: str, posted: bool
) -> AccountLink:
    """Return a new Zugangsbrief, whose code is shown only now; an older one ends. The stored address can object.

    `seen_letter`: id of the newest letter when the form was shown, 0 for none. Raises LetterPrinted, AccountLocked.
    """
    tx.lock(customer)
    newest = links.newest_letter(tx.session, customer)
    if (newest.id if newest else 0) != seen_letter:
        raise LetterPrinted
    letter = links.issue(tx, LinkKind.LETTER, customer, initials=tx.initials)
    tx.record("letter.posted" if posted else "letter.handed_over", customer, check=check, note=note)
    accounts.notify_old_address(tx, customer, customer.email, "letter_printed")
    return letter


def send_again(tx: Transaction, link: AccountLink) -> None:
    """Mail the same open link once more with a new expiry; raises LinkUnusable, AccountLocked, TooManyMails."""
    _require_open(tx, link)
    if not link.policy.mailed:
        raise LinkUnusable
    link.expires_at = tx.now + links.lifetime(tx, link.kind)
    links.send(tx, link)
    tx.record("link.sent_again", link.owner)


def withdraw_link(tx: Transaction, link: AccountLink) -> None:
    """End an open link, and forget the pending address it was mailed to; raises LinkUnusable, AccountLocked."""
    _require_open(tx, link)
    link.ended_at, link.ended_as = tx.now, LinkState.WITHDRAWN
    if link.email == link.owner.pending_email:
        accounts.drop_pending_address(tx, link.owner)
    tx.record("link.withdrawn", link.owner, kind=link.kind)


def _require_open(tx: Transaction, link: AccountLink) -> None:
    tx.lock(link.owner)
    tx.session.refresh(link)
    if not link.policy.ends_with_address or not link.usable(tx.now) or link.code_used_up:
        raise LinkUnusable
    if link.owner.locked_at:
        raise AccountLocked("link.refused", link.owner, kind=link.kind)


def create_customer(tx: Transaction, number: str, email: str, data: Mapping[str, str]) -> Customer:
    """Add a customer without a password: only a link sets one. Raises AddressTaken, NumberTaken, ChangedMeanwhile."""
    if address_owner(tx.session, email, tx.now):
        raise AddressTaken(message=TAKEN + "Suchen Sie danach unter „Kunden“.")
    if tx.session.scalar(Customer.with_number(number)):
        raise NumberTaken
    customer = Customer(number=number, created_at=tx.now, **data)
    customer.set_email(email)
    tx.session.add(customer)
    deletion.allow_again(tx, number)
    try:
        tx.session.flush()
    except IntegrityError:  # another clerk added the same customer in between
        raise ChangedMeanwhile from None
    tx.record("customer.created", customer)
    return customer


def correct_data(tx: Transaction, customer: Customer, seen_version: int, data: Mapping[str, str]) -> bool:
    """Store corrected data and return whether anything changed; raises ChangedMeanwhile."""
    tx.lock(customer, seen_version)
    return accounts.change_data(tx, customer, data)


def lock(tx: Transaction, customer: Customer, why: str) -> None:
    tx.lock(customer)
    accounts.lock(tx, customer)
    tx.record("account.locked", customer, why=why)


def unlock(tx: Transaction, customer: Customer, why: str) -> None:
    tx.lock(customer)
    customer.locked_at = None
    tx.record("account.unlocked", customer, why=why)


def recent_links(session: Session, customer: Customer) -> Sequence[AccountLink]:
    mine = select(AccountLink).where(AccountLink.customer_id == customer.id)
    return session.scalars(mine.order_by(AccountLink.id.desc()).limit(LINKS_SHOWN)).all()
