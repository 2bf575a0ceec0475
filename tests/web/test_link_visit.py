"""A visit to an opened link: which pages it opens, how long it lasts, and how it is left."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import LinkKind
from tests import people
from tests.browser import Browser
from tests.people import NEW
from tests.web.links import LOST, pass_the_robot_check

pytestmark = pytest.mark.usefixtures("clock")


def test_a_links_number_opens_nothing(browser, app, erika, max_, issue, mailed):
    hers, his = issue(LinkKind.RECOVERY, erika), issue(LinkKind.RECOVERY, max_)
    browser.open(mailed(his))
    for page in ("", "/passwort", "/konto", "/roboter", "/raetsel", "/code", "/adresse", "/widerspruch", "/fertig"):
        assert browser.open(f"/konto-link/{hers.id}{page}").status == 404
    assert Browser(app).open(f"/konto-link/{his.id}").status == 404


@pytest.mark.parametrize("page", ["/konto", "/roboter", "/raetsel", "/code", "/adresse", "/widerspruch", "/fertig"])
def test_a_link_opens_the_pages_of_its_kind_only(browser, erika, issue, mailed, page):
    link = issue(LinkKind.RECOVERY, erika)
    browser.open(mailed(link))
    assert browser.open(f"/konto-link/{link.id}{page}").status == 404


def test_the_robot_check_cannot_be_stepped_over(browser, backend, erika, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    browser.open(mailed(link))
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    data = {"csrf_token": token, "last_name": "Dieb", "new": people.NEW_PASSWORD, "repeat": people.NEW_PASSWORD}
    answer = browser.client.post(f"/konto-link/{link.id}/konto", data=data, base_url=browser.site)
    assert (answer.status_code, answer.location) == (303, f"/konto-link/{link.id}")
    assert browser.open(f"/konto-link/{link.id}/konto").path == f"/konto-link/{link.id}/roboter"
    assert backend.read(erika).last_name == "Mustermann"
    assert backend.read(link).ended_at is None


def test_the_robot_check_of_one_link_is_none_for_another(browser, backend, erika, max_, issue, mailed):
    hers, his = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, max_)
    browser.open(mailed(his))
    browser.open(mailed(hers))
    pass_the_robot_check(browser, backend, hers)
    assert browser.open(f"/konto-link/{his.id}/konto").path == f"/konto-link/{his.id}/roboter"


def test_an_opened_link_rests_half_an_hour(browser, erika, issue, mailed, clock):
    path = mailed(issue(LinkKind.DESK, erika))
    browser.open(path)
    clock.shift(timedelta(minutes=29))
    assert browser.open(browser.path).heading == "Link zum Konto"
    clock.shift(timedelta(minutes=30))
    assert browser.open(browser.path).heading == LOST
    assert browser.open(path).heading == "Link zum Konto"


def test_an_opened_link_stays_open_two_hours_at_most(browser, erika, issue, mailed, clock):
    browser.open(mailed(issue(LinkKind.DESK, erika)))
    for _ in range(5):
        clock.shift(timedelta(minutes=20))
        assert browser.open(browser.path).heading == "Link zum Konto"
    clock.shift(timedelta(minutes=20))
    assert browser.open(browser.path).heading == LOST


def test_a_form_that_was_open_outlives_the_link(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.move_to(link.expires_at - timedelta(seconds=1))
    browser.open(mailed(link))
    clock.shift(timedelta(minutes=20))
    browser.submit("Passwort speichern", NEW)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_every_link_can_be_left_without_harm(browser, backend, juergen, issue, mailed, kind):
    path = mailed(issue(kind, juergen, juergen.pending_email))
    browser.open(path)
    there = browser.path
    browser.press("Abbrechen")
    assert browser.path == "/anmelden"
    assert "Sie haben abgebrochen. Nichts wurde geändert. Ihr Link gilt weiter." in browser.text
    assert browser.open(there).heading == LOST
    assert browser.open(path).status == 200


def test_leaving_from_an_old_page_takes_a_second_click(browser, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    there = browser.path
    browser.stale().press("Abbrechen")
    assert (browser.status, browser.heading) == (422, "Abbrechen")
    browser.press("Abbrechen")
    assert browser.path == "/anmelden"
    assert browser.open(there).heading == LOST


def test_a_browser_remembers_five_links_and_forgets_the_oldest(browser, backend, erika, issue, mailed):
    links = [issue(LinkKind.RECOVERY, erika) for _ in range(6)]
    for link in links:
        browser.open(mailed(link))
    assert browser.open(f"/konto-link/{links[0].id}").heading == LOST
    assert "Ihre Eingaben" not in browser.text and "Ihr Browser muss Cookies erlauben." in browser.text
    assert browser.open(f"/konto-link/{links[5].id}").heading == "Neues Passwort"
