"""A session belongs to one login, and ends by rest, after a working day, by hand, or with the password."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.passwords import hash_password, prove
from kmzportal.services import login, password
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")


def test_every_login_has_a_session_of_its_own(deeds, erika):
    tokens = {deeds.log_in(erika.email, cast.password_of(erika)) for _ in range(3)}
    assert len(tokens) == 3
    assert all(deeds.session_of(token).alive(cast.NOW) for token in tokens)


def test_a_session_ends_after_half_an_hour_of_rest(deeds, erika):
    here = deeds.session_of(deeds.log_in(erika.email, cast.password_of(erika)))
    assert here.alive(cast.NOW + timedelta(minutes=30, seconds=-1))
    assert not here.alive(cast.NOW + timedelta(minutes=30))


def test_a_session_in_use_ends_after_eight_hours(deeds, erika, clock):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    for _ in range(8 * 3 - 1):
        clock.shift(timedelta(minutes=20))
        deeds.do(login.touch, deeds.session_of(token).id)
    here = deeds.session_of(token)
    assert here.alive(cast.NOW + timedelta(hours=8, seconds=-1))
    assert not here.alive(cast.NOW + timedelta(hours=8))


def test_a_clerks_session_rests_only_a_quarter_of_an_hour(deeds, rosa):
    here = deeds.session_of(deeds.do(login.start_session, rosa, "Firefox"))
    assert here.clerk.initials == "ro"
    assert here.alive(cast.NOW + timedelta(minutes=15, seconds=-1))
    assert not here.alive(cast.NOW + timedelta(minutes=15))


def test_using_a_session_is_noted_at_most_once_a_minute(deeds, erika, clock):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    here = deeds.session_of(token)
    clock.shift(60)
    deeds.do(login.touch, here.id)
    assert deeds.session_of(token).last_seen == cast.NOW
    clock.shift(1)
    deeds.do(login.touch, here.id)
    assert deeds.session_of(token).last_seen == cast.NOW + timedelta(seconds=61)


def test_a_new_token_ends_the_one_before(deeds, erika):
    old = deeds.log_in(erika.email, cast.password_of(erika))
    new = deeds.do(lambda work, here: here.draw_token(), deeds.session_of(old))
    assert deeds.session_of(old) is None
    assert deeds.session_of(new).alive(cast.NOW)


def test_logging_out_ends_the_session_here_and_no_other(deeds, erika):
    here, there = (deeds.log_in(erika.email, cast.password_of(erika)) for _ in range(2))
    deeds.do(login.log_out, deeds.session_of(here))
    assert not deeds.session_of(here).alive(cast.NOW)
    assert deeds.session_of(there).alive(cast.NOW)
    assert deeds.history()[-1] == "logout"


def test_ending_sessions_spares_everybody_else(deeds, erika, max_):
    for person in (erika, erika, max_):
        deeds.log_in(person.email, cast.password_of(person))
    assert deeds.do(login.end_sessions, erika) == 2
    (alive,) = deeds.read(select(LoginSession).where(LoginSession.ended_at.is_(None)))
    assert alive.customer_id == max_.id


@pytest.mark.parametrize("changer", range(4))
def test_a_login_during_a_change_of_password_does_not_outlive_it(deeds, erika, changer):
    """Whichever comes first: a session begun with the old password is ended, or never begins."""
    early = prove(cast.password_of(erika), erika.password_hash)
    new_hash = hash_password(cast.NEW_PASSWORD)
    turns = iter(range(4))

    def log_in_or_change(work, customer):
        if next(turns) == changer:
            return password.take(work, customer, new_hash)
        return login.log_in(work, customer.email, early, "Firefox")

    assert not [got for got in deeds.at_once(4, log_in_or_change, erika) if isinstance(got, Exception)]
    assert [one for one in deeds.read(select(LoginSession)) if one.ended_at is None] == []
