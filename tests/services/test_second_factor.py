"""After the password comes a code: once each, and only for whom it is."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.clerk import Clerk
from kmzportal.models.login_session import LoginSession
from kmzportal.services import second_factor, sessions
from kmzportal.services.refusals import SessionOver, WrongCode
from tests import people
from tests.services.staff import enter, half_way

pytestmark = pytest.mark.usefixtures("clock")


def test_the_right_code_brings_a_whole_session_with_another_token(backend, rosa, factor):
    half = half_way(backend, rosa)
    assert half.awaits_code
    whole = backend.session_of(enter(backend, half, backend.totp_code(factor.secret)))
    assert (whole.clerk_id, whole.awaits_code, whole.id != half.id) == (rosa.id, False, True)
    assert whole.alive(people.NOW + timedelta(minutes=14, seconds=59))
    assert not whole.alive(people.NOW + timedelta(minutes=15))
    assert backend.read(half).ended_at == people.NOW
    assert backend.actions() == ["login.code_due", "login.succeeded"]


def test_half_the_way_lasts_five_minutes(backend, rosa, factor, clock):
    half = half_way(backend, rosa)
    clock.shift(timedelta(minutes=5))
    with pytest.raises(SessionOver):
        enter(backend, half, backend.totp_code(factor.secret))


def test_a_code_of_the_app_counts_once(backend, rosa, factor, clock):
    code = backend.totp_code(factor.secret)
    assert enter(backend, half_way(backend, rosa), code)
    assert enter(backend, half_way(backend, rosa), code) is None
    clock.shift(30)
    assert enter(backend, half_way(backend, rosa), code) is None
    assert enter(backend, half_way(backend, rosa), backend.totp_code(factor.secret))


def test_a_code_before_the_last_one_does_not_count(backend, rosa, factor, clock):
    early = backend.totp_code(factor.secret)
    clock.shift(30)
    assert enter(backend, half_way(backend, rosa), backend.totp_code(factor.secret))
    assert enter(backend, half_way(backend, rosa), early) is None


def test_a_code_on_paper_counts_once_and_leaves_nine(backend, rosa, factor):
    for place in (7, 2):
        assert enter(backend, half_way(backend, rosa), factor.recovery_codes[place])
        assert enter(backend, half_way(backend, rosa), factor.recovery_codes[place]) is None
    assert backend.read(rosa).recovery_codes_used == [7, 2]


@pytest.mark.both_databases
@pytest.mark.parametrize("on_paper", [False, True])
def test_of_two_who_use_one_code_at_once_one_gets_in(backend, rosa, factor, on_paper):
    """Two sessions, so that neither is over for the other."""
    halves = iter([half_way(backend, rosa), half_way(backend, rosa)])
    code = factor.recovery_codes[0] if on_paper else backend.totp_code(factor.secret)

    def each(tx, code):
        return second_factor.verify_login(tx, tx.session.get(LoginSession, next(halves).id), code)

    assert len([new for new in backend.run_concurrently(2, each, code) if new]) == 1
    assert sorted(backend.actions()[-2:]) == ["login.code_wrong", "login.succeeded"]


@pytest.mark.both_databases
def test_one_half_session_becomes_one_whole_session(backend, rosa, factor):
    half = half_way(backend, rosa)
    codes = iter(factor.recovery_codes)
    results = backend.run_concurrently(
        3, lambda tx, login_session: second_factor.verify_login(tx, login_session, next(codes)), half
    )
    assert len([new for new in results if isinstance(new, sessions.NewSession)]) == 1
    assert len([error for error in results if isinstance(error, SessionOver)]) == 2


def test_the_code_of_another_clerk_does_not_count(backend, rosa, tim, factor):
    his = backend.add_second_factor(tim)
    half = half_way(backend, rosa)
    assert enter(backend, half, backend.totp_code(his.secret)) is None
    assert enter(backend, half, his.recovery_codes[0]) is None
    assert backend.read(tim).recovery_codes_used == []


def test_a_clerk_who_was_locked_meanwhile_does_not_get_in(backend, rosa, factor):
    half = half_way(backend, rosa)
    with backend.transaction("console") as tx:
        tx.session.get(Clerk, rosa.id).locked_at = tx.now
    with pytest.raises(SessionOver):
        enter(backend, half, backend.totp_code(factor.secret))


def test_without_a_factor_no_code_is_right(backend, rosa):
    half = half_way(backend, rosa)
    for code in ("", "000000", "AAAA-AAAA-AAAA-AAAA"):
        assert enter(backend, half, code) is None


def test_a_whole_session_takes_no_code(backend, rosa, factor):
    whole = backend.session_of(backend.run(sessions.start_session, rosa, "Firefox").token)
    with pytest.raises(SessionOver):
        enter(backend, whole, backend.totp_code(factor.secret))


def test_a_factor_is_taken_once_the_app_knows_it_and_the_old_one_ends(backend, rosa, factor, clock):
    new = second_factor.SecondFactor(backend.keys, "a new nonce")
    with pytest.raises(WrongCode):
        backend.run(second_factor.set_up, rosa, "a new nonce", backend.totp_code(factor.secret))
    assert backend.actions() == ["factor.refused"]
    backend.run(second_factor.set_up, rosa, "a new nonce", backend.totp_code(new.secret))
    clock.shift(30)
    assert enter(backend, half_way(backend, rosa), backend.totp_code(factor.secret)) is None
    assert enter(backend, half_way(backend, rosa), factor.recovery_codes[0]) is None
    assert enter(backend, half_way(backend, rosa), backend.totp_code(new.secret))


def test_the_code_that_set_a_factor_up_does_not_log_in(backend, rosa):
    new = second_factor.SecondFactor(backend.keys, "a new nonce")
    backend.run(second_factor.set_up, rosa, "a new nonce", backend.totp_code(new.secret))
    assert enter(backend, half_way(backend, rosa), backend.totp_code(new.secret)) is None


def test_half_a_session_is_ended_with_the_others(backend, rosa, factor):
    half_way(backend, rosa)
    backend.run(sessions.end_all, rosa)
    assert all(one.ended_at for one in backend.read(select(LoginSession)))
