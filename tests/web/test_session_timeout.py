"""What a page learns when it asks how long the session lasts, and what asking does and does not."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import LinkKind
from tests import people
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")

ASK = {"method": "GET", "headers": {"HX-Request": "true"}}
STAY = {"method": "POST", "headers": {"HX-Request": "true", "Sec-Fetch-Site": "same-origin"}}


@pytest.fixture
def hers(app, erika):
    hers = Browser(app).open("/anmelden")
    return hers.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})


@pytest.fixture
def opened(app, backend, erika):
    """Erika has opened the link in her mail."""
    return Browser(app).open(f"/link/{backend.keys.token(backend.issue(LinkKind.RECOVERY, erika))}")


def ask(browser, how=ASK):
    return browser.client.open("/sitzung", base_url=browser.site, **how).text


def ask_link(browser, how=ASK):
    return browser.client.open(f"{browser.path.rpartition('/')[0]}/sitzung", base_url=browser.site, **how)


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


def test_a_button_of_a_dead_session_leads_back_to_its_page(hers, erika, backend, clock):
    backend.log_in(erika.email, people.password_of(erika))
    hers.open("/einstellungen/geraete")
    clock.shift(timedelta(minutes=31))
    hers.press("Alle anderen Geräte abmelden")
    assert hers.heading == "Anmelden"
    hers.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
    assert hers.heading == "Angemeldete Geräte"


def test_the_page_of_a_link_asks_as_well(opened, clock):
    assert 'hx-trigger="load delay:1680s,' in opened.answer.text
    clock.shift(timedelta(minutes=20))
    answer = ask_link(opened).text
    assert 'hx-trigger="load delay:480s,' in answer and "<dialog" not in answer


def test_asking_keeps_no_visit_alive_and_sets_no_cookie(opened, clock):
    for _ in range(2):
        clock.shift(timedelta(minutes=14, seconds=30))
        answer = ask_link(opened)
        assert "Set-Cookie" not in answer.headers
    assert "Um 14:35 Uhr schließen wir diese Seite." in answer.text
    clock.shift(timedelta(minutes=1))
    assert opened.open(opened.path).heading == "Diesen Link können wir nicht öffnen"


def test_one_click_keeps_the_visit_alive(opened, clock):
    for _ in range(3):
        clock.shift(timedelta(minutes=29))
        assert "<dialog" not in ask_link(opened, STAY).text
    assert opened.open(opened.path).heading == "Neues Passwort"


def test_a_visit_that_is_over_says_what_to_do(opened, clock):
    clock.shift(timedelta(minutes=31))
    for how in (ASK, STAY):
        answer = ask_link(opened, how).text
        assert "Die Zeit für diese Seite ist um" in answer
        assert "Öffnen Sie danach den Link in der E-Mail noch einmal." in answer
        assert "Neu anmelden" not in answer


def test_two_hours_are_the_end_of_a_visit_however_busy_one_was(opened, clock):
    for _ in range(4):
        clock.shift(timedelta(minutes=29))
        ask_link(opened, STAY)
    clock.shift(timedelta(minutes=3))
    answer = ask_link(opened).text
    assert "Die Zeit für diese Seite endet bald" in answer and "Hier weitermachen" not in answer


def test_after_abbrechen_nobody_is_asked(opened):
    there = opened.path
    opened.press("Abbrechen")
    opened.path = there
    assert ask_link(opened).text == ask_link(opened, STAY).text == ""


def test_a_used_link_asks_nothing(opened):
    there = opened.path.rpartition("/")[0]
    opened.submit("Passwort speichern", {"Passwort": people.NEW_PASSWORD, "Wdh. Passwort": people.NEW_PASSWORD})
    assert opened.heading == "Fertig" and "time-left" not in opened.answer.text
    assert opened.open(there).heading == "Dieser Link gilt nicht mehr" and "time-left" not in opened.answer.text


def test_without_htmx_the_question_of_a_link_leads_back_to_it(opened):
    assert opened.open(f"{opened.path.rpartition('/')[0]}/sitzung").heading == "Neues Passwort"
