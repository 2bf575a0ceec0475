"""Login sessions: started by a login, found by their token, ended; and the throttling of failed logins."""

import secrets
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, delete, func, or_, select, true, update
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import AuditEvent, Clerk, Customer, LoginSession, SourceFailure, Throttle
from kmzportal.services.alarms import raise_alarm
from kmzportal.services.passwords import PasswordCheck
from kmzportal.services.refusals import SessionOver
from kmzportal.services.tokens import token_hash
from kmzportal.services.transaction import Transaction, rows_changed, upsert

SOURCE_WINDOW = timedelta(minutes=15)
SPRAYED = 200  # accounts and sources that failed within SOURCE_WINDOW, from which on the admins are told
TOUCH_INTERVAL = timedelta(minutes=1)
CODE_LIFETIME = 300  # seconds from the right password to the second factor

PersonTable = type[Customer] | type[Clerk]  #: each login page reads only one of the tables

#: Executed by every page of a logged-in user, so the statement is built only once.
_BY_TOKEN = select(LoginSession).where(LoginSession.token_hash == bindparam("token_hash"))


class NewSession(NamedTuple):
    """A session with a new token. Only the browser gets the token; the database holds its hash."""

    login_session: LoginSession
    token: str


# Login


def find_password_hash(session: Session, address: str, table: PersonTable = Customer) -> str | None:
    """Return the hash to compare a password with; None for an unknown address or an account without a password."""
    return session.scalar(select(table.password_hash).where(table.email_canonical == mail_address.canonical(address)))


def log_in(
    tx: Transaction, address: str, check: PasswordCheck, device: str, table: PersonTable = Customer
) -> NewSession | None:
    """Return a new session, or None. A failure is counted in the same transaction.

    Unknown, wrong, locked, throttled and never activated differ only in what is recorded (OWASP ASVS 6.3.8).
    """
    canonical = mail_address.canonical(address)
    known: Select[Any] = select(table).where(table.email_canonical == canonical)
    person: Customer | Clerk | None = tx.session.scalar(known)
    if person:
        tx.lock(person)  # otherwise a password changed now would not end the session that is about to start
    key = tx.keys.fingerprint(table.THROTTLE_PREFIX + canonical)
    usual_source = isinstance(person, Clerk) and _is_usual_source(tx, person)
    if usual_source:
        # Counted separately: failures elsewhere must not lock clerks out, who cannot request a link themselves.
        key = f"{key}@{tx.keys.fingerprint(str(tx.source))}"
    if is_throttled(tx, key, check_source=not usual_source and not _password_set_recently(tx, person)):
        tx.record("login.throttled", person)
        return None
    if person is None or person.locked_at or not check.confirms(person.password_hash):
        count_failure(tx, key, person)
        tx.record("login.refused", person)
        return None
    clear_throttle(tx, key)
    if check.new_hash:
        person.password_hash = check.new_hash
    # Also for a clerk who should have a second factor and has none.
    awaits_code = isinstance(person, Clerk) and bool(
        person.factor_nonce or tx.settings["STAFF_SECOND_FACTOR"] != "offered"
    )
    return start(tx, person, device, awaits_code)


def _is_usual_source(tx: Transaction, clerk: Clerk) -> bool:
    """Return whether the clerk logged in from this source within SOURCE_RETENTION."""
    if not tx.source:
        return False
    logins = select(AuditEvent.id).where(
        AuditEvent.action == "login.succeeded",
        AuditEvent.at > tx.now - timedelta(days=tx.settings["SOURCE_RETENTION"]),
        AuditEvent.clerk_id == clerk.id,
        AuditEvent.source == tx.source,
    )
    return tx.session.scalar(logins.limit(1)) is not None


def _password_set_recently(tx: Transaction, person: Customer | Clerk | None) -> bool:
    """Return whether the password is new: then the login works even if others behind the same source failed."""
    return bool(person and person.password_set_at and person.password_set_at > tx.now - SOURCE_WINDOW)


