"""The current password is asked for again before Konto anpassen and Meine Daten, and its proof lasts ten minutes."""

from datetime import timedelta

import pytest

from tests import people
from tests.browser import Browser
from tests.web.adjusting import CURRENT, adjust
from tests.web.by_hand import COOKIE, HOST, cookie, post

pytestmark = pytest.mark.usefixtures("clock")
WRONG = "Das aktuelle Passwort stimmt nicht."
SAVED = "Ihre Änderungen sind gespeichert."
TEN_MINUTES = timedelta(minutes=10)


def test_the_password_is_asked_and_the_form_opens_in_its_place(browser, erika):
    browser.log_in(erika).follow("Konto anpassen")
    assert erika.phone not in browser.answer.text
    browser.submit("Weiter", {CURRENT: people.password_of(erika)})
    assert browser.heading == "Konto anpassen"
    assert browser.value("Telefon") == erika.phone
    assert browser.status == 200


@pytest.mark.parametrize("typed", ["falsches passwort", "x" * 257, "\0"])
def test_a_wrong_password_opens_nothing_and_is_not_shown_again(browser, erika, typed):
    browser.log_in(erika).follow("Konto anpassen").submit("Weiter", {CURRENT: typed})
    assert browser.status == 422
    assert browser.value(CURRENT) == ""
    assert typed not in browser.answer.text
    assert erika.phone not in browser.answer.text


def test_who_guesses_on_in_an_open_session_is_throttled_as_at_the_door(browser, erika):
    browser.log_in(erika).follow("Konto anpassen")
    for _ in range(6):
        browser.submit("Weiter", {CURRENT: "falsches passwort"})
    browser.submit("Weiter", {CURRENT: people.password_of(erika)})
    assert browser.status == 422
    assert WRONG in browser.text


def test_the_proof_draws_a_new_token_and_the_old_one_is_dead(browser, app, erika):
    browser.log_in(erika)
    before = cookie(browser)
    browser.follow("Konto anpassen").submit("Weiter", {CURRENT: people.password_of(erika)})
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, before, domain=HOST, secure=True)
    assert thief.open("/einstellungen").heading == "Anmelden"
    assert browser.open("/einstellungen").heading == "Einstellungen"


def test_the_proof_counts_in_this_session_only(browser, app, erika):
    adjust(browser, erika)
    phone = Browser(app).log_in(erika).open("/einstellungen/konto")
    assert phone.value(CURRENT) == ""
    assert erika.phone not in phone.answer.text


@pytest.mark.parametrize("path", ["/einstellungen/konto", "/einstellungen/daten"])
def test_the_proof_lasts_ten_minutes(browser, erika, clock, path):
    adjust(browser, erika)
    clock.shift(TEN_MINUTES - timedelta(seconds=1))
    assert erika.phone in browser.open(path).answer.text
    clock.shift(1)
    assert erika.phone not in browser.open(path).answer.text
    assert browser.value(CURRENT) == ""


def test_run_out_at_saving_it_is_asked_in_the_same_form_and_nothing_is_lost(browser, backend, erika, clock):
    adjust(browser, erika)
    clock.shift(TEN_MINUTES)
    browser.submit("Speichern", {"Telefon": "07051 4711", "Schule": "GMS Neustadt"})
    assert browser.status == 422
    assert "Bitte geben Sie zur Sicherheit noch einmal Ihr aktuelles Passwort ein." in browser.text
    assert (browser.value("Telefon"), browser.value("Schule")) == ("07051 4711", "GMS Neustadt")
    assert backend.read(erika).phone == erika.phone
    browser.submit("Speichern", {CURRENT: "falsches passwort"})
    assert WRONG in browser.text
    browser.submit("Speichern", {CURRENT: people.password_of(erika)})
    assert SAVED in browser.text
    assert (backend.read(erika).phone, backend.read(erika).school) == ("07051 4711", "GMS Neustadt")


def test_without_the_proof_nothing_is_saved(browser, backend, erika):
    browser.log_in(erika)
    assert post(browser, "/einstellungen/konto", last_name="Dieb", phone="1").status_code == 422
    assert backend.read(erika).last_name == "Mustermann"


@pytest.mark.parametrize("purpose", ["konto", "daten"])
def test_proving_from_an_old_page_works_at_the_second_click(browser, erika, purpose):
    browser.log_in(erika).open(f"/einstellungen/{purpose}").stale().submit(
        "Weiter", {CURRENT: people.password_of(erika)}
    )
    assert browser.status == 422
    assert browser.value(CURRENT) == ""
    browser.submit("Weiter", {CURRENT: people.password_of(erika)})
    assert browser.heading == {"konto": "Konto anpassen", "daten": "Meine Daten"}[purpose]
    assert browser.status == 200
