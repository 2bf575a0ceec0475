"""Angemeldete Geräte, Verlauf and Meine Daten."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.audit_event import ACTIONS
from kmzportal.models.login_session import LoginSession
from kmzportal.services import sessions
from tests import people, secret_scan
from tests.browser import Browser
from tests.web.by_hand import post
from tests.web.customer.adjusting import CURRENT

pytestmark = pytest.mark.usefixtures("clock")
END, END_OTHERS = "Gerät abmelden", "Alle anderen Geräte abmelden"


def session_of(backend, person):
    return backend.read(select(LoginSession).where(LoginSession.customer_id == person.id).order_by(LoginSession.id))[-1]


def test_erika_sees_where_she_is_logged_in(browser, backend, erika):
    backend.run(sessions.start_session, erika, "Safari unter iOS")
    browser.log_in(erika).open("/einstellungen/geraete")
    assert "Safari unter iOS" in browser.text
    assert "Browser – hier sind Sie gerade" in browser.text
    assert "angemeldet seit 23.11.2026, 14:05 Uhr" in browser.text


def test_she_ends_one_device_and_is_still_here(browser, app, erika):
    phone = Browser(app).log_in(erika)
    browser.log_in(erika).open("/einstellungen/geraete").press(END)
    assert "Das Gerät ist abgemeldet." in browser.text
    assert END not in browser.text
    assert phone.open("/einstellungen").heading == "Anmelden"


def test_she_ends_all_others_at_once_and_hears_of_it(browser, app, backend, erika):
    elsewhere = [Browser(app).log_in(erika) for _ in range(3)]
    browser.log_in(erika).open("/einstellungen/geraete").press(END_OTHERS)
    assert "Alle anderen Geräte sind abgemeldet." in browser.text
    assert [one.open("/einstellungen").heading for one in elsewhere] == ["Anmelden"] * 3
    assert browser.open("/einstellungen").heading == "Einstellungen"
    assert [mail.recipient for mail in backend.mails("sessions_ended")] == [erika.email]


@pytest.mark.parametrize("button", [END, END_OTHERS])
def test_from_an_old_page_it_takes_a_second_click(browser, app, erika, button):
    phone = Browser(app).log_in(erika)
    browser.log_in(erika).open("/einstellungen/geraete").stale().press(button)
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert phone.open("/einstellungen").heading == "Einstellungen"
    browser.press(button)
    assert phone.open("/einstellungen").heading == "Anmelden"


def test_nobody_ends_a_session_of_somebody_else(browser, app, backend, erika, max_):
    at_home = Browser(app).log_in(max_)
    his = session_of(backend, max_)
    browser.log_in(erika)
    assert post(browser, f"/einstellungen/geraete/{his.id}/beenden").status_code == 404
    assert backend.read(his).ended_at is None
    assert at_home.open("/einstellungen").heading == "Einstellungen"


@pytest.mark.parametrize("number", ["0", "4711", "2147483648", "9" * 30, "-1", "x", "1%00"])
def test_a_session_that_is_none_is_not_found(browser, erika, number):
    browser.log_in(erika)
    assert post(browser, f"/einstellungen/geraete/{number}/beenden").status_code == 404


def test_ending_the_session_one_is_in_is_logging_out(browser, backend, erika):
    browser.log_in(erika)
    post(browser, f"/einstellungen/geraete/{session_of(backend, erika).id}/beenden")
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_the_devices_of_others_are_not_shown(browser, backend, erika, max_):
    backend.run(sessions.start_session, max_, "Opera unter Linux")
    assert "Opera" not in browser.log_in(erika).open("/einstellungen/geraete").text


def test_a_device_that_rested_too_long_is_not_shown(browser, backend, erika, clock):
    backend.run(sessions.start_session, erika, "Opera unter Linux")
    clock.shift(timedelta(minutes=31))
    assert "Opera" not in browser.log_in(erika).open("/einstellungen/geraete").text


def test_a_dead_session_ends_nobody_and_leads_to_a_page_after_logging_in(browser, app, erika, clock):
    browser.log_in(erika)
    clock.shift(timedelta(minutes=5))
    Browser(app).log_in(erika)
    browser.open("/einstellungen/geraete")
    clock.shift(timedelta(minutes=31))
    browser.press(END_OTHERS)
    assert browser.heading == "Anmelden"
    browser.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
    assert browser.status == 200


def test_history_tells_in_german_what_happened_and_names_no_clerk(browser, backend, erika, max_, rosa):
    with backend.transaction(f"clerk:{rosa.id}") as tx:
        tx.record("link.issued", tx.session.get(type(erika), erika.id))
    with backend.transaction(f"customer:{max_.id}") as tx:
        tx.record("data.changed", tx.session.get(type(max_), max_.id))
    browser.log_in(erika).open("/einstellungen/verlauf")
    assert ACTIONS["link.issued"] in browser.text
    assert "Kundenservice" in browser.text
    assert "Rosa" not in browser.text
    assert ACTIONS["data.changed"] not in browser.text


def test_a_forged_browser_name_is_no_device(app, backend, erika):
    browser = Browser(app)
    browser.client.environ_base["HTTP_USER_AGENT"] = "<img src=x onerror=alert(1)>\x1b[31m Firefox\u202e"
    browser.log_in(erika)
    assert session_of(backend, erika).device == "Firefox"


def test_her_data_is_hers_to_read_and_to_take_along(browser, erika, max_):
    browser.log_in(erika).follow("Meine Daten").submit("Weiter", {CURRENT: people.password_of(erika)})
    for fact in (erika.number, erika.email, erika.phone, erika.school, "Angemeldet"):
        assert fact in browser.text
    browser.follow("Als Datei herunterladen (JSON)")
    assert browser.answer.mimetype == "application/json"
    assert browser.answer.headers["Content-Disposition"] == "attachment; filename=meine-daten.json"
    assert json.loads(browser.answer.text)["Kundennummer"] == erika.number
    assert max_.email not in browser.answer.text


def test_the_file_holds_no_secret(browser, backend, erika):
    browser.log_in(erika).follow("Meine Daten").submit("Weiter", {CURRENT: people.password_of(erika)})
    text = browser.open("/einstellungen/daten.json").answer.text
    (login_session,) = backend.read(select(LoginSession))
    for secret in (backend.read(erika).password_hash, login_session.token_hash, people.password_of(erika), "argon2"):
        assert not secret_scan.contains_secret(secret, text)


def test_without_the_proof_there_is_no_file(browser, erika):
    browser.log_in(erika).open("/einstellungen/daten.json")
    assert (browser.path, browser.heading) == ("/einstellungen/daten", "Meine Daten")
    assert browser.value(CURRENT) == ""
