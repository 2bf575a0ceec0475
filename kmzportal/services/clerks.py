"""Clerks: how somebody comes to work at the desk."""

from sqlalchemy import func, or_, select

from kmzportal.domain import mail_address
from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.refusals import Refusal
from kmzportal.services import account_link
from kmzportal.services.work import UnitOfWork


class ClerkExists(Refusal):
    """A clerk has this mail address or these initials already."""


def add(work: UnitOfWork, email: str, name: str, initials: str, admin: bool = False) -> AccountLink:
    """Write a clerk without a password and return the first link, not yet sent; raises ClerkExists."""
    same = or_(
        Clerk.email_canonical == mail_address.canonical(email),
        func.lower(Clerk.initials) == initials.lower(),
    )
    if work.session.scalar(select(Clerk).where(same)):
        raise ClerkExists("clerk.refused", initials=initials)
    clerk = Clerk(name=name, initials=initials, admin=admin, created_at=work.now)
    clerk.move_to(email)
    work.session.add(clerk)
    work.session.flush()
    work.record("clerk.added", clerk, admin=admin)
    return account_link.issue(work, LinkKind.CLERK_FIRST, clerk)
