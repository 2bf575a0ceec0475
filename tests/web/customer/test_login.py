"""Logging in and out as a customer, the cookie, and the page that was wanted before."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest

from kmzportal.models import LinkKind
from tests import people
from tests.browser import CHALLENGE, COOKIE, HTMX, TOKEN_KEY, Browser, words

pytestmark = pytest.mark.usefixtures("clock")
LOGIN, REFUSED = "/anmelden", "Falsche Zugangsdaten"
ELSEWHERE = (
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example",
    "https://evil.example", "http:evil.example", "https:evil.example", "HTTPS://evil.example", "ftp://evil.example",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "mailto:a@evil.example", "evil.example",
    "@evil.example", "?weiter=//evil.example", "#//evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil",
    " //evil.example", "/ /evil.example", "/einstellungen\r\nSet-Cookie: a=b", "/\0/evil.example", "/a\\..\\evil",
    "/\u202e//evil.example", "/\u2028/evil.example", ".", "../..", "https:///evil.example", "",
)  # fmt: skip


def credentials(person):
    return {"E-Mail-Adresse": person.email, "Passwort": people.password_of(person)}


@pytest.mark.parametrize("pasted", ["{}", "  {} ", "\u200b{}", "Erika Mustermann <{}>", "mailto:{}", "{}."])
def test_a_customer_logs_in_with_the_address_as_pasted(browser, erika, pasted):
    browser.open(LOGIN).submit("Anmelden", credentials(erika) | {"E-Mail-Adresse": pasted.format(erika.email.upper())})
    assert (browser.path, browser.heading) == ("/einstellungen", "Einstellungen")
    assert "Erika Mustermann" in browser.text


@pytest.mark.parametrize("typed", [" {}", "{} ", "{}\t", "{}\u00a0"])
def test_a_password_is_not_trimmed(browser, erika, typed):
    browser.log_in(erika, typed.format(people.password_of(erika)))
    assert (browser.status, REFUSED in browser.text) == (422, True)


def test_a_refused_login_keeps_the_address_and_shows_what_else_helps(browser, app, erika):
    browser.log_in(erika, "kanarienvogel 4711")
    assert browser.title.startswith("Fehler: ")
    assert "kanarienvogel" not in browser.answer.text
    assert (browser.value("Passwort"), browser.value("E-Mail-Adresse")) == ("", erika.email)
    assert (
        "Schon mehrmals versucht? Warten Sie einige Minuten. "
        "Oder lassen Sie sich einen Link schicken, das hilft sofort." in browser.text
    )
    assert browser.read("h2") == REFUSED and "Bitte prüfen" not in browser.text, "one error is its own heading"
    assert "Hilfe: Es erscheint „Falsche Zugangsdaten“" in browser.text
    assert "Kommen Sie nicht mehr an Ihr E-Mail-Postfach?" in browser.text and "07051 965 220" in browser.text
    assert browser.follow("Passwort vergessen?").value("E-Mail-Adresse") == erika.email
    assert Browser(app).open(LOGIN).value("E-Mail-Adresse") == "", "in this browser only"


def test_who_never_had_a_password_reads_where_to_get_one(browser):
    assert "Noch kein Passwort? Auch dann: Passwort vergessen?" in browser.open(LOGIN).text
    assert "wenn Sie noch nie eines hatten" in browser.follow("Passwort vergessen?").text


def test_a_typed_address_is_filled_in_for_half_an_hour_and_not_from_the_desk(browser, app, rosa, erika, clock):
    browser.log_in(erika, "falsch")
    clock.shift(timedelta(minutes=29))
    assert browser.open(LOGIN).value("E-Mail-Adresse") == erika.email
    clock.shift(timedelta(minutes=2))
    assert browser.open(LOGIN).value("E-Mail-Adresse") == ""
    desk = Browser(app).log_in(rosa, "falsch", path="/kundenservice/anmelden")
    assert (desk.status, desk.open(LOGIN).value("E-Mail-Adresse")) == (422, "")


def test_the_settings_are_marked_as_the_page_shown(browser, erika):
    browser.log_in(erika)
    marks = []
    for path in ("/einstellungen", "/einstellungen/geraete", "/hilfe"):
        [link] = [one for one in browser.open(path).page.iter("a") if one.text == "Einstellungen"]
        marks.append(link.get("aria-current"))
    assert marks == ["page", "true", None]


@pytest.mark.parametrize("typed", ["", "erika", "erika@", "a@b@c.example", "x" * 250 + "@y.example"])
def test_text_that_is_no_address_is_an_error_of_the_field(browser, typed):
    browser.open(LOGIN).submit("Anmelden", {"E-Mail-Adresse": typed, "Passwort": "irgendeines"})
    assert (browser.status, REFUSED in browser.text, browser.value("E-Mail-Adresse")) == (422, False, typed)


def test_a_stale_login_keeps_the_address_and_works_the_second_time(browser, erika):
    browser.open(LOGIN).stale().submit("Anmelden", credentials(erika))
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text and REFUSED not in browser.text
    assert (browser.value("E-Mail-Adresse"), browser.value("Passwort")) == (erika.email, "")
    assert browser.submit("Anmelden", {"Passwort": people.password_of(erika)}).path == "/einstellungen"


def test_where_the_browser_blocks_cookies_the_form_says_so_instead_of_that_it_was_open_for_long(app, erika):
    browser = Browser(app)
    for _ in range(2):
        browser.open(LOGIN)
        browser.client.delete_cookie(COOKIE, domain="konto.kmz.example")
        browser.submit("Anmelden", credentials(erika))
        assert (browser.status, browser.value("E-Mail-Adresse")) == (422, erika.email)
        assert "Ihr Browser muss Cookies erlauben" in browser.text and "lange offen" not in browser.text


def test_a_login_page_left_open_for_days_works_and_only_with_its_own_csrf_token(app, erika, clock):
    first, second = Browser(app).open(LOGIN), Browser(app).open(LOGIN)
    shown = [CHALLENGE.sub("", one.answer.text) for one in (first, second)]
    assert shown[0].replace(first.csrf_token, second.csrf_token) == shown[1]
    sent = {"csrf_token": second.csrf_token, "email": erika.email, "password": people.password_of(erika)}
    answer = first.client.post(LOGIN, data=sent, base_url=first.site)
    assert (answer.status_code, erika.email in answer.text) == (422, True)
    clock.shift(timedelta(days=3))
    assert first.submit("Anmelden", credentials(erika)).path == "/einstellungen"


def test_every_login_makes_a_new_session_token_and_a_new_csrf_token(browser, backend, erika):
    browser.come_in("x" * 43).open(LOGIN)
    seen = {browser.csrf_token}
    for _ in range(2):
        browser.log_in(erika)
        seen |= {browser.session[TOKEN_KEY], browser.csrf_token}
        browser.press("Abmelden")
        seen.add(browser.csrf_token)
    assert len(seen) == 7 and backend.session_of("x" * 43) is None


def test_logging_out_ends_the_session_on_the_server_and_clears_pages_from_the_browser(browser, app, erika):
    browser.log_in(erika)
    stolen = Browser(app)
    stolen.cookie = browser.cookie
    assert browser.open("/abmelden").status == 405, "a link logs no one out"
    assert browser.open("/einstellungen").stale().press("Abmelden").status == 422
    assert browser.heading == "Abmelden"
    answer = browser.post("/abmelden")
    assert (answer.status_code, answer.headers["Clear-Site-Data"]) == (303, '"cache", "storage"')
    browser.open(answer.location)
    assert (browser.path, "Sie sind abgemeldet." in browser.text) == (LOGIN, True)
    assert stolen.open("/einstellungen").heading == "Anmelden"


def test_logging_out_closes_the_links_that_were_opened_in_this_browser(browser, erika, issue, mailed):
    """On a shared computer, the next person must not get into the account by the link."""
    opened = browser.open(mailed(issue(LinkKind.RECOVERY, erika))).path
    browser.log_in(erika).press("Abmelden")
    assert browser.open(opened).heading == "Diesen Link können wir nicht öffnen"


@pytest.mark.parametrize("path", ["/einstellungen/konto", "/passwort-vergessen", "/gibt-es-nicht"])
def test_every_page_of_a_session_has_the_button_to_log_out(browser, erika, path):
    browser.log_in(erika).open(path).press("Abmelden")
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_an_idle_session_ends_after_half_an_hour_and_any_page_prolongs_it(browser, erika, clock):
    browser.log_in(erika)
    clock.shift(timedelta(minutes=29, seconds=59))
    assert browser.open("/einstellungen").heading == "Einstellungen"
    clock.shift(timedelta(minutes=30))
    assert browser.open("/einstellungen").heading == "Anmelden"
    [box] = [one for one in browser.page.iter("div") if "data-outcome" in one.attrib]
    assert words(box) == "Sie wurden abgemeldet. Melden Sie sich bitte noch einmal an."
    assert "kern-alert--info" in box.get("class"), "no success"
    assert browser.text.index("Sie wurden abgemeldet.") > browser.text.index("Anmelden "), "below the heading"


def test_a_locked_customer_is_logged_out_at_the_next_page(browser, backend, erika):
    browser.log_in(erika)
    backend.update(erika, locked_at=people.NOW)
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_the_cookie_is_for_this_site_only_and_holds_no_more_than_necessary(browser, erika):
    answer = browser.open(LOGIN).answer
    assert re.fullmatch(rf"{COOKIE}=[^;]+; Secure; HttpOnly; Path=/; SameSite=Lax", answer.headers["Set-Cookie"])
    assert set(browser.log_in(erika).session) <= {"_user_id", "_id", "_fresh", "csrf_token", "_flashes"}


def test_the_wanted_page_opens_after_the_login(browser, app, erika):
    assert browser.open("/einstellungen/geraete").heading == "Anmelden"
    assert browser.submit("Anmelden", credentials(erika)).path == "/einstellungen/geraete"
    other = Browser(app).open(f"{LOGIN}?weiter=/%E6%97%A5%C3%BC")
    sent = {"csrf_token": other.csrf_token, "email": erika.email, "password": people.password_of(erika)}
    answer = other.client.post(f"{LOGIN}?weiter=/%E6%97%A5%C3%BC", data=sent, base_url=other.site, headers=HTMX)
    assert answer.headers["HX-Redirect"] == "/%E6%97%A5%C3%BC", "a header that can be sent"


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_neither_login_nor_logout_redirects_to_another_site(browser, erika, wanted):
    query = f"weiter={quote(wanted, safe='')}"
    assert browser.log_in(erika, path=f"{LOGIN}?{query}").path == "/einstellungen"
    assert browser.post(f"/abmelden?{query}").location == LOGIN
