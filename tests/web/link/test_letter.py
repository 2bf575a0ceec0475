"""Zugangsbrief einlösen: Kundennummer and code, one answer for all that is wrong, then the way of a link."""

from datetime import timedelta

import pytest

from kmzportal.models import LinkKind
from kmzportal.services import desk
from tests import people
from tests.browser import Browser
from tests.people import NEW

pytestmark = pytest.mark.usefixtures("clock")
NUMBER, CODE = "Kundennummer", "Code aus dem Zugangsbrief"


@pytest.fixture
def letter(backend, erika):
    return backend.run(
        desk.print_letter, erika, erika.version, 0, "callback", "", False, actor="clerk:1", initials="ro"
    )


@pytest.fixture
def typed(backend, erika, letter):
    return {NUMBER: erika.number, CODE: backend.keys.letter_code(letter)}


@pytest.mark.with_and_without_htmx
def test_the_right_code_leads_to_a_new_password_and_the_address_stays(browser, backend, erika, typed):
    browser.open("/kein-zugriff").follow("Hier lösen Sie ihn ein")
    browser.submit("Bestätigen", typed).follow("Konto bearbeiten")
    assert browser.submit("Registrieren", NEW).heading == "Fertig"
    assert erika.email in browser.text and "Konto anpassen" in browser.text
    assert (
        browser.follow("Zur Anmeldung").submit("Anmelden", {"Passwort": people.NEW_PASSWORD}).path == "/einstellungen"
    )
    assert Browser(browser.client.application).open("/link").submit("Bestätigen", typed).status == 410


@pytest.mark.with_and_without_htmx
def test_unknown_number_no_letter_wrong_code_and_throttled_get_one_answer_without_the_code(
    app, browser, backend, typed, max_
):
    answers = set()
    for number in ("K-9999", max_.number, typed[NUMBER], *[typed[NUMBER]] * 6):
        browser.open("/link").submit("Bestätigen", {NUMBER: number, CODE: "WRONG-CODE"})
        assert browser.status == 422 and browser.value(NUMBER) == number and browser.value(CODE) == ""
        answers.add(browser.text.replace(number, ""))
    assert len(answers) == 1 and backend.actions().count("letter.refused") == 2
    browser.open("/link").submit("Bestätigen", {NUMBER: "", CODE: typed[CODE]})
    assert browser.status == 422 and typed[CODE] not in browser.answer.text


def test_whoever_is_logged_in_may_redeem_a_letter_after_some_time(browser, erika, typed, clock):
    browser.log_in(erika).open("/link")
    clock.shift(90)
    assert browser.submit("Bestätigen", typed).heading == "Bestätigt"
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_a_locked_account_and_another_user_read_why(app, browser, backend, erika, max_, typed):
    other = Browser(app).log_in(max_).open("/link").submit("Bestätigen", typed)
    assert other.heading == "Jemand anderes ist angemeldet"
    backend.update(erika, locked_at=people.NOW)
    browser.open("/link").submit("Bestätigen", typed)
    assert (browser.status, browser.heading) == (403, "Ihr Konto ist gesperrt")


def test_a_visit_that_ends_leads_back_to_the_code_and_the_input_is_kept(browser, typed, clock):
    browser.open("/link/").submit("Bestätigen", typed).follow("Konto bearbeiten")
    clock.shift(timedelta(minutes=31))
    browser.submit("Registrieren", {"Ort": "Bad Teinach", **NEW})
    assert (browser.path, "Das hat zu lange gedauert." in browser.text) == ("/link", True)
    browser.submit("Bestätigen", typed).follow("Konto bearbeiten")
    assert browser.value("Ort") == "Bad Teinach" and browser.value("Passwort") == ""


def test_leaving_and_an_expired_letter(browser, backend, letter, typed, clock):
    browser.open("/link").submit("Bestätigen", typed).press("Abbrechen")
    assert "Ihr Zugangsbrief gilt weiter." in browser.text
    clock.shift(timedelta(days=14))
    browser.open("/link").submit("Bestätigen", typed)
    assert (browser.status, browser.heading) == (410, "Dieser Zugangsbrief gilt nicht mehr")
    assert "Er ist abgelaufen." in browser.text and "Neuen Link" not in browser.text
    assert backend.links(LinkKind.LETTER)[0].ended_at is None
