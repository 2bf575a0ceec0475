"""The login of the desk: password, then a code; what is refused, and that both refuse alike."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from kmzportal.models.login_session import LoginSession, Throttle
from kmzportal.models.person import Clerk
from kmzportal.services import sessions
from tests import people
from tests.browser import Browser
from tests.web.by_hand import token_in
from tests.web.doors import CODE, DESK, DOOR, FIELD, REFUSED, WRONG, cookies, is_at_the_desk, log_in, plant

pytestmark = pytest.mark.usefixtures("clock")


def test_a_clerk_logs_in_with_password_and_code(browser, backend, rosa, factor):
    log_in(browser, rosa)
    assert (browser.path, browser.heading) == (CODE, "Zweiter Faktor")
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert is_at_the_desk(browser)
    assert "Mitarbeitende" in browser.text


def test_where_the_factor_is_offered_a_clerk_without_one_needs_no_code(browser, tim, offered):
    log_in(browser, tim)
    assert is_at_the_desk(browser)
    assert "Mitarbeitende" not in browser.text


def test_where_the_factor_is_offered_an_existing_one_is_asked_for(browser, rosa, factor, offered):
    assert log_in(browser, rosa).path == CODE
    assert not is_at_the_desk(browser)


def test_a_clerk_without_a_required_factor_reads_how_to_get_one(browser, rosa):
    log_in(browser, rosa)
    assert browser.heading == "Ihr zweiter Faktor fehlt"
    assert f"kmzportal clerks link {rosa.email}" in browser.text
    assert not is_at_the_desk(browser)


def test_an_empty_or_wrong_code_is_refused_and_asked_for_again(browser, backend, rosa, factor):
    log_in(browser, rosa).submit("Weiter", {FIELD: ""})
    assert (browser.status, "Geben Sie den Code ein." in browser.text) == (422, True)
    assert "login.code_wrong" not in backend.actions()
    browser.submit("Weiter", {FIELD: "000000"})
    assert (browser.status, WRONG in browser.text) == (422, True)
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert is_at_the_desk(browser)


def test_the_code_must_be_entered_within_five_minutes(browser, backend, rosa, factor, clock):
    log_in(browser, rosa)
    clock.shift(timedelta(minutes=5))
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert browser.heading == "Anmelden im Kundenservice"
    assert "Das hat zu lange gedauert." in browser.text
    assert not is_at_the_desk(browser)


def test_a_stale_form_is_refused_and_works_the_second_time(browser, backend, rosa, factor):
    log_in(browser, rosa)
    browser.stale().submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    browser.press("Weiter")
    assert is_at_the_desk(browser)


def test_the_session_of_a_clerk_ends_after_15_idle_minutes(browser, tim, offered, clock):
    log_in(browser, tim)
    clock.shift(timedelta(minutes=14, seconds=59))
    assert is_at_the_desk(browser)
    clock.shift(timedelta(minutes=15))
    assert not is_at_the_desk(browser)
    assert "Sie wurden abgemeldet." in browser.text


def test_logout_leads_to_the_login_of_the_desk(browser, tim, offered):
    log_in(browser, tim).press("Abmelden")
    assert browser.path == DOOR
    assert "Sie sind abgemeldet." in browser.text
    assert not is_at_the_desk(browser)


def test_a_session_that_awaits_its_code_opens_no_page(browser, app, backend, rosa, factor):
    """Neither as it is nor with its token planted where the token of a complete session stands."""
    log_in(browser, rosa)
    awaiting = cookies(browser)["awaits_code"]
    assert "_user_id" not in cookies(browser)
    for path in (DESK, "/kundenservice/mitarbeitende", "/einstellungen"):
        assert browser.open(path).heading.startswith("Anmelden")
    plant(browser, _user_id=awaiting)
    assert not is_at_the_desk(browser)
    thief = Browser(app)
    plant(thief, _user_id=awaiting, awaits_code=awaiting)
    assert not is_at_the_desk(thief)


@pytest.mark.parametrize("token", ["x" * 43, "", "None", "\0", "'--"])
def test_an_invented_token_is_ignored(browser, token):
    plant(browser, awaits_code=token)
    assert browser.open(CODE).heading == "Anmelden im Kundenservice"


def test_a_complete_session_is_not_taken_for_one_that_awaits_its_code(browser, app, backend, erika, tim):
    for person in (erika, tim):
        plant(browser, awaits_code=backend.run(sessions.start_session, person, "Firefox").token)
        assert browser.open(CODE).heading == "Anmelden im Kundenservice"


def test_the_code_replaces_the_token_and_ends_the_old_one(browser, app, backend, rosa, factor):
    log_in(browser, rosa)
    before = cookies(browser)
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    after = cookies(browser)
    assert after["_user_id"] != before["awaits_code"]
    assert "awaits_code" not in after
    assert after.get("csrf_token") != before["csrf_token"]
    thief = Browser(app)
    plant(thief, **before)
    thief.open(CODE)
    assert thief.heading == "Anmelden im Kundenservice"


def test_a_code_of_the_app_works_once(app, backend, rosa, factor):
    code = backend.totp_code(factor.secret)
    log_in(Browser(app), rosa).submit("Weiter", {FIELD: code})
    thief = log_in(Browser(app), rosa).submit("Weiter", {FIELD: code})
    assert WRONG in thief.text
    assert not is_at_the_desk(thief)


def test_a_recovery_code_works_once_in_any_spelling(app, rosa, factor):
    for accepted in (True, False):
        browser = log_in(Browser(app), rosa).submit("Weiter", {FIELD: f" {factor.recovery_codes[4].lower()} "})
        assert is_at_the_desk(browser) is accepted


def test_the_code_of_another_clerk_is_refused(browser, backend, rosa, tim, factor):
    his = backend.add_second_factor(tim)
    log_in(browser, rosa)
    for code in (backend.totp_code(his.secret), his.recovery_codes[0]):
        browser.submit("Weiter", {FIELD: code})
        assert WRONG in browser.text


def test_after_too_many_wrong_codes_the_right_one_is_refused_alike(browser, backend, rosa, factor):
    log_in(browser, rosa)
    answers = set()
    for code in ["000000"] * 7 + [factor.recovery_codes[0]]:
        browser.submit("Weiter", {FIELD: code})
        answers.add((browser.status, re.sub(r'value="[^"]*"', "", browser.answer.text)))
    assert len(answers) == 1
    assert backend.actions()[-2:] == ["login.code_throttled"] * 2


def test_a_code_without_the_password_is_refused(browser, backend, rosa, factor):
    """The code alone, posted with the CSRF token of the login page, starts no session."""
    browser.open(DOOR)
    data = {"csrf_token": token_in(browser), "code": backend.totp_code(factor.secret)}
    answer = browser.client.post(CODE, data=data, base_url=browser.site)
    assert answer.location == DOOR
    assert backend.read(select(LoginSession)) == []


def test_a_clerk_locked_before_the_code_is_refused(browser, backend, rosa, factor):
    log_in(browser, rosa)
    with backend.transaction("console") as tx:
        tx.session.get(Clerk, rosa.id).locked_at = tx.now
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert browser.heading == "Anmelden im Kundenservice"


def test_a_clerk_locked_after_the_login_is_logged_out(browser, backend, tim, offered):
    log_in(browser, tim)
    with backend.transaction("console") as tx:
        tx.session.get(Clerk, tim.id).locked_at = tx.now
    assert not is_at_the_desk(browser)


def test_an_unknown_value_of_the_setting_requires_the_factor(browser, app, tim, monkeypatch):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "off")
    assert log_in(browser, tim).heading == "Ihr zweiter Faktor fehlt"


def test_every_refused_login_looks_the_same(browser, app, backend, rosa, factor):
    """Unknown, wrong, locked, throttled, never activated, disabled: the same bytes but for CSRF tokens."""
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
    """Return status, body, headers and cookie of one refused login."""
    normal = {"email_canonical": rosa.email_canonical, "locked_at": None, "password_hash": rosa.password_hash}
    with backend.transaction() as tx:
        tx.session.execute(delete(Throttle))
        account = tx.keys.fingerprint(f"clerk:{rosa.email_canonical}")
        if failures:
            tx.session.add(Throttle(account=account, failures=failures, failed_at=tx.now))
        for name, value in (normal | changes).items():
            setattr(tx.session.get(Clerk, rosa.id), name, value)
    stranger = log_in(Browser(app, browser.htmx), rosa, password)
    kept = {name: value for name, value in cookies(stranger).items() if name != "csrf_token"}
    body = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]+"', r'\1""', stranger.answer.text)
    headers = sorted((name, value) for name, value in stranger.answer.headers if name != "Set-Cookie")
    return stranger.status, body, headers, kept
