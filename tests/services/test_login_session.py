"""A session belongs to one login, and ends by rest, after a working day, by hand, or with the password."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.login_session import LoginSession
from kmzportal.services import accounts, sessions
from kmzportal.services.passwords import check_password, hash_password
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


def test_every_login_has_a_session_of_its_own(backend, erika):
    tokens = {backend.log_in(erika.email, people.password_of(erika)) for _ in range(3)}
    assert len(tokens) == 3
    assert all(backend.session_of(token).alive(people.NOW) for token in tokens)


def test_a_session_ends_after_half_an_hour_of_rest(backend, erika):
    login_session = backend.session_of(backend.log_in(erika.email, people.password_of(erika)))
    assert login_session.alive(people.NOW + timedelta(minutes=30, seconds=-1))
    assert not login_session.alive(people.NOW + timedelta(minutes=30))


def test_a_session_in_use_ends_after_eight_hours(backend, erika, clock):
    token = backend.log_in(erika.email, people.password_of(erika))
    for _ in range(8 * 3 - 1):
        clock.shift(timedelta(minutes=20))
        backend.run(sessions.touch, backend.session_of(token).id)
    login_session = backend.session_of(token)
    assert login_session.alive(people.NOW + timedelta(hours=8, seconds=-1))
    assert not login_session.alive(people.NOW + timedelta(hours=8))


def test_a_clerks_session_rests_only_a_quarter_of_an_hour(backend, rosa):
    login_session = backend.session_of(backend.run(sessions.start_session, rosa, "Firefox").token)
    assert login_session.clerk.initials == "ro"
    assert login_session.alive(people.NOW + timedelta(minutes=15, seconds=-1))
    assert not login_session.alive(people.NOW + timedelta(minutes=15))


def test_using_a_session_is_noted_at_most_once_a_minute(backend, erika, clock):
    token = backend.log_in(erika.email, people.password_of(erika))
    login_session = backend.session_of(token)
    clock.shift(60)
    backend.run(sessions.touch, login_session.id)
    assert backend.session_of(token).last_seen == people.NOW
    clock.shift(1)
    backend.run(sessions.touch, login_session.id)
    assert backend.session_of(token).last_seen == people.NOW + timedelta(seconds=61)


def test_a_new_token_ends_the_one_before(backend, erika):
    old = backend.log_in(erika.email, people.password_of(erika))
    new = backend.run(lambda tx, login_session: sessions.renew_token(login_session).token, backend.session_of(old))
    assert backend.session_of(old) is None
    assert backend.session_of(new).alive(people.NOW)


def test_logging_out_ends_the_session_here_and_no_other(backend, erika):
    login_session, there = (backend.log_in(erika.email, people.password_of(erika)) for _ in range(2))
    backend.run(sessions.log_out, backend.session_of(login_session))
    assert not backend.session_of(login_session).alive(people.NOW)
    assert backend.session_of(there).alive(people.NOW)
    assert backend.actions()[-1] == "logout"


def test_ending_sessions_spares_everybody_else(backend, erika, max_):
    for person in (erika, erika, max_):
        backend.log_in(person.email, people.password_of(person))
    assert backend.run(sessions.end_all, erika) == 2
    (alive,) = backend.read(select(LoginSession).where(LoginSession.ended_at.is_(None)))
    assert alive.customer_id == max_.id


@pytest.mark.both_databases
@pytest.mark.parametrize("changer", range(4))
def test_a_login_during_a_change_of_password_does_not_outlive_it(backend, erika, changer):
    """Whichever comes first: a session begun with the old password is ended, or never begins."""
    early = check_password(people.password_of(erika), erika.password_hash)
    new_hash = hash_password(people.NEW_PASSWORD)
    turns = iter(range(4))

    def log_in_or_change(tx, customer):
        if next(turns) == changer:
            return accounts.set_password(tx, customer, new_hash)
        return sessions.log_in(tx, customer.email, early, "Firefox")

    assert not [got for got in backend.run_concurrently(4, log_in_or_change, erika) if isinstance(got, Exception)]
    assert [one for one in backend.read(select(LoginSession)) if one.ended_at is None] == []
