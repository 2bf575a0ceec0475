"""Konto löschen: requested under Einstellungen after the password, done at the desk after the second factor."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm.exc import ObjectDeletedError

from kmzportal.db import db
from kmzportal.models import Customer, LinkKind, SupportCase
from kmzportal.services import accounts, deletion
from tests import people
from tests.browser import Browser


@pytest.fixture
def settings(app, erika):
    fields = {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)}
    return Browser(app).open("/anmelden").submit("Anmelden", fields)


def test_a_customer_requests_it_after_the_password_and_sees_the_promised_day(settings, backend, erika):
    settings.follow("Konto löschen")
    assert settings.read("h1") == "Konto löschen" and "Was bleibt" not in settings.text
    settings.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    assert "365 Tage" in settings.text, "what stays and for how long"
    settings.press("Löschung anfordern")
    (case,) = backend.read(select(SupportCase))
    assert f"Vorgangsnummer {case.reference}" in " ".join(settings.text.split()) and "Antwort bis" in settings.text
    assert "Löschung anfordern" not in settings.text


def test_the_desk_deletes_it_after_the_second_factor_and_the_customer_is_logged_out(
    settings, screen, backend, erika, factor
):
    backend.run(deletion.request, erika)
    screen.follow("Konto löschen")
    assert screen.read("h1") != "Konto löschen"
    screen.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})
    screen.check("Ja").submit("Konto endgültig löschen", {"Grund": "Wunsch"})
    assert (screen.status, screen.value("Grund")) == (422, "Wunsch")
    assert "Es sind noch Medien ausgeliehen." in screen.text
    screen.check("Nein, es ist alles zurück").press("Konto endgültig löschen")
    assert "Das Konto von Erika Mustermann ist gelöscht." in screen.text
    assert backend.read(select(Customer)) == []
    assert settings.open("/einstellungen").path == "/anmelden"


def test_after_an_objection_the_page_says_what_comes_before_the_deletion(screen, backend, erika, prove):
    backend.run(accounts.request_address_change, erika, people.NEW_EMAIL)
    backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[0], datetime.now(UTC))
    prove()
    screen.open(f"/kundenservice/kunden/{erika.id}/loeschen")
    screen.check("Nein, es ist alles zurück").submit("Konto endgültig löschen", {"Grund": "Wunsch"})
    assert "Berichtigen Sie die Adresse, oder entsperren Sie das Konto" in screen.text
    assert len(backend.read(select(Customer))) == 1


def test_a_request_of_before_a_new_password_is_no_proof_that_its_owner_wants_it(screen, backend, erika, prove, clock):
    """A thief of the password may have asked for it; its owner believes that a new password ended all he began."""
    prove()
    page = f"/kundenservice/kunden/{erika.id}/loeschen"
    backend.run(deletion.request, erika)
    assert "im Konto angefordert" in screen.open(page).text and "Person geprüft" not in screen.text
    clock.shift(60)
    backend.update(erika, password_set_at=people.NOW + timedelta(seconds=60))
    assert "im Konto angefordert" not in screen.open(page).text
    assert "Nach der Bitte um Löschung wurde ein neues Passwort gesetzt" in screen.text
    assert "Löschen Sie nur, wenn Sie die Person geprüft haben." in screen.text


def test_a_customer_who_is_deleted_during_a_request_is_not_found_and_no_error(app, backend, erika):
    with app.test_request_context("/kundenservice/kunden"):
        customer = db.session.scalars(select(Customer)).one()
        backend.run(deletion.delete_customer, erika, erika.version, "Wunsch", False)
        db.session.rollback()
        db.session.expire_all()
        with pytest.raises(ObjectDeletedError) as deleted:
            customer.name  # noqa: B018
        assert app.handle_user_exception(deleted.value).status_code == 404
