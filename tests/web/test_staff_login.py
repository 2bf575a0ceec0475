"""The desk's own door: password, then a code; refused like everybody, and nobody gets past half of the way."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import delete, select

from kmzportal.domain.clerk import Clerk
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.throttle import Throttle
from kmzportal.services import login
from tests import cast
from tests.browser import Browser
from tests.web.test_login import ELSEWHERE, REFUSED, token_in

pytestmark = [
    pytest.mark.usefixtures("clock"),
    pytest.mark.parametrize("portal", ["sqlite"], indirect=True),
]
DOOR, CODE, DESK = "/kundenservice/anmelden", "/kundenservice/zweiter-faktor", "/kundenservice"
FIELD = "Code aus der App"
WRONG = "Dieser Code stimmt nicht."


@pytest.fixture
def factor(deeds, rosa):
    return deeds.give_factor(rosa)


@pytest.fixture
def offered(app, monkeypatch):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")


def log_in(browser, clerk, password=None, path=DOOR):
    return browser.log_in(clerk, password, path)


def cookies(browser):
    with browser.client.session_transaction(base_url=browser.site) as session:
        return dict(session)


def plant(browser, **entries):
    with browser.client.session_transaction(base_url=browser.site) as session:
        session.update(entries)


def is_at_the_desk(browser):
    return browser.open(DESK).path not in (DOOR, f"{DOOR}?weiter={DESK}")


def test_rosa_logs_in_with_password_and_code(browser, deeds, rosa, factor):
    log_in(browser, rosa)
    assert (browser.path, browser.heading) == (CODE, "Zweiter Faktor")
    browser.submit("Weiter", {FIELD: deeds.app_shows(factor.secret)})
    assert is_at_the_desk(browser)
    assert "Mitarbeitende" in browser.text


def test_she_takes_a_code_from_paper_instead(browser, deeds, rosa, factor):
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


def test_a_wrong_code_is_refused_and_asked_for_again(browser, deeds, rosa, factor):
    log_in(browser, rosa).submit("Weiter", {FIELD: "000000"})
    assert browser.status == 422
    assert WRONG in browser.text
    browser.submit("Weiter", {FIELD: deeds.app_shows(factor.secret)})
    assert is_at_the_desk(browser)


def test_an_empty_code_is_said_at_the_field(browser, deeds, rosa, factor):
    log_in(browser, rosa).submit("Weiter", {FIELD: ""})
    assert (browser.status, "Geben Sie den Code ein." in browser.text) == (422, True)
    assert "login.code_wrong" not in deeds.history()


def test_after_five_minutes_she_begins_again(browser, deeds, rosa, factor, clock):
    log_in(browser, rosa)
    clock.shift(timedelta(minutes=5))
    browser.submit("Weiter", {FIELD: deeds.app_shows(factor.secret)})
    assert browser.heading == "Anmelden im Kundenservice"
    assert "Das hat zu lange gedauert." in browser.text
    assert not is_at_the_desk(browser)


def test_from_an_old_page_it_takes_a_second_click(browser, deeds, rosa, factor):
    log_in(browser, rosa)
    browser.stale().submit("Weiter", {FIELD: deeds.app_shows(factor.secret)})
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


def test_who_is_refused_cannot_tell_why(browser, app, deeds, rosa, factor):
    """Unknown, wrong, locked, throttled, never activated, disabled: equal to the last byte but for tokens."""
    right, wrong = cast.password_of(rosa), "falsches passwort"
    states = {
        "unknown": ({"email_canonical": "jemand@anders.example"}, 0, right),
        "wrong": ({}, 0, wrong),
        "locked": ({"locked_at": cast.LONG_AGO}, 0, right),
        "throttled": ({}, 6, right),
        "never activated": ({"password_hash": None}, 0, right),
        "disabled": ({}, 100, right),
    }
    answers = {name: refusal(browser, app, deeds, rosa, *state) for name, state in states.items()}
    assert answers["wrong"][0] == 422 and REFUSED in answers["wrong"][1]
    assert {name: answer for name, answer in answers.items() if answer != answers["wrong"]} == {}


def refusal(browser, app, deeds, rosa, changes, failures, password):
    """Return all that a stranger can see of one refused login."""
    normal = {"email_canonical": rosa.email_canonical, "locked_at": None, "password_hash": rosa.password_hash}
    with deeds.work() as work:
        work.session.execute(delete(Throttle))
        account = work.keys.fingerprint(f"clerk:{rosa.email_canonical}")
        if failures:
            work.session.add(Throttle(account=account, failures=failures, failed_at=work.now))
        for name, value in (normal | changes).items():
            setattr(work.session.get(Clerk, rosa.id), name, value)
    stranger = log_in(Browser(app, browser.htmx), rosa, password)
    kept = {name: value for name, value in cookies(stranger).items() if name != "csrf_token"}
    body = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]+"', r'\1""', stranger.answer.text)
    headers = sorted((name, value) for name, value in stranger.answer.headers if name != "Set-Cookie")
    return stranger.status, body, headers, kept


def test_a_customer_does_not_get_in_at_the_desks_door(browser, erika):
    log_in(browser, erika)
    assert (browser.status, REFUSED in browser.text) == (422, True)


def test_a_customer_who_is_logged_in_is_asked_to_log_out_first(browser, erika):
    browser.log_in(erika).open(DOOR)
    assert browser.status == 403
    assert "Melden Sie sich zuerst ab." in browser.text
    browser.press("Abmelden")
    assert browser.open(DOOR).heading == "Anmelden im Kundenservice"


@pytest.mark.parametrize("path", ["/", "/anmelden", DOOR, CODE])
def test_a_clerk_who_is_logged_in_is_led_to_the_desk(browser, tim, offered, path):
    log_in(browser, tim).open(path)
    assert browser.path.startswith(DESK) and browser.status == 200
    assert browser.heading not in ("Anmelden im Kundenservice", "Zweiter Faktor")


def test_each_page_leads_strangers_to_its_own_door(browser):
    assert browser.open("/kundenservice/mitarbeitende").heading == "Anmelden im Kundenservice"
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_the_two_doors_show_each_other(browser):
    browser.open("/anmelden").follow("Für Mitarbeitende: Anmelden im Kundenservice")
    assert browser.path == DOOR
    assert browser.follow("Für Kundinnen und Kunden: Anmelden").path == "/anmelden"


def test_the_wanted_page_of_the_desk_opens_after_the_code(browser, deeds, rosa, factor):
    browser.open("/kundenservice/mitarbeitende")
    browser.submit("Anmelden", {"E-Mail-Adresse": rosa.email, "Passwort": cast.password_of(rosa)})
    browser.submit("Weiter", {FIELD: "000000"})
    browser.submit("Weiter", {FIELD: deeds.app_shows(factor.secret)})
    assert browser.path == "/kundenservice/mitarbeitende"


@pytest.mark.parametrize("wanted", [*ELSEWHERE, "/einstellungen", "/kundenserviceevil", "/abmelden"])
def test_nobody_is_led_elsewhere(app, deeds, tim, offered, wanted):
    """Neither by the first step nor by the second."""
    browser = log_in(Browser(app), tim, path=f"{DOOR}?weiter={quote(wanted, safe='')}")
    assert browser.path.startswith(DESK) and browser.heading != "Anmelden im Kundenservice"
    factor, other = deeds.give_factor(tim), Browser(app)
    log_in(other, tim).open(f"{CODE}?weiter={quote(wanted, safe='')}")
    other.submit("Weiter", {FIELD: deeds.app_shows(factor.secret)})
    assert other.path == browser.path


# What somebody tries who means harm


def test_half_of_the_way_opens_nothing(browser, app, deeds, rosa, factor):
    """Not as it is, and not by moving its token to where a whole session's would be."""
    log_in(browser, rosa)
    half = cookies(browser)["awaits_code"]
    assert "_user_id" not in cookies(browser)
    for path in (DESK, "/kundenservice/mitarbeitende", "/einstellungen"):
        assert browser.open(path).heading.startswith("Anmelden")
    plant(browser, _user_id=half)
    assert not is_at_the_desk(browser)
    thief = Browser(app)
    plant(thief, _user_id=half, awaits_code=half)
    assert not is_at_the_desk(thief)


