"""The wait after failed logins grows, and it ends."""

from datetime import timedelta

import pytest

from kmzportal.models.throttle import Throttle
from tests.people import NOW

FREE, FIRST, LONGEST = 5, 30, 3600


def waits(failures, seconds):
    throttle = Throttle(account="somebody", failures=failures, failed_at=NOW)
    return throttle.waiting(NOW + timedelta(seconds=seconds), FREE, FIRST, LONGEST)


@pytest.mark.parametrize("failures", range(1, 6))
def test_five_typing_errors_are_free(failures):
    assert not waits(failures, 0)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(6, 30), (7, 60), (8, 120), (9, 240), (12, 1920), (13, 3600), (99, 3600), (10**6, 3600)]
)
def test_the_wait_doubles_from_half_a_minute_to_an_hour(failures, seconds):
    assert waits(failures, seconds - 1)
    assert not waits(failures, seconds)
