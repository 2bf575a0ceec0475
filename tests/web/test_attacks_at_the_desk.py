"""What somebody who means harm tried once at the desk, and gets no more by it."""

import pytest

from kmzportal.services import audit
from tests.page import words

NEW = "erika@neue-schule.example"
pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.parametrize("portal", ["sqlite"], indirect=True)]


@pytest.mark.parametrize(
    "harm", ["endpoint=x", "_scheme=javascript&_external=1", "_scheme=x", "_method=POST", "_anchor=x", "fremd=1"]
)
def test_the_address_of_the_protokoll_says_nothing_but_its_filter(desk, deeds, rosa, harm):
    with deeds.work() as work:
        for _ in range(audit.SHOWN + 1):
            work.record("logout", rosa)
    desk.open(f"/kundenservice/protokoll?person=ro&{harm}")
    (older,) = (link.get("href") for link in desk.page.iter("a") if words(link) == "Ältere Einträge")
    assert older.startswith("/kundenservice/protokoll?person=ro&vor=")


def test_a_blank_is_no_reason_and_no_name(desk, deeds, erika):
    desk.open(f"/kundenservice/kunden/{erika.id}").submit("Konto sperren", {"Grund": "   "})
    assert (desk.status, deeds.read(erika).locked_at) == (422, None)
    desk.open("/kundenservice/mitarbeitende/neu")
    desk.submit("Anlegen und Link senden", {"Vor- und Nachname": "  ", "E-Mail-Adresse": NEW, "Kürzel": "qq"})
    assert (desk.status, deeds.mails()) == (422, [])


@pytest.mark.parametrize("turning", ["\u202e", "\u202b", "\u2067"])
def test_nothing_in_a_name_makes_the_number_beside_it_read_backwards(desk, deeds, erika, turning):
    desk.open(f"/kundenservice/kunden/{erika.id}/daten").submit("Speichern", {"Nachname": f"Muster{turning}"})
    assert (desk.status, deeds.read(erika).last_name) == (422, erika.last_name)
    desk.submit("Speichern", {"Nachname": "علي"})
    assert deeds.read(erika).last_name == "علي"
