"""A customer's account at the desk: entered, corrected, locked, and told when two save at once."""

import pytest

from kmzportal.models.customer import Customer
from kmzportal.services import desk as desk_service
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


def test_a_clerk_corrects_data(backend, erika, screen):
    screen.follow("Daten berichtigen").submit("Speichern", {"Telefon": "07051 4711", "Schule": "Kita Sonne"})
    assert screen.heading == "Erika Mustermann"
    assert "Die Daten sind gespeichert." in screen.text
    assert (backend.read(erika).phone, backend.read(erika).school) == ("07051 4711", "Kita Sonne")
    assert "Telefon" in screen.text


def test_two_who_correct_data_are_told_what_stands_there_now(backend, erika, screen):
    screen.follow("Daten berichtigen")
    with backend.transaction("console") as tx:
        tx.session.get(Customer, erika.id).school = "Gymnasium Musterstadt"
    screen.submit("Speichern", {"Telefon": "07051 4711"})
    assert screen.status == 422
    assert "Schule „Gymnasium Musterstadt“" in screen.text
    assert screen.value("Telefon") == "07051 4711"
    assert backend.read(erika).phone == erika.phone


def test_the_customer_is_told_when_the_desk_was_quicker(app, backend, browser, erika):
    fields = {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)}
    browser.open("/anmelden").submit("Anmelden", fields)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    with backend.transaction("clerk:1") as tx:
        customer = tx.session.get(Customer, erika.id)
        desk_service.correct_data(tx, customer, customer.version, {"school": "Kita Sonne"})
    browser.submit("Speichern", {"Telefon": "07051 4711"})
    assert "Schule „Kita Sonne“" in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert backend.read(erika).school == "Kita Sonne"


def test_a_new_customer_is_entered_and_is_sent_a_link(backend, desk):
    desk.open("/kundenservice/kunden").follow("Konto anlegen")
    desk.submit("Konto anlegen", {"Kundennummer": "K-2001", "E-Mail-Adresse": "neu@schule.example", "Nachname": "Neu"})
    assert desk.heading == "Neu"
    desk.press("Link senden")
    assert backend.mails("desk_link")[0].recipient == "neu@schule.example"


def test_what_a_new_customer_lacks_is_said_and_what_was_typed_stays(desk, erika):
    desk.open("/kundenservice/kunden/neu").submit("Konto anlegen", {"E-Mail-Adresse": "kein", "Schule": "GMS"})
    assert desk.status == 422
    for says in (
        "Geben Sie eine Kundennummer ein.",
        "keine vollständige E-Mail-Adresse",
        "Geben Sie den Nachnamen ein.",
    ):
        assert says in desk.text
    fields = {"Kundennummer": erika.number, "E-Mail-Adresse": "neu@schule.example", "Nachname": "Neu"}
    assert "Diese Kundennummer gibt es schon." in desk.submit("Konto anlegen", fields).text
    fields |= {"Kundennummer": "K-2001", "E-Mail-Adresse": erika.email}
    assert "Diese Adresse gehört schon zu einem anderen Konto." in desk.submit("Konto anlegen", fields).text
    assert desk.value("Schule") == "GMS"


def test_a_clerk_locks_and_unlocks_with_a_reason(backend, erika, screen):
    assert "Geben Sie einen Grund an." in screen.press("Konto sperren").text
    screen.submit("Konto sperren", {"Grund": "Gerät gestohlen"})
    assert "Das Konto ist gesperrt." in screen.text
    assert "Konto gesperrt Gerät gestohlen" in screen.text
    assert "Entsperren Sie es zuerst." in screen.press("Link senden").text
    screen.submit("Konto entsperren", {"Grund": "gefunden"})
    assert "Das Konto ist wieder offen." in screen.text
    assert backend.read(erika).locked_at is None
