"""Konto anpassen: what customers do with their own account."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.clerk import Clerk
from kmzportal.models.customer import Customer
from kmzportal.models.login_session import LoginSession
from kmzportal.models.outgoing_mail import OutgoingMail
from kmzportal.services import links, sessions
from kmzportal.services import sessions as session_service
from kmzportal.services.passwords import PasswordCheck, check_strength
from kmzportal.services.refusals import AddressTaken, LinkUnusable, TooManyMails
from kmzportal.services.transaction import Transaction


def check_current_password(
    tx: Transaction, customer: Customer, login_session: LoginSession, proof: PasswordCheck
) -> str | None:
    """Note that the current password was typed, and return the session's new token; None if it was wrong.

    Wrong ones are counted for the session, as those at login are for the account: who finds it open must not guess
    on, and strangers who knock at the account do not disturb its owner here.
    """
    tx.lock(customer)
    this_session = tx.keys.fingerprint(f"session:{login_session.id}")
    throttled = session_service.is_throttled(tx, this_session, whatever_the_source=True)
    if throttled or not customer.password_matches(proof):
        if not throttled:
            session_service.count_failure(tx, this_session, None)
        tx.record("password.refused", customer)
        return None
    session_service.clear_throttle(tx, this_session)
    login_session.password_checked_at = tx.now
    tx.record("password.proved", customer)
    return login_session.new_token()


def change_data(tx: Transaction, customer: Customer, data: Mapping[str, str]) -> bool:
    """Take over what differs and return whether anything did; history keeps the names of the fields."""
    changed = [field for field in Customer.DATA_FIELDS if field in data and data[field] != getattr(customer, field)]
    for field in changed:
        setattr(customer, field, data[field])
    if changed:
        tx.record("data.changed", customer, fields=changed)
    return bool(changed)


def save_account(
    tx: Transaction,
    customer: Customer,
    login_session: LoginSession,
    seen: int,
    data: Mapping[str, str],
    email: str | None,
    password_hash: str | None,
) -> str | None:
    """Save what the form of Konto anpassen holds; return the session's new token when the password changed.

    Raises ChangedMeanwhile when the desk, or the customer on another device, saved since the form was `seen`.
    """
    tx.lock(customer, seen)
    change_data(tx, customer, data)
    if password_hash:
        change_password(tx, customer, login_session, password_hash)
    if email:  # after the password, which ends links to addresses
        request_address_change(tx, customer, email)
    return login_session.new_token() if password_hash else None


def change_password(tx: Transaction, customer: Customer, login_session: LoginSession, password_hash: str) -> None:
    """Set a new password, end all other sessions and tell the owner."""
    set_password(tx, customer, password_hash, login_session)
    tx.record("password.changed", customer)
    tx.warn("password_changed", customer)


def register(
    tx: Transaction, link: AccountLink, arrived: datetime, seen: int, data: Mapping[str, str], password_hash: str
) -> None:
    """The desk link's last step: data, password and, where the desk corrected it, the new address."""
    tx.lock(link.owner, seen)
    set_password_by_link(tx, link, arrived, password_hash)
    change_data(tx, link.owner, data)
    if link.owner.pending_email == link.email:
        move_email(tx, link.owner)


def end_own_session(tx: Transaction, customer: Customer, session_id: int) -> bool:
    """End one of the customer's own sessions and return whether it was theirs and alive."""
    session = tx.session.get(LoginSession, session_id)
    if session is None or session.customer_id != customer.id or session.ended_at:
        return False
    session.ended_at = tx.now
    tx.record("session.ended", customer)
    return True


def end_other_sessions(tx: Transaction, customer: Customer, login_session: LoginSession) -> int:
    """End all sessions but this one and return how many there were."""
    ended = session_service.end_all(tx, customer, but=login_session)
    if ended:
        tx.record("sessions.ended", customer, number=ended)
        tx.notify("sessions_ended", customer)
    return ended


def active_sessions(session: Session, customer: Customer, now: datetime) -> list[LoginSession]:
    """Return where the customer is logged in, latest first."""
    started = select(LoginSession).where(LoginSession.customer_id == customer.id, LoginSession.ended_at.is_(None))
    found = session.scalars(started.order_by(LoginSession.last_seen.desc()))
    return [one for one in found if one.alive(now)]


SETS_PASSWORD = {LinkKind.RECOVERY, LinkKind.DESK, LinkKind.CLERK_FIRST}
ENDED_BY_PASSWORD = {LinkKind.RECOVERY, LinkKind.CLERK_FIRST}


def validate_password(password: str, person: Customer | Clerk, settings: Mapping[str, Any]) -> None:
    """Raise WeakPassword if this person should not have this password."""
    office = [settings["OFFICE_NAME"], settings["OFFICE_TOWN"], "kmzportal", "medienzentrum", "edupool"]
    check_strength(password, password_minimum(person, settings), person.known_words + office)


def password_minimum(person: Customer | Clerk, settings: Mapping[str, Any]) -> int:
    """Return the shortest length in characters."""
    return int(settings["STAFF_PASSWORD_MINIMUM" if isinstance(person, Clerk) else "PASSWORD_MINIMUM"])


def set_password(
    tx: Transaction, person: Customer | Clerk, password_hash: str, login_session: LoginSession | None = None
) -> None:
    """Set the hash; end all other sessions and the links that a password ends, and forget failed tries."""
    person.set_password_hash(password_hash, tx.now)
    sessions.clear_failures(tx, person)
    sessions.end_all(tx, person, but=login_session)
    links.end(tx, person, LinkState.REPLACED, ENDED_BY_PASSWORD)
    drop_unconfirmed_address(tx, person)


