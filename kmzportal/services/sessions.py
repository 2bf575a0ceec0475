"""Logging in, staying logged in, logging out."""

import secrets
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.clerk import Clerk
from kmzportal.models.customer import Customer
from kmzportal.models.login_session import LoginSession
from kmzportal.models.throttle import SourceFailure, Throttle
from kmzportal.services.passwords import PasswordCheck
from kmzportal.services.refusals import SessionOver
from kmzportal.services.tokens import token_hash
from kmzportal.services.transaction import Transaction, rows_changed, upsert

SOURCE_WINDOW = timedelta(minutes=15)
TOUCH_INTERVAL = timedelta(minutes=1)
CODE_LIFETIME = 300  # seconds from the right password to the second factor

PersonTable = type[Customer] | type[Clerk]  #: a login page looks into one of them only


class NewSession(NamedTuple):
    """A session with a new token. Only the browser gets the token; the database holds its hash."""

    login_session: LoginSession
    token: str


#: Asked on every page of whoever is logged in, so it is put together once.
_BY_TOKEN = select(LoginSession).where(LoginSession.token_hash == bindparam("token_hash"))


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
    # locked as Transaction.lock does: a password changed now would not end the session that is about to start
    locked = known.with_for_update(key_share=True).execution_options(populate_existing=True)
    person = tx.session.scalar(locked)
    account, usual = _throttle_key(tx, table.THROTTLE_PREFIX + canonical, person)
    if is_throttled(tx, account, usual or _has_just_recovered(tx, person)):
        tx.record("login.throttled", person)
        return None
    if person is None or person.locked_at or not check.confirms(person.password_hash):
        count_failure(tx, account, person)
        tx.record("login.refused", person)
        return None
    clear_throttle(tx, account)
    if check.new_hash:
        person.password_hash = check.new_hash
    return start(tx, person, device, awaits_code=_needs_second_factor(tx, person))


def _throttle_key(tx: Transaction, name: str, person: Customer | Clerk | None) -> tuple[str, bool]:
    """Return what failures are counted under, and whether it is a clerk's usual source.

    There they are counted apart: a clerk has no link to help herself, and strangers must not shut the desk.
    """
    usual = _is_usual_source(tx, person)
    place = f"@{tx.keys.fingerprint(str(tx.source))}" if usual else ""
    return tx.keys.fingerprint(name) + place, usual


def _is_usual_source(tx: Transaction, person: Customer | Clerk | None) -> bool:
    """Whether the clerk logged in from this source lately, as long as sources are kept."""
    since = tx.now - timedelta(days=tx.settings["SOURCE_RETENTION"])
    mine = select(AuditEvent.id).where(AuditEvent.action == "login.succeeded", AuditEvent.at > since)
    return isinstance(person, Clerk) and bool(
        tx.source
        and tx.session.scalar(mine.where(AuditEvent.clerk_id == person.id, AuditEvent.source == tx.source).limit(1))
    )


def _needs_second_factor(tx: Transaction, person: Customer | Clerk) -> bool:
    """Whether the password is half of the way; also for a clerk who should have a second factor and has none."""
    return isinstance(person, Clerk) and bool(person.factor_nonce or tx.settings["STAFF_SECOND_FACTOR"] != "offered")


def start(tx: Transaction, person: Customer | Clerk, device: str, awaits_code: bool = False) -> NewSession:
    """Start a session and record the login."""
    if not awaits_code:
        tx.actor = f"{person.__tablename__}:{person.id}"
    tx.record("login.code_due" if awaits_code else "login.succeeded", person, device=device)
    return start_session(tx, person, device, awaits_code)


def start_session(tx: Transaction, person: Customer | Clerk, device: str, awaits_code: bool = False) -> NewSession:
    """Write a LoginSession and return it with its token."""
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
    """Return the session of this token with its person, by one indexed query; it may be over."""
    return session.scalar(_BY_TOKEN, {"token_hash": token_hash(token)})


