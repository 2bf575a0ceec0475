"""Logging in, staying logged in, logging out."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from kmzportal.domain import mail_address
from kmzportal.domain.account_link import token_hash
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.passwords import Proof
from kmzportal.domain.refusals import SessionOver
from kmzportal.domain.throttle import SourceFailure, Throttle
from kmzportal.services.upsert import changed, upsert
from kmzportal.services.work import UnitOfWork

SOURCE_WINDOW = timedelta(minutes=15)
SEEN_AT_MOST_EVERY = timedelta(minutes=1)
CODE_WITHIN = 300  # seconds from the right password to the second factor

Table = type[Customer] | type[Clerk]  #: each door looks into one of them only
#: Asked on every page of whoever is logged in, so it is put together once.
OF_THIS_TOKEN = select(LoginSession).where(LoginSession.token_hash == bindparam("token_hash"))


def password_hash_of(session: Session, address: str, table: Table = Customer) -> str | None:
    """Return the hash to prove a password against; None (and equal work) for whom there is none."""
    return session.scalar(select(table.password_hash).where(table.email_canonical == mail_address.canonical(address)))


def log_in(work: UnitOfWork, address: str, proof: Proof, device: str, table: Table = Customer) -> str | None:
    """Return the token of a new session, or None. A failure is counted in the same transaction.

    Unknown, wrong, locked, throttled and never activated differ only in what is recorded (standards R020).
    """
    canonical = mail_address.canonical(address)
    account = work.keys.fingerprint(table.COUNTED_AS + canonical)
    known: Select[Any] = select(table).where(table.email_canonical == canonical)
    # locked as work.lock() does: a password that changes now would not end the session we are about to start
    locked = known.with_for_update(key_share=True).execution_options(populate_existing=True)
    person = work.session.scalar(locked)
    if throttled(work, account, has_just_recovered(work, person)):
        work.record("login.throttled", person)
        return None
    if person is None or person.locked_at or not person.accepts(proof):
        count_failure(work, account, person)
        work.record("login.refused", person)
        return None
    forget_failures(work, account)
    person.password_hash = proof.rehashed or person.password_hash
    return begin(work, person, device, awaits_code=_needs_code(work, person))


def _needs_code(work: UnitOfWork, person: Customer | Clerk) -> bool:
    """Whether the password is half of the way; also for a clerk who should have a second factor and has none."""
    return isinstance(person, Clerk) and bool(person.factor_nonce or work.settings["STAFF_SECOND_FACTOR"] != "offered")


def begin(work: UnitOfWork, person: Customer | Clerk, device: str, awaits_code: bool = False) -> str:
    """Start a session and put on record who it is."""
    if not awaits_code:
        work.actor = f"{person.__tablename__}:{person.id}"
    work.record("login.code_due" if awaits_code else "login.succeeded", person, device=device)
    return start_session(work, person, device, awaits_code)


def start_session(work: UnitOfWork, person: Customer | Clerk, device: str, awaits_code: bool = False) -> str:
    """Write a LoginSession and return its token, which is nowhere else."""
    prefix = "STAFF_" if isinstance(person, Clerk) else ""
    lifetime = CODE_WITHIN if awaits_code else work.settings[f"{prefix}SESSION_LIFETIME"]
    session = LoginSession(
        customer=person if isinstance(person, Customer) else None,
        clerk=person if isinstance(person, Clerk) else None,
        started_at=work.now,
        last_seen=work.now,
        idle_after=work.settings[f"{prefix}SESSION_IDLE"],
        expires_at=work.now + timedelta(seconds=lifetime),
        awaits_code=awaits_code,
        device=device,
    )
    token = session.draw_token()
    work.session.add(session)
    return token


def find_session(session: Session, token: str) -> LoginSession | None:
    """Return the session of this token with its person, by one indexed query; it may be over."""
    return session.scalar(OF_THIS_TOKEN, {"token_hash": token_hash(token)})


def still_here(work: UnitOfWork, here: LoginSession) -> None:
    """Look again, now that nobody else can change it: a slow request may outlive its session; raises SessionOver."""
    person = here.customer or here.clerk
    if person:
        work.lock(person)
    work.session.refresh(here)
    if person is None or person.locked_at or not here.alive(work.now):
        raise SessionOver


def touch(work: UnitOfWork, session_id: int) -> None:
    """Note that the session is in use, at most once a minute."""
    work.session.execute(
        update(LoginSession)
        .where(LoginSession.id == session_id, LoginSession.last_seen < work.now - SEEN_AT_MOST_EVERY)
        .values(last_seen=work.now)
    )


def log_out(work: UnitOfWork, session: LoginSession) -> None:
    session.ended_at = work.now
    work.record("logout", session.customer or session.clerk)


def end_sessions(work: UnitOfWork, person: Customer | Clerk, but: LoginSession | None = None) -> int:
    """End all sessions of a person, `but` one, and return how many there were."""
    owner = LoginSession.clerk_id if isinstance(person, Clerk) else LoginSession.customer_id
    alive = LoginSession.ended_at.is_(None), LoginSession.expires_at > work.now
    others = update(LoginSession).where(owner == person.id, *alive, LoginSession.id != (but.id if but else 0))
    return changed(work.session, others.values(ended_at=work.now))


def forgive(work: UnitOfWork, person: Customer | Clerk) -> None:
    """Forget the failures at this account; what its source did at others stays counted."""
    forget_failures(work, work.keys.fingerprint(person.COUNTED_AS + person.email_canonical))


def forget_failures(work: UnitOfWork, account: str) -> None:
    work.session.execute(delete(Throttle).where(Throttle.account == account))


def has_just_recovered(work: UnitOfWork, person: Customer | Clerk | None) -> bool:
    """Whether the password was set a moment ago: the link must help at once, whatever the neighbours do."""
    return bool(person and person.password_set_at and person.password_set_at > work.now - SOURCE_WINDOW)


def throttled(work: UnitOfWork, account: str, whatever_the_source: bool = False) -> bool:
    """Whether no password is looked at for this account, or from this source, yet."""
    numbers = work.settings
    throttle = work.session.get(Throttle, account, with_for_update=True)
    if throttle and throttle.failures >= numbers["THROTTLE_DISABLED_AT"]:
        return True
    waits = (
        numbers["THROTTLE_FREE_FAILURES"],
        numbers["THROTTLE_FIRST_WAIT"],
        numbers["THROTTLE_LONGEST_WAIT"],
    )
    if throttle and throttle.waiting(work.now, *waits):
        return True
    return not whatever_the_source and _accounts_failed_at(work, account) >= int(numbers["THROTTLE_SOURCE_ACCOUNTS"])


def _accounts_failed_at(work: UnitOfWork, account: str) -> int:
    """How many other accounts this source failed at lately."""
    failures = select(func.count()).where(
        SourceFailure.source == work.source,
        SourceFailure.account != account,
        SourceFailure.failed_at > work.now - SOURCE_WINDOW,
    )
    return work.session.scalar(failures) or 0


def count(work: UnitOfWork, account: str) -> None:
    """Count a failure for the account, known or not."""
    upsert(
        work.session,
        Throttle,
        {"account": account, "failures": 1, "failed_at": work.now},
        {"failures": Throttle.failures + 1, "failed_at": work.now},
    )


def count_failure(work: UnitOfWork, account: str, person: Customer | Clerk | None) -> None:
    """Count a wrong password for the account and for the source; at the last one, tell whose password it was."""
    count(work, account)
    if work.source:
        failure = {"source": work.source, "account": account, "failed_at": work.now}
        upsert(work.session, SourceFailure, failure, {"failed_at": work.now})
    throttle = work.session.get(Throttle, account, populate_existing=True)
    if throttle and person and throttle.failures == work.settings["THROTTLE_DISABLED_AT"]:
        work.warn("password_disabled" if isinstance(person, Customer) else "clerk_password_disabled", person)
