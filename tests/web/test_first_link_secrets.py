"""Secret and codes of a clerk's first link are shown to nobody who comes too late, with another link, or with none."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.services import links
from kmzportal.services.second_factor import SecondFactor
from tests import people
from tests.browser import Browser
from tests.web.first_link import arrive, codes_on, secret_on, set_up

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def link(backend, rosa, issue):
    return issue(LinkKind.CLERK_FIRST, rosa)


def test_whoever_opened_the_link_before_knows_neither_secret_nor_codes(browser, app, backend, rosa, link, clock):
    """A mail scanner, or somebody who reads the mailbox along."""
    thief = arrive(Browser(app), backend, link)
    seen = secret_on(thief)
    assert set_up(arrive(browser, backend, link), backend).heading == "Fertig"
    thief.open(f"/konto-link/{link.id}/zugang/fertig")
    assert codes_on(thief) == []
    clock.shift(30)
    assert secret_on_file(backend, rosa) != seen.replace(" ", "")
    assert thief.open(f"/konto-link/{link.id}/zugang").status == 410
    assert thief.client.get(f"/konto-link/{link.id}/zugang/qr.svg", base_url=thief.site).status_code == 410


def secret_on_file(backend, clerk):
    return SecondFactor(backend.keys, backend.read(clerk).factor_nonce).secret


def test_the_codes_are_not_shown_again_after_logging_in(browser, backend, link):
    done = set_up(arrive(browser, backend, link), backend).path
    assert len(codes_on(browser.open(done))) == 10
    browser.follow("Zur Anmeldung im Kundenservice").press("Anmelden", Passwort=people.NEW_PASSWORD)
    assert codes_on(browser.open(done)) == []


def test_a_newer_factor_hides_the_codes_of_the_older(browser, backend, rosa, link):
    done = set_up(arrive(browser, backend, link), backend).path
    backend.add_second_factor(rosa)
    assert codes_on(browser.open(done)) == []


def test_a_link_works_once(browser, backend, link):
    set_up(arrive(browser, backend, link), backend)
    assert arrive(browser, backend, link).status == 410
    assert "Jeder Link gilt nur einmal." in browser.text
    browser.follow("Zur Anmeldung")
    assert browser.heading == "Anmelden im Kundenservice"


@pytest.mark.parametrize("state", ["expired", "withdrawn", "locked"])
def test_a_dead_link_shows_no_secret(browser, backend, rosa, tim, link, clock, state):
    if state == "withdrawn":
        backend.run(links.end, rosa, LinkState.WITHDRAWN, {LinkKind.CLERK_FIRST})
    elif state == "locked":
        with backend.transaction() as tx:
            tx.session.get(type(rosa), rosa.id).locked_at = tx.now
    else:
        clock.shift(timedelta(days=3, seconds=1))
    arrive(browser, backend, link)
    assert browser.status in (403, 410)
    assert codes_on(browser) == []
    for what in ("", "/qr.svg", "/fertig"):
        answer = browser.client.get(f"/konto-link/{link.id}/zugang{what}", base_url=browser.site)
        assert answer.status_code in (403, 404, 410) and "<path" not in answer.text, what
    if state == "expired":
        assert "um einen neuen Link" in browser.text and "an dieselbe Adresse senden" not in browser.text


def test_without_the_link_there_is_nothing(browser, app, backend, link):
    for path in ("zugang", "zugang/qr.svg", "zugang/fertig", "fertig"):
        assert browser.client.get(f"/konto-link/{link.id}/{path}", base_url=browser.site).status_code == 404


@pytest.mark.parametrize("path", ["zugang", "zugang/qr.svg", "zugang/fertig"])
def test_a_customers_link_leads_to_no_access(browser, backend, erika, issue, path):
    link = issue(LinkKind.RECOVERY, erika)
    arrive(browser, backend, link)
    assert browser.open(f"/konto-link/{link.id}/{path}").status == 404


@pytest.mark.parametrize("path", ["passwort", "konto", "roboter", "adresse"])
def test_a_first_link_is_no_way_around_the_factor(browser, backend, link, path):
    arrive(browser, backend, link)
    assert browser.open(f"/konto-link/{link.id}/{path}").status == 404