def set_password_by_link(tx: Transaction, link: AccountLink, arrived: datetime, password_hash: str) -> None:
    """Give the holder of a link a password, once; raises LinkUnusable or AccountLocked."""
    links.redeem(tx, link, arrived, SETS_PASSWORD)
    set_password(tx, link.holder, password_hash)
    tx.record("password.set", link.holder, kind=link.kind)
    tx.warn("clerk_password_set" if link.clerk else "password_set", link.holder)


def request_address_change(tx: Transaction, customer: Customer, email: str) -> None:
    """Keep the new address pending and mail it a link; the old one is told and can object.

    To a taken address nothing is sent but a notice to its owner, to one that had its mails for today nothing: who
    asks learns neither (standards R064). Who asks too often gets TooManyMails: the portal is no relay (T05).
    """
    tx.lock(customer)
    canonical = mail_address.canonical(email)
    if canonical == customer.email_canonical:
        return
    if _requests_today(tx, customer) >= tx.settings["MAILS_PER_DAY"]:
        raise TooManyMails("mail.capped", customer, template="address_link")
    drop_pending_address(tx, customer)
    customer.set_pending_email(email)
    tx.record("address.change_asked", customer)
    owner = tx.session.scalar(select(Customer).where(Customer.email_canonical == canonical))
    if owner and not _notified_today(tx, owner):
        tx.notify("address_taken", owner)
    elif owner:
        tx.record("mail.capped", owner, template="address_taken")
    else:
        link = links.issue(tx, LinkKind.ADDRESS, customer, customer.pending_email)
        tx.notify("address_link", customer, to=link.email, link=link)
    notify_old_address(tx, customer, customer.email, "address_change_asked")


def _requests_today(tx: Transaction, customer: Customer) -> int:
    asked = select(func.count()).where(
        AuditEvent.customer_id == customer.id,
        AuditEvent.action == "address.change_asked",
        AuditEvent.at > tx.now - timedelta(days=1),
    )
    return tx.session.scalar(asked) or 0


def _notified_today(tx: Transaction, owner: Customer) -> bool:
    """Whether the owner of a wanted address knows already: others must not fill a mailbox by wanting it."""
    told = select(OutgoingMail.id).where(
        OutgoingMail.customer_id == owner.id,
        OutgoingMail.template == "address_taken",
        OutgoingMail.queued_at > tx.now - timedelta(days=1),
    )
    return tx.session.scalar(told.limit(1)) is not None


def notify_old_address(tx: Transaction, customer: Customer, old: str, template: str) -> None:
    """Mail the old address a notice with "Das war ich nicht"; never names the new one."""
    objection = links.issue(tx, LinkKind.OBJECTION, customer, old)
    tx.send(template, customer, to=old, link=objection, always=True)


def drop_pending_address(tx: Transaction, customer: Customer) -> None:
    """Forget an address that waits for confirmation, and every link that went there."""
    pending = customer.pending_email
    customer.set_pending_email(None)
    links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.ADDRESS})
    if pending:
        links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.DESK}, pending)


def drop_unconfirmed_address(tx: Transaction, person: Customer | Clerk) -> None:
    """A new password ends the customer's own change of address: who asked for it may be whom it shuts out.

    An address that the desk corrected stays pending; its link sets the password and then lets it count.
    """
    if links.end(tx, person, LinkState.WITHDRAWN, {LinkKind.ADDRESS}) and isinstance(person, Customer):
        person.set_pending_email(None)


def withdraw_address_change(tx: Transaction, customer: Customer) -> None:
    """The customer keeps the present address after all."""
    drop_pending_address(tx, customer)
    tx.record("address.change_withdrawn", customer)


def confirm_address(tx: Transaction, link: AccountLink, arrived: datetime) -> None:
    """Let the pending address count from now on; raises LinkUnusable, or AddressTaken by a race."""
    links.redeem(tx, link, arrived, {LinkKind.ADDRESS})
    if link.owner.pending_email != link.email:
        raise LinkUnusable("link.refused", link.owner, kind=link.kind)
    move_email(tx, link.owner)


def move_email(tx: Transaction, customer: Customer) -> None:
    """Move the customer to the pending address; links to the old one die, both addresses are told."""
    old, new = customer.email, customer.pending_email
    if new is None:
        return
    customer.set_pending_email(None)
    try:
        with tx.session.begin_nested():
            customer.set_email(new)
    except IntegrityError:
        raise AddressTaken("address.refused", customer) from None
    links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS})
    sessions.clear_failures(tx, customer)  # failed tries with an address that was not known yet
    tx.record("address.changed", customer)
    notify_old_address(tx, customer, old, "address_changed_old")
    tx.warn("address_changed_new", customer)


def object_to_change(tx: Transaction, link: AccountLink, arrived: datetime) -> None:
    """Das war ich nicht: lock the account, end its sessions and links, forget a pending address."""
    links.redeem(tx, link, arrived, {LinkKind.OBJECTION})
    customer = link.owner
    drop_pending_address(tx, customer)
    links.end(tx, customer, LinkState.WITHDRAWN, {LinkKind.RECOVERY, LinkKind.DESK})
    sessions.end_all(tx, customer)
    customer.locked_at = customer.locked_at or tx.now
    if customer.email_canonical != mail_address.canonical(link.email):  # moved: the password may be the thief's
        customer.password_hash = None
    tx.record("address.objected", customer)
