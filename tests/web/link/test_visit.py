"""A visit to an opened link: which pages it opens, how long it lasts, and what is typed too late."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.services import links
from tests import people
from tests.browser import Browser
from tests.people import NEW
from tests.web.links import LOST, pass_the_robot_check

pytestmark = pytest.mark.usefixtures("clock")
BACK = "Dann stehen Ihre Eingaben wieder da."
KEPT = "Ihre Eingaben stehen wieder im Formular."


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