@pytest.mark.parametrize("token", ["x" * 43, "", "None", "\0", "'--"])
def test_a_planted_token_is_nobodys(browser, token):
    plant(browser, awaits_code=token)
    assert browser.open(CODE).heading == "Anmelden im Kundenservice"


def test_a_whole_session_is_not_taken_for_half_of_one(browser, app, deeds, erika, tim):
    for person in (erika, tim):
        plant(browser, awaits_code=deeds.do(login.start_session, person, "Firefox"))
        assert browser.open(CODE).heading == "Anmelden im Kundenservice"


def test_the_token_changes_with_the_code_and_the_old_one_is_dead(browser, app, deeds, rosa, factor):
    log_in(browser, rosa)
    before = cookies(browser)
    browser.submit("Weiter", {FIELD: deeds.app_shows(factor.secret)})
    after = cookies(browser)
    assert after["_user_id"] != before["awaits_code"]
    assert "awaits_code" not in after
    assert after.get("csrf_token") != before["csrf_token"]
    thief = Browser(app)
    plant(thief, **before)
    thief.open(CODE)
    assert thief.heading == "Anmelden im Kundenservice"


def test_a_code_seen_over_the_shoulder_is_used_up(app, deeds, rosa, factor):
    code = deeds.app_shows(factor.secret)
    log_in(Browser(app), rosa).submit("Weiter", {FIELD: code})
    thief = log_in(Browser(app), rosa).submit("Weiter", {FIELD: code})
    assert WRONG in thief.text
    assert not is_at_the_desk(thief)


