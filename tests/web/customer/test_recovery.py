"""Passwort vergessen: the same page for every address, a second try after a minute."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from kmzportal.models.account_link import AccountLink
from kmzportal.models.customer import Customer
from kmzportal.models.recovery_request import RecoveryRequest
from kmzportal.services import recovery
from tests import people, secret_scan
from tests.browser import Browser
from tests.web.customer.forgotten import ask, let_the_worker_answer, requests

pytestmark = pytest.mark.usefixtures("clock")


def test_erika_comes_back_with_one_mail_and_four_clicks(browser, backend, erika):
    ask(browser, erika.email)
    let_the_worker_answer(backend)
    (link,) = backend.read(select(AccountLink))
    browser.open(f"/link/{backend.keys.token(link)}")
    browser.submit("Passwort speichern", {"Passwort": people.NEW_PASSWORD, "Wdh. Passwort": people.NEW_PASSWORD})
    assert browser.heading == "Fertig"
    browser.follow("Zur Anmeldung")
    assert browser.value("E-Mail-Adresse") == erika.email
    browser.submit("Anmelden", {"Passwort": people.NEW_PASSWORD})
    assert browser.heading == "Einstellungen"


def test_nobody_learns_whether_an_address_is_known(browser, app, backend, erika):
    """Known, unknown, locked, never activated and capped: equal to the last byte but for number and tokens."""
    states = {
        "known": ({}, 0),
        "unknown": ({"email_canonical": "jemand@anders.example"}, 0),
        "locked": ({"locked_at": people.LONG_AGO}, 0),
        "never activated": ({"password_hash": None}, 0),
        "capped": ({}, 6),
    }
    answers = {name: two_pages(browser, app, backend, erika, *state) for name, state in states.items()}
    assert {name: pages for name, pages in answers.items() if pages != answers["known"]} == {}


def two_pages(browser, app, backend, erika, changes, asked_before):
    """Return all that can be seen of asking: the answer, and the page it leads to."""
    normal = {"email_canonical": erika.email_canonical, "locked_at": None, "password_hash": erika.password_hash}
    with backend.transaction() as tx:
        tx.session.execute(delete(RecoveryRequest))
        for name, value in (normal | changes).items():
            setattr(tx.session.get(Customer, erika.id), name, value)
    for _ in range(asked_before):
        backend.run(recovery.request_link, erika.email)
        let_the_worker_answer(backend)
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


def test_asking_writes_one_row_and_nothing_else(app, browser, backend, erika):
    with app.app_context():
        before = secret_scan.dump()
    ask(browser, erika.email)
    with app.app_context():
        after = secret_scan.dump()
    (more,) = set(after.splitlines()) - set(before.splitlines())
    assert more.startswith("recovery_request ")
    assert backend.mails() == []


def test_asking_changes_nothing_for_who_is_logged_in(app, browser, backend, erika):
    login_session = Browser(app).open("/anmelden")
    login_session.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
    ask(browser, erika.email)
    let_the_worker_answer(backend)
    assert login_session.open("/einstellungen").heading == "Einstellungen"
    assert backend.log_in(erika.email, people.password_of(erika))


def test_a_mistyped_address_is_corrected_with_one_click(browser, backend):
    ask(browser, "erika.musterman@gms-musterstadt.example").follow("E-Mail-Adresse berichtigen")
    assert browser.value("E-Mail-Adresse") == "erika.musterman@gms-musterstadt.example"
    browser.submit("Link anfordern", {"E-Mail-Adresse": people.ERIKA["email"]})
    assert [one.email_canonical for one in requests(backend)][-1] == people.ERIKA["email"]


@pytest.mark.parametrize("how", ["  {} ", "Erika <{}>", "mailto:{}"])
def test_an_address_is_understood_as_it_is_pasted(browser, backend, how):
    ask(browser, how.format(people.ERIKA["email"].upper()))
    assert [one.email_canonical for one in requests(backend)] == [people.ERIKA["email"]]


@pytest.mark.parametrize("typed", ["", "erika", "@", "a b@c.example", "<script>alert(1)</script>", "x" * 10_000])
def test_what_is_no_address_stays_in_the_form(browser, backend, typed):
    ask(browser, typed)
    assert browser.status == 422
    assert browser.value("E-Mail-Adresse") == typed
    assert requests(backend) == []


def test_asking_from_an_old_page_works_at_the_second_click(browser, backend, erika):
    browser.open("/passwort-vergessen").stale().submit("Link anfordern", {"E-Mail-Adresse": erika.email})
    assert browser.status == 422
    assert browser.value("E-Mail-Adresse") == erika.email
    assert requests(backend) == []
    browser.press("Link anfordern")
    assert len(requests(backend)) == 1


def test_the_page_says_all_one_needs_to_know_while_waiting(browser, backend, erika):
    ask(browser, erika.email)
    (request,) = requests(backend)
    for fact in (
        erika.email, "support@kmz-cw.de", "Ihr neues Passwort – Kreismedienzentrum Calw", "23.11.2026, 16:05 Uhr",
        request.reference, "Spam", "07051 965 220",
    ):  # fmt: skip
        assert fact in browser.text


def test_sending_again_takes_a_minute(browser, backend, erika, clock):
    ask(browser, erika.email)
    clock.shift(59)
    browser.press("Noch einmal senden")
    assert "Ihre Anfrage ist schon unterwegs." in browser.text
    assert len(requests(backend)) == 1
    clock.shift(1)
    browser.press("Noch einmal senden")
    assert "Wir haben Ihre Anfrage noch einmal aufgenommen." in browser.text
    assert requests(backend)[-1].reference in browser.text
    assert len(requests(backend)) == 2


def test_the_wait_can_be_seen_counting(browser, erika, clock):
    ask(browser, erika.email)
    clock.shift(20)
    browser.open("/passwort-vergessen/gesendet")
    assert [one.get("data-countdown") for one in browser.page.iter("p") if one.get("role") == "timer"] == ["40"]


def test_sending_again_from_an_old_page_works_at_the_second_click(browser, backend, erika, clock):
    ask(browser, erika.email)
    clock.shift(timedelta(minutes=5))
    browser.stale().press("Noch einmal senden")
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert len(requests(backend)) == 1
    browser.press("Noch einmal senden")
    assert len(requests(backend)) == 2


def test_whoever_has_not_asked_is_led_to_the_question(browser):
    assert browser.open("/passwort-vergessen/gesendet").path == "/passwort-vergessen"
