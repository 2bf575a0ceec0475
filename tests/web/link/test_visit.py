"""A visit to an opened link: which pages it opens, and how long it lasts."""

from datetime import timedelta

import pytest
from sqlalchemy import event, select

from kmzportal.db import db
from kmzportal.models import LinkKind, LinkVisit, RequestCount
from kmzportal.services import guesses, links, visits
from tests.browser import SOURCE, Browser
from tests.people import NEW, NEW_PASSWORD

pytestmark = pytest.mark.usefixtures("clock")
LOST = "Diesen Link können wir nicht öffnen"
PAGES = {
    "passwort": LinkKind.RECOVERY, "konto": LinkKind.DESK, "roboter": LinkKind.DESK, "raetsel": LinkKind.DESK,
    "code": LinkKind.DESK, "bild/x": LinkKind.DESK, "adresse": LinkKind.ADDRESS, "widerspruch": LinkKind.OBJECTION,
    "zugang": LinkKind.CLERK_FIRST, "zugang/qr.svg": LinkKind.CLERK_FIRST, "zugang/fertig": None, "fertig": None,
}  # fmt: skip


@pytest.mark.parametrize("kind", LinkKind)
def test_a_link_opens_the_pages_of_its_kind_and_only_in_the_browser_that_opened_it(
    app, browser, erika, rosa, issue, mailed, kind
):
    link = issue(kind, rosa if kind == LinkKind.CLERK_FIRST else erika)
    other = Browser(app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    browser.open(mailed(link))
    for page, wanted in {"": kind, **{f"/{page}": wanted for page, wanted in PAGES.items()}}.items():
        path = f"/konto-link/{link.id}{page}"
        assert other.open(path).status == Browser(app).open(path).status == 404, page
        opens = wanted == kind or (page, kind) == ("/konto", LinkKind.LETTER)
        assert page == "/bild/x" or browser.open(path).status == (200 if opens else 404), page


def test_the_robot_check_is_needed_for_each_link_and_in_each_browser(
    browser, app, backend, erika, max_, issue, mailed, enter_code
):
    hers, his = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, max_)
    browser.open(mailed(his))
    sent = {"last_name": "Dieb", "new": NEW_PASSWORD, "repeat": NEW_PASSWORD}
    answer = browser.post(f"/konto-link/{his.id}/konto", **sent)
    assert (answer.status_code, answer.location) == (303, f"/konto-link/{his.id}")
    enter_code(browser, hers)
    assert browser.open(f"/konto-link/{his.id}/konto").path == f"/konto-link/{his.id}/roboter"
    assert Browser(app).open(mailed(hers)).open(f"/konto-link/{hers.id}/konto").heading == "Link zum Konto"
    assert (backend.read(max_).last_name, backend.read(his).ended_at) == (max_.last_name, None)


def test_a_visit_ends_when_idle_for_half_an_hour_and_after_two_hours_in_use(landed, mailed, link, clock):
    clock.shift(timedelta(minutes=29))
    assert landed.open(landed.path).heading == "Link zum Konto"
    clock.shift(timedelta(minutes=30))
    assert landed.open(landed.path).heading == LOST
    assert landed.open(mailed(link)).heading == "Link zum Konto"
    for _ in range(5):
        clock.shift(timedelta(minutes=20))
        assert landed.open(landed.path).heading == "Link zum Konto"
    clock.shift(timedelta(minutes=20))
    assert landed.open(landed.path).heading == LOST


