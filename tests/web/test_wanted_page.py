"""Whoever wanted a page gets it after logging in, at either door, and nobody is led elsewhere."""

import re
from urllib.parse import quote

import pytest

from tests import people
from tests.browser import Browser
from tests.web.by_hand import token_in
from tests.web.doors import CODE, DESK, DOOR, FIELD, log_in

pytestmark = pytest.mark.usefixtures("clock")
ELSEWHERE = (
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example",
    "https://evil.example", "http:evil.example", "https:evil.example", "HTTPS://evil.example", "ftp://evil.example",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "mailto:a@evil.example", "evil.example",
    "@evil.example", "?weiter=//evil.example", "#//evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil",
    " //evil.example", "/ /evil.example", "/einstellungen\r\nSet-Cookie: a=b", "/\0/evil.example", "/a\\..\\evil",
    "/\u202e//evil.example", "/\u2028/evil.example", ".", "../..", "https:///evil.example", "",
)  # fmt: skip


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
