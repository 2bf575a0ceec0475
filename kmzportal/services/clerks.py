"""Administration of clerks, by an admin or the console: add, send the first link, lock, unlock."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import AccountLink, Clerk, LinkKind
from kmzportal.services import accounts, links, second_factor
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
    """Lock all clerks in the order of their ids, so that two admins who lock each other cannot deadlock."""
    rows = select(Clerk).order_by(Clerk.id).with_for_update(key_share=True)
    tx.session.scalars(rows.execution_options(populate_existing=True)).all()


INITIALS = "[A-Za-zÄÖÜäöüß]{2,4}"


def add(tx: Transaction, email: str, name: str, initials: str, admin: bool = False) -> AccountLink:
    """Add a clerk without a password and return the first link, not yet mailed; raises ClerkExists.

    All admins are notified, so that a stolen admin session cannot add a clerk unnoticed.
    """
    others = all_clerks(tx.session)
    taken = {other.initials.casefold() for other in others}  # SQLite's lower() does not fold umlauts
    if initials.casefold() in taken or find(tx.session, email):
        raise ClerkExists("clerk.refused", initials=initials)
    clerk = Clerk(name=name, initials=initials, admin=admin, created_at=tx.now)
    clerk.set_email(email)
    tx.session.add(clerk)
    tx.session.flush()
    tx.record("clerk.added", clerk, admin=admin)
    for other in others:
        if other.admin and not other.locked_at:
            tx.warn("clerk_added", other, initials=initials)
    return first_link(tx, clerk)


def first_link(tx: Transaction, clerk: Clerk) -> AccountLink:
    """Return a link to set password and second factor, not yet mailed; until it is used the old ones stay valid.

    Only an admin or the console issues it, never a request by mail: access to the mailbox alone must not be enough
    (OWASP ASVS 6.4.6). Raises AccountLocked.
    """
    return links.issue(tx, LinkKind.CLERK_FIRST, clerk)


def send_link(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Mail a colleague a new first link; raises OwnAccess, AccountLocked, TooManyMails."""
    if clerk.id == by.id:
        raise OwnAccess
    links.send(tx, first_link(tx, clerk))


def use_first_link(
    tx: Transaction, link: AccountLink, arrived: datetime, password_hash: str, nonce: str, code: str
) -> None:
    """Set the password and, with a code from the app, the second factor; both or neither. Raises WrongCode."""
    accounts.set_password_by_link(tx, link, arrived, password_hash)
    if link.clerk and (code or tx.settings["STAFF_SECOND_FACTOR"] != "offered"):
        second_factor.set_up(tx, link.clerk, nonce, code)


def lock(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Lock a clerk and end all sessions and links; raises OwnAccess, LastAdmin."""
    lock_all(tx)
    if clerk.id == by.id:
        raise OwnAccess
    others = select(Clerk.id).where(Clerk.admin, Clerk.locked_at.is_(None), Clerk.id != clerk.id)
    if tx.session.scalar(others.limit(1)) is None:
        raise LastAdmin
    accounts.lock(tx, clerk)
    tx.record("clerk.locked", clerk)


def unlock(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Unlock a clerk, who keeps password and second factor; raises OwnAccess."""
    if clerk.id == by.id:
        raise OwnAccess
    clerk.locked_at = None
    tx.record("clerk.unlocked", clerk)
