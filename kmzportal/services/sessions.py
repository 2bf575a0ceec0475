"""Login sessions: started by a login, found by their token, ended; and the throttling of failed logins."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, delete, func, select, true, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from kmzportal import mail_address
from kmzportal.models import (
    Clerk,
    Customer,
    KnownDevice,
    KnownSource,
    LinkVisit,
    LoginSession,
    SourceFailure,
    Throttle,
)
from kmzportal.services import devices
from kmzportal.services.alarms import raise_alarm
from kmzportal.services.passwords import PasswordCheck
from kmzportal.services.refusals import SessionOver
from kmzportal.services.tokens import LinkKeys, token_hash
from kmzportal.services.transaction import Transaction, rows_changed, upsert

SOURCE_WINDOW = timedelta(minutes=15)
SPRAYED = 200  # accounts and sources that failed within SOURCE_WINDOW, from which on the admins are told
MAX_SESSIONS = 100  # of an account, ended ones included
KNOWN_SOURCES_KEPT = timedelta(days=90)
TOUCH_INTERVAL = timedelta(minutes=1)
#: How keys of failures begin that are forgotten after a day if few: anyone can make up letters and passkeys.
OF_LETTERS, OF_PASSKEYS = "letter:", "passkey:"
NEVER = datetime.max.replace(tzinfo=UTC)  # when a disabled password counts again
MAX_REQUEST = timedelta(minutes=2)  # after it no request is left that uses an expired session
CODE_LIFETIME = 300  # seconds from the right password to the second factor

PersonTable = type[Customer] | type[Clerk]  #: each login page reads only one of the tables

#: Executed by every page of a logged-in user, so the statement is built only once.
_BY_TOKEN = select(LoginSession).where(LoginSession.token_hash == bindparam("token_hash"))


class NewSession(NamedTuple):
    """A session with a new token. Only the browser gets the token; the database holds its hash."""

    login_session: LoginSession
    token: str
    device_token: str | None = None  #: for the device cookie, after a login


# Login


class Attempt(NamedTuple):
    """What decides how the password of a login is compared."""

    password_hash: str | None  #: None for an unknown address or an account without a password
    known: str | None  #: the account, such as `customer:12`, if the device is known to it
    throttled: bool
    slow: bool  #: the source is over its limit, and the device not known


def attempt(tx: Transaction, address: str, table: PersonTable = Customer) -> Attempt:
    """Return what is known before the password is compared; log_in looks again.

    Reads columns: to make an object of the account takes so long that a throttled try would tell that it exists.
    """
    canonical = mail_address.canonical(address)
    columns = select(table.id, table.password_hash).where(table.email_canonical == canonical)
    person_id, password_hash = tx.session.execute(columns).one_or_none() or (0, None)
    known = devices.find_by_id(tx, table, person_id)
    throttled = is_throttled(tx, tx.keys.fingerprint(table.THROTTLE_PREFIX + canonical))
    slow = source_over_limit(tx)
    if known is None:
        return Attempt(password_hash, None, throttled, slow)
    return Attempt(password_hash, f"{table.__tablename__}:{person_id}", False, False)


def log_in(
    tx: Transaction, address: str, check: PasswordCheck, device: str, table: PersonTable = Customer
) -> NewSession | None:
    """Return a new session, or None. A failure is counted in the same transaction.

    Unknown, wrong, locked, throttled and never activated differ only in what is recorded (OWASP ASVS 6.3.8).
    """
    by_address = _by_address(mail_address.canonical(address), table)
    key = tx.keys.fingerprint(table.THROTTLE_PREFIX + mail_address.canonical(address))
    if check.throttled:
        record_throttled(tx, key, lambda: tx.session.scalar(by_address), device)
        return None
    person: Customer | Clerk | None = tx.session.scalar(by_address)
    known = _lock_and_find_device(tx, person)
    if known is None and is_throttled(tx, key):
        record_throttled(tx, key, lambda: person, device)
        return None
    if person is None or person.locked_at or not check.confirms(person.password_hash):
        count_failure(tx, key, person, known)
        record_refused(tx, person, device)
        return None
    if known is None:  # otherwise strangers could begin anew after each login of the owner
        clear_throttle(tx, key)
    if check.new_hash:
        person.password_hash = check.new_hash
    # Also for a clerk who should have a second factor and has none.
    awaits_code = isinstance(person, Clerk) and (person.has_factor or tx.settings["STAFF_SECOND_FACTOR"] != "offered")
    return start(tx, person, device, awaits_code)


def _lock_and_find_device(tx: Transaction, person: Customer | Clerk | None) -> KnownDevice | None:
    if person:
        tx.lock(person)  # otherwise a password changed now would not end the session that is about to start
    return devices.find(tx, person)  # after the lock, so that parallel tries cannot exceed its failures


def record_refused(tx: Transaction, person: Customer | Clerk | None, device: str) -> None:
    tx.count("refused", tx.hour)
    if person:  # unknown addresses are only counted: there is no end of them
        tx.record("login.refused", person, device=device)


def record_throttled(tx: Transaction, key: str, find: Callable[[], Customer | Clerk | None], device: str) -> None:
    """Record it once an hour, as such tries cost little and would fill the audit trail; never for unknown addresses.

    Those are counted together, with as many statements. Only then `find` is called: such tries have no limit, and the
    time of a lookup would tell whether the account exists. The source counts it as a failure, or its own delay would
    tell which addresses are throttled, which ends only when their owner logs in.
    """
    _count_for_source(tx, key)
    if tx.count(f"throttled:{key}", tx.hour) == 1:
        if person := find():
            tx.record("login.throttled", person, device=device)
        else:
            tx.count("throttled", tx.hour)


def _by_address(canonical: str, table: PersonTable) -> Select[Any]:
    return select(table).where(table.email_canonical == canonical)


def start(
    tx: Transaction, person: Customer | Clerk, device: str, awaits_code: bool = False, **details: str
) -> NewSession:
    """Start a session and record the login with `details`; unless a code is due, device and source become known."""
    new = start_session(tx, person, device, awaits_code)
    if awaits_code:
        tx.record("login.code_due", person, device=device)
        return new
    tx.actor = f"{person.__tablename__}:{person.id}"
    tx.record("login.succeeded", person, device=device, **details)
    if isinstance(person, Customer):  # as a statement: a new version would refuse the form that a clerk has open
        tx.session.execute(update(Customer).where(Customer.id == person.id).values(last_login_at=tx.now))
    _remember_source(tx)
    return new._replace(device_token=devices.remember(tx, person, device))


def _remember_source(tx: Transaction) -> None:
    if tx.source:
        row = {"source": tx.keys.fingerprint(f"source:{tx.source}"), "logged_in_at": tx.now}
        upsert(tx.session, KnownSource, row, {"logged_in_at": tx.now})


def is_known_source(session: Session, keys: LinkKeys, source: str | None, now: datetime) -> bool:
    """Return whether there was a login from this source in the last KNOWN_SOURCES_KEPT."""
    known = session.get(KnownSource, keys.fingerprint(f"source:{source}")) if source else None
    return known is not None and known.logged_in_at > now - KNOWN_SOURCES_KEPT


def start_session(tx: Transaction, person: Customer | Clerk, device: str, awaits_code: bool = False) -> NewSession:
    """Insert a session, without an audit record, and forget old ones of the account."""
    _forget_old(tx, person, awaits_code)
    prefix = "STAFF_" if isinstance(person, Clerk) else ""
    lifetime = CODE_LIFETIME if awaits_code else tx.settings[f"{prefix}SESSION_LIFETIME"]
    session = LoginSession(
        customer=person if isinstance(person, Customer) else None,
        clerk=person if isinstance(person, Clerk) else None,
        started_at=tx.now,
        last_seen=tx.now,
        idle_after=tx.settings[f"{prefix}SESSION_IDLE"],
        expires_at=tx.now + timedelta(seconds=lifetime),
        awaits_code=awaits_code,
        device=device,
    )
    tx.session.add(session)
    return renew_token(session)


def _forget_old(tx: Transaction, person: Customer | Clerk, awaits_code: bool) -> None:
    """End the sessions beyond the newest MAX_SESSIONS; a login an hour later deletes them, as a request may use them.

    Of those that await a code only the expired ones go, after MAX_REQUEST: whoever knows the password alone must not
    end the others.
    """
    theirs = LoginSession.awaits_code == awaits_code, _owner(person) == person.id
    if awaits_code:
        tx.session.execute(delete(LoginSession).where(*theirs, LoginSession.expires_at < tx.now - MAX_REQUEST))
        return
    newest = select(LoginSession.id).where(*theirs).order_by(LoginSession.id.desc())
    beyond = LoginSession.id.in_(newest.offset(MAX_SESSIONS - 1))
    tx.session.execute(delete(LoginSession).where(beyond, LoginSession.ended_at < tx.now - timedelta(hours=1)))
    tx.session.execute(update(LoginSession).where(beyond, LoginSession.ended_at.is_(None)).values(ended_at=tx.now))


def _owner(person: Customer | Clerk) -> InstrumentedAttribute[int | None]:
    return LoginSession.clerk_id if isinstance(person, Clerk) else LoginSession.customer_id


def renew_token(login_session: LoginSession) -> NewSession:
    """Give the session a new token; the one before is no longer valid."""
    token = secrets.token_urlsafe(32)
    login_session.token_hash = token_hash(token)
    return NewSession(login_session, token)


def find(session: Session, token: str) -> LoginSession | None:
    """Return the session of this token, ended or not, with its person."""
    return session.scalar(_BY_TOKEN, {"token_hash": token_hash(token)})


def ensure_alive(tx: Transaction, login_session: LoginSession) -> None:
    """Lock the person and read the session again, which may have ended during the request; raises SessionOver."""
    person = login_session.customer or login_session.clerk
    if person:
        tx.lock(person)
    tx.session.refresh(login_session)
    if person is None or person.locked_at or not login_session.alive(tx.now):
        raise SessionOver


def touch(tx: Transaction, table: type[LoginSession] | type[LinkVisit], row_id: int) -> None:
    """Store that a session or a visit is in use, at most once a TOUCH_INTERVAL."""
    due = update(table).where(table.id == row_id, table.last_seen < tx.now - TOUCH_INTERVAL)
    tx.session.execute(due.values(last_seen=tx.now))


def log_out(tx: Transaction, session: LoginSession) -> None:
    session.ended_at = tx.now
    tx.record("logout", session.customer or session.clerk)


def end_all(tx: Transaction, person: Customer | Clerk, keep: LoginSession | None = None) -> int:
    """End all sessions of a person except `keep`, and return how many there were."""
    alive = LoginSession.ended_at.is_(None), LoginSession.expires_at > tx.now
    others = update(LoginSession).where(
        _owner(person) == person.id, *alive, LoginSession.id != (keep.id if keep else 0)
    )
    return rows_changed(tx.session, others.values(ended_at=tx.now))


def any_ended(session: Session, person: Customer | Clerk, at: datetime | None) -> bool:
    """Return whether the transaction of this time ended a session of the person."""
    ended = select(LoginSession.id).where(_owner(person) == person.id, LoginSession.ended_at == at)
    return session.scalar(ended.limit(1)) is not None


# Throttling, by a keyed hash of the account


def clear_failures(tx: Transaction, person: Customer | Clerk) -> None:
    """Forget the failed logins of this account; those of its source at other accounts stay counted."""
    clear_throttle(tx, tx.keys.fingerprint(person.THROTTLE_PREFIX + person.email_canonical))


def clear_throttle(tx: Transaction, key: str) -> None:
    tx.session.execute(delete(Throttle).where(Throttle.account == key))


def is_throttled(
    tx: Transaction, key: str, disables: bool = True, free: int | None = None, longest: int | None = None
) -> bool:
    """Return whether no password is compared now for this account.

    Very many failures end the password, unless `disables` is false: then each wait ends. `free`: failures without a
    wait, instead of THROTTLE_FREE_FAILURES; `longest`: seconds, instead of THROTTLE_LONGEST_WAIT.
    """
    settings = tx.settings
    throttle = tx.session.get(Throttle, key, with_for_update=True)
    if throttle is None:
        return False
    free = free or settings["THROTTLE_FREE_FAILURES"]
    waits = free, settings["THROTTLE_FIRST_WAIT"], longest or settings["THROTTLE_LONGEST_WAIT"]
    disabled = disables and throttle.failures >= settings["THROTTLE_DISABLED_AT"]
    return disabled or throttle.waiting(tx.now, *waits)


def throttled_until(
    session: Session, keys: LinkKeys, settings: Mapping[str, Any], person: Customer | Clerk
) -> datetime | None:
    """Return the end of the last wait of this account, maybe past; NEVER where the password no longer counts.

    Only for the desk: no answer to a login may show it.
    """
    throttle = session.get(Throttle, keys.fingerprint(person.THROTTLE_PREFIX + person.email_canonical))
    if throttle is None:
        return None
    if throttle.failures >= settings["THROTTLE_DISABLED_AT"]:
        return NEVER
    names = ("THROTTLE_FREE_FAILURES", "THROTTLE_FIRST_WAIT", "THROTTLE_LONGEST_WAIT")
    return throttle.waits_until(*(settings[name] for name in names))


def source_over_limit(tx: Transaction) -> bool:
    """Return whether so many accounts, known or not, failed from this source that its logins are slowed down."""
    accounts = select(func.count()).where(
        SourceFailure.source == tx.source, SourceFailure.failed_at > tx.now - SOURCE_WINDOW
    )
    return (tx.session.scalar(accounts) or 0) >= int(tx.settings["THROTTLE_SOURCE_ACCOUNTS"])


def count_try(tx: Transaction, key: str) -> int:
    """Count a failure for the account, known or not, and return how many there are."""
    upsert(
        tx.session,
        Throttle,
        {"account": key, "failures": 1, "failed_at": tx.now},
        {"failures": Throttle.failures + 1, "failed_at": tx.now},
    )
    return tx.session.get_one(Throttle, key, populate_existing=True).failures


def count_failure(tx: Transaction, key: str, person: Customer | Clerk | None, known: KnownDevice | None = None) -> None:
    """Count a wrong password for the account and the source, or only for the device that is known to the account.

    Notifies the person when it disables the password.
    """
    if known and person:
        devices.count_failure(tx, known, person)
        return
    failures = count_try(tx, key)
    _count_for_source(tx, key)
    if person and failures == tx.settings["THROTTLE_DISABLED_AT"]:
        tx.warn("password_disabled" if isinstance(person, Customer) else "clerk_password_disabled", person)


def _count_for_source(tx: Transaction, key: str) -> None:
    if tx.source:
        failure = {"source": tx.source, "account": key, "failed_at": tx.now}
        upsert(tx.session, SourceFailure, failure, {"failed_at": tx.now})
        _alarm_if_spraying(tx)


def _alarm_if_spraying(tx: Transaction) -> None:
    """Raise the alarm when many accounts failed lately, from this source or from all; reads SPRAYED rows at most."""
    recent = SourceFailure.failed_at > tx.now - SOURCE_WINDOW
    one_source = SourceFailure.source == tx.source
    for limit, where in ((tx.settings["THROTTLE_SOURCE_ACCOUNTS"], one_source), (SPRAYED, true())):
        failed = select(SourceFailure.account, SourceFailure.source).where(recent, where).limit(limit).subquery()
        accounts, sources = func.count(failed.c.account.distinct()), func.count(failed.c.source.distinct())
        number, *facts = tx.session.execute(select(func.count(), accounts, sources).select_from(failed)).one()
        if number >= limit:
            raise_alarm(tx, "spraying", number=facts[0], sources=facts[1])
            return
