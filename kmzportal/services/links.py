"""The life of links to an account: issue, mail, open, check, redeem, renew, end. The rules of each kind: POLICIES."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import (
    CODE_TRIES,
    POLICIES,
    AccountLink,
    Clerk,
    Customer,
    LinkKind,
    LinkState,
    LinkVisit,
    MailState,
    OutgoingMail,
    Throttle,
    UsedPuzzle,
)
from kmzportal.plain_text import canonical_number
from kmzportal.services import guesses, sessions
from kmzportal.services.refusals import AccountLocked, LinkUnusable
from kmzportal.services.tokens import LinkKeys, codes_match, is_code, normalize_code, token_hash
from kmzportal.services.transaction import Transaction, insert_once, rows_changed, upsert

RENEWAL_PAUSE = timedelta(minutes=1)
ID_BITS = 59  # 18 digits at most
#: Of Kundennummern that are tried with one code of a Zugangsbrief: so many without a wait, and the longest in seconds.
FREE_WITH_CODE, LONGEST_WITH_CODE = 2, 24 * 3600
_NEWEST_FIRST = AccountLink.issued_at.desc(), AccountLink.ended_at.is_not(None)  # ids are random


def issue(
    tx: Transaction,
    kind: LinkKind,
    person: Customer | Clerk,
    email: str | None = None,
    initials: str | None = None,
    renewals: int = 0,
) -> AccountLink:
    """Return a new link for `email` or the person's own address, not yet mailed; raises AccountLocked."""
    policy = POLICIES[kind]
    tx.lock(person)
    if person.locked_at and not policy.works_when_locked:
        raise AccountLocked("link.refused", person, kind=kind)
    if policy.one_at_a_time:
        end(tx, person, LinkState.REPLACED, {kind})
    nonce, hashed = tx.keys.nonce_and_hash()
    link = AccountLink(
        id=new_id(),
        kind=kind,
        customer=person if isinstance(person, Customer) else None,
        clerk=person if isinstance(person, Clerk) else None,
        email=email or person.email,
        nonce=nonce,
        token_hash=hashed,
        issued_by=tx.actor,
        initials=initials,
        issued_at=tx.now,
        expires_at=tx.now + lifetime(tx, kind),
        renewals=renewals,
    )
    tx.session.add(link)
    tx.session.flush()
    tx.record("link.issued", person, kind=kind)
    return link


def new_id() -> int:
    """Return a random id.

    It is in the URLs of the link's pages. A number that counts, or is the time, would tell who asks for two of his own
    whether one was issued for another account in between, and so whether an address has an account.
    """
    return secrets.randbits(ID_BITS)


def lifetime(tx: Transaction, kind: str) -> timedelta:
    return timedelta(seconds=tx.settings[POLICIES[LinkKind(kind)].lifetime])


def send(tx: Transaction, link: AccountLink, always: bool = False) -> None:
    """Queue the mail with the link to the link's own address; raises TooManyMails, but not with `always`.

    For a link that confirms an address the worker looks at the limit: how full a mailbox is tells whether it is known.
    """
    always = always or link.policy.confirms_address
    tx.send(f"{link.kind}_link", link.holder, to=link.email, link=link, always=always)


def end_all(tx: Transaction, reason: str) -> None:
    """End the links of all people, but not those to object, and cancel the mails that wait with them.

    `reason`: in German, for the desk. Replaced ones end as well, or their holders could renew them.
    """
    theirs = AccountLink.kind != LinkKind.OBJECTION
    still_open = update(AccountLink).where(AccountLink.ended_at.is_(None), theirs)
    tx.session.execute(still_open.values(ended_at=tx.now, ended_as=LinkState.WITHDRAWN))
    replaced = update(AccountLink).where(AccountLink.ended_as == LinkState.REPLACED, theirs)
    tx.session.execute(replaced.values(ended_as=LinkState.WITHDRAWN))
    ended = select(AccountLink.id).where(AccountLink.ended_at == tx.now)
    mails = update(OutgoingMail).where(
        OutgoingMail.state.in_((MailState.QUEUED, MailState.DEFERRED)), OutgoingMail.link_id.in_(ended)
    )
    cancelled = {"state": MailState.CANCELLED, "settled_at": tx.now, "leased_until": None, "outage_since": None}
    tx.session.execute(mails.values(cancelled | {"reason": reason}))


def find(session: Session, keys: LinkKeys, token: str) -> AccountLink | None:
    """Return the link with this token, ended or not; None for one whose key was removed, as that may be stolen.

    But one to object still counts: it takes nothing, and its owner may need it.
    """
    link = session.scalar(select(AccountLink).where(AccountLink.token_hash == token_hash(token)))
    return link if link and (link.policy.in_notice or keys.made(link)) else None


