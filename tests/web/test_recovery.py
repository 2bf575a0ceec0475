"""Passwort vergessen: everybody gets the same page, and only the mailbox tells who is known."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from kmzportal.domain.account_link import AccountLink
from kmzportal.domain.customer import Customer
from kmzportal.domain.recovery_request import RecoveryRequest
from kmzportal.services import heartbeat, recovery
from tests import canary, cast
from tests.browser import Browser

pytestmark = [
    pytest.mark.usefixtures("clock"),
    pytest.mark.parametrize("portal", ["sqlite"], indirect=True),
]
DISTURBED = "Der E-Mail-Versand ist gerade gestört"


def ask(browser, address):
    return browser.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": address})


def let_the_worker_answer(deeds):
    with deeds.work("worker") as work:
        waiting = recovery.unanswered(work.session)
    for request in waiting:
        deeds.do(recovery.answer, request, actor="worker")


def requests(deeds):
    return deeds.read(select(RecoveryRequest).order_by(RecoveryRequest.id))


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


def test_the_page_says_all_one_needs_to_know_while_waiting(browser, deeds, erika):
    ask(browser, erika.email)
    (request,) = requests(deeds)
    for fact in (
        erika.email, "support@kmz-cw.de", "Ihr neues Passwort – Kreismedienzentrum Calw", "23.11.2026, 16:05 Uhr",
        request.reference, "Spam", "07051 965 220",
    ):  # fmt: skip
        assert fact in browser.text


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


def test_sending_again_takes_a_minute(browser, deeds, erika, clock):
    ask(browser, erika.email)
    clock.shift(59)
    browser.press("Noch einmal senden")
    assert "Ihre Anfrage ist schon unterwegs." in browser.text
    assert len(requests(deeds)) == 1
    clock.shift(1)
    browser.press("Noch einmal senden")
    assert "Wir haben Ihre Anfrage noch einmal aufgenommen." in browser.text
    assert requests(deeds)[-1].reference in browser.text
    assert len(requests(deeds)) == 2


def test_the_wait_can_be_seen_counting(browser, erika, clock):
    ask(browser, erika.email)
    clock.shift(20)
    browser.open("/passwort-vergessen/gesendet")
    assert [one.get("data-countdown") for one in browser.page.iter("p") if one.get("role") == "timer"] == ["40"]


def test_mail_is_called_disturbed_when_the_worker_is_silent(app, browser, deeds, clock, monkeypatch):
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    for loop in heartbeat.LOOPS:
        deeds.do(heartbeat.beat, loop)
    clock.shift(60)
    assert DISTURBED not in ask(browser, "jemand@schule.example").text
    clock.shift(1)
    assert DISTURBED in browser.open("/passwort-vergessen/gesendet").text


def test_one_silent_loop_is_enough(app, browser, deeds, monkeypatch):
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    deeds.do(heartbeat.beat, heartbeat.REQUESTS)
    assert DISTURBED in ask(browser, "jemand@schule.example").text


def test_without_a_mail_server_nobody_is_promised_a_mail(browser, deeds):
    for loop in heartbeat.LOOPS:
        deeds.do(heartbeat.beat, loop)
    assert DISTURBED in ask(browser, "jemand@schule.example").text


def test_asking_from_an_old_page_works_at_the_second_click(browser, deeds, erika):
    browser.open("/passwort-vergessen").stale().submit("Link anfordern", {"E-Mail-Adresse": erika.email})
    assert browser.status == 422
    assert browser.value("E-Mail-Adresse") == erika.email
    assert requests(deeds) == []
    browser.press("Link anfordern")
    assert len(requests(deeds)) == 1


def test_sending_again_from_an_old_page_works_at_the_second_click(browser, deeds, erika, clock):
    ask(browser, erika.email)
    clock.shift(timedelta(minutes=5))
    browser.stale().press("Noch einmal senden")
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert len(requests(deeds)) == 1
    browser.press("Noch einmal senden")
    assert len(requests(deeds)) == 2


def test_whoever_has_not_asked_is_led_to_the_question(browser):
    assert browser.open("/passwort-vergessen/gesendet").path == "/passwort-vergessen"
