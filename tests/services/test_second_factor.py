"""After the password comes a code: once each, and only for whom it is."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.clerk import Clerk
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.refusals import SessionOver, WrongCode
from kmzportal.services import login, second_factor
from tests import cast
from tests.services.staff import enter, half_way

pytestmark = pytest.mark.usefixtures("clock")


def test_the_right_code_brings_a_whole_session_with_another_token(deeds, rosa, factor):
    half = half_way(deeds, rosa)
    assert half.awaits_code
    whole = deeds.session_of(enter(deeds, half, deeds.app_shows(factor.secret)))
    assert (whole.clerk_id, whole.awaits_code, whole.id != half.id) == (rosa.id, False, True)
    assert whole.alive(cast.NOW + timedelta(minutes=14, seconds=59))
    assert not whole.alive(cast.NOW + timedelta(minutes=15))
    assert deeds.read(half).ended_at == cast.NOW
    assert deeds.history() == ["login.code_due", "login.succeeded"]


def test_half_the_way_lasts_five_minutes(deeds, rosa, factor, clock):
    half = half_way(deeds, rosa)
    clock.shift(timedelta(minutes=5))
    with pytest.raises(SessionOver):
        enter(deeds, half, deeds.app_shows(factor.secret))


def test_a_code_of_the_app_counts_once(deeds, rosa, factor, clock):
    code = deeds.app_shows(factor.secret)
    assert enter(deeds, half_way(deeds, rosa), code)
    assert enter(deeds, half_way(deeds, rosa), code) is None
    clock.shift(30)
    assert enter(deeds, half_way(deeds, rosa), code) is None
    assert enter(deeds, half_way(deeds, rosa), deeds.app_shows(factor.secret))


def test_a_code_before_the_last_one_does_not_count(deeds, rosa, factor, clock):
    early = deeds.app_shows(factor.secret)
    clock.shift(30)
    assert enter(deeds, half_way(deeds, rosa), deeds.app_shows(factor.secret))
    assert enter(deeds, half_way(deeds, rosa), early) is None


def test_a_code_on_paper_counts_once_and_leaves_nine(deeds, rosa, factor):
    for place in (7, 2):
        assert enter(deeds, half_way(deeds, rosa), factor.recovery_codes[place])
        assert enter(deeds, half_way(deeds, rosa), factor.recovery_codes[place]) is None
    assert deeds.read(rosa).recovery_codes_used == [7, 2]


@pytest.mark.parametrize("on_paper", [False, True])
def test_of_two_who_use_one_code_at_once_one_gets_in(deeds, rosa, factor, on_paper):
    """Two sessions, so that neither is over for the other."""
    halves = iter([half_way(deeds, rosa), half_way(deeds, rosa)])
    code = factor.recovery_codes[0] if on_paper else deeds.app_shows(factor.secret)

    def each(work, code):
        return second_factor.enter(work, work.session.get(LoginSession, next(halves).id), code)

    tokens = deeds.at_once(2, each, code)
    assert sorted(type(token) for token in tokens if token) == [str]
    assert sorted(deeds.history()[-2:]) == ["login.code_wrong", "login.succeeded"]


def test_one_half_session_becomes_one_whole_session(deeds, rosa, factor):
    half = half_way(deeds, rosa)
    codes = iter(factor.recovery_codes)
    tokens = deeds.at_once(3, lambda work, here: second_factor.enter(work, here, next(codes)), half)
    assert len([token for token in tokens if isinstance(token, str)]) == 1
    assert len([error for error in tokens if isinstance(error, SessionOver)]) == 2


def test_the_code_of_another_clerk_does_not_count(deeds, rosa, tim, factor):
    his = deeds.give_factor(tim)
    half = half_way(deeds, rosa)
    assert enter(deeds, half, deeds.app_shows(his.secret)) is None
    assert enter(deeds, half, his.recovery_codes[0]) is None
    assert deeds.read(tim).recovery_codes_used == []


def test_a_clerk_who_was_locked_meanwhile_does_not_get_in(deeds, rosa, factor):
    half = half_way(deeds, rosa)
    with deeds.work("console") as work:
        work.session.get(Clerk, rosa.id).locked_at = work.now
    with pytest.raises(SessionOver):
        enter(deeds, half, deeds.app_shows(factor.secret))


def test_without_a_factor_no_code_is_right(deeds, rosa):
    half = half_way(deeds, rosa)
    for code in ("", "000000", "AAAA-AAAA-AAAA-AAAA"):
        assert enter(deeds, half, code) is None


def test_a_whole_session_takes_no_code(deeds, rosa, factor):
    whole = deeds.session_of(deeds.do(login.start_session, rosa, "Firefox"))
    with pytest.raises(SessionOver):
        enter(deeds, whole, deeds.app_shows(factor.secret))


def test_a_factor_is_taken_once_the_app_knows_it_and_the_old_one_ends(deeds, rosa, factor, clock):
    new = second_factor.SecondFactor(deeds.keys, "a new nonce")
    with pytest.raises(WrongCode):
        deeds.do(second_factor.set_up, rosa, "a new nonce", deeds.app_shows(factor.secret))
    assert deeds.history() == ["factor.refused"]
    deeds.do(second_factor.set_up, rosa, "a new nonce", deeds.app_shows(new.secret))
    clock.shift(30)
    assert enter(deeds, half_way(deeds, rosa), deeds.app_shows(factor.secret)) is None
    assert enter(deeds, half_way(deeds, rosa), factor.recovery_codes[0]) is None
    assert enter(deeds, half_way(deeds, rosa), deeds.app_shows(new.secret))


def test_the_code_that_set_a_factor_up_does_not_log_in(deeds, rosa):
    new = second_factor.SecondFactor(deeds.keys, "a new nonce")
    deeds.do(second_factor.set_up, rosa, "a new nonce", deeds.app_shows(new.secret))
    assert enter(deeds, half_way(deeds, rosa), deeds.app_shows(new.secret)) is None


def test_half_a_session_is_ended_with_the_others(deeds, rosa, factor):
    half_way(deeds, rosa)
    deeds.do(login.end_sessions, rosa)
    assert all(one.ended_at for one in deeds.read(select(LoginSession)))
