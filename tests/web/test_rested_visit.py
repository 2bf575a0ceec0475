"""Somebody opens a link, types, and comes back when the visit, or the link itself, is over."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.services import links
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")

BACK = "Dann stehen Ihre Eingaben wieder da."
KEPT = "Ihre Eingaben stehen wieder im Formular."


@pytest.fixture
def link(erika, issue):
    return issue(LinkKind.DESK, erika)


@pytest.fixture
def follow(app, backend):
    """Open a link as from the mail, and go on to the form behind the robot check."""

    def follow(browser, link):
        browser.open(f"/link/{backend.keys.token(link)}").follow("Code aus der E-Mail eingeben")
        browser.submit("Bestätigen", {"Code aus der E-Mail": backend.keys.code(link)})
        return browser.follow("Konto bearbeiten")

    return follow


@pytest.fixture
def hers(app, link, follow):
    """Erika stands before the form."""
    return follow(Browser(app), link)


def ask_how_long(browser, link, method="GET", **fields):
    """Ask as the open page does by itself, or as its button does."""
    headers = {"HX-Request": "true", "Sec-Fetch-Site": "same-origin"}
    there = f"/konto-link/{link.id}/sitzung"
    return browser.client.open(there, method=method, base_url=browser.site, headers=headers, data=fields or None)


def test_nothing_asks_by_itself_on_the_page_of_a_dead_link(hers, backend, erika, link, clock):
    clock.shift(timedelta(minutes=28, seconds=30))
    assert "Sind Sie noch da?" in ask_how_long(hers, link).text
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK})
    for method in ("GET", "POST"):
        answer = ask_how_long(hers, link, method)
        assert (answer.status_code, answer.text) == (200, "")


def test_a_page_that_asks_too_late_takes_nothing_back_that_was_typed(hers, link, follow, clock):
    clock.shift(timedelta(minutes=31))
    hers.submit("Registrieren", {"Telefon": "07051 4711"})
    ask_how_long(hers, link, "POST", phone="nirgends")
    follow(hers, link)
    assert KEPT in hers.text and hers.value("Telefon") == "07051 4711"


def test_what_was_typed_comes_back_with_a_fresh_link_when_the_old_one_ran_out_as_well(
    app, backend, link, follow, clock
):
    clock.shift(timedelta(hours=71, minutes=50))
    hers = follow(Browser(app), link)
    clock.shift(timedelta(minutes=31))
    hers.submit("Registrieren", {"Telefon": "07051 4711"})
    assert BACK in hers.text
    hers.open(f"/link/{backend.keys.token(link)}").press("Neuen Link an dieselbe Adresse senden")
    follow(hers, backend.read(select(AccountLink).order_by(AccountLink.id.desc()))[0])
    assert KEPT in hers.text and hers.value("Telefon") == "07051 4711"