def mark_opened(tx: Transaction, link: AccountLink) -> None:
    """Store the time of the first POST; GET requests may come from a mail scanner."""
    if link.opened_at is None:
        tx.lock(link.holder)
        link.opened_at = tx.now
        tx.record("link.opened", link.holder, kind=link.kind)


def use_puzzle(tx: Transaction, puzzle: str, expires_at: datetime) -> bool:
    """Mark a puzzle as used and return whether it was unused."""
    return insert_once(tx.session, UsedPuzzle, {"puzzle": puzzle, "expires_at": expires_at})


def check_code(tx: Transaction, link: AccountLink, typed: str) -> bool:
    """Return whether the code is the link's. A try is counted before it is compared; a sixth is not compared.

    A right code costs no try, and neither does a text that is no code.
    """
    tx.lock(link.holder)
    tries = update(AccountLink).where(AccountLink.id == link.id)
    left = tries.where(AccountLink.code_tries < CODE_TRIES).values(code_tries=AccountLink.code_tries + 1)
    if not is_code(typed) or not rows_changed(tx.session, left):
        return False
    right = tx.keys.code_matches(link, typed)
    if right:
        tx.session.execute(tries.values(code_tries=AccountLink.code_tries - 1))
    tx.record("link.code_right" if right else "link.code_wrong", link.holder)
    return right


def newest(session: Session, customer: Customer | None, kind: LinkKind) -> AccountLink | None:
    """Return the customer's link of this kind that was issued last, ended or not; None also without a customer."""
    mine = AccountLink.customer_id == (customer.id if customer else 0), AccountLink.kind == kind
    return session.scalars(select(AccountLink).where(*mine).order_by(*_NEWEST_FIRST).limit(1)).first()


def address_owner(session: Session, email: str, now: datetime, other_than: Customer | None = None) -> Customer | None:
    """Return the customer, `other_than` one, with this address, also pending while a link of the desk to it is open.

    Any customer may enter any address as a new one, so that alone does not keep it from its owner.
    """
    canonical = mail_address.canonical(email)
    is_open = (
        AccountLink.kind == LinkKind.DESK,
        AccountLink.email == Customer.pending_email,
        AccountLink.ended_at.is_(None),
        AccountLink.expires_at > now,
    )
    pending = select(AccountLink.id).where(AccountLink.customer_id == Customer.id, *is_open).exists()
    has_it = or_(Customer.email_canonical == canonical, and_(Customer.pending_email_canonical == canonical, pending))
    return session.scalars(select(Customer).where(has_it, Customer.id != (other_than.id if other_than else 0))).first()


def find_letter(tx: Transaction, number: str, typed: str) -> AccountLink | None:
    """Return the newest Zugangsbrief of this Kundennummer, ended or not, if the code is its own; else None.

    Unknown number, no letter, wrong code and throttled differ only in what is recorded (OWASP ASVS 6.3.8). Failures are
    counted by number and source, so strangers elsewhere cannot keep the holder out; 60 bits withstand many sources.
    They are counted by typed code as well, existing or not, with longer waits: whoever finds a letter tries some thirty
    Kundennummern in its 14 days. The row of a code exists before it is read, so that many at once do not try more.
    Anyone could fill the audit trail: it is recorded once an hour for a customer, never for an unknown number.
    """
    customer = tx.session.scalar(Customer.with_number(number))
    nonce, hashed = tx.keys.nonce_and_hash()
    letter, nobodys = newest(tx.session, customer, LinkKind.LETTER), AccountLink(nonce=nonce, token_hash=hashed)
    letter = letter if letter and tx.keys.made(letter) else None
    of_number = tx.keys.fingerprint(f"letter:{canonical_number(number)}")
    key = f"{sessions.OF_LETTERS}{of_number}@{tx.keys.fingerprint(str(tx.source))}"
    code_key = f"{sessions.OF_LETTERS}{tx.keys.fingerprint(f'letter-code:{normalize_code(typed)}')}"
    first_try = {"account": code_key, "failures": 0, "failed_at": tx.now}
    upsert(tx.session, Throttle, first_try, {"failures": Throttle.failures})
    waits = {"free": FREE_WITH_CODE, "longest": LONGEST_WITH_CODE}
    if sessions.is_throttled(tx, code_key, disables=False, **waits) or sessions.is_throttled(tx, key, disables=False):
        guesses.count(tx)
        return None
    right = codes_match(typed, tx.keys.letter_code(letter or nobodys))
    if letter is None or not right:
        sessions.count_try(tx, key)
        sessions.count_try(tx, code_key)
        guesses.count(tx)
        first = tx.count(f"letter:{customer.id if customer else ''}", tx.hour) == 1
        if customer and first:
            tx.record("letter.refused", customer)
        return None
    sessions.clear_throttle(tx, key)
    sessions.clear_throttle(tx, code_key)
    mark_opened(tx, letter)
    return letter


