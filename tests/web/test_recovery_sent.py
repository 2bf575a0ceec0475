"""The page after asking: all one needs to know while waiting, a second try after a minute, and disturbed mail."""

from datetime import timedelta

import pytest

from kmzportal.services import outbox
from tests.web.forgotten import ask, requests

pytestmark = pytest.mark.usefixtures("clock")
DISTURBED = "Der E-Mail-Versand ist gerade gestört"


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


def test_mail_is_called_disturbed_when_the_worker_is_silent(app, browser, backend, clock, monkeypatch):
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    for loop in outbox.MAIL_LOOPS:
        backend.run(outbox.record_heartbeat, loop)
    clock.shift(60)
    assert DISTURBED not in ask(browser, "jemand@schule.example").text
    clock.shift(1)
    assert DISTURBED in browser.open("/passwort-vergessen/gesendet").text


def test_one_silent_loop_is_enough(app, browser, backend, monkeypatch):
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    backend.run(outbox.record_heartbeat, outbox.REQUESTS_LOOP)
    assert DISTURBED in ask(browser, "jemand@schule.example").text


def test_without_a_mail_server_nobody_is_promised_a_mail(browser, backend):
    for loop in outbox.MAIL_LOOPS:
        backend.run(outbox.record_heartbeat, loop)
    assert DISTURBED in ask(browser, "jemand@schule.example").text


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
