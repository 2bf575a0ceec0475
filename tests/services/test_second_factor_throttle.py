"""Wrong codes are counted: five are free, and only the right code forgives them."""

import pytest

from kmzportal.services import second_factor
from tests.services.staff import enter, half_way

pytestmark = pytest.mark.usefixtures("clock")


def test_five_wrong_codes_are_free_and_then_no_code_is_looked_at(backend, rosa, factor, clock):
    for _ in range(6):
        assert enter(backend, half_way(backend, rosa), "000000") is None
    assert enter(backend, half_way(backend, rosa), factor.recovery_codes[0]) is None
    assert backend.actions()[-1] == "login.code_throttled"
    assert backend.read(rosa).recovery_codes_used == []
    clock.shift(30)
    assert enter(backend, half_way(backend, rosa), factor.recovery_codes[0])


@pytest.mark.both_databases
def test_six_wrong_codes_at_once_are_counted_as_six(backend, rosa, factor):
    half = half_way(backend, rosa)
    assert backend.run_concurrently(6, second_factor.verify_login, half, "000000") == [None] * 6
    assert enter(backend, half, backend.totp_code(factor.secret)) is None
    assert backend.actions()[-1] == "login.code_throttled"


def test_the_right_password_does_not_forgive_wrong_codes(backend, rosa, factor):
    """Who knows the password could otherwise guess for ever."""
    for _ in range(6):
        enter(backend, half_way(backend, rosa), "000000")
    half_way(backend, rosa)
    assert enter(backend, half_way(backend, rosa), backend.totp_code(factor.secret)) is None


def test_the_right_code_forgives_the_wrong_ones(backend, rosa, factor):
    for place in range(3):
        for _ in range(5):
            enter(backend, half_way(backend, rosa), "000000")
        assert enter(backend, half_way(backend, rosa), factor.recovery_codes[place])
