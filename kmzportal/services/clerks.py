"""Administration of clerks, by an admin or the console: add, change, send the first link, lock, unlock, let leave."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from kmzportal import mail_address
from kmzportal.models import AccountLink, Clerk, LinkKind, LinkVisit
from kmzportal.services import accounts, links, passkeys, second_factor
from kmzportal.services.passkeys import Answer
from kmzportal.services.refusals import ChangedMeanwhile, LinkUnusable, Refusal
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.transaction import Transaction


class ClerkExists(Refusal):
    """Another clerk has this mail address or these initials."""

    message = "Es gibt schon jemanden mit dieser Adresse oder diesem Kürzel."


class OwnAccess(Refusal):
    """Admins cannot change their own access."""

    message = "Über Ihren eigenen Zugang muss jemand anderes entscheiden."


class HasLeft(Refusal):
    """Who left comes back with a new first link, not with the password of before."""

    message = "Diese Person ist ausgeschieden. Holen Sie sie mit einem neuen ersten Link zurück."


class LastAdmin(Refusal):
    """The only unlocked admin can neither be locked nor leave nor lose the right."""

    message = "Mindestens eine Person muss Mitarbeitende verwalten können."


def all_clerks(session: Session) -> Sequence[Clerk]:
    return session.scalars(select(Clerk).options(selectinload(Clerk.passkeys)).order_by(Clerk.name, Clerk.id)).all()


def find(session: Session, address: str) -> Clerk | None:
    return session.scalar(select(Clerk).where(Clerk.email_canonical == mail_address.canonical(address)))


def lock_all(tx: Transaction) -> None:
    """Lock all clerks in the order of their ids, so that two admins who lock each other cannot deadlock."""
    rows = select(Clerk).order_by(Clerk.id).with_for_update(key_share=True)
    tx.session.scalars(rows.execution_options(populate_existing=True)).all()


INITIALS = "[A-Za-zÄÖÜäöüß]{2,4}"


def add(tx: Transaction, email: str, name: str, initials: str, admin: bool = False) -> AccountLink:
    """Add a clerk without a password and return the first link, not yet mailed; raises ClerkExists.

    All admins are notified, so that a stolen admin session cannot add a clerk unnoticed. They also are about one who
    comes back or becomes an admin.
    """
    others = all_clerks(tx.session)
    if _taken(others, initials) or find(tx.session, email):
        raise ClerkExists("clerk.refused", initials=initials)
    clerk = Clerk(name=name, initials=initials, admin=admin, created_at=tx.now)
    clerk.set_email(email)
    tx.session.add(clerk)
    tx.session.flush()
    tx.record("clerk.added", clerk, admin=admin)
    _notify_admins(tx, clerk)
    return first_link(tx, clerk)


def _notify_admins(tx: Transaction, clerk: Clerk, **facts: str) -> None:
    for other in all_clerks(tx.session):
        if other.admin and not other.locked_at and other.id != clerk.id:
            tx.warn("clerk_added", other, initials=clerk.initials, **facts)


def _notify_of_loss(tx: Transaction, clerk: Clerk, act: str) -> None:
    """Mail the clerk and all admins before the act, so that an admin's stolen session shuts no admin out unnoticed.

    _notify_admins, after the act, mails only the admins who are left.
    """
    for other in all_clerks(tx.session):
        if not other.locked_at and (other.admin or other.id == clerk.id):
            tx.warn("clerk_limited", other, initials=clerk.initials, act=act)


def _taken(others: Iterable[Clerk], initials: str) -> bool:
    """Return whether one of them has these initials; those who left keep theirs, as the history names them."""
    return initials.casefold() in {other.initials.casefold() for other in others}  # SQLite's lower() folds no umlauts


def change(tx: Transaction, clerk: Clerk, by: Clerk, name: str, initials: str, admin: bool) -> None:
    """Change name, initials and right of a colleague; raises OwnAccess, HasLeft, ClerkExists, LastAdmin."""
    _refuse_own(clerk, by)
    if clerk.left_at:
        raise HasLeft
    if _taken((other for other in all_clerks(tx.session) if other.id != clerk.id), initials):
        raise ClerkExists("clerk.refused", clerk, initials=initials)
    if clerk.admin and not admin:
        _keep_an_admin(tx, clerk)
        _notify_of_loss(tx, clerk, "demoted")
    changed = {"name": name, "initials": initials, "admin": admin}
    fields = [field for field, value in changed.items() if value != getattr(clerk, field)]
    clerk.name, clerk.initials, clerk.admin = name, initials, admin
    if fields:
        tx.record("clerk.changed", clerk, fields=fields, admin=admin)
    if admin and "admin" in fields:
        _notify_admins(tx, clerk, act="promoted")


def _refuse_own(clerk: Clerk, by: Clerk) -> None:
    if clerk.id == by.id:
        raise OwnAccess


def _keep_an_admin(tx: Transaction, clerk: Clerk) -> None:
    """Raise LastAdmin if no other admin can log in."""
    others = select(Clerk.id).where(Clerk.admin, Clerk.locked_at.is_(None), Clerk.id != clerk.id)
    if tx.session.scalar(others.limit(1)) is None:
        raise LastAdmin


def first_link(tx: Transaction, clerk: Clerk) -> AccountLink:
    """Return a link to set password and second factor, not yet mailed; until it is used the old ones stay valid.

    Only an admin or the console issues it, never a request by mail: access to the mailbox alone must not be enough
    (OWASP ASVS 6.4.6). Raises AccountLocked.
    """
    return links.issue(tx, LinkKind.CLERK_FIRST, clerk)


def send_link(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Mail a colleague a new first link; raises OwnAccess, AccountLocked, TooManyMails."""
    _refuse_own(clerk, by)
    links.send(tx, first_link(tx, clerk))


