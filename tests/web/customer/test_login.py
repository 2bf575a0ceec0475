"""Logging in, staying logged in, logging out, and the page that was wanted before."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import delete, select

from kmzportal.models.account_link import LinkKind
from kmzportal.models.customer import Customer
from kmzportal.models.login_session import LoginSession, Throttle
from kmzportal.services import sessions
from tests import people
from tests.browser import Browser
from tests.web.by_hand import COOKIE, HOST, cookie, token_in
from tests.web.doors import CODE, DESK, DOOR, FIELD, REFUSED, log_in
from tests.web.links import LOST

pytestmark = pytest.mark.usefixtures("clock")
ELSEWHERE = (
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example",
    "https://evil.example", "http:evil.example", "https:evil.example", "HTTPS://evil.example", "ftp://evil.example",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "mailto:a@evil.example", "evil.example",
    "@evil.example", "?weiter=//evil.example", "#//evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil",
    " //evil.example", "/ /evil.example", "/einstellungen\r\nSet-Cookie: a=b", "/\0/evil.example", "/a\\..\\evil",
    "/\u202e//evil.example", "/\u2028/evil.example", ".", "../..", "https:///evil.example", "",
)  # fmt: skip


def test_erika_logs_in(browser, erika):
    browser.log_in(erika)
    assert (browser.path, browser.heading) == ("/einstellungen", "Einstellungen")
    assert "Erika Mustermann" in browser.text


@pytest.mark.parametrize("how", ["  {} ", "\u200b{}", "Erika Mustermann <{}>", "mailto:{}", "{}."])
def test_her_address_is_understood_as_she_pastes_it(browser, erika, how):
    typed = how.format(erika.email.upper())
    browser.open("/anmelden").submit("Anmelden", {"E-Mail-Adresse": typed, "Passwort": people.password_of(erika)})
    assert browser.path == "/einstellungen"


@pytest.mark.parametrize("how", [" {}", "{} ", "{}\t", "{}\u00a0"])
def test_a_password_is_never_trimmed(browser, erika, how):
    browser.log_in(erika, how.format(people.password_of(erika)))
    assert browser.status == 422
    assert REFUSED in browser.text


def test_a_password_is_never_shown_again(browser, erika):
    browser.log_in(erika, "kanarienvogel 4711")
    assert "kanarienvogel" not in browser.answer.text
    assert browser.value("Passwort") == ""
    assert browser.value("E-Mail-Adresse") == erika.email


def test_six_who_are_refused_cannot_tell_why(browser, app, backend, erika):
    """Unknown, wrong, locked, throttled, never activated, disabled: equal to the last byte but for tokens."""
    right, wrong = people.password_of(erika), "falsches passwort"
    states = {
        "unknown": ({"email_canonical": "jemand@anders.example"}, 0, right),
        "wrong": ({}, 0, wrong),
        "locked": ({"locked_at": people.LONG_AGO}, 0, right),
        "throttled": ({}, 6, right),
        "never activated": ({"password_hash": None}, 0, ""),
        "disabled": ({}, 100, right),
    }
    answers = {name: refusal(browser, app, backend, erika, *state) for name, state in states.items()}
    assert answers["wrong"][0] == 422
    assert {name: answer for name, answer in answers.items() if answer != answers["wrong"]} == {}


def refusal(browser, app, backend, erika, changes, failures, password):
    """Return all that a stranger can see of one refused login."""
    normal = {"email_canonical": erika.email_canonical, "locked_at": None, "password_hash": erika.password_hash}
    with backend.transaction() as tx:
        tx.session.execute(delete(Throttle))
        account = tx.keys.fingerprint(erika.email_canonical)
        if failures:
            tx.session.add(Throttle(account=account, failures=failures, failed_at=tx.now))
        for name, value in (normal | changes).items():
            setattr(tx.session.get(Customer, erika.id), name, value)
    stranger = Browser(app, browser.htmx).log_in(erika, password or "irgendein passwort")
    with stranger.client.session_transaction(base_url=stranger.site) as session:
        kept = {name: value for name, value in session.items() if name != "csrf_token"}
    body = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]+"', r'\1""', stranger.answer.text)
    headers = sorted((name, value) for name, value in stranger.answer.headers if name != "Set-Cookie")
    return stranger.status, body, headers, kept


def test_under_a_refusal_stand_the_ways_out(browser, erika):
    browser.log_in(erika, "falsches passwort")
    assert browser.title.startswith("Fehler: ") or browser.htmx
    assert "Nach mehreren Versuchen einige Minuten warten; der Link per E-Mail hilft sofort" in browser.text
    assert "Kein Zugriff mehr auf Ihre E-Mail-Adresse?" in browser.text
    assert "07051 965 220" in browser.text


def test_the_typed_address_goes_along_to_passwort_vergessen(browser, erika):
    browser.log_in(erika, "falsches passwort").follow("Passwort vergessen?")
    assert browser.heading == "Passwort vergessen?"
    assert browser.value("E-Mail-Adresse") == erika.email


@pytest.mark.parametrize("typed", ["", "erika", "erika@", "a@b@c.example", "x" * 250 + "@y.example"])
def test_what_is_no_address_is_said_at_the_field(browser, typed):
    browser.open("/anmelden").submit("Anmelden", {"E-Mail-Adresse": typed, "Passwort": "irgendeines"})
    assert browser.status == 422
    assert REFUSED not in browser.text
    assert browser.value("E-Mail-Adresse") == typed


def test_logging_in_from_an_old_page_keeps_the_address_and_works_at_the_second_click(browser, erika):
    browser.open("/anmelden")
    browser.stale().submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert REFUSED not in browser.text
    assert (browser.value("E-Mail-Adresse"), browser.value("Passwort")) == (erika.email, "")
    browser.submit("Anmelden", {"Passwort": people.password_of(erika)})
    assert browser.path == "/einstellungen"


def test_a_login_page_left_open_over_the_weekend_still_works(browser, erika, clock):
    browser.open("/anmelden")
    clock.shift(timedelta(days=3))
    browser.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
    assert browser.path == "/einstellungen"


def test_nobody_gets_in_without_a_password_of_their_own(browser, anneliese):
    for guess in (" ", "changeme", anneliese.number, "None"):
        browser.log_in(anneliese, guess)
        assert browser.status == 422


def test_strangers_see_the_same_page_and_each_can_send_only_their_own_form(app, erika):
    first, second = Browser(app).open("/anmelden"), Browser(app).open("/anmelden")
    tokens = [re.search(r'name="csrf_token"[^>]* value="([^"]+)"', one.answer.text)[1] for one in (first, second)]
    assert first.answer.text.replace(tokens[0], tokens[1]) == second.answer.text
    assert tokens[0] != tokens[1]
    fields = {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)}
    assert [one.submit("Anmelden", fields).path for one in (first, second)] == ["/einstellungen"] * 2


def test_nobody_sees_the_address_that_somebody_else_typed(app, erika):
    assert Browser(app).log_in(erika, "falsch").value("E-Mail-Adresse") == erika.email
    assert Browser(app).open("/anmelden").value("E-Mail-Adresse") == ""


def test_every_login_draws_a_new_token_and_a_new_secret_for_forms(browser, backend, erika):
    seen = set()
    for _ in range(3):
        browser.open("/anmelden")
        with browser.client.session_transaction(base_url=browser.site) as session:
            seen.add(session["csrf_token"])
        browser.log_in(erika)
        with browser.client.session_transaction(base_url=browser.site) as session:
            seen |= {session["_user_id"], session.get("csrf_token")}
        browser.press("Abmelden")
    assert len(seen - {None}) >= 6
    assert len(backend.read(select(LoginSession))) == 3


def test_a_token_that_somebody_planted_logs_nobody_in(browser, backend, erika):
    with browser.client.session_transaction(base_url=browser.site) as session:
        session["_user_id"] = "x" * 43
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


def test_logging_out_closes_the_links_that_were_opened_in_this_browser(browser, backend, erika):
    """On a shared computer, the next person must not get into the account by the link."""
    link = backend.issue(LinkKind.RECOVERY, erika)
    browser.open(f"/link/{backend.keys.token(link)}")
    opened = browser.path
    browser.log_in(erika).press("Abmelden")
    assert browser.open(opened).heading == LOST


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
    token = backend.run(sessions.start_session, rosa, "Firefox").token
    with browser.client.session_transaction(base_url=browser.site) as session:
        session["_user_id"] = token
    assert browser.open("/einstellungen").status == 403


def test_the_cookie_goes_nowhere_else_and_holds_no_more_than_it_must(browser, erika):
    answer = browser.open("/anmelden").answer
    assert re.fullmatch(rf"{COOKIE}=[^;]+; Secure; HttpOnly; Path=/; SameSite=Lax", answer.headers["Set-Cookie"])
    browser.log_in(erika)
    with browser.client.session_transaction(base_url=browser.site) as session:
        assert set(session) <= {"_user_id", "_id", "_fresh", "csrf_token", "_flashes", "links", "kept_form"}


def test_whoever_wanted_a_page_gets_it_after_logging_in(browser, erika):
    browser.open("/einstellungen/geraete")
    assert browser.heading == "Anmelden"
    browser.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
    assert browser.path == "/einstellungen/geraete"


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_nobody_is_led_elsewhere_by_logging_in(browser, erika, wanted):
    browser.log_in(erika, path=f"/anmelden?weiter={quote(wanted, safe='')}")
    assert browser.path == "/einstellungen"


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_nobody_is_led_elsewhere_by_logging_out(app, erika, wanted):
    browser = Browser(app).log_in(erika)
    url = f"/abmelden?weiter={quote(wanted, safe='')}"
    answer = browser.client.post(url, data={"csrf_token": token_in(browser)}, base_url=browser.site)
    assert answer.location == "/anmelden"


def test_a_wanted_page_with_an_umlaut_is_a_header_that_can_be_sent(app, erika):
    client, site = app.test_client(), app.config["PUBLIC_URL"]
    path = "/anmelden?weiter=/%E6%97%A5%C3%BC"
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(path, base_url=site).text)[1]
    data = {"csrf_token": token, "email": erika.email, "password": people.password_of(erika)}
    answer = client.post(path, data=data, base_url=site, headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == "/%E6%97%A5%C3%BC"


def test_the_wanted_page_of_the_desk_opens_after_the_code(browser, backend, rosa, factor):
    browser.open("/kundenservice/mitarbeitende")
    browser.submit("Anmelden", {"E-Mail-Adresse": rosa.email, "Passwort": people.password_of(rosa)})
    browser.submit("Weiter", {FIELD: "000000"})
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert browser.path == "/kundenservice/mitarbeitende"


@pytest.mark.parametrize("wanted", [*ELSEWHERE, "/einstellungen", "/kundenserviceevil", "/abmelden"])
def test_nobody_is_led_elsewhere(app, backend, tim, offered, wanted):
    """Neither by the first step nor by the second."""
    browser = log_in(Browser(app), tim, path=f"{DOOR}?weiter={quote(wanted, safe='')}")
    assert browser.path.startswith(DESK) and browser.heading != "Anmelden im Kundenservice"
    factor, other = backend.add_second_factor(tim), Browser(app)
    log_in(other, tim).open(f"{CODE}?weiter={quote(wanted, safe='')}")
    other.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert other.path == browser.path
