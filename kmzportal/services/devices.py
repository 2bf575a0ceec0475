"""Known devices: browsers with an earlier login. Failures elsewhere do not keep them out.

The device cookie of OWASP (Slow Down Online Guessing Attacks with Device Cookies), with rows instead of a signature, so
that it can be ended. It opens nothing: it only decides by which failures a login is throttled.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from kmzportal.models import Clerk, Customer, KnownDevice
from kmzportal.services.tokens import token_hash
from kmzportal.services.transaction import Transaction, rows_changed

KEPT = timedelta(days=400)  # after the last login; browsers keep no cookie for longer (RFC 6265bis, 5.5)
MAX_ACCOUNTS = 5  # in one browser
MAX_DEVICES = 100  # of one account
MAX_FAILURES = 5  # wrong passwords in a row


def account_of(session: Session, token: str, now: datetime) -> str | None:
    """Return the account, such as `customer:12`, that logged in last with the browser of this token, within KEPT.

    Limits count by it and not by the token: whoever has an account can make any number of devices.
    """
    rows = select(KnownDevice).where(*_of_browser(token, now)).order_by(KnownDevice.last_used.desc())
    known = session.scalar(rows.limit(1))
    if known is None:
        return None
    return f"clerk:{known.clerk_id}" if known.clerk_id else f"customer:{known.customer_id}"


def find(tx: Transaction, person: Customer | Clerk | None) -> KnownDevice | None:
    """Return this browser's row for the account, or None. Unknown accounts cost the same query."""
    return find_by_id(tx, Clerk if isinstance(person, Clerk) else Customer, person.id if person else 0)


def find_by_id(tx: Transaction, table: type[Customer] | type[Clerk], person_id: int) -> KnownDevice | None:
    owner = KnownDevice.clerk_id if table is Clerk else KnownDevice.customer_id
    mine = owner == person_id, *_of_browser(tx.device_token, tx.now)
    return tx.session.scalar(select(KnownDevice).where(*mine))


def all_of(session: Session, person: Customer | Clerk) -> Sequence[KnownDevice]:
    """Return the known devices of the account, the one used last first."""
    theirs = select(KnownDevice).where(_owner(person) == person.id)
    return session.scalars(theirs.order_by(KnownDevice.last_used.desc(), KnownDevice.id.desc())).all()


def remember(tx: Transaction, person: Customer | Clerk, device: str) -> str:
    """Store that the account logged in, or set its password by a link, with this browser; return the cookie's token.

    It is a new one if the account is new to the browser, since others may know the one before. The browser's other
    accounts move along, except those with the oldest logins beyond MAX_ACCOUNTS.
    """
    if known := find(tx, person):
        known.last_used, known.failures, known.device = tx.now, 0, device
        return tx.device_token
    token = secrets.token_urlsafe(32)
    mine = KnownDevice.token_hash == token_hash(token)
    tx.session.execute(
        update(KnownDevice).where(*_of_browser(tx.device_token, tx.now)).values(token_hash=token_hash(token))
    )
    latest = select(KnownDevice.id).where(mine).order_by(KnownDevice.last_used.desc()).limit(MAX_ACCOUNTS - 1)
    tx.session.execute(delete(KnownDevice).where(mine, KnownDevice.id.not_in(latest)))
    # First those in use for longer than a day: a hundred logins in a minute must not make the owner's device unknown.
    in_use = and_(KnownDevice.created_at < tx.now - timedelta(days=1), KnownDevice.last_used > KnownDevice.created_at)
    theirs = select(KnownDevice.id).where(_owner(person) == person.id)
    beyond = theirs.order_by(in_use.desc(), KnownDevice.last_used.desc()).offset(MAX_DEVICES - 1)
    tx.session.execute(delete(KnownDevice).where(KnownDevice.id.in_(beyond)))
    tx.session.add(
        KnownDevice(
            token_hash=token_hash(token),
            customer_id=person.id if isinstance(person, Customer) else None,
            clerk_id=person.id if isinstance(person, Clerk) else None,
            created_at=tx.now,
            last_used=tx.now,
            device=device,
        )
    )
    return token


def count_failure(tx: Transaction, known: KnownDevice, person: Customer | Clerk) -> None:
    """Count a wrong password; the last of MAX_FAILURES ends the device."""
    known.failures += 1
    if known.failures >= MAX_FAILURES:
        tx.session.delete(known)
        tx.record("device.ended", person, device=known.device)


def end(tx: Transaction, person: Customer | Clerk, device_id: int) -> bool:
    """End one known device of the account; return whether there was one."""
    mine = delete(KnownDevice).where(_owner(person) == person.id, KnownDevice.id == device_id)
    if not rows_changed(tx.session, mine):
        return False
    tx.record("device.forgotten", person)
    return True


def end_all(tx: Transaction, person: Customer | Clerk, keep_this: bool = False) -> int:
    """End all known devices of the account, or all but this browser; return how many there were."""
    theirs = delete(KnownDevice).where(_owner(person) == person.id)
    if keep_this:
        theirs = theirs.where(KnownDevice.token_hash != token_hash(tx.device_token))
    return rows_changed(tx.session, theirs)


def _owner(person: Customer | Clerk | None) -> InstrumentedAttribute[int | None]:
    return KnownDevice.clerk_id if isinstance(person, Clerk) else KnownDevice.customer_id


def _of_browser(token: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return KnownDevice.token_hash == token_hash(token), KnownDevice.last_used > now - KEPT
