"""Links to an account: issued, opened, checked, redeemed, renewed, ended."""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kmzportal.models.account_link import CODE_TRIES, LIFETIMES, AccountLink, LinkKind, LinkState
from kmzportal.models.clerk import Clerk
from kmzportal.models.customer import Customer
from kmzportal.models.used_puzzle import UsedPuzzle
from kmzportal.services.refusals import AccountLocked, LinkUnusable
from kmzportal.services.tokens import token_hash
from kmzportal.services.transaction import Transaction, insert_once, rows_changed

#: Kinds of which a newer one ends the older ones; of recovery links several may be open.
ONE_AT_A_TIME = {LinkKind.DESK, LinkKind.ADDRESS, LinkKind.CLERK_FIRST}


def issue(
    tx: Transaction,
    kind: LinkKind,
    person: Customer | Clerk,
    email: str | None = None,
    initials: str | None = None,
    renewals: int = 0,
) -> AccountLink:
    """Write a link for this person, to be mailed to `email` or the person's own address; raises AccountLocked."""
    tx.lock(person)
    if person.locked_at and kind is not LinkKind.OBJECTION:
        raise AccountLocked("link.refused", person, kind=kind)
    if kind in ONE_AT_A_TIME:
        end(tx, person, LinkState.REPLACED, {kind})
    nonce, hashed = tx.keys.nonce_and_hash()
    link = AccountLink(
        kind=kind,
        customer=person if isinstance(person, Customer) else None,
        clerk=person if isinstance(person, Clerk) else None,
        email=email or person.email,
        nonce=nonce,
        token_hash=hashed,
        issued_by=tx.actor,
        initials=initials,
        issued_at=tx.now,
        expires_at=tx.now + timedelta(seconds=tx.settings[LIFETIMES[kind]]),
        renewals=renewals,
    )
    tx.session.add(link)
    tx.session.flush()
    tx.record("link.issued", person, kind=kind)
    return link


def send(tx: Transaction, link: AccountLink) -> None:
    """Queue the mail with the link to the link's own address; raises TooManyMails."""
    tx.send(f"{link.kind}_link", link.holder, to=link.email, link=link)


def find(session: Session, token: str) -> AccountLink | None:
    return session.scalar(select(AccountLink).where(AccountLink.token_hash == token_hash(token)))


def mark_opened(tx: Transaction, link: AccountLink) -> None:
    """Note the first POST of its holder; what only GETs may be a scanner."""
    if link.opened_at is None:
        link.opened_at = tx.now
        tx.record("link.opened", link.holder, kind=link.kind)


def use_puzzle(tx: Transaction, puzzle: str, expires_at: datetime) -> bool:
    """Whether this puzzle is answered for the first time."""
    return insert_once(tx.session, UsedPuzzle, {"puzzle": puzzle, "expires_at": expires_at})


def check_code(tx: Transaction, link: AccountLink, typed: str) -> bool:
    """Whether the code is the link's. The try is counted before it is compared, and never a sixth is."""
    tx.lock(link.holder)
    open_tries = update(AccountLink).where(AccountLink.id == link.id, AccountLink.code_tries < CODE_TRIES)
    counted = rows_changed(tx.session, open_tries.values(code_tries=AccountLink.code_tries + 1))
    right = counted == 1 and tx.keys.code_matches(link, typed)
    tx.record("link.code_right" if right else "link.code_wrong", link.holder)
    return right


def redeem(tx: Transaction, link: AccountLink, arrived: datetime, kinds: set[LinkKind]) -> None:
    """End a link of these kinds as used; of several at once one wins, for the others it raises LinkUnusable."""
    tx.lock(link.holder)
    tx.session.refresh(link)
    if link.holder.locked_at and link.kind != LinkKind.OBJECTION:
        raise AccountLocked("link.refused", link.holder, kind=link.kind)
    if link.kind not in kinds or not is_usable(link, arrived):
        raise LinkUnusable("link.refused", link.holder, kind=link.kind)
    still_open = update(AccountLink).where(AccountLink.id == link.id, AccountLink.ended_at.is_(None))
    if not rows_changed(tx.session, still_open.values(ended_at=tx.now, ended_as=LinkState.REDEEMED)):
        raise LinkUnusable("link.refused", link.holder, kind=link.kind)
    tx.session.refresh(link)
    tx.record("link.redeemed", link.holder, kind=link.kind)


def renew(tx: Transaction, link: AccountLink) -> AccountLink:
    """Mail a fresh link of the same kind to the same address, three times at most, and return it; raises LinkUnusable.

    The count is kept on all links it may be asked from: pressing the oldest again gives no further ones.
    """
    tx.lock(link.holder)
    tx.session.refresh(link)
    if not link.renewable(tx.now) or not address_is_current(link):
        raise LinkUnusable("link.refused", link.holder, kind=link.kind)
    renewals = link.renewals + 1
    family = AccountLink.customer_id == link.customer_id, AccountLink.kind == link.kind, AccountLink.email == link.email
    tx.session.execute(update(AccountLink).where(*family, AccountLink.renewals < renewals).values(renewals=renewals))
    fresh = issue(tx, LinkKind(link.kind), link.holder, link.email, link.initials, renewals)
    send(tx, fresh)
    return fresh


def is_usable(link: AccountLink, arrived: datetime) -> bool:
    """Whether it opens its holder's account for someone who arrived then, also as things are now."""
    return link.usable(arrived) and address_is_current(link)


def address_is_current(link: AccountLink) -> bool:
    """Whether the address the link went to is still one of its holder's; an objection comes from one that is not."""
    holder = link.holder
    theirs = (holder.email, getattr(holder, "pending_email", None))
    return link.kind == LinkKind.OBJECTION or link.email in theirs


def end(
    tx: Transaction, person: Customer | Clerk, as_: LinkState, kinds: set[LinkKind], email: str | None = None
) -> int:
    """End the open links of these kinds, or only those that went to `email`, and return how many there were."""
    owner = AccountLink.clerk_id if isinstance(person, Clerk) else AccountLink.customer_id
    still_open = update(AccountLink).where(owner == person.id, AccountLink.ended_at.is_(None))
    still_open = still_open.where(AccountLink.kind.in_(kinds))
    if email:
        still_open = still_open.where(AccountLink.email == email)
    return rows_changed(tx.session, still_open.values(ended_at=tx.now, ended_as=as_))
