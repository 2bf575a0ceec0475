"""The hand-out: its labels are those of the pages, its words follow the settings."""

import re

import pytest

from kmzportal.models import LinkKind
from kmzportal.web.static_files import FOLDER
from tests import people
from tests.browser import Browser, words
from tests.people import NEW

pytestmark = pytest.mark.usefixtures("clock")
PAGES = ("/hilfe/handreichung", "/hilfe/zettel")


def labels(browser):
    """Return the texts of buttons, links, labels and headings."""
    kinds = "button", "a", "label", "h1", "h2", "legend"
    return {words(one).removesuffix(" Optional") for kind in kinds for one in browser.page.iter(kind)}


@pytest.fixture
def seen(app, backend, erika, max_, issue):
    """All labels on the ways that the hand-out describes."""
    keys = backend.keys
    link = issue(LinkKind.DESK, max_)
    browser = Browser(app).open(f"/link/{keys.token(link)}")
    found = labels(browser)
    for step in (
        lambda: browser.check("Ich bin kein Roboter").press("Weiter"),
        lambda: browser.follow("Code aus der E-Mail eingeben"),
        lambda: browser.submit("Bestätigen", {"Code aus der E-Mail": keys.code(link)}),
        lambda: browser.follow("Konto bearbeiten"),
        lambda: browser.submit("Registrieren", NEW),
        lambda: browser.open("/passwort-vergessen"),
        lambda: browser.open(f"/link/{keys.token(issue(LinkKind.RECOVERY, erika))}"),
        lambda: browser.press("Abbrechen").open("/anmelden"),
        lambda: browser.log_in(erika),
        lambda: browser.follow("Konto anpassen"),
        lambda: browser.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)}),
    ):
        step()
        found |= labels(browser)
    return found | {"Link zum Konto"}  # of the mail, see tests/mail/test_compose.py


@pytest.mark.parametrize("path", PAGES)
def test_every_label_on_paper_is_one_of_the_pages(app, seen, path):
    browser = Browser(app).open(path)
    named = {words(one) for one in browser.page.iter("b")}
    assert len(named) > 3 and named - seen == set()


def test_it_has_the_steps_of_the_printed_one_in_their_order(app):
    browser = Browser(app).open("/hilfe/handreichung")
    [first, second, third] = browser.page.find_class("kmz-steps")
    steps = ["Link zum Konto", "Ich bin kein Roboter", "Code aus der E-Mail eingeben", "Bestätigen",
             "Konto bearbeiten", "Wdh. Passwort", "Registrieren", "Fertig"]  # fmt: skip
    assert [step in words(one) for one, step in zip(first, steps, strict=True)] == [True] * 8
    assert "Ihr Link zum Konto" in words(first) and len(second) == len(third) == 3


@pytest.mark.parametrize("path", PAGES)
def test_it_names_the_office_its_address_and_a_way_for_cameras(app, path):
    browser = Browser(app).open(path)
    for said in ("Kreismedienzentrum Calw", "Oberriedter Straße 10", "07051 965 220", "support@kmz-cw.de",
                 "konto.kmz.example/kein-zugriff", "edupool"):  # fmt: skip
        assert said in browser.text
    pictures = [one.get("src") for one in browser.page.iter("img")]
    code = Browser(app).open(next(one for one in pictures if one.endswith("/qr-code"))).answer
    assert code.mimetype == "image/svg+xml" and browser.answer.headers["X-Robots-Tag"] == "all"
    shipped = {f"/handreichung/{file.name}" for file in (FOLDER / "handreichung").iterdir()}
    shown = {re.search("/handreichung/.*", one)[0] for one in pictures if "/handreichung/" in one}
    assert shown == (shipped if path == PAGES[0] else set())
    assert all(one.get("alt") for one in browser.page.iter("img"))
