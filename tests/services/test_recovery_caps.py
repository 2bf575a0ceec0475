"""How many mails somebody can ask for: per hour, per day, and for whom else from one place."""

from datetime import timedelta

import pytest

pytestmark = pytest.mark.usefixtures("clock")


def test_three_mails_an_hour_are_enough(backend, ask, erika, clock):
    assert [ask(erika.email) for _ in range(4)] == ["sent", "sent", "sent", "capped"]
    clock.shift(timedelta(hours=1))
    assert ask(erika.email) == "sent"


def test_five_mails_a_day_are_enough(backend, ask, erika, clock):
    outcomes = []
    for _ in range(6):
        outcomes.append(ask(erika.email))
        clock.shift(timedelta(hours=1))
    assert outcomes == ["sent"] * 5 + ["capped"]
    clock.shift(timedelta(hours=19))
    assert ask(erika.email) == "sent"


def test_requests_over_the_cap_do_not_lengthen_the_wait(backend, ask, erika, clock):
    for _ in range(10):
        ask(erika.email)
    clock.shift(timedelta(hours=1))
    assert ask(erika.email) == "sent"


def test_a_source_may_ask_for_twenty_addresses_an_hour(backend, ask, erika, clock):
    for number in range(20):
        ask(f"niemand{number}@schule.example")
    assert ask(erika.email) == "sent", "a pupil must not shut the teachers of a school out"
    assert ask(erika.email) == "capped"
    assert ask(erika.email, "203.0.113.9") == "sent"
    clock.shift(timedelta(hours=1, seconds=1))
    assert ask(erika.email) == "sent"


def test_a_locked_account_gets_no_more_mails_than_others(backend, ask, lieselotte):
    assert [ask(lieselotte.email) for _ in range(4)] == ["locked"] * 3 + ["capped"]
    assert len(backend.mails()) == 3
