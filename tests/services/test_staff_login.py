"""The desk's door: where a clerk logs in, strangers do not shut her out."""

from datetime import timedelta

import pytest

from kmzportal.models.clerk import Clerk
from kmzportal.services import sessions
from tests import people

pytestmark = pytest.mark.usefixtures("clock")
OFFICE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def tim_in(backend, tim):
    """Tim logged in at the office; try his right password from somewhere."""
    backend.run(lambda tx, clerk: tx.record("login.succeeded", clerk), tim, source=OFFICE)
    return lambda source: backend.log_in(tim.email, people.password_of(tim), source, Clerk)


def test_strangers_do_not_shut_a_clerk_out_where_she_logs_in(backend, tim, tim_in):
    for number in range(20):
        backend.log_in(tim.email, "falsches passwort", f"198.51.100.{number}", Clerk)
    assert tim_in(ELSEWHERE) is None
    assert tim_in(OFFICE)


def test_nor_do_made_up_names_behind_the_offices_own_address(backend, tim_in):
    for number in range(40):
        backend.log_in(f"niemand{number}@schule.example", "falsches passwort", OFFICE)
    assert tim_in(OFFICE)


def test_but_who_guesses_there_waits_too_and_a_new_password_forgets_it(backend, tim, tim_in):
    for _ in range(8):
        backend.log_in(tim.email, "falsches passwort", OFFICE, Clerk)
    assert tim_in(OFFICE) is None
    backend.run(sessions.clear_failures, tim)
    assert tim_in(OFFICE)


def test_after_a_week_away_the_office_is_a_place_like_any_other(backend, tim, tim_in, clock):
    clock.shift(timedelta(days=8))
    for number in range(20):
        backend.log_in(tim.email, "falsches passwort", f"198.51.100.{number}", Clerk)
    assert tim_in(OFFICE) is None
