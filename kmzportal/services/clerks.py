"""Clerks: how somebody comes to work at the desk, and how they are kept out."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kmzportal.domain import mail_address
from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.refusals import Refusal
from kmzportal.services import account_link, login, password, second_factor
from kmzportal.services.work import UnitOfWork


class ClerkExists(Refusal):
    """A clerk has this mail address or these initials already."""


class Oneself(Refusal):
    """Nobody decides on their own access: somebody else must."""


class LastAdmin(Refusal):
    """Without this admin nobody could let anybody in."""


def everybody(session: Session) -> Sequence[Clerk]:
    return session.scalars(select(Clerk).order_by(Clerk.name, Clerk.id)).all()


def find(session: Session, address: str) -> Clerk | None:
    return session.scalar(select(Clerk).where(Clerk.email_canonical == mail_address.canonical(address)))


def hold_all(work: UnitOfWork) -> None:
    """Let what is done to clerks happen one after another; two who lock each other never wait in a circle."""
    everyone = select(Clerk).order_by(Clerk.id).with_for_update(key_share=True)
    work.session.scalars(everyone.execution_options(populate_existing=True)).all()


def add(work: UnitOfWork, email: str, name: str, initials: str, admin: bool = False) -> AccountLink:
    """Write a clerk without a password and return the first link, not yet sent; raises ClerkExists.

    All admins hear of it, so nobody lets anybody in unseen with a session that is not theirs.
    """
    there = everybody(work.session)
    taken = {one.initials.casefold() for one in there}  # SQLite's lower() leaves umlauts
    if initials.casefold() in taken or find(work.session, email):
        raise ClerkExists("clerk.refused", initials=initials)
    clerk = Clerk(name=name, initials=initials, admin=admin, created_at=work.now)
    clerk.move_to(email)
    work.session.add(clerk)
    work.session.flush()
    work.record("clerk.added", clerk, admin=admin)
    for one in there:
        if one.admin and not one.locked_at:
            work.warn("clerk_added", one, initials=initials)
    return first_link(work, clerk)


def first_link(work: UnitOfWork, clerk: Clerk) -> AccountLink:
    """Return a link to a password and a second factor, not yet sent; until it is used the old ones count.

    Clerks never ask for it by mail themselves: an admin or the console does (standards C9). Raises AccountLocked.
    """
    return account_link.issue(work, LinkKind.CLERK_FIRST, clerk)


def send_link(work: UnitOfWork, clerk: Clerk, by: Clerk) -> None:
    """Mail a colleague a new first link; raises Oneself, AccountLocked, TooManyMails."""
    if clerk.id == by.id:
        raise Oneself
    account_link.send(work, first_link(work, clerk))


def use_first_link(
    work: UnitOfWork, link: AccountLink, arrived: datetime, password_hash: str, nonce: str, code: str
) -> None:
    """Set the password and, with a code from the app, the second factor; all of it or nothing. Raises WrongCode."""
    password.set_by_link(work, link, arrived, password_hash)
    if link.clerk and (code or work.settings["STAFF_SECOND_FACTOR"] != "offered"):
        second_factor.set_up(work, link.clerk, nonce, code)


def lock(work: UnitOfWork, clerk: Clerk, by: Clerk) -> None:
    """Keep a clerk out at once, with all sessions and links; raises Oneself, LastAdmin."""
    hold_all(work)
    if clerk.id == by.id:
        raise Oneself
    others = select(Clerk.id).where(Clerk.admin, Clerk.locked_at.is_(None), Clerk.id != clerk.id)
    if work.session.scalar(others.limit(1)) is None:
        raise LastAdmin
    clerk.locked_at = clerk.locked_at or work.now
    login.end_sessions(work, clerk)
    account_link.end(work, clerk, LinkState.WITHDRAWN, {LinkKind.CLERK_FIRST})
    work.record("clerk.locked", clerk)


def unlock(work: UnitOfWork, clerk: Clerk, by: Clerk) -> None:
    """Let a clerk in again, with the password and the second factor from before; raises Oneself."""
    if clerk.id == by.id:
        raise Oneself
    clerk.locked_at = None
    work.record("clerk.unlocked", clerk)
