"""A session, from the token that a login draws to its end: by rest, by hand, or by the office."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.customer import Customer
from kmzportal.models.login_session import LoginSession
from kmzportal.services import sessions
from tests import people
from tests.browser import TOKEN_KEY, Browser
from tests.web.by_hand import COOKIE, HOST, cookie, token_in

pytestmark = pytest.mark.usefixtures("clock")


def test_every_login_draws_a_new_token_and_a_new_secret_for_forms(browser, backend, erika):
    seen = set()
    for _ in range(3):
        browser.open("/anmelden")
        with browser.client.session_transaction(base_url=browser.site) as session:
            seen.add(session["csrf_token"])
        browser.log_in(erika)
        with browser.client.session_transaction(base_url=browser.site) as session:
            seen |= {session[TOKEN_KEY], session.get("csrf_token")}
        browser.press("Abmelden")
    assert len(seen - {None}) >= 6
    assert len(backend.read(select(LoginSession))) == 3


def test_a_token_that_somebody_planted_logs_nobody_in(browser, backend, erika):
    browser.come_in("x" * 43)
    assert browser.open("/einstellungen").heading == "Anmelden"
    browser.log_in(erika)
    assert backend.session_of("x" * 43) is None


def test_logging_out_kills_the_session_on_the_server(browser, app, erika):
    browser.log_in(erika)
    kept = cookie(browser)
    browser.press("Abmelden")
    assert browser.path == "/anmelden"
    assert "Sie sind abgemeldet." in browser.text
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, kept, domain=HOST, secure=True)
    assert thief.open("/einstellungen").heading == "Anmelden"


def test_logging_out_asks_the_browser_to_forget_pages_but_not_a_neighbours_cookies(browser, erika):
    browser.log_in(erika)
    answer = browser.client.post("/abmelden", data={"csrf_token": token_in(browser)}, base_url=browser.site)
    assert answer.status_code == 303
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'


@pytest.mark.parametrize("path", ["/einstellungen", "/einstellungen/konto", "/passwort-vergessen", "/gibt-es-nicht"])
def test_every_page_of_hers_has_a_way_out(browser, erika, path):
    browser.log_in(erika).open(path).press("Abmelden")
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_nobody_is_logged_out_by_a_link(browser, erika):
    browser.log_in(erika).open("/abmelden")
    assert browser.status == 405
    assert browser.open("/einstellungen").status == 200


def test_logging_out_from_an_old_page_takes_one_more_click(browser, erika):
    browser.log_in(erika).stale().press("Abmelden")
    assert (browser.status, browser.heading) == (422, "Abmelden")
    browser.client.post("/abmelden", data={"csrf_token": token_in(browser)}, base_url=browser.site)
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_a_session_at_rest_ends_after_half_an_hour(browser, erika, clock):
    browser.log_in(erika)
    clock.shift(timedelta(minutes=29, seconds=59))
    assert browser.open("/einstellungen").heading == "Einstellungen"
    clock.shift(timedelta(minutes=30))
    assert browser.open("/einstellungen").heading == "Anmelden"
    assert "Sie wurden abgemeldet." in browser.text


def test_a_session_in_use_ends_after_a_working_day(browser, erika, clock):
    browser.log_in(erika)
    for _ in range(8 * 3 - 1):
        clock.shift(timedelta(minutes=20))
        assert browser.open("/einstellungen").heading == "Einstellungen"
    clock.shift(timedelta(minutes=20))
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_being_there_is_noted_once_a_minute(browser, backend, erika, clock):
    browser.log_in(erika)
    (login_session,) = backend.read(select(LoginSession))
    seen = []
    for _ in range(4):
        clock.shift(31)
        browser.open("/einstellungen")
        seen.append((backend.read(login_session).last_seen - people.NOW).total_seconds())
    assert seen == [0, 62, 62, 124]


def test_locked_by_the_office_she_is_out_at_the_next_page(browser, backend, erika):
    browser.log_in(erika)
    with backend.transaction("clerk:1") as tx:
        tx.session.get(Customer, erika.id).locked_at = tx.now
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_a_clerks_session_opens_no_customers_page(browser, backend, rosa):
    token = backend.run(sessions.start_session, rosa, "Firefox")
    browser.come_in(token)
    assert browser.open("/einstellungen").status == 403


def test_the_cookie_goes_nowhere_else_and_holds_no_more_than_it_must(browser, erika):
    answer = browser.open("/anmelden").answer
    assert re.fullmatch(rf"{COOKIE}=[^;]+; Secure; HttpOnly; Path=/; SameSite=Lax", answer.headers["Set-Cookie"])
    browser.log_in(erika)
    with browser.client.session_transaction(base_url=browser.site) as session:
        assert set(session) <= {TOKEN_KEY, "_id", "_fresh", "csrf_token", "_flashes", "links", "kept_form"}
