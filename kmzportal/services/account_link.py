"""Links to an account: issued, opened, checked, redeemed, renewed, ended."""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kmzportal.domain.account_link import (
    CODE_TRIES,
    LIFETIMES,
    AccountLink,
    LinkKind,
    LinkState,
    token_hash,
)
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.domain.refusals import AccountLocked, LinkUnusable
from kmzportal.domain.used_puzzle import UsedPuzzle
from kmzportal.services.upsert import changed, insert_once
from kmzportal.services.work import UnitOfWork

#: Kinds of which a newer one ends the older ones; of recovery links several may be open.
ONE_AT_A_TIME = {LinkKind.DESK, LinkKind.ADDRESS, LinkKind.CLERK_FIRST}


def issue(
    work: UnitOfWork,
    kind: LinkKind,
    person: Customer | Clerk,
    email: str | None = None,
    initials: str | None = None,
    renewals: int = 0,
) -> AccountLink:
    """Write a link for this person, to be mailed to `email` or the person's own address; raises AccountLocked."""
    work.lock(person)
    if person.locked_at and kind is not LinkKind.OBJECTION:
        raise AccountLocked("link.refused", person, kind=kind)
    if kind in ONE_AT_A_TIME:
        end(work, person, LinkState.REPLACED, {kind})
    nonce, hashed = work.keys.nonce_and_hash()
    link = AccountLink(
        kind=kind,
        customer=person if isinstance(person, Customer) else None,
        clerk=person if isinstance(person, Clerk) else None,
        email=email or person.email,
        nonce=nonce,
        token_hash=hashed,
        issued_by=work.actor,
        initials=initials,
        issued_at=work.now,
        expires_at=work.now + timedelta(seconds=work.settings[LIFETIMES[kind]]),
        renewals=renewals,
    )
    work.session.add(link)
    work.session.flush()
    work.record("link.issued", person, kind=kind)
    return link


def send(work: UnitOfWork, link: AccountLink) -> None:
    """Queue the mail with the link to the link's own address; raises TooManyMails."""
    work.send(f"{link.kind}_link", link.holder, to=link.email, link=link)


def find(session: Session, token: str) -> AccountLink | None:
    return session.scalar(select(AccountLink).where(AccountLink.token_hash == token_hash(token)))


def open_link(work: UnitOfWork, link: AccountLink) -> None:
    """Note the first POST of its holder; what only GETs may be a scanner."""
    if link.opened_at is None:
        link.opened_at = work.now
        work.record("link.opened", link.holder, kind=link.kind)


def use_puzzle(work: UnitOfWork, puzzle: str, expires_at: datetime) -> bool:
    """Whether this puzzle is answered for the first time."""
    return insert_once(work.session, UsedPuzzle, {"puzzle": puzzle, "expires_at": expires_at})


def check_code(work: UnitOfWork, link: AccountLink, typed: str) -> bool:
    """Whether the code is the link's. The try is counted before it is compared, and never a sixth is."""
    work.lock(link.holder)
    open_tries = update(AccountLink).where(AccountLink.id == link.id, AccountLink.code_tries < CODE_TRIES)
    counted = changed(work.session, open_tries.values(code_tries=AccountLink.code_tries + 1))
    right = counted == 1 and work.keys.opens(link, typed)
    work.record("link.code_right" if right else "link.code_wrong", link.holder)
    return right


def redeem(work: UnitOfWork, link: AccountLink, arrived: datetime, kinds: set[LinkKind]) -> None:
    """End a link of these kinds as used; of several at once one wins, for the others it raises LinkUnusable."""
    work.lock(link.holder)
    work.session.refresh(link)
    if link.holder.locked_at and link.kind != LinkKind.OBJECTION:
        raise AccountLocked("link.refused", link.holder, kind=link.kind)
    if link.kind not in kinds or not still_opens(link, arrived):
        raise LinkUnusable("link.refused", link.holder, kind=link.kind)
    still_open = update(AccountLink).where(AccountLink.id == link.id, AccountLink.ended_at.is_(None))
    if not changed(work.session, still_open.values(ended_at=work.now, ended_as=LinkState.REDEEMED)):
        raise LinkUnusable("link.refused", link.holder, kind=link.kind)
    work.session.refresh(link)
    work.record("link.redeemed", link.holder, kind=link.kind)


def renew(work: UnitOfWork, link: AccountLink) -> AccountLink:
    """Mail a fresh link of the same kind to the same address, three times at most, and return it; raises LinkUnusable.

    The count is kept on all links it may be asked from: pressing the oldest again gives no further ones.
    """
    work.lock(link.holder)
    work.session.refresh(link)
    if not link.renewable(work.now) or not still_theirs(link):
        raise LinkUnusable("link.refused", link.holder, kind=link.kind)
    renewals = link.renewals + 1
    family = AccountLink.customer_id == link.customer_id, AccountLink.kind == link.kind, AccountLink.email == link.email
    work.session.execute(update(AccountLink).where(*family, AccountLink.renewals < renewals).values(renewals=renewals))
    fresh = issue(work, LinkKind(link.kind), link.holder, link.email, link.initials, renewals)
    send(work, fresh)
    return fresh


def still_opens(link: AccountLink, arrived: datetime) -> bool:
    """Whether it opens its holder's account for someone who arrived then, also as things are now."""
    return link.usable(arrived) and still_theirs(link)


def still_theirs(link: AccountLink) -> bool:
    """Whether the address the link went to is still one of its holder's; an objection comes from one that is not."""
    holder = link.holder
    theirs = (holder.email, getattr(holder, "pending_email", None))
    return link.kind == LinkKind.OBJECTION or link.email in theirs


def end(
    work: UnitOfWork, person: Customer | Clerk, as_: LinkState, kinds: set[LinkKind], email: str | None = None
) -> int:
    """End the open links of these kinds, or only those that went to `email`, and return how many there were."""
    owner = AccountLink.clerk_id if isinstance(person, Clerk) else AccountLink.customer_id
    still_open = update(AccountLink).where(owner == person.id, AccountLink.ended_at.is_(None))
    still_open = still_open.where(AccountLink.kind.in_(kinds))
    if email:
        still_open = still_open.where(AccountLink.email == email)
    return changed(work.session, still_open.values(ended_at=work.now, ended_as=as_))