def start(tx: Transaction, person: Customer | Clerk, device: str, awaits_code: bool = False) -> NewSession:
    """Start a session and record the login."""
    if not awaits_code:
        tx.actor = f"{person.__tablename__}:{person.id}"
    tx.record("login.code_due" if awaits_code else "login.succeeded", person, device=device)
    return start_session(tx, person, device, awaits_code)


def start_session(tx: Transaction, person: Customer | Clerk, device: str, awaits_code: bool = False) -> NewSession:
    """Insert a session, without an audit record."""
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


def touch(tx: Transaction, session_id: int) -> None:
    """Store that the session is in use, at most once a TOUCH_INTERVAL."""
    tx.session.execute(
        update(LoginSession)
        .where(LoginSession.id == session_id, LoginSession.last_seen < tx.now - TOUCH_INTERVAL)
        .values(last_seen=tx.now)
    )


def log_out(tx: Transaction, session: LoginSession) -> None:
    session.ended_at = tx.now
    tx.record("logout", session.customer or session.clerk)


def end_all(tx: Transaction, person: Customer | Clerk, keep: LoginSession | None = None) -> int:
    """End all sessions of a person except `keep`, and return how many there were."""
    owner = LoginSession.clerk_id if isinstance(person, Clerk) else LoginSession.customer_id
    alive = LoginSession.ended_at.is_(None), LoginSession.expires_at > tx.now
    others = update(LoginSession).where(owner == person.id, *alive, LoginSession.id != (keep.id if keep else 0))
    return rows_changed(tx.session, others.values(ended_at=tx.now))


# Throttling, by a keyed hash of the account


def clear_failures(tx: Transaction, person: Customer | Clerk) -> None:
    """Forget the failed logins of this account; those of its source at other accounts stay counted."""
    clear_throttle(tx, tx.keys.fingerprint(person.THROTTLE_PREFIX + person.email_canonical))


def clear_throttle(tx: Transaction, key: str) -> None:
    """Forget the failures under this key, and those of the same account that are counted by source."""
    by_source = Throttle.account.startswith(f"{key}@", autoescape=True)
    tx.session.execute(delete(Throttle).where(or_(Throttle.account == key, by_source)))


def is_throttled(tx: Transaction, key: str, check_source: bool, disables: bool = True) -> bool:
    """Return whether no password is compared now, for this account or, with `check_source`, from this source.

    Very many failures end the password, unless `disables` is false: then each wait ends.
    """
    settings = tx.settings
    throttle = tx.session.get(Throttle, key, with_for_update=True)
    if throttle:
        waits = ("THROTTLE_FREE_FAILURES", "THROTTLE_FIRST_WAIT", "THROTTLE_LONGEST_WAIT")
        disabled = disables and throttle.failures >= settings["THROTTLE_DISABLED_AT"]
        if disabled or throttle.waiting(tx.now, *(settings[name] for name in waits)):
            return True
    if not check_source:
        return False
    other_accounts = select(func.count()).where(
        SourceFailure.source == tx.source,
        SourceFailure.account != key,
        SourceFailure.failed_at > tx.now - SOURCE_WINDOW,
    )
    return (tx.session.scalar(other_accounts) or 0) >= int(settings["THROTTLE_SOURCE_ACCOUNTS"])


def count_try(tx: Transaction, key: str) -> None:
    """Count a failure for the account, known or not."""
    upsert(
        tx.session,
        Throttle,
        {"account": key, "failures": 1, "failed_at": tx.now},
        {"failures": Throttle.failures + 1, "failed_at": tx.now},
    )


def count_failure(tx: Transaction, key: str, person: Customer | Clerk | None) -> None:
    """Count a wrong password for the account and the source; notify the person when it disables the password."""
    count_try(tx, key)
    if tx.source:
        failure = {"source": tx.source, "account": key, "failed_at": tx.now}
        upsert(tx.session, SourceFailure, failure, {"failed_at": tx.now})
        _alarm_if_spraying(tx)
    throttle = tx.session.get(Throttle, key, populate_existing=True)
    if throttle and person and throttle.failures == tx.settings["THROTTLE_DISABLED_AT"]:
        tx.warn("password_disabled" if isinstance(person, Customer) else "clerk_password_disabled", person)


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