def use_first_link(
    tx: Transaction, link: AccountLink, visit: LinkVisit, code: str, passkey: Answer | None = None, name: str = ""
) -> tuple[list[str], int]:
    """Set the password that waits in the visit and the second factor, an app or a passkey with a name; both or neither.

    Returns the recovery codes, which only an app has, and how many sessions ended. Earlier passkeys end, with a passkey
    also an earlier app. Raises WrongCode, PasskeyRefused, LinkUnusable.
    """
    if link.clerk is None or visit.password_hash is None or visit.factor_nonce is None:
        raise LinkUnusable
    ended = accounts.set_password_by_link(tx, link, visit.started_at, visit.password_hash)
    visit.password_hash = None
    if passkey:
        link.clerk.factor_nonce = link.clerk.recovery_nonce = None
        passkeys.add(tx, link.clerk, passkey, f"link:{link.id}", name)
        return [], ended
    if not code and tx.settings["STAFF_SECOND_FACTOR"] == "offered":
        return [], ended
    second_factor.set_up(tx, link.clerk, visit.factor_nonce, code)
    return SecondFactor(tx.factor_keys, visit.factor_nonce).recovery_codes, ended


def lock(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Lock a clerk and end all sessions and links; the clerk and all admins are mailed. Raises OwnAccess, LastAdmin."""
    lock_all(tx)
    _refuse_own(clerk, by)
    _keep_an_admin(tx, clerk)
    if not clerk.locked_at:
        _notify_of_loss(tx, clerk, "locked")
    accounts.lock(tx, clerk)
    tx.record("clerk.locked", clerk)


def unlock(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Unlock a clerk, who needs a new first link; raises OwnAccess, HasLeft, or ChangedMeanwhile when not locked.

    An intruder may know the password and have the app. The lock itself does not end them, as it needs no second factor.
    """
    _refuse_own(clerk, by)
    if clerk.left_at:
        raise HasLeft
    if not clerk.locked_at:
        raise ChangedMeanwhile
    _end_password_and_app(clerk)
    clerk.locked_at = None
    tx.record("clerk.unlocked", clerk)


def leave(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """End the access of a clerk who leaves the office, for good; raises OwnAccess, LastAdmin.

    The row stays, as history and audit name it. Password, second factor, sessions, devices and links end.
    """
    lock_all(tx)
    _refuse_own(clerk, by)
    _keep_an_admin(tx, clerk)
    if not clerk.left_at:
        _notify_of_loss(tx, clerk, "left")
        end_access(tx, clerk, tx.now)


def end_access(tx: Transaction, clerk: Clerk, left_at: datetime) -> None:
    accounts.lock(tx, clerk)
    clerk.left_at, clerk.admin = left_at, False
    _end_password_and_app(clerk)
    tx.record("clerk.left", clerk)


def _end_password_and_app(clerk: Clerk) -> None:
    clerk.password_hash = clerk.factor_nonce = clerk.recovery_nonce = None
    clerk.recovery_codes_used = []


def bring_back(tx: Transaction, clerk: Clerk, by: Clerk) -> None:
    """Mail a first link to a clerk who had left; raises OwnAccess, TooManyMails. The right to manage is not back."""
    _refuse_own(clerk, by)
    if clerk.left_at:
        clerk.left_at = clerk.locked_at = None
        tx.record("clerk.returned", clerk)
        _notify_admins(tx, clerk, act="returned")
    links.send(tx, first_link(tx, clerk))
