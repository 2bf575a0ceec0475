"""A dead link says how it died, shows nothing else, and brings a fresh one where that is right."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.customer import Customer
from kmzportal.services import links
from tests.browser import Browser
from tests.people import NEW
from tests.web.by_hand import COOKIE, HOST
from tests.web.links import DEAD, newest

pytestmark = pytest.mark.usefixtures("clock")
RENEW = "Neuen Link an dieselbe Adresse senden"


def test_a_used_link_says_when_and_offers_no_other(browser, erika, issue, mailed, clock):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    browser.open(path).submit("Passwort speichern", NEW)
    clock.shift(60)
    browser.open(path)
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "am 23.11.2026, 14:05 Uhr benutzt" in browser.text
    assert RENEW not in browser.text


def test_an_expired_link_says_until_when_it_was_good_and_brings_another(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.shift(timedelta(hours=3))
    browser.open(mailed(link))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "Er galt bis 23.11.2026, 16:05 Uhr" in browser.text
    browser.press(RENEW)
    assert "Ein neuer Link ist unterwegs an dieselbe Adresse." in browser.text
    assert [mail.recipient for mail in backend.mails("recovery_link")] == [erika.email] * 2
    browser.open(mailed(newest(backend))).submit("Passwort speichern", NEW)
    assert browser.heading == "Fertig"


def test_a_replaced_link_points_to_the_newer_mail(browser, backend, erika, issue, mailed):
    old, _ = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, erika)
    browser.open(mailed(old))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "Nehmen Sie bitte die neueste E-Mail." in browser.text
    browser.press(RENEW)
    assert len(backend.mails("desk_link")) == 3


def test_a_withdrawn_link_shows_whom_to_call(browser, backend, erika, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK}, actor="clerk:1")
    browser.open(mailed(link))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "zurückgezogen" in browser.text
    assert RENEW not in browser.text


def test_a_link_is_renewed_three_times_and_then_one_calls(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    for _ in range(3):
        clock.shift(timedelta(hours=73))
        browser.open(mailed(link)).press(RENEW)
        link = newest(backend)
    clock.shift(timedelta(hours=73))
    assert RENEW not in browser.open(mailed(link)).text
    assert len(backend.mails("desk_link")) == 4


def test_a_page_that_still_offers_a_fourth_gets_none(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    with backend.transaction() as tx:
        tx.session.get(AccountLink, link.id).renewals = 3
    browser.press(RENEW)
    assert "Heute können wir keinen weiteren Link senden." in browser.text
    assert len(backend.mails("desk_link")) == 1


def test_a_fresh_link_from_an_old_page_takes_a_second_click(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link)).stale().press(RENEW)
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert len(backend.mails("desk_link")) == 1
    browser.press(RENEW)
    assert len(backend.mails("desk_link")) == 2


def test_locked_meanwhile_she_is_told_instead_of_mailed(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    with backend.transaction("clerk:1") as tx:
        tx.session.get(Customer, erika.id).locked_at = tx.now
    browser.press(RENEW)
    assert browser.status == 403
    assert "Ihr Konto ist gesperrt" in browser.text
    assert len(backend.mails("desk_link")) == 1


def test_a_dead_link_shows_nothing_of_the_account(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    for fact in (erika.number, erika.email, erika.last_name, erika.school, erika.phone):
        assert fact not in browser.text


def test_old_cookies_do_not_bring_a_used_link_back(browser, app, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    there, kept = browser.path, browser.client.get_cookie(COOKIE, HOST).value
    browser.submit("Passwort speichern", NEW)
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, kept, domain=HOST, secure=True)
    assert thief.open(there).heading == DEAD
