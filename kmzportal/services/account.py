"""Konto anpassen: what customers do with their own account."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kmzportal.domain.account_link import AccountLink
from kmzportal.domain.customer import Customer
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.passwords import Proof
from kmzportal.services import address, login, password
from kmzportal.services.work import UnitOfWork


def prove(work: UnitOfWork, customer: Customer, here: LoginSession, proof: Proof) -> str | None:
    """Note that the current password was typed, and return the session's new token; None if it was wrong.

    Wrong ones are counted for the session, as those at login are for the account: who finds it open must not guess
    on, and strangers who knock at the account do not disturb its owner here.
    """
    work.lock(customer)
    this_session = work.keys.fingerprint(f"session:{here.id}")
    throttled = login.throttled(work, this_session, whatever_the_source=True)
    if throttled or not customer.accepts(proof):
        if not throttled:
            login.count_failure(work, this_session, None)
        work.record("password.refused", customer)
        return None
    login.forget_failures(work, this_session)
    here.password_proved_at = work.now
    work.record("password.proved", customer)
    return here.draw_token()


def change_data(work: UnitOfWork, customer: Customer, data: Mapping[str, str]) -> bool:
    """Take over what differs and return whether anything did; history keeps the names of the fields."""
    changed = [field for field in Customer.DATA if field in data and data[field] != getattr(customer, field)]
    for field in changed:
        setattr(customer, field, data[field])
    if changed:
        work.record("data.changed", customer, fields=changed)
    return bool(changed)


def save(
    work: UnitOfWork,
    customer: Customer,
    here: LoginSession,
    seen: int,
    data: Mapping[str, str],
    email: str | None,
    password_hash: str | None,
) -> str | None:
    """Save what the form of Konto anpassen holds; return the session's new token when the password changed.

    Raises ChangedMeanwhile when the desk, or the customer on another device, saved since the form was `seen`.
    """
    work.lock(customer, seen)
    change_data(work, customer, data)
    if password_hash:
        change_password(work, customer, here, password_hash)
    if email:  # after the password, which ends links to addresses
        address.ask_to_change(work, customer, email)
    return here.draw_token() if password_hash else None


def change_password(work: UnitOfWork, customer: Customer, here: LoginSession, password_hash: str) -> None:
    """Set a new password, end all other sessions and tell the owner."""
    password.take(work, customer, password_hash, here)
    work.record("password.changed", customer)
    work.warn("password_changed", customer)


def register(
    work: UnitOfWork, link: AccountLink, arrived: datetime, seen: int, data: Mapping[str, str], password_hash: str
) -> None:
    """The desk link's last step: data, password and, where the desk corrected it, the new address."""
    work.lock(link.owner, seen)
    password.set_by_link(work, link, arrived, password_hash)
    change_data(work, link.owner, data)
    if link.owner.pending_email == link.email:
        address.take_pending(work, link.owner)


def end_session(work: UnitOfWork, customer: Customer, session_id: int) -> bool:
    """End one of the customer's own sessions and return whether it was theirs and alive."""
    session = work.session.get(LoginSession, session_id)
    if session is None or session.customer_id != customer.id or session.ended_at:
        return False
    session.ended_at = work.now
    work.record("session.ended", customer)
    return True


def end_other_sessions(work: UnitOfWork, customer: Customer, here: LoginSession) -> int:
    """End all sessions but this one and return how many there were."""
    ended = login.end_sessions(work, customer, but=here)
    if ended:
        work.record("sessions.ended", customer, number=ended)
        work.notify("sessions_ended", customer)
    return ended


def sessions(session: Session, customer: Customer, now: datetime) -> list[LoginSession]:
    """Return where the customer is logged in, latest first."""
    started = select(LoginSession).where(LoginSession.customer_id == customer.id, LoginSession.ended_at.is_(None))
    found = session.scalars(started.order_by(LoginSession.last_seen.desc()))
    return [one for one in found if one.alive(now)]
