"""A new password: judged before it is hashed, taken with all that a new password brings with it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.passwords import refuse_weak
from kmzportal.services import account_link, address, login
from kmzportal.services.work import UnitOfWork

SETS_A_PASSWORD = {LinkKind.RECOVERY, LinkKind.DESK, LinkKind.CLERK_FIRST}
REPLACED_BY_A_PASSWORD = {LinkKind.RECOVERY, LinkKind.CLERK_FIRST}


def judge(password: str, person: Customer | Clerk, settings: Mapping[str, Any]) -> None:
    """Raise WeakPassword if this person should not have this password."""
    office = [settings["OFFICE_NAME"], settings["OFFICE_TOWN"], "kmzportal", "medienzentrum", "edupool"]
    refuse_weak(password, minimum(person, settings), person.known_words + office)


def minimum(person: Customer | Clerk, settings: Mapping[str, Any]) -> int:
    """Return the shortest length in characters."""
    return int(settings["STAFF_PASSWORD_MINIMUM" if isinstance(person, Clerk) else "PASSWORD_MINIMUM"])


def take(work: UnitOfWork, person: Customer | Clerk, password_hash: str, here: LoginSession | None = None) -> None:
    """Set the hash; end all other sessions and the links that a password ends, and forget failed tries."""
    person.take_password(password_hash, work.now)
    login.forgive(work, person)
    login.end_sessions(work, person, but=here)
    account_link.end(work, person, LinkState.REPLACED, REPLACED_BY_A_PASSWORD)
    address.end_unconfirmed(work, person)


def set_by_link(work: UnitOfWork, link: AccountLink, arrived: datetime, password_hash: str) -> None:
    """Give the holder of a link a password, once; raises LinkUnusable or AccountLocked."""
    account_link.redeem(work, link, arrived, SETS_A_PASSWORD)
    take(work, link.holder, password_hash)
    work.record("password.set", link.holder, kind=link.kind)
    work.warn("clerk_password_set" if link.clerk else "password_set", link.holder)
