"""Logging in, staying logged in, logging out."""

from datetime import timedelta

from sqlalchemy import delete, func, select, update
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


def password_hash_of(session: Session, address: str) -> str | None:
    """Return the hash to prove a password against; None (and equal work) for whom there is none."""
    return session.scalar(
        select(Customer.password_hash).where(Customer.email_canonical == mail_address.canonical(address))
    )


def log_in(work: UnitOfWork, address: str, proof: Proof, device: str) -> str | None:
    """Return the token of a new session, or None. A failure is counted in the same transaction.

    Unknown, wrong, locked, throttled and never activated differ only in what is recorded (standards R020).
    """
    canonical = mail_address.canonical(address)
    account = work.keys.fingerprint(canonical)
    known = select(Customer).where(Customer.email_canonical == canonical)
    # locked as work.lock() does: a password that changes now would not end the session we are about to start
    locked = known.with_for_update(key_share=True).execution_options(populate_existing=True)
    customer = work.session.scalar(locked)
    if throttled(work, account, has_just_recovered(work, customer)):
        work.record("login.throttled", customer)
        return None
    if customer is None or customer.locked_at or not customer.accepts(proof):
        count_failure(work, account, customer)
        work.record("login.refused", customer)
        return None
    forgive(work, customer)
    customer.password_hash = proof.rehashed or customer.password_hash
    work.actor = f"customer:{customer.id}"
    work.record("login.succeeded", customer, device=device)
    return start_session(work, customer, device)


def start_session(work: UnitOfWork, person: Customer | Clerk, device: str) -> str:
    """Write a LoginSession and return its token, which is nowhere else."""
    prefix = "STAFF_" if isinstance(person, Clerk) else ""
    session = LoginSession(
        customer=person if isinstance(person, Customer) else None,
        clerk=person if isinstance(person, Clerk) else None,
        started_at=work.now,
        last_seen=work.now,
        idle_after=work.settings[f"{prefix}SESSION_IDLE"],
        expires_at=work.now + timedelta(seconds=work.settings[f"{prefix}SESSION_LIFETIME"]),
        device=device,
    )
    token = session.draw_token()
    work.session.add(session)
    return token


def find_session(session: Session, token: str) -> LoginSession | None:
    """Return the session of this token with its person, by one indexed query; it may be over."""
    return session.scalar(select(LoginSession).where(LoginSession.token_hash == token_hash(token)))


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
    forget_failures(work, work.keys.fingerprint(person.email_canonical))


def forget_failures(work: UnitOfWork, account: str) -> None:
    work.session.execute(delete(Throttle).where(Throttle.account == account))


def has_just_recovered(work: UnitOfWork, customer: Customer | None) -> bool:
    """Whether the password was set a moment ago: the link must help at once, whatever the neighbours do."""
    return bool(customer and customer.password_set_at and customer.password_set_at > work.now - SOURCE_WINDOW)


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


def count_failure(work: UnitOfWork, account: str, customer: Customer | None) -> None:
    """Count a wrong password for the account, known or not, and for the source."""
    upsert(
        work.session,
        Throttle,
        {"account": account, "failures": 1, "failed_at": work.now},
        {"failures": Throttle.failures + 1, "failed_at": work.now},
    )
    if work.source:
        failure = {"source": work.source, "account": account, "failed_at": work.now}
        upsert(work.session, SourceFailure, failure, {"failed_at": work.now})
    throttle = work.session.get(Throttle, account, populate_existing=True)
    if throttle and customer and throttle.failures == work.settings["THROTTLE_DISABLED_AT"]:
        work.warn("password_disabled", customer)