def redeem(tx: Transaction, link: AccountLink, arrived: datetime, kinds: set[LinkKind]) -> None:
    """End a link of these kinds, and all visits to it, as used.

    Raises LinkUnusable, for all but one of several at once, or AccountLocked.
    """
    tx.lock(link.holder)
    tx.session.refresh(link)
    if link.holder.locked_at and not link.policy.works_when_locked:
        raise AccountLocked("link.refused", link.holder, kind=link.kind)
    if LinkKind(link.kind) not in kinds or not link.usable(arrived):
        raise LinkUnusable("link.refused", link.holder, kind=link.kind)
    link.ended_at, link.ended_as = tx.now, LinkState.REDEEMED
    visits = update(LinkVisit).where(LinkVisit.link_id == link.id, LinkVisit.ended_at.is_(None))
    tx.session.execute(visits.values(ended_at=tx.now))
    tx.record("link.redeemed", link.holder, kind=link.kind)


def renew(tx: Transaction, link: AccountLink) -> AccountLink:
    """Mail a fresh link of the same kind to the same address and return it; raises LinkUnusable, TooManyMails.

    The count of renewals is kept on all links of the chain, so pressing the oldest again gives no further ones. The
    one requested less than RENEWAL_PAUSE ago is returned instead: a double click sends one.
    """
    tx.lock(link.holder)
    tx.session.refresh(link)
    if not link.renewable(tx.now) or _entered_again(tx, link):
        raise LinkUnusable("link.refused", link.holder, kind=link.kind)
    before = renewed(tx.session, link, tx.now)
    if before and tx.now < before.issued_at + RENEWAL_PAUSE:
        return before
    renewals = link.renewals + 1
    older = update(AccountLink).where(*_same_chain(link), AccountLink.renewals < renewals)
    tx.session.execute(older.values(renewals=renewals))
    fresh = issue(tx, LinkKind(link.kind), link.holder, link.email, link.initials, renewals)
    send(tx, fresh)
    return fresh


def entered_by(session: Session, customer: Customer) -> str | None:
    """Return the kind of the newest link to the pending address: DESK if the desk entered it, ADDRESS if the customer.

    The newest, as the desk may have sent one there long ago, before the customer enters the address again.
    """
    to_it = select(AccountLink.kind).where(
        AccountLink.customer_id == customer.id,
        AccountLink.kind.in_((LinkKind.DESK, LinkKind.ADDRESS)),
        AccountLink.email == customer.pending_email,
    )
    return session.scalar(to_it.order_by(AccountLink.issued_at.desc()).limit(1))


def _entered_again(tx: Transaction, link: AccountLink) -> bool:
    """Return whether the link went to an earlier address that is only pending now, entered in another way."""
    customer = link.customer
    if customer is None or link.email == customer.email or link.email != customer.pending_email:
        return False
    return entered_by(tx.session, customer) not in (None, link.kind)


def renewed(session: Session, link: AccountLink, now: datetime) -> AccountLink | None:
    """Return the open link that its holder requested in place of this one; None after the desk sent another."""
    newer = session.scalars(select(AccountLink).where(*_same_chain(link)).order_by(*_NEWEST_FIRST).limit(1)).one()
    requested = newer.id != link.id and newer.renewals and newer.state(now) is LinkState.OPEN
    return newer if requested else None


def _same_chain(link: AccountLink) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for the customer's links of this kind to this address."""
    same = AccountLink.customer_id == link.customer_id
    return same, AccountLink.kind == link.kind, AccountLink.email == link.email


def end(
    tx: Transaction,
    person: Customer | Clerk,
    state: LinkState,
    kinds: Iterable[LinkKind],
    email: str | None = None,
    *conditions: ColumnElement[bool],
) -> int:
    """End the open links of these kinds, or only those mailed to `email`; return how many there were.

    What is withdrawn stays so: a link that was replaced before is withdrawn as well, or its holder could renew it.
    """
    owner = AccountLink.clerk_id if isinstance(person, Clerk) else AccountLink.customer_id
    theirs = update(AccountLink).where(owner == person.id, AccountLink.kind.in_(kinds), *conditions)
    if email:
        theirs = theirs.where(AccountLink.email == email)
    if state is LinkState.WITHDRAWN:
        tx.session.execute(theirs.where(AccountLink.ended_as == LinkState.REPLACED).values(ended_as=state))
    return rows_changed(
        tx.session, theirs.where(AccountLink.ended_at.is_(None)).values(ended_at=tx.now, ended_as=state)
    )
