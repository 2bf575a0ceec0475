"""Two tabs, six at once, somebody else logged in: a link counts once, and for its holder only."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kmzportal.models.account_link import LinkKind
from tests import people
from tests.browser import Browser
from tests.people import NEW
from tests.web.links import DEAD

pytestmark = pytest.mark.usefixtures("clock")


def tab(browser, app):
    """Another tab of the same browser."""
    other = Browser(app)
    other.client = browser.client
    return other


def test_two_tabs_with_two_links_never_mix(browser, app, backend, erika, max_, issue, mailed):
    hers, his = issue(LinkKind.RECOVERY, erika), issue(LinkKind.RECOVERY, max_)
    other = tab(browser, app)
    browser.open(mailed(hers))
    other.open(mailed(his))
    browser.submit("Passwort speichern", NEW)
    other.submit("Passwort speichern", dict.fromkeys(NEW, people.OTHER_PASSWORD))
    assert (browser.heading, other.heading) == ("Fertig", "Fertig")
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert backend.log_in(max_.email, people.OTHER_PASSWORD)


def test_one_link_in_two_tabs_counts_once(browser, app, backend, erika, issue, mailed):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    other = tab(browser, app)
    browser.open(path)
    other.open(path)
    browser.submit("Passwort speichern", NEW)
    other.submit("Passwort speichern", dict.fromkeys(NEW, people.OTHER_PASSWORD))
    assert (other.status, other.heading) == (410, DEAD)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)


@pytest.mark.both_databases
def test_of_six_who_use_a_link_at_once_one_gets_in(app, browser, backend, erika, issue, mailed):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    six = [Browser(app).open(path) for _ in range(6)]
    meeting = threading.Barrier(6)

    def use(one):
        meeting.wait(20)
        return one.submit("Passwort speichern", NEW).heading

    with ThreadPoolExecutor(6) as threads:
        headings = sorted(threads.map(use, six))
    assert headings == [DEAD] * 5 + ["Fertig"]
    assert len(backend.mails("password_set")) == 1


def test_where_somebody_else_is_logged_in_they_log_out_first(browser, backend, erika, max_, issue, mailed):
    browser.log_in(max_).open(mailed(issue(LinkKind.RECOVERY, erika)))
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert "Max Mustermann" in browser.text
    assert erika.email not in browser.text
    browser.press("Abmelden und weiter")
    browser.submit("Passwort speichern", NEW)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert backend.log_in(max_.email, people.password_of(max_))


def test_logged_in_meanwhile_as_somebody_else_nothing_is_set(browser, app, backend, erika, max_, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    tab(browser, app).log_in(max_)
    browser.submit("Passwort speichern", NEW)
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert backend.log_in(erika.email, people.NEW_PASSWORD) is None


def test_where_she_is_logged_in_herself_the_link_just_works(browser, backend, erika, issue, mailed):
    browser.log_in(erika).open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert browser.heading == "Fertig"
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_a_link_ends_all_sessions_of_its_holder(browser, app, erika, issue, mailed):
    elsewhere = Browser(app).log_in(erika)
    browser.open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert elsewhere.open("/einstellungen").heading == "Anmelden"
