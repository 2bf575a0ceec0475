"""Clerks: how somebody comes to work at the desk, and how they are kept out."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.clerk import Clerk
from kmzportal.services import accounts, links, second_factor, sessions
from kmzportal.services.refusals import Refusal
from kmzportal.services.transaction import Transaction


class ClerkExists(Refusal):
    """Another clerk has this mail address or these initials."""

    message = "Es gibt schon jemanden mit dieser Adresse oder diesem Kürzel."


class OwnAccess(Refusal):
    """Admins cannot change their own access."""

    message = "Über Ihren eigenen Zugang muss jemand anderes entscheiden."


class LastAdmin(Refusal):
    """The only unlocked admin cannot be locked."""

    message = "Mindestens eine Person muss Mitarbeitende verwalten können."


def all_clerks(session: Session) -> Sequence[Clerk]:
    return session.scalars(select(Clerk).order_by(Clerk.name, Clerk.id)).all()


def find(session: Session, address: str) -> Clerk | None:
    return session.scalar(select(Clerk).where(Clerk.email_canonical == mail_address.canonical(address)))


def lock_all(tx: Transaction) -> None:
    """Let what is done to clerks happen one after another; two who lock each other never wait in a circle."""
    everyone = select(Clerk).order_by(Clerk.id).with_for_update(key_share=True)
    tx.session.scalars(everyone.execution_options(populate_existing=True)).all()


def add(tx: Transaction, email: str, name: str, initials: str, admin: bool = False) -> AccountLink:
    """Write a clerk without a password and return the first link, not yet sent; raises ClerkExists.

    All admins hear of it, so nobody lets anybody in unseen with a session that is not theirs.
    """
    there = all_clerks(tx.session)
    taken = {one.initials.casefold() for one in there}  # SQLite's lower() leaves umlauts
    if initials.casefold() in taken or find(tx.session, email):
        raise ClerkExists("clerk.refused", initials=initials)
    clerk = Clerk(name=name, initials=initials, admin=admin, created_at=tx.now)
    clerk.set_email(email)
    tx.session.add(clerk)
    tx.session.flush()
    tx.record("clerk.added", clerk, admin=admin)
    for one in there:
        if one.admin and not one.locked_at:
            tx.warn("clerk_added", one, initials=initials)
    return first_link(tx, clerk)


def first_link(tx: Transaction, clerk: Clerk) -> AccountLink:
    """Return a link to a password and a second factor, not yet sent; until it is used the old ones count.

    Clerks never ask for it by mail themselves: an admin or the console does (standards C9). Raises AccountLocked.
    """
    return links.issue(tx, LinkKind.CLERK_FIRST, clerk)


def send_link(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Mail a colleague a new first link; raises Oneself, AccountLocked, TooManyMails."""
    if clerk.id == by.id:
        raise OwnAccess
    links.send(tx, first_link(tx, clerk))


def use_first_link(
    tx: Transaction, link: AccountLink, arrived: datetime, password_hash: str, nonce: str, code: str
) -> None:
    """Set the password and, with a code from the app, the second factor; all of it or nothing. Raises WrongCode."""
    accounts.set_password_by_link(tx, link, arrived, password_hash)
    if link.clerk and (code or tx.settings["STAFF_SECOND_FACTOR"] != "offered"):
        second_factor.set_up(tx, link.clerk, nonce, code)


def lock(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Keep a clerk out at once, with all sessions and links; raises Oneself, LastAdmin."""
    lock_all(tx)
    if clerk.id == by.id:
        raise OwnAccess
    others = select(Clerk.id).where(Clerk.admin, Clerk.locked_at.is_(None), Clerk.id != clerk.id)
    if tx.session.scalar(others.limit(1)) is None:
        raise LastAdmin
    clerk.locked_at = clerk.locked_at or tx.now
    sessions.end_all(tx, clerk)
    links.end(tx, clerk, LinkState.WITHDRAWN, {LinkKind.CLERK_FIRST})
    tx.record("clerk.locked", clerk)


def unlock(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Let a clerk in again, with the password and the second factor from before; raises Oneself."""
    if clerk.id == by.id:
        raise OwnAccess
    clerk.locked_at = None
    tx.record("clerk.unlocked", clerk)
