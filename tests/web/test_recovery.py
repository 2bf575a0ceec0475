"""Passwort vergessen: everybody gets the same page, and only the mailbox tells who is known."""

import re

import pytest
from sqlalchemy import delete, select

from kmzportal.domain.account_link import AccountLink
from kmzportal.domain.customer import Customer
from kmzportal.domain.recovery_request import RecoveryRequest
from kmzportal.services import recovery
from tests import canary, cast
from tests.browser import Browser
from tests.web.forgotten import ask, let_the_worker_answer, requests

pytestmark = [
    pytest.mark.usefixtures("clock"),
    pytest.mark.parametrize("portal", ["sqlite"], indirect=True),
]


def test_erika_comes_back_with_one_mail_and_four_clicks(browser, deeds, erika):
    ask(browser, erika.email)
    let_the_worker_answer(deeds)
    (link,) = deeds.read(select(AccountLink))
    browser.open(f"/link/{deeds.keys.token(link)}")
    browser.submit("Passwort speichern", {"Passwort": cast.NEW_PASSWORD, "Wdh. Passwort": cast.NEW_PASSWORD})
    assert browser.heading == "Fertig"
    browser.follow("Zur Anmeldung")
    assert browser.value("E-Mail-Adresse") == erika.email
    browser.submit("Anmelden", {"Passwort": cast.NEW_PASSWORD})
    assert browser.heading == "Einstellungen"


def test_nobody_learns_whether_an_address_is_known(browser, app, deeds, erika):
    """Known, unknown, locked, never activated and capped: equal to the last byte but for number and tokens."""
    states = {
        "known": ({}, 0),
        "unknown": ({"email_canonical": "jemand@anders.example"}, 0),
        "locked": ({"locked_at": cast.LONG_AGO}, 0),
        "never activated": ({"password_hash": None}, 0),
        "capped": ({}, 6),
    }
    answers = {name: two_pages(browser, app, deeds, erika, *state) for name, state in states.items()}
    assert {name: pages for name, pages in answers.items() if pages != answers["known"]} == {}


def two_pages(browser, app, deeds, erika, changes, asked_before):
    """Return all that can be seen of asking: the answer, and the page it leads to."""
    normal = {"email_canonical": erika.email_canonical, "locked_at": None, "password_hash": erika.password_hash}
    with deeds.work() as work:
        work.session.execute(delete(RecoveryRequest))
        for name, value in (normal | changes).items():
            setattr(work.session.get(Customer, erika.id), name, value)
    for _ in range(asked_before):
        deeds.do(recovery.ask, erika.email)
        let_the_worker_answer(deeds)
    stranger = Browser(app, browser.htmx).open("/passwort-vergessen")
    token = next(one.get("value") for one in stranger.page.iter("input") if one.get("name") == "csrf_token")
    answer = stranger.client.post(
        "/passwort-vergessen",
        data={"csrf_token": token, "email": erika.email},
        base_url=stranger.site,
        headers={"HX-Request": "true"} if browser.htmx else {},
    )
    return seen(answer), seen(stranger.open("/passwort-vergessen/gesendet").answer)


def seen(answer):
    body = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]+"', r'\1""', answer.text)
    headers = sorted((name, value) for name, value in answer.headers if name != "Set-Cookie")
    return answer.status_code, re.sub(r"V-\w{4}-\w{4}", "V-", body), headers


def test_asking_writes_one_row_and_nothing_else(app, browser, deeds, erika):
    with app.app_context():
        before = canary.dump()
    ask(browser, erika.email)
    with app.app_context():
        after = canary.dump()
    (more,) = set(after.splitlines()) - set(before.splitlines())
    assert more.startswith("recovery_request ")
    assert deeds.mails() == []


def test_asking_changes_nothing_for_who_is_logged_in(app, browser, deeds, erika):
    here = Browser(app).open("/anmelden")
    here.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": cast.password_of(erika)})
    ask(browser, erika.email)
    let_the_worker_answer(deeds)
    assert here.open("/einstellungen").heading == "Einstellungen"
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_a_mistyped_address_is_corrected_with_one_click(browser, deeds):
    ask(browser, "erika.musterman@gms-musterstadt.example").follow("E-Mail-Adresse berichtigen")
    assert browser.value("E-Mail-Adresse") == "erika.musterman@gms-musterstadt.example"
    browser.submit("Link anfordern", {"E-Mail-Adresse": cast.ERIKA["email"]})
    assert [one.email_canonical for one in requests(deeds)][-1] == cast.ERIKA["email"]


@pytest.mark.parametrize("how", ["  {} ", "Erika <{}>", "mailto:{}"])
def test_an_address_is_understood_as_it_is_pasted(browser, deeds, how):
    ask(browser, how.format(cast.ERIKA["email"].upper()))
    assert [one.email_canonical for one in requests(deeds)] == [cast.ERIKA["email"]]


@pytest.mark.parametrize("typed", ["", "erika", "@", "a b@c.example", "<script>alert(1)</script>", "x" * 10_000])
def test_what_is_no_address_stays_in_the_form(browser, deeds, typed):
    ask(browser, typed)
    assert browser.status == 422
    assert browser.value("E-Mail-Adresse") == typed
    assert requests(deeds) == []


def test_asking_from_an_old_page_works_at_the_second_click(browser, deeds, erika):
    browser.open("/passwort-vergessen").stale().submit("Link anfordern", {"E-Mail-Adresse": erika.email})
    assert browser.status == 422
    assert browser.value("E-Mail-Adresse") == erika.email
    assert requests(deeds) == []
    browser.press("Link anfordern")
    assert len(requests(deeds)) == 1