def ensure_alive(tx: Transaction, login_session: LoginSession) -> None:
    """Look again, now that nobody else can change it: a slow request may outlive its session; raises SessionOver."""
    person = login_session.customer or login_session.clerk
    if person:
        tx.lock(person)
    tx.session.refresh(login_session)
    if person is None or person.locked_at or not login_session.alive(tx.now):
        raise SessionOver


def touch(tx: Transaction, session_id: int) -> None:
    """Note that the session is in use, at most once a minute."""
    tx.session.execute(
        update(LoginSession)
        .where(LoginSession.id == session_id, LoginSession.last_seen < tx.now - TOUCH_INTERVAL)
        .values(last_seen=tx.now)
    )


def log_out(tx: Transaction, session: LoginSession) -> None:
    session.ended_at = tx.now
    tx.record("logout", session.customer or session.clerk)


def end_all(tx: Transaction, person: Customer | Clerk, but: LoginSession | None = None) -> int:
    """End all sessions of a person, `but` one, and return how many there were."""
    owner = LoginSession.clerk_id if isinstance(person, Clerk) else LoginSession.customer_id
    alive = LoginSession.ended_at.is_(None), LoginSession.expires_at > tx.now
    others = update(LoginSession).where(owner == person.id, *alive, LoginSession.id != (but.id if but else 0))
    return rows_changed(tx.session, others.values(ended_at=tx.now))


def clear_failures(tx: Transaction, person: Customer | Clerk) -> None:
    """Forget the failures at this account; what its source did at others stays counted."""
    clear_throttle(tx, tx.keys.fingerprint(person.THROTTLE_PREFIX + person.email_canonical))


def clear_throttle(tx: Transaction, account: str) -> None:
    """Forget them for the account, and wherever they are counted apart."""
    apart = Throttle.account.startswith(f"{account}@", autoescape=True)
    tx.session.execute(delete(Throttle).where(or_(Throttle.account == account, apart)))


def _has_just_recovered(tx: Transaction, person: Customer | Clerk | None) -> bool:
    """Whether the password was set a moment ago: the link must help at once, whatever the neighbours do."""
    return bool(person and person.password_set_at and person.password_set_at > tx.now - SOURCE_WINDOW)


def is_throttled(tx: Transaction, account: str, whatever_the_source: bool = False) -> bool:
    """Whether no password is looked at for this account, or from this source, yet."""
    numbers = tx.settings
    throttle = tx.session.get(Throttle, account, with_for_update=True)
    if throttle and throttle.failures >= numbers["THROTTLE_DISABLED_AT"]:
        return True
    waits = (
        numbers["THROTTLE_FREE_FAILURES"],
        numbers["THROTTLE_FIRST_WAIT"],
        numbers["THROTTLE_LONGEST_WAIT"],
    )
    if throttle and throttle.waiting(tx.now, *waits):
        return True
    return not whatever_the_source and _other_accounts_failed(tx, account) >= int(numbers["THROTTLE_SOURCE_ACCOUNTS"])


def _other_accounts_failed(tx: Transaction, account: str) -> int:
    """How many other accounts this source failed at lately."""
    failures = select(func.count()).where(
        SourceFailure.source == tx.source,
        SourceFailure.account != account,
        SourceFailure.failed_at > tx.now - SOURCE_WINDOW,
    )
    return tx.session.scalar(failures) or 0


def count_try(tx: Transaction, account: str) -> None:
    """Count a failure for the account, known or not."""
    upsert(
        tx.session,
        Throttle,
        {"account": account, "failures": 1, "failed_at": tx.now},
        {"failures": Throttle.failures + 1, "failed_at": tx.now},
    )


def count_failure(tx: Transaction, account: str, person: Customer | Clerk | None) -> None:
    """Count a wrong password for the account and for the source; at the last one, tell whose password it was."""
    count_try(tx, account)
    if tx.source:
        failure = {"source": tx.source, "account": account, "failed_at": tx.now}
        upsert(tx.session, SourceFailure, failure, {"failed_at": tx.now})
    throttle = tx.session.get(Throttle, account, populate_existing=True)
    if throttle and person and throttle.failures == tx.settings["THROTTLE_DISABLED_AT"]:
        tx.warn("password_disabled" if isinstance(person, Customer) else "clerk_password_disabled", person)
