"""The login of clerks: password, then a code; what is refused, and what the cookie holds in between."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import LoginSession
from kmzportal.services import sessions
from tests import people
from tests.browser import TOKEN_KEY, Browser

pytestmark = pytest.mark.usefixtures("clock")
LOGIN, CODE, DESK = "/kundenservice/anmelden", "/kundenservice/zweiter-faktor", "/kundenservice"
FIELD, WRONG = "Code aus der App", "Dieser Code stimmt nicht."


def plant(browser, **entries):
    """Write into the cookie, as whoever knows its key could."""
    with browser.client.session_transaction(base_url=browser.site) as session:
        session.update(entries)


def is_at_the_desk(browser):
    return browser.open(DESK).path == "/kundenservice/kunden"


@pytest.fixture
def awaiting(browser, rosa, factor):
    """The browser of Rosa, who has entered her password and not yet the code."""
    return browser.log_in(rosa, path=LOGIN)


def test_a_clerk_logs_in_with_password_and_code_and_reaches_the_wanted_page(browser, backend, rosa, factor):
    browser.open("/kundenservice/mitarbeitende")
    browser.submit("Anmelden", {"E-Mail-Adresse": rosa.email, "Passwort": people.password_of(rosa)})
    assert (browser.path, browser.heading) == (CODE, "Zweiter Faktor")
    browser.submit("Weiter", {FIELD: ""})
    assert (browser.status, "Geben Sie den Code ein." in browser.text) == (422, True)
    assert "login.code_wrong" not in backend.actions()
    browser.submit("Weiter", {FIELD: "000000"})
    assert (browser.status, WRONG in browser.text) == (422, True)
    browser.stale().submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert browser.press("Weiter").path == "/kundenservice/mitarbeitende"


@pytest.mark.parametrize("query", [
    "suche=mueller", "suche=lisa+m%C3%BCller&vor=3", "suche=a%5Cb", "suche=100%25", "suche=a%26b%3Dc", "suche=%22x%22",
])  # fmt: skip
def test_the_search_that_a_clerk_was_at_comes_back_after_the_login(app, tim, offered, query):
    browser = Browser(app).open(f"/kundenservice/kunden?{query}")
    browser.submit("Anmelden", {"E-Mail-Adresse": tim.email, "Passwort": people.password_of(tim)})
    assert browser.answer.request.query_string.decode() == query


@pytest.mark.parametrize("wanted", ["//evil.example", "/einstellungen", "/kundenserviceevil", "/abmelden"])
def test_neither_password_nor_code_redirects_out_of_the_desk(app, backend, tim, offered, wanted):
    assert Browser(app).log_in(tim, path=f"{LOGIN}?weiter={wanted}").path == "/kundenservice/kunden"
    factor, browser = backend.add_second_factor(tim), Browser(app)
    browser.log_in(tim, path=LOGIN).open(f"{CODE}?weiter={wanted}")
    assert browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)}).path == "/kundenservice/kunden"


def test_where_the_factor_is_offered_a_clerk_without_one_needs_no_code(browser, app, tim, rosa, factor, offered):
    assert is_at_the_desk(browser.log_in(tim, path=LOGIN))
    other = Browser(app).log_in(rosa, path=LOGIN)
    assert (other.path, is_at_the_desk(other)) == (CODE, False)


@pytest.mark.parametrize("setting", ["required", "off"])
def test_with_any_other_setting_a_clerk_without_a_factor_reads_how_to_get_one(browser, app, tim, monkeypatch, setting):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", setting)
    browser.log_in(tim, path=LOGIN)
    assert browser.heading == "Ihr zweiter Faktor fehlt"
    assert f"kmzportal clerks link {tim.email}" in browser.text
    assert not is_at_the_desk(browser)


@pytest.mark.parametrize("late", [True, False])
def test_the_code_is_refused_after_five_minutes_and_when_the_clerk_is_locked(
    awaiting, backend, rosa, factor, clock, late
):
    if late:
        clock.shift(timedelta(minutes=5))
    else:
        backend.update(rosa, locked_at=people.NOW)
    awaiting.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert awaiting.heading == "Anmelden im Kundenservice"
    assert "Das hat zu lange gedauert." in awaiting.text
    assert not is_at_the_desk(awaiting)


def test_a_session_of_a_clerk_ends_after_15_idle_minutes_by_logout_and_by_a_lock(browser, backend, tim, offered, clock):
    browser.log_in(tim, path=LOGIN)
    clock.shift(timedelta(minutes=14, seconds=59))
    assert is_at_the_desk(browser)
    clock.shift(timedelta(minutes=15))
    assert not is_at_the_desk(browser) and "Sie wurden abgemeldet." in browser.text
    browser.log_in(tim, path=LOGIN).press("Abmelden")
    assert (browser.path, "Sie sind abgemeldet." in browser.text) == (LOGIN, True)
    assert is_at_the_desk(browser.log_in(tim, path=LOGIN))
    backend.update(tim, locked_at=people.NOW)
    assert not is_at_the_desk(browser)


def test_a_session_that_awaits_its_code_opens_no_page(awaiting, app):
    """Neither as it is nor with its token in the place of a complete session's."""
    token = awaiting.session["awaits_code"]
    assert TOKEN_KEY not in awaiting.session
    for path in (DESK, "/kundenservice/mitarbeitende", "/einstellungen"):
        assert awaiting.open(path).heading.startswith("Anmelden")
    forger = Browser(app)
    plant(forger, awaits_code=token, **{TOKEN_KEY: token})
    assert not is_at_the_desk(awaiting.come_in(token)) and not is_at_the_desk(forger)


