"""What a page learns when it asks how long the session lasts, and what asking does and does not."""

from datetime import timedelta

import pytest

from tests import cast
from tests.browser import Browser

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.parametrize("portal", ["sqlite"], indirect=True)]

ASK = {"method": "GET", "headers": {"HX-Request": "true"}}
STAY = {"method": "POST", "headers": {"HX-Request": "true", "Sec-Fetch-Site": "same-origin"}}


@pytest.fixture
def hers(app, erika):
    hers = Browser(app).open("/anmelden")
    return hers.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": cast.password_of(erika)})


def ask(browser, how=ASK):
    return browser.client.open("/sitzung", base_url=browser.site, **how).text


def test_a_page_asks_again_two_minutes_before_the_end(hers, clock):
    assert 'hx-trigger="load delay:1680s,' in hers.answer.text
    clock.shift(timedelta(minutes=20))
    assert 'hx-trigger="load delay:480s,' in ask(hers) and "<dialog" not in ask(hers)


def test_asking_keeps_no_session_alive_and_staying_does(hers, clock):
    clock.shift(timedelta(minutes=29))
    assert "Um 14:35 Uhr melden wir Sie ab." in ask(hers)
    assert "<dialog" not in ask(hers, STAY)
    clock.shift(timedelta(minutes=29))
    assert hers.open("/einstellungen").heading == "Einstellungen"


def test_who_comes_too_late_cannot_stay(hers, clock):
    clock.shift(timedelta(minutes=31))
    for how in (ASK, STAY):
        assert "Sie sind nicht mehr angemeldet" in ask(hers, how)
    assert hers.open("/einstellungen").heading == "Anmelden"


def test_eight_hours_are_the_end_however_busy_one_was(hers, clock):
    for _ in range(19):
        clock.shift(timedelta(minutes=25))
        ask(hers, STAY)
    clock.shift(timedelta(minutes=4))
    assert "Ihre Anmeldung endet bald" in ask(hers)
    assert "Angemeldet bleiben" not in ask(hers)


def test_without_htmx_the_question_leads_to_a_page(hers):
    assert hers.open("/sitzung").heading == "Einstellungen"


def test_a_button_of_a_dead_session_leads_back_to_its_page(hers, erika, deeds, clock):
    deeds.log_in(erika.email, cast.password_of(erika))
    hers.open("/einstellungen/geraete")
    clock.shift(timedelta(minutes=31))
    hers.press("Alle anderen Geräte abmelden")
    assert hers.heading == "Anmelden"
    hers.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": cast.password_of(erika)})
    assert hers.heading == "Angemeldete Geräte"
