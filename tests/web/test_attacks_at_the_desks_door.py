"""What somebody tries who means harm, between the password and the code."""

import re

import pytest
from sqlalchemy import select

from kmzportal.models.clerk import Clerk
from kmzportal.models.login_session import LoginSession
from kmzportal.services import sessions
from tests.browser import TOKEN_KEY, Browser
from tests.web.by_hand import token_in
from tests.web.doors import CODE, DESK, DOOR, FIELD, WRONG, cookies, is_at_the_desk, log_in, plant

pytestmark = pytest.mark.usefixtures("clock")


def test_half_of_the_way_opens_nothing(browser, app, backend, rosa, factor):
    """Not as it is, and not by moving its token to where a whole session's would be."""
    log_in(browser, rosa)
    half = cookies(browser)["awaits_code"]
    assert TOKEN_KEY not in cookies(browser)
    for path in (DESK, "/kundenservice/mitarbeitende", "/einstellungen"):
        assert browser.open(path).heading.startswith("Anmelden")
    browser.come_in(half)
    assert not is_at_the_desk(browser)
    thief = Browser(app)
    thief.come_in(half)
    plant(thief, awaits_code=half)
    assert not is_at_the_desk(thief)


@pytest.mark.parametrize("token", ["x" * 43, "", "None", "\0", "'--"])
def test_a_planted_token_is_nobodys(browser, token):
    plant(browser, awaits_code=token)
    assert browser.open(CODE).heading == "Anmelden im Kundenservice"


def test_a_whole_session_is_not_taken_for_half_of_one(browser, app, backend, erika, tim):
    for person in (erika, tim):
        plant(browser, awaits_code=backend.run(sessions.start_session, person, "Firefox"))
        assert browser.open(CODE).heading == "Anmelden im Kundenservice"


def test_the_token_changes_with_the_code_and_the_old_one_is_dead(browser, app, backend, rosa, factor):
    log_in(browser, rosa)
    before = cookies(browser)
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    after = cookies(browser)
    assert after[TOKEN_KEY] != before["awaits_code"]
    assert "awaits_code" not in after
    assert after.get("csrf_token") != before["csrf_token"]
    thief = Browser(app)
    plant(thief, **before)
    thief.open(CODE)
    assert thief.heading == "Anmelden im Kundenservice"


def test_a_code_seen_over_the_shoulder_is_used_up(app, backend, rosa, factor):
    code = backend.totp_code(factor.secret)
    log_in(Browser(app), rosa).submit("Weiter", {FIELD: code})
    thief = log_in(Browser(app), rosa).submit("Weiter", {FIELD: code})
    assert WRONG in thief.text
    assert not is_at_the_desk(thief)


def test_a_code_from_paper_that_was_found_is_used_up(app, rosa, factor):
    for gets_in in (True, False):
        browser = log_in(Browser(app), rosa).submit("Weiter", {FIELD: factor.recovery_codes[0]})
        assert is_at_the_desk(browser) is gets_in


def test_the_code_of_a_colleague_does_not_help(browser, backend, rosa, tim, factor):
    his = backend.add_second_factor(tim)
    log_in(browser, rosa)
    for code in (backend.totp_code(his.secret), his.recovery_codes[0]):
        browser.submit("Weiter", {FIELD: code})
        assert WRONG in browser.text


def test_guessing_is_stopped_and_looks_the_same(browser, backend, rosa, factor):
    log_in(browser, rosa)
    answers = set()
    for code in ["000000"] * 7 + [factor.recovery_codes[0]]:
        browser.submit("Weiter", {FIELD: code})
        answers.add((browser.status, re.sub(r'value="[^"]*"', "", browser.answer.text)))
    assert len(answers) == 1
    assert backend.actions()[-2:] == ["login.code_throttled"] * 2


def test_the_way_goes_through_the_password(browser, backend, rosa, factor):
    """A code alone, posted with the token of the first page, is worth nothing."""
    browser.open(DOOR)
    data = {"csrf_token": token_in(browser), "code": backend.totp_code(factor.secret)}
    answer = browser.client.post(CODE, data=data, base_url=browser.site)
    assert answer.location == DOOR
    assert backend.read(select(LoginSession)) == []


def test_locked_while_the_code_is_typed_she_is_out(browser, backend, rosa, factor):
    log_in(browser, rosa)
    with backend.transaction("console") as tx:
        tx.session.get(Clerk, rosa.id).locked_at = tx.now
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert browser.heading == "Anmelden im Kundenservice"


def test_locked_at_the_desk_she_is_out_at_the_next_page(browser, backend, tim, offered):
    log_in(browser, tim)
    with backend.transaction("console") as tx:
        tx.session.get(Clerk, tim.id).locked_at = tx.now
    assert not is_at_the_desk(browser)


def test_where_nobody_can_mean_it_the_factor_is_required(browser, app, tim, monkeypatch):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "off")
    assert log_in(browser, tim).heading == "Ihr zweiter Faktor fehlt"