def test_no_other_token_is_taken_for_one_that_awaits_its_code(browser, backend, erika, tim):
    complete = [backend.run(sessions.start_session, person, "Firefox").token for person in (erika, tim)]
    for token in ("x" * 43, "", "None", "\0", "'--", *complete):
        plant(browser, awaits_code=token)
        assert browser.open(CODE).heading == "Anmelden im Kundenservice"


def test_the_code_replaces_the_session_token_and_the_csrf_token(awaiting, app, backend, factor):
    before = awaiting.session
    awaiting.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    after = awaiting.session
    assert after[TOKEN_KEY] != before["awaits_code"] and "awaits_code" not in after
    assert after.get("csrf_token") != before["csrf_token"]
    thief = Browser(app)
    plant(thief, **before)
    assert thief.open(CODE).heading == "Anmelden im Kundenservice"


def test_a_code_of_app_or_paper_works_once(app, backend, rosa, factor):
    for code in (backend.totp_code(factor.secret), f" {factor.recovery_codes[4].lower()} "):
        for accepted in (True, False):
            browser = Browser(app).log_in(rosa, path=LOGIN).submit("Weiter", {FIELD: code})
            assert (WRONG in browser.text, is_at_the_desk(browser)) == (not accepted, accepted)


def test_after_too_many_wrong_codes_the_right_one_gets_the_same_answer(awaiting, backend, factor):
    answers = set()
    for code in ["000000"] * 7 + [backend.totp_code(factor.secret)]:
        awaiting.submit("Weiter", {FIELD: code})
        answers.add((awaiting.status, re.sub(r'value="[^"]*"', "", awaiting.answer.text)))
    assert len(answers) == 1
    assert backend.actions()[-1] == "login.code_throttled"


def test_a_code_without_the_password_starts_no_session(browser, backend, rosa, factor):
    browser.open(LOGIN)
    assert browser.post(CODE, code=backend.totp_code(factor.secret)).location == LOGIN
    assert backend.read(select(LoginSession)) == []


def test_the_form_is_never_filled_in_and_keeps_no_address(browser, erika, rosa):
    """On a shared computer the next person must not read who was here."""
    browser.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": erika.email})
    assert browser.open("/anmelden").value("E-Mail-Adresse") == erika.email
    assert browser.open(LOGIN).value("E-Mail-Adresse") == ""
    browser.open(LOGIN).submit("Anmelden", {"E-Mail-Adresse": rosa.email, "Passwort": "falsches passwort"})
    assert browser.value("E-Mail-Adresse") == rosa.email, "only in the answer to it"
    assert "Schon mehrmals versucht? Warten Sie einige Minuten." in browser.text
    for path in ("/anmelden", LOGIN, "/passwort-vergessen"):
        assert browser.open(path).value("E-Mail-Adresse") != rosa.email


def test_who_does_not_get_in_reads_whom_to_ask(browser, awaiting):
    asked = "Fragen Sie die Person, die bei Ihnen die Zugänge verwaltet. Sie sendet Ihnen einen neuen Link."
    assert asked in awaiting.text
    assert asked in Browser(browser.client.application).open(LOGIN).text
