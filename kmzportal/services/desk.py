"""The desk: what clerks do for customers."""

from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.services import account_link
from kmzportal.services.work import UnitOfWork


def send_link(work: UnitOfWork, customer: Customer, clerk: Clerk) -> AccountLink:
    """Mail the link to the account to the stored address; an older one dies. Raises AccountLocked, TooManyMails."""
    link = account_link.issue(work, LinkKind.DESK, customer, initials=clerk.initials)
    account_link.send(work, link)
    work.record("link.sent", customer, by=clerk.initials)
    return link
