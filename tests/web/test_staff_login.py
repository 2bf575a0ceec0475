"""The desk's own door: password, then a code; refused like everybody."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import delete

from kmzportal.models.clerk import Clerk
from kmzportal.models.throttle import Throttle
from tests import people
from tests.browser import Browser
from tests.web.doors import CODE, DOOR, FIELD, REFUSED, WRONG, cookies, is_at_the_desk, log_in

pytestmark = pytest.mark.usefixtures("clock")


def test_rosa_logs_in_with_password_and_code(browser, backend, rosa, factor):
    log_in(browser, rosa)
    assert (browser.path, browser.heading) == (CODE, "Zweiter Faktor")
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert is_at_the_desk(browser)
    assert "Mitarbeitende" in browser.text


def test_she_takes_a_code_from_paper_instead(browser, backend, rosa, factor):
    log_in(browser, rosa).submit("Weiter", {FIELD: f" {factor.recovery_codes[4].lower()} "})
    assert is_at_the_desk(browser)


def test_where_it_is_offered_tim_needs_no_code(browser, tim, offered):
    log_in(browser, tim)
    assert is_at_the_desk(browser)
    assert "Mitarbeitende" not in browser.text


def test_where_it_is_offered_a_factor_that_is_there_is_asked_for(browser, rosa, factor, offered):
    assert log_in(browser, rosa).path == CODE
    assert not is_at_the_desk(browser)


def test_without_a_factor_she_is_told_what_to_do(browser, rosa):
    log_in(browser, rosa)
    assert browser.heading == "Ihr zweiter Faktor fehlt"
    assert f"kmzportal clerks link {rosa.email}" in browser.text
    assert not is_at_the_desk(browser)


def test_a_wrong_code_is_refused_and_asked_for_again(browser, backend, rosa, factor):
    log_in(browser, rosa).submit("Weiter", {FIELD: "000000"})
    assert browser.status == 422
    assert WRONG in browser.text
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert is_at_the_desk(browser)


def test_an_empty_code_is_said_at_the_field(browser, backend, rosa, factor):
    log_in(browser, rosa).submit("Weiter", {FIELD: ""})
    assert (browser.status, "Geben Sie den Code ein." in browser.text) == (422, True)
    assert "login.code_wrong" not in backend.actions()


def test_after_five_minutes_she_begins_again(browser, backend, rosa, factor, clock):
    log_in(browser, rosa)
    clock.shift(timedelta(minutes=5))
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert browser.heading == "Anmelden im Kundenservice"
    assert "Das hat zu lange gedauert." in browser.text
    assert not is_at_the_desk(browser)


def test_from_an_old_page_it_takes_a_second_click(browser, backend, rosa, factor):
    log_in(browser, rosa)
    browser.stale().submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    browser.press("Weiter")
    assert is_at_the_desk(browser)


def test_a_clerk_rests_a_quarter_of_an_hour(browser, tim, offered, clock):
    log_in(browser, tim)
    clock.shift(timedelta(minutes=14, seconds=59))
    assert is_at_the_desk(browser)
    clock.shift(timedelta(minutes=15))
    assert not is_at_the_desk(browser)
    assert "Sie wurden abgemeldet." in browser.text


def test_logging_out_leads_to_the_desks_door(browser, tim, offered):
    log_in(browser, tim).press("Abmelden")
    assert browser.path == DOOR
    assert "Sie sind abgemeldet." in browser.text
    assert not is_at_the_desk(browser)


def test_who_is_refused_cannot_tell_why(browser, app, backend, rosa, factor):
    """Unknown, wrong, locked, throttled, never activated, disabled: equal to the last byte but for tokens."""
    right, wrong = people.password_of(rosa), "falsches passwort"
    states = {
        "unknown": ({"email_canonical": "jemand@anders.example"}, 0, right),
        "wrong": ({}, 0, wrong),
        "locked": ({"locked_at": people.LONG_AGO}, 0, right),
        "throttled": ({}, 6, right),
        "never activated": ({"password_hash": None}, 0, right),
        "disabled": ({}, 100, right),
    }
    answers = {name: refusal(browser, app, backend, rosa, *state) for name, state in states.items()}
    assert answers["wrong"][0] == 422 and REFUSED in answers["wrong"][1]
    assert {name: answer for name, answer in answers.items() if answer != answers["wrong"]} == {}


def refusal(browser, app, backend, rosa, changes, failures, password):
    """Return all that a stranger can see of one refused login."""
    normal = {"email_canonical": rosa.email_canonical, "locked_at": None, "password_hash": rosa.password_hash}
    with backend.transaction() as tx:
        tx.session.execute(delete(Throttle))
        account = tx.keys.fingerprint(f"clerk:{rosa.email_canonical}")
        if failures:
            tx.session.add(Throttle(account=account, failures=failures, failed_at=tx.now))
        for name, value in (normal | changes).items():
            setattr(tx.session.get(Clerk, rosa.id), name, value)
    stranger = log_in(Browser(app), rosa, password)
    kept = {name: value for name, value in cookies(stranger).items() if name != "csrf_token"}
    body = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]+"', r'\1""', stranger.answer.text)
    headers = sorted((name, value) for name, value in stranger.answer.headers if name != "Set-Cookie")
    return stranger.status, body, headers, kept
