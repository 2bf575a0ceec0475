"""Wrong codes are counted: five are free, and only the right code forgives them."""

import pytest

from kmzportal.services import second_factor
from tests.services.staff import enter, half_way

pytestmark = pytest.mark.usefixtures("clock")


def test_five_wrong_codes_are_free_and_then_no_code_is_looked_at(deeds, rosa, factor, clock):
    for _ in range(6):
        assert enter(deeds, half_way(deeds, rosa), "000000") is None
    assert enter(deeds, half_way(deeds, rosa), factor.recovery_codes[0]) is None
    assert deeds.history()[-1] == "login.code_throttled"
    assert deeds.read(rosa).recovery_codes_used == []
    clock.shift(30)
    assert enter(deeds, half_way(deeds, rosa), factor.recovery_codes[0])


def test_six_wrong_codes_at_once_are_counted_as_six(deeds, rosa, factor):
    half = half_way(deeds, rosa)
    assert deeds.at_once(6, second_factor.enter, half, "000000") == [None] * 6
    assert enter(deeds, half, deeds.app_shows(factor.secret)) is None
    assert deeds.history()[-1] == "login.code_throttled"


def test_the_right_password_does_not_forgive_wrong_codes(deeds, rosa, factor):
    """Who knows the password could otherwise guess for ever."""
    for _ in range(6):
        enter(deeds, half_way(deeds, rosa), "000000")
    half_way(deeds, rosa)
    assert enter(deeds, half_way(deeds, rosa), deeds.app_shows(factor.secret)) is None


def test_the_right_code_forgives_the_wrong_ones(deeds, rosa, factor):
    for place in range(3):
        for _ in range(5):
            enter(deeds, half_way(deeds, rosa), "000000")
        assert enter(deeds, half_way(deeds, rosa), factor.recovery_codes[place])