def test_a_code_from_paper_that_was_found_is_used_up(app, rosa, factor):
    for gets_in in (True, False):
        browser = log_in(Browser(app), rosa).submit("Weiter", {FIELD: factor.recovery_codes[0]})
        assert is_at_the_desk(browser) is gets_in


def test_the_code_of_a_colleague_does_not_help(browser, deeds, rosa, tim, factor):
    his = deeds.give_factor(tim)
    log_in(browser, rosa)
    for code in (deeds.app_shows(his.secret), his.recovery_codes[0]):
        browser.submit("Weiter", {FIELD: code})
        assert WRONG in browser.text


def test_guessing_is_stopped_and_looks_the_same(browser, deeds, rosa, factor):
    log_in(browser, rosa)
    answers = set()
    for code in ["000000"] * 7 + [factor.recovery_codes[0]]:
        browser.submit("Weiter", {FIELD: code})
        answers.add((browser.status, re.sub(r'value="[^"]*"', "", browser.answer.text)))
    assert len(answers) == 1
    assert deeds.history()[-2:] == ["login.code_throttled"] * 2


def test_the_way_goes_through_the_password(browser, deeds, rosa, factor):
    """A code alone, posted with the token of the first page, is worth nothing."""
    browser.open(DOOR)
    data = {"csrf_token": token_in(browser), "code": deeds.app_shows(factor.secret)}
    answer = browser.client.post(CODE, data=data, base_url=browser.site)
    assert answer.location == DOOR
    assert deeds.read(select(LoginSession)) == []


def test_locked_while_the_code_is_typed_she_is_out(browser, deeds, rosa, factor):
    log_in(browser, rosa)
    with deeds.work("console") as work:
        work.session.get(Clerk, rosa.id).locked_at = work.now
    browser.submit("Weiter", {FIELD: deeds.app_shows(factor.secret)})
    assert browser.heading == "Anmelden im Kundenservice"


def test_locked_at_the_desk_she_is_out_at_the_next_page(browser, deeds, tim, offered):
    log_in(browser, tim)
    with deeds.work("console") as work:
        work.session.get(Clerk, tim.id).locked_at = work.now
    assert not is_at_the_desk(browser)


def test_where_nobody_can_mean_it_the_factor_is_required(browser, app, tim, monkeypatch):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "off")
    assert log_in(browser, tim).heading == "Ihr zweiter Faktor fehlt"