def test_a_form_opened_in_time_is_accepted_after_the_link_expired(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.move_to(link.expires_at - timedelta(seconds=1))
    browser.open(mailed(link))
    clock.shift(timedelta(minutes=20))
    browser.submit("Passwort speichern", NEW)
    assert backend.log_in(erika.email, NEW_PASSWORD)


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_abbrechen_ends_the_visit_but_not_the_link(browser, juergen, issue, mailed, kind):
    link = mailed(issue(kind, juergen, juergen.pending_email))
    opened = browser.open(link).path
    browser.stale().press("Abbrechen")
    assert (browser.status, browser.heading) == (422, "Abbrechen")
    assert browser.press("Abbrechen").path == "/anmelden"
    assert "Sie haben abgebrochen. Nichts wurde geändert. Ihr Link gilt weiter." in browser.text
    assert browser.open(opened).heading == LOST
    assert browser.open(link).status == 200


def test_a_browser_remembers_five_links_and_forgets_the_oldest(browser, backend, erika, mailed):
    for number in range(6):  # the ids get a digit more
        backend.update(backend.run(links.issue, LinkKind.RECOVERY, erika), id=99_997 + number)
    opened = backend.links()
    for link in opened:
        browser.open(mailed(link))
    assert browser.open(f"/konto-link/{opened[0].id}").heading == LOST
    assert "Ihre Eingaben" not in browser.text and "Ihr Browser muss Cookies erlauben." in browser.text
    assert browser.open(f"/konto-link/{opened[1].id}").heading == "Neues Passwort"


def test_guesses_of_a_source_are_counted_to_a_bound_and_never_shut_out_a_link(browser, backend, erika, issue, mailed):
    pages = {browser.open(f"/link/{number:043}").text for number in range(guesses.PER_SOURCE + 5)}
    assert (len(pages), browser.status, browser.heading) == (1, 404, LOST)
    assert {(row.counted, row.number) for row in backend.read(select(RequestCount))} == {
        ("guess", guesses.PER_SOURCE),
        (f"guess:{SOURCE}", guesses.PER_SOURCE),
    }
    assert backend.actions() == []
    assert browser.open(mailed(issue(LinkKind.RECOVERY, erika))).heading == "Neues Passwort"


def test_what_is_too_short_for_a_link_is_no_guess(browser, backend):
    assert browser.open("/link/abc").status == 404
    assert backend.read(select(RequestCount)) == []


def test_a_passed_check_counts_for_the_visit_whatever_is_opened_again(browser, app, link, mailed, enter_code):
    enter_code(browser, link)
    for page in ("", "/roboter", "/raetsel", "/code"):
        assert browser.open(f"/konto-link/{link.id}{page}").heading == "Bestätigt", page
    assert browser.open(mailed(link)).heading == "Bestätigt", "the link in the mail, clicked again"
    browser.press("Abbrechen")
    assert browser.open(mailed(link)).heading == "Link zum Konto"


def test_a_response_that_was_begun_before_undoes_neither_the_check_nor_the_other_tab(
    browser, erika, issue, mailed, link, enter_code
):
    """The slower of two responses sets the cookie last; rights are not in it."""
    other = issue(LinkKind.RECOVERY, erika)
    browser.open(mailed(other)).open(mailed(link))
    before = browser.cookie
    enter_code(browser, link)
    browser.cookie = before
    assert browser.open(f"/konto-link/{link.id}/konto").heading == "Konto bearbeiten"
    assert browser.open(f"/konto-link/{other.id}/passwort").heading == "Neues Passwort"


def test_of_a_link_the_newest_twenty_visits_stay_and_a_page_never_writes_more_than_one(
    browser, app, backend, erika, link, issue, mailed, enter_code
):
    oldest = Browser(app).open(mailed(link))
    his = Browser(app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    enter_code(browser, link)
    for _ in range(visits.VISITS_PER_LINK - 1):
        Browser(app).open(mailed(link))
    rows = backend.read(select(LinkVisit).where(LinkVisit.link_id == link.id))
    assert (len(rows), backend.read(link).opened_at is not None) == (visits.VISITS_PER_LINK, True)
    assert browser.open(f"/konto-link/{link.id}/konto").heading == "Konto bearbeiten"
    assert oldest.open(oldest.path).heading == LOST and his.open(his.path).heading == "Neues Passwort"


def test_a_page_of_a_link_reads_visit_link_and_holder_at_once_and_writes_once_a_minute(app, landed, clock):
    statements = []

    def listen(_connection, _cursor, statement, *_):
        statements.extend([statement] if statement.startswith(("SELECT", "UPDATE")) else [])

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", listen)
    try:
        for seconds, writes in ((30, 0), (31, 1), (30, 0)):
            clock.shift(timedelta(seconds=seconds))
            statements.clear()
            assert landed.open(landed.path).heading == "Link zum Konto"
            assert [one.split()[:2] for one in statements if "UPDATE" in one] == [["UPDATE", "link_visit"]] * writes
            assert writes or len(statements) == 1
    finally:
        event.remove(engine, "before_cursor_execute", listen)
