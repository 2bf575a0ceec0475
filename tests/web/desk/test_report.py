"""Jahresbericht: what each month's numbers count, as a page and as CSV."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from kmzportal.services import support
from tests.browser import words
from tests.states import session_token

PAGE = "/kundenservice/bericht"
EMAIL = "erika@privat.example"


@pytest.fixture
def at():
    """Return a context manager that stops the clock at a time in Berlin's summer, UTC+2."""
    return lambda *when: time_machine.travel(datetime(*when, tzinfo=UTC) - timedelta(hours=2), tick=False)


@pytest.fixture
def open_page(browser, backend, rosa):
    """Return a function that opens a page as Rosa, who has just logged in."""
    return lambda path=PAGE: browser.come_in(session_token(backend, rosa)).open(path)


@pytest.fixture
def record(backend):
    def record(*actions):
        with backend.transaction("worker") as tx:
            for action in actions:
                tx.record(action)

    return record


def open_case(backend, branch="other", channel="form"):
    return backend.run(lambda tx: support.open_case(tx, branch, channel, EMAIL, "Benötige neue Zugangsdaten"))


def table(desk, caption):
    """Return the rows of a table by month, each value by the heading of its column."""
    (found,) = (one for one in desk.page.iter("table") if words(next(one.iter("caption"))).startswith(f"{caption} im"))
    heads, *rows = ([words(cell) for cell in row.iter("th", "td")] for row in found.iter("tr"))
    return {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows}


def test_events_count_in_the_month_of_berlin_in_which_they_happened(open_page, record, at):
    with at(2026, 7, 31, 23, 59):
        record("recovery.sent", "recovery.unknown", "letter.posted", "password.set", "mail.refused")
    with at(2026, 8, 1, 0, 0):
        record("recovery.capped", "mail.bounced", "mail.bounced")
    with at(2026, 11, 20, 12, 0):
        links = table(open_page(), "Links")
    july, august, year = links["Juli"], links["August"], links["Jahr"]
    assert list(july.values()) == ["2", "2", "1", "1", "0"]
    assert list(august.values()) == ["1", "0", "0", "0", "2"]
    assert list(year.values()) == ["3", "2", "1", "1", "2"]
    assert links["Juni"] == dict.fromkeys(links["Juni"], "0")


def test_requests_count_by_channel_and_branch_and_whether_they_were_answered_in_time(open_page, backend, erika, at):
    with at(2026, 6, 1, 9, 0):
        redeemed, late = open_case(backend, "no_mail"), open_case(backend, channel="mail")
        open_case(backend)  # never answered
    with at(2026, 6, 3, 9, 0):
        backend.run(support.assign, redeemed, erika)
        backend.run(support.answer_with_link, redeemed, erika)
        backend.run(support.close_redeemed, erika)
    with at(2026, 6, 19, 9, 0):
        backend.run(support.close, late, "answered")
        open_case(backend)  # not due yet
        desk = open_page()
    june = table(desk, "Anfragen")["Juni"]
    assert list(june.values()) == ["4", "3", "1", "0", "3", "1", "2"]
    assert table(desk, "Anfragen nach Anlass")["Juni"]["Es kommt keine E-Mail an"] == "1"


def test_the_csv_has_the_same_numbers_for_excel(open_page, record, at):
    with at(2026, 7, 2, 9, 0):
        record("recovery.sent")
        desk = open_page()
        answer = desk.client.get(f"{PAGE}.csv", base_url=desk.site)
    assert answer.mimetype == "text/csv" and answer.data.startswith(b"\xef\xbb\xbf")
    assert answer.headers["Content-Disposition"] == "attachment; filename=jahresbericht-2026.csv"
    lines = answer.data.decode("utf-8-sig").split("\r\n")
    assert lines[0].startswith("Monat;Neues Passwort angefordert;Links gesendet;")
    assert lines[7].startswith("Juli;1;1;0;") and len(lines) == 15


@pytest.mark.parametrize("year", ["2025", "9999", "x", "-1"])
def test_another_year_than_those_offered_shows_this_one(open_page, at, year):
    with at(2026, 7, 2, 9, 0):
        assert open_page(f"{PAGE}?jahr={year}").read("h1") == "Jahresbericht 2026"
