"""How long somebody who guesses has to wait, and whom that does not keep out."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.passwords import hash_password, prove
from kmzportal.domain.throttle import SourceFailure, Throttle
from kmzportal.services import login, password
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")
SCHOOL = "192.0.2.7"
OFFICE = "192.0.2.1"


def fail(deeds, person, times, source=None):
    for _ in range(times):
        assert deeds.log_in(person.email, "falsches passwort", source) is None


def test_a_throttled_login_is_refused_with_the_right_password_too(deeds, erika):
    fail(deeds, erika, 6)
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    assert deeds.history()[-1] == "login.throttled"


def test_five_typing_errors_are_free(deeds, erika):
    fail(deeds, erika, 5)
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_after_that_the_wait_grows_and_ends(deeds, erika, clock):
    fail(deeds, erika, 6)
    clock.shift(29)
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    clock.shift(1)
    fail(deeds, erika, 1)
    clock.shift(59)
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    clock.shift(1)
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_knocking_while_waiting_does_not_lengthen_the_wait(deeds, erika, clock):
    fail(deeds, erika, 6)
    fail(deeds, erika, 20)
    clock.shift(30)
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_the_account_waits_whatever_the_source(deeds, erika):
    for number in range(6):
        fail(deeds, erika, 1, f"198.51.100.{number}")
    assert deeds.log_in(erika.email, cast.password_of(erika), "203.0.113.9") is None


def test_logging_in_forgets_the_failures(deeds, erika):
    fail(deeds, erika, 5)
    deeds.log_in(erika.email, cast.password_of(erika))
    fail(deeds, erika, 5)
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_an_unknown_address_is_counted_like_a_known_one_and_cannot_be_read(deeds):
    for _ in range(6):
        deeds.log_in("niemand@schule.example", "falsches passwort")
    deeds.log_in("Niemand@SCHULE.example", "falsches passwort")
    assert deeds.history()[-1] == "login.throttled"
    (throttle,) = deeds.read(select(Throttle))
    assert throttle.failures == 6
    assert "niemand" not in throttle.account


def test_after_a_hundred_failures_the_password_is_off_and_erika_hears_of_it_once(deeds, erika, clock):
    for _ in range(102):
        fail(deeds, erika, 1)
        clock.shift(timedelta(hours=1))
    clock.shift(timedelta(days=30))
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    assert [mail.recipient for mail in deeds.mails("password_disabled")] == [erika.email]


def test_a_new_password_ends_every_wait(deeds, erika, clock):
    for _ in range(101):
        fail(deeds, erika, 1)
        clock.shift(timedelta(hours=1))
    deeds.do(password.take, erika, hash_password(cast.NEW_PASSWORD))
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)


def test_a_source_that_fails_at_thirty_accounts_is_stopped_at_the_next(deeds, erika, clock):
    for number in range(30):
        deeds.log_in(f"niemand{number}@schule.example", "falsches passwort", SCHOOL)
    assert deeds.log_in(erika.email, cast.password_of(erika), SCHOOL) is None
    assert deeds.log_in(erika.email, cast.password_of(erika), "203.0.113.9")
    clock.shift(timedelta(minutes=15))
    assert deeds.log_in(erika.email, cast.password_of(erika), SCHOOL)


def test_a_school_behind_one_address_counts_accounts_not_tries(deeds, erika, max_):
    fail(deeds, max_, 40, SCHOOL)
    assert len(deeds.read(select(SourceFailure))) == 1
    assert deeds.log_in(erika.email, cast.password_of(erika), SCHOOL)


def test_six_wrong_tries_at_once_are_counted_as_six(deeds, erika):
    wrong = prove("falsches passwort", erika.password_hash)
    assert deeds.at_once(6, login.log_in, erika.email, wrong, "Firefox") == [None] * 6
    assert [throttle.failures for throttle in deeds.read(select(Throttle))] == [6]


def test_customers_are_counted_together_wherever_it_happens(deeds, erika):
    deeds.do(lambda work, customer: work.record("login.succeeded", customer), erika, source=OFFICE)
    for number in range(20):
        deeds.log_in(erika.email, "falsches passwort", f"198.51.100.{number}")
    assert deeds.log_in(erika.email, cast.password_of(erika), OFFICE) is None
