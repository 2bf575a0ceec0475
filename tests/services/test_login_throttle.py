"""How long somebody who guesses has to wait, and whom that does not keep out."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.throttle import SourceFailure, Throttle
from kmzportal.services import accounts, sessions
from kmzportal.services.passwords import check_password, hash_password
from tests import people

pytestmark = pytest.mark.usefixtures("clock")
SCHOOL = "192.0.2.7"
OFFICE = "192.0.2.1"


def fail(backend, person, times, source=None):
    for _ in range(times):
        assert backend.log_in(person.email, "falsches passwort", source) is None


def test_a_throttled_login_is_refused_with_the_right_password_too(backend, erika):
    fail(backend, erika, 6)
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    assert backend.actions()[-1] == "login.throttled"


def test_five_typing_errors_are_free(backend, erika):
    fail(backend, erika, 5)
    assert backend.log_in(erika.email, people.password_of(erika))


def test_after_that_the_wait_grows_and_ends(backend, erika, clock):
    fail(backend, erika, 6)
    clock.shift(29)
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    clock.shift(1)
    fail(backend, erika, 1)
    clock.shift(59)
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    clock.shift(1)
    assert backend.log_in(erika.email, people.password_of(erika))


def test_knocking_while_waiting_does_not_lengthen_the_wait(backend, erika, clock):
    fail(backend, erika, 6)
    fail(backend, erika, 20)
    clock.shift(30)
    assert backend.log_in(erika.email, people.password_of(erika))


def test_the_account_waits_whatever_the_source(backend, erika):
    for number in range(6):
        fail(backend, erika, 1, f"198.51.100.{number}")
    assert backend.log_in(erika.email, people.password_of(erika), "203.0.113.9") is None


def test_logging_in_forgets_the_failures(backend, erika):
    fail(backend, erika, 5)
    backend.log_in(erika.email, people.password_of(erika))
    fail(backend, erika, 5)
    assert backend.log_in(erika.email, people.password_of(erika))


def test_an_unknown_address_is_counted_like_a_known_one_and_cannot_be_read(backend):
    for _ in range(6):
        backend.log_in("niemand@schule.example", "falsches passwort")
    backend.log_in("Niemand@SCHULE.example", "falsches passwort")
    assert backend.actions()[-1] == "login.throttled"
    (throttle,) = backend.read(select(Throttle))
    assert throttle.failures == 6
    assert "niemand" not in throttle.account


def test_after_a_hundred_failures_the_password_is_off_and_erika_hears_of_it_once(backend, erika, clock):
    for _ in range(102):
        fail(backend, erika, 1)
        clock.shift(timedelta(hours=1))
    clock.shift(timedelta(days=30))
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    assert [mail.recipient for mail in backend.mails("password_disabled")] == [erika.email]


def test_a_new_password_ends_every_wait(backend, erika, clock):
    for _ in range(101):
        fail(backend, erika, 1)
        clock.shift(timedelta(hours=1))
    backend.run(accounts.set_password, erika, hash_password(people.NEW_PASSWORD))
    assert backend.log_in(erika.email, people.NEW_PASSWORD)


def test_a_source_that_fails_at_thirty_accounts_is_stopped_at_the_next(backend, erika, clock):
    for number in range(30):
        backend.log_in(f"niemand{number}@schule.example", "falsches passwort", SCHOOL)
    assert backend.log_in(erika.email, people.password_of(erika), SCHOOL) is None
    assert backend.log_in(erika.email, people.password_of(erika), "203.0.113.9")
    clock.shift(timedelta(minutes=15))
    assert backend.log_in(erika.email, people.password_of(erika), SCHOOL)


def test_a_school_behind_one_address_counts_accounts_not_tries(backend, erika, max_):
    fail(backend, max_, 40, SCHOOL)
    assert len(backend.read(select(SourceFailure))) == 1
    assert backend.log_in(erika.email, people.password_of(erika), SCHOOL)


@pytest.mark.both_databases
def test_six_wrong_tries_at_once_are_counted_as_six(backend, erika):
    wrong = check_password("falsches passwort", erika.password_hash)
    assert backend.run_concurrently(6, sessions.log_in, erika.email, wrong, "Firefox") == [None] * 6
    assert [throttle.failures for throttle in backend.read(select(Throttle))] == [6]


def test_customers_are_counted_together_wherever_it_happens(backend, erika):
    backend.run(lambda tx, customer: tx.record("login.succeeded", customer), erika, source=OFFICE)
    for number in range(20):
        backend.log_in(erika.email, "falsches passwort", f"198.51.100.{number}")
    assert backend.log_in(erika.email, people.password_of(erika), OFFICE) is None
