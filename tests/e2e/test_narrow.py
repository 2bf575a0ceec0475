"""On a small telephone, and at 400 % on a screen of 1280 pixels, which is the same: standards R226, R073, R223."""

import pytest
from playwright.sync_api import expect

from kmzportal.services import desk
from tests import cast
from tests.e2e.hands import button, field, heading, link, log_in, open_account, right_tiles, whole

pytestmark = pytest.mark.browser

#: 1280 x 1024 pixels at 400 %.
ZOOMED = {"viewport": {"width": 320, "height": 256}, "device_scale_factor": 4}
WIDER = """() => [...document.querySelectorAll("body *:not(.kern-sr-only, .kern-sr-only *, .kmz-skip)")]
  .filter((it) => it.getBoundingClientRect().right > innerWidth + 1).map((it) => it.outerHTML.slice(0, 120))"""
SMALL = """(least) => [...document.querySelectorAll("button, input:not([type=hidden]), select, a.kern-btn")]
  .filter((it) => it.checkVisibility()).map((it) => (it.type === "checkbox" && it.closest(".kmz-tile")) || it)
  .filter((it) => it.getBoundingClientRect().width < least || it.getBoundingClientRect().height < least)
  .map((it) => it.outerHTML)"""
#: A style sheet made by script passes the CSP.
STYLED = """(css) => { const sheet = new CSSStyleSheet(); sheet.replaceSync(css);
  document.adoptedStyleSheets = [sheet]; }"""
TWICE_AS_LARGE = "html { font-size: 200% }"
WIDELY_SET = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
  p { margin-bottom: 2em !important }"""  # WCAG 1.4.12
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((it) => it.checkVisibility() && it.clientHeight > 1
  && ["hidden", "clip"].includes(getComputedStyle(it).overflowY) && it.scrollHeight > it.clientHeight + 1)
  .map((it) => it.outerHTML.slice(0, 120))"""


def fits(page, title):
    """The page needs no scrolling to the side, everything can be hit, and larger text is not cut off."""
    whole(page, title)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, page.evaluate(WIDER)
    assert page.evaluate(SMALL, 24) == []
    page.set_viewport_size({"width": 640, "height": 512})
    for css in (TWICE_AS_LARGE, WIDELY_SET):
        page.evaluate(STYLED, css)
        assert page.evaluate("document.documentElement.scrollWidth") <= 640, page.evaluate(WIDER)
        assert page.evaluate(CUT_OFF) == []
    page.evaluate("document.adoptedStyleSheets = []")
    page.set_viewport_size(ZOOMED["viewport"])


def test_passwort_vergessen_fits(computer, erika, mailbox):
    page = computer(**ZOOMED)
    page.goto("/anmelden")
    fits(page, "Anmelden")
    button(page, "Anmelden").click()
    expect(page.get_by_role("alert")).to_be_focused()
    fits(page, "Anmelden")
    link(page, "Passwort vergessen?").click()
    fits(page, "Passwort vergessen?")
    field(page, "E-Mail-Adresse").fill(erika.email)
    button(page, "Link anfordern").click()
    fits(page, "Sehen Sie in Ihr Postfach")
    page.goto(mailbox.letter(erika.email, "Ihr neues Passwort").link)
    button(page, "Passwort speichern").click()
    expect(page.get_by_role("alert")).to_be_focused()
    fits(page, "Neues Passwort")
    button(page, "Abbrechen").click()
    page.goto("/gibt/es/nicht")
    fits(page, "Diese Seite gibt es nicht")


def test_the_link_to_the_account_fits(computer, erika, rosa, deeds, app, mailbox):
    page = computer(**ZOOMED)
    deeds.do(desk.send_link, erika, "ro")
    letter = mailbox.letter(erika.email, "Ihr Link zum Konto")
    page.goto(letter.link)
    fits(page, "Link zum Konto")
    field(page, "Ich bin kein Roboter").check()
    expect(heading(page, "Bilderrätsel")).to_be_visible()
    for tile in page.locator(".kmz-tile").all():
        box = tile.bounding_box()
        assert min(box["width"], box["height"]) >= 44, box
    fits(page, "Bilderrätsel")
    link(page, "Code aus der E-Mail eingeben").click()
    fits(page, "Code aus der E-Mail")
    link(page, "Lieber das Bilderrätsel lösen").click()
    for number in right_tiles(page, app):
        field(page, f"Bild {number} von 9").check()
    button(page, "Bestätigen").click()
    fits(page, "Bestätigt")
    link(page, "Konto bearbeiten").click()
    button(page, "Registrieren").click()
    expect(page.get_by_role("alert")).to_be_focused()
    fits(page, "Konto bearbeiten")
    field(page, "Passwort").fill(cast.NEW_PASSWORD)
    field(page, "Wdh. Passwort").fill(cast.NEW_PASSWORD)
    button(page, "Registrieren").click()
    fits(page, "Fertig")
    page.goto(letter.link)
    fits(page, "Dieser Link gilt nicht mehr")


def test_the_settings_fit(computer, erika):
    page = computer(**ZOOMED)
    log_in(page, erika.email, cast.password_of(erika))
    fits(page, "Einstellungen")
    link(page, "Konto anpassen").click()
    fits(page, "Konto anpassen")
    page.goto("/einstellungen")
    open_account(page, cast.password_of(erika))
    fits(page, "Konto anpassen")
    field(page, "Nachname").fill("")
    button(page, "Speichern").click()
    expect(page.get_by_role("alert")).to_be_focused()
    fits(page, "Konto anpassen")
    for path, title in {"geraete": "Angemeldete Geräte", "verlauf": "Verlauf", "daten": "Meine Daten"}.items():
        page.goto(f"/einstellungen/{path}")
        fits(page, title)


def test_the_pages_of_the_office_fit(computer):
    page = computer(**ZOOMED)
    for path, title in {
        "hilfe#link-geht-nicht": "Hilfe zum Konto",
        "impressum": "Impressum",
        "datenschutz": "Datenschutz",
        "barrierefreiheit": "Erklärung zur Barrierefreiheit",
        "leichte-sprache": "Leichte Sprache",
    }.items():
        page.goto(f"/{path}")
        fits(page, title)
