"""The pages a public office owes: to be read by anybody, linked from everywhere, with the help that others promise."""

import gzip
import re

import pytest

from kmzportal.services import office_pages
from tests import people
from tests.browser import Browser, only, words

pytestmark = pytest.mark.usefixtures("clock")
LABELS = {
    "Hilfe": "/hilfe",
    "Impressum": "/impressum",
    "Datenschutz": "/datenschutz",
    "Barrierefreiheit": "/barrierefreiheit",
    "Leichte Sprache": "/leichte-sprache",
}


def footer(browser):
    nav = only((one for one in browser.page.iter("nav") if "Rechtliches" in one.get("aria-label", "")), "nav")
    return {words(link): link.get("href") for link in nav.iter("a")}


def anchors(browser):
    return {one.get("id") for one in browser.page.iter("section")}


@pytest.mark.parametrize("path", LABELS.values())
def test_each_page_can_be_read_by_anybody_and_sets_no_cookie(app, path):
    stranger = Browser(app).open(path)
    assert stranger.status == 200
    assert stranger.title.startswith(stranger.heading)
    assert "Set-Cookie" not in stranger.answer.headers
    assert stranger.answer.headers["X-Robots-Tag"] == "all"


@pytest.mark.parametrize("path", LABELS.values())
def test_the_long_texts_are_sent_small_to_whom_understands_it(app, path):
    browser = Browser(app).open(path)
    small = browser.client.get(path, base_url=browser.site, headers={"Accept-Encoding": "gzip"})
    assert small.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in small.vary
    assert gzip.decompress(small.data) == browser.answer.data
    assert len(small.data) < 5000


def test_they_are_linked_from_every_page_in_the_same_place(app, erika, backend):
    at_home = Browser(app).open("/anmelden")
    fields = {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)}
    at_home.submit("Anmelden", fields)
    with_a_link = Browser(app).open(f"/link/{backend.keys.token(backend.issue('desk', erika))}")
    lost = Browser(app).open("/gibt-es-nicht")
    dead = Browser(app).open("/link/" + "x" * 43)
    for browser in (at_home, with_a_link, lost, dead, Browser(app).open("/anmelden"), Browser(app).open("/hilfe")):
        assert footer(browser) == LABELS, browser.path


def test_the_page_one_is_on_is_marked(app):
    browser = Browser(app).open("/datenschutz")
    assert [words(link) for link in browser.page.iter("a") if link.get("aria-current") == "page"] == ["Datenschutz"]


def test_a_refused_login_leads_to_its_help(app, erika):
    browser = Browser(app).open("/anmelden")
    assert not any("Hilfe: " in words(link) for link in browser.page.iter("a"))
    browser.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": "falsch"})
    browser.follow("Hilfe: Ich lese „Falsche Zugangsdaten“")
    assert "falsche-zugangsdaten" in anchors(browser)


def test_who_waits_for_a_mail_is_led_to_help(app):
    browser = Browser(app).open("/passwort-vergessen")
    browser.submit("Link anfordern", {"E-Mail-Adresse": "jemand@schule.example"})
    assert browser.follow("Hilfe: Es kommt keine E-Mail an").heading == "Hilfe zum Konto"


def test_every_help_that_a_page_promises_is_there():
    """Also where a template is shown in a rare state only."""
    package = office_pages.SHIPPED.parent.parent
    sources = (*package.glob("templates/**/*.html"), *package.glob("web/*.py"))
    written = "".join(path.read_text("utf-8") for path in sources)
    promised = set(re.findall(r'\bhelp(?:\(|=)"([a-z-]+)"', written))
    there = set(re.findall(r"\{#([a-z-]+)\}", (office_pages.SHIPPED / "hilfe.md").read_text("utf-8")))
    assert promised >= {"falsche-zugangsdaten", "keine-email", "link-geht-nicht", "bilderraetsel", "gesperrt"}
    assert promised - there == set()


@pytest.mark.parametrize("path", LABELS.values())
def test_every_link_on_the_pages_leads_somewhere(app, path):
    browser = Browser(app).open(path)
    for link in browser.page.iter("a"):
        target, _, anchor = link.get("href").partition("#")
        assert link.get("href").startswith(("/", "#", "https://", "mailto:", "tel:")), link.get("href")
        if target.startswith("/"):
            assert Browser(app).open(target).status == 200, target
        if anchor:
            ids = {one.get("id") for one in (Browser(app).open(target) if target else browser).page.iter()}
            assert anchor in ids, link.get("href")


def test_barriers_can_be_told_without_logging_in(app):
    browser = Browser(app).open("/barrierefreiheit")
    targets = [link.get("href") for link in browser.page.iter("a")]
    assert "mailto:support@kmz-cw.de?subject=Barriere%20melden" in targets
    assert "tel:07051965220" in targets
    assert "Schlichtungsstelle" in browser.text and "Überwachungsstelle" in browser.text
