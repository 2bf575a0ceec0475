"""Konto anpassen: her data and a new password; what does not suit changes nothing and loses nothing."""

import pytest
from sqlalchemy import select

from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.customer import Customer
from tests import people
from tests.browser import Browser
from tests.people import NEW
from tests.web.adjusting import NEW_ADDRESS, adjust
from tests.web.by_hand import COOKIE, HOST, cookie

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.with_and_without_htmx]
SAVED = "Ihre Änderungen sind gespeichert."


def test_she_changes_her_data_and_history_names_the_fields_only(browser, backend, erika):
    adjust(browser, erika).choose("Anrede", "keine Angabe")
    browser.submit("Speichern", {"Telefon": "07051 4711", "Ort": "Neustadt"})
    assert SAVED in browser.text
    her = backend.read(erika)
    assert (her.phone, her.town, her.salutation, her.last_name) == ("07051 4711", "Neustadt", "", "Mustermann")
    (event,) = backend.read(select(AuditEvent).where(AuditEvent.action == "data.changed"))
    assert event.details == {"fields": ["salutation", "town", "phone"]}


def test_saving_from_an_old_page_keeps_all_but_passwords(browser, backend, erika):
    adjust(browser, erika).stale().submit(
        "Speichern", {"Telefon": "07051 4711", NEW_ADDRESS: "neu@schule.example", **NEW}
    )
    assert browser.status == 422
    assert (browser.value("Telefon"), browser.value(NEW_ADDRESS)) == ("07051 4711", "neu@schule.example")
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert people.NEW_PASSWORD not in browser.answer.text
    browser.press("Speichern")
    assert backend.read(erika).phone == "07051 4711"


def test_a_surname_is_needed_and_everything_else_stays(browser, erika):
    adjust(browser, erika).submit("Speichern", {"Nachname": " ", "Telefon": "07051 4711"})
    assert browser.status == 422
    assert browser.value("Telefon") == "07051 4711"


def test_a_new_password_ends_all_other_sessions_and_is_told(browser, app, backend, erika):
    phone = Browser(app).log_in(erika)
    before = cookie(adjust(browser, erika))
    browser.submit("Speichern", NEW)
    assert SAVED in browser.text
    assert browser.open("/einstellungen").heading == "Einstellungen"
    assert phone.open("/einstellungen").heading == "Anmelden"
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, before, domain=HOST, secure=True)
    assert thief.open("/einstellungen").heading == "Anmelden"
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert [mail.recipient for mail in backend.mails("password_changed")] == [erika.email]


@pytest.mark.parametrize(
    ("new", "repeat"),
    [
        (people.NEW_PASSWORD, people.OTHER_PASSWORD), (people.NEW_PASSWORD, ""), ("", people.NEW_PASSWORD), ("kurz", "kurz"),
        ("Mustermann1001", "Mustermann1001"), ("x" * 257, "x" * 257), ("passwort1234", "passwort1234"),
    ],
)  # fmt: skip
def test_a_password_that_does_not_suit_changes_nothing_and_loses_nothing(browser, backend, erika, new, repeat):
    adjust(browser, erika).submit("Speichern", {"Telefon": "07051 4711", "Passwort": new, "Wdh. Passwort": repeat})
    assert browser.status == 422
    assert browser.value("Telefon") == "07051 4711"
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert backend.read(erika).phone == erika.phone
    assert backend.read(erika).password_hash == erika.password_hash


def test_locked_while_she_saves_she_is_told_and_nothing_breaks(browser, backend, erika):
    adjust(browser, erika)
    with backend.transaction("clerk:1") as tx:
        tx.session.get(Customer, erika.id).locked_at = tx.now
    browser.submit("Speichern", {NEW_ADDRESS: "neu@schule.example"})
    assert browser.heading == "Anmelden"
    assert backend.mails() == []


def test_a_new_password_is_not_lost_in_silence_when_another_field_is_wrong(browser, erika):
    fields = {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)}
    browser.open("/anmelden").submit("Anmelden", fields)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    new = {"Passwort": people.NEW_PASSWORD, "Wdh. Passwort": people.NEW_PASSWORD}
    browser.submit("Speichern", {"Nachname": "", **new})
    assert browser.status == 422
    assert "ist das Passwort jetzt leer" in browser.text
