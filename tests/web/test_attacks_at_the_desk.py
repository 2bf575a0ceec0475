"""What somebody who means harm tried once at the desk, and gets no more by it."""

import pytest

from kmzportal.models.customer import Customer
from kmzportal.services import audit
from tests.browser import words
from tests.web.by_hand import token_in as token

pytestmark = pytest.mark.usefixtures("clock")
NEW = "erika@neue-schule.example"
CORRECT = "Adresse berichtigen und Link senden"
HOSTILE = '<img src=x onerror=alert(1)> {{ 7*7 }} " hx-get="/x'


@pytest.mark.parametrize(
    "harm", ["endpoint=x", "_scheme=javascript&_external=1", "_scheme=x", "_method=POST", "_anchor=x", "fremd=1"]
)
def test_the_address_of_the_protokoll_says_nothing_but_its_filter(desk, backend, rosa, harm):
    with backend.transaction() as tx:
        for _ in range(audit.EVENTS_SHOWN + 1):
            tx.record("logout", rosa)
    desk.open(f"/kundenservice/protokoll?person=ro&{harm}")
    (older,) = (link.get("href") for link in desk.page.iter("a") if words(link) == "Ältere Einträge")
    assert older.startswith("/kundenservice/protokoll?person=ro&vor=")


def test_a_blank_is_no_reason_and_no_name(desk, backend, erika):
    desk.open(f"/kundenservice/kunden/{erika.id}").submit("Konto sperren", {"Grund": "   "})
    assert (desk.status, backend.read(erika).locked_at) == (422, None)
    desk.open("/kundenservice/mitarbeitende/neu")
    desk.submit("Anlegen und Link senden", {"Vor- und Nachname": "  ", "E-Mail-Adresse": NEW, "Kürzel": "qq"})
    assert (desk.status, backend.mails()) == (422, [])


@pytest.mark.parametrize("turning", ["\u202e", "\u202b", "\u2067"])
def test_nothing_in_a_name_makes_the_number_beside_it_read_backwards(desk, backend, erika, turning):
    desk.open(f"/kundenservice/kunden/{erika.id}/daten").submit("Speichern", {"Nachname": f"Muster{turning}"})
    assert (desk.status, backend.read(erika).last_name) == (422, erika.last_name)
    desk.submit("Speichern", {"Nachname": "علي"})
    assert backend.read(erika).last_name == "علي"


def test_hostile_text_is_text_everywhere(desk, backend, erika):
    with backend.transaction("console") as tx:
        customer = tx.session.get(Customer, erika.id)
        customer.last_name = customer.school = customer.street = HOSTILE
    for path in (f"?suche={HOSTILE[:8]}", f"/{erika.id}", f"/{erika.id}/daten", f"/{erika.id}?neue-adresse={HOSTILE}"):
        desk.open(f"/kundenservice/kunden{path}")
        assert not [one for one in desk.page.iter("img") if one.get("src") == "x"], path
        assert "{{ 7*7 }}" in desk.text, path
        assert not [one for one in desk.page.iter() if one.get("hx-get") == "/x"], path
    screen = desk.open(f"/kundenservice/kunden/{erika.id}")
    screen.check("Sonstiges").submit(CORRECT, {"Neue E-Mail-Adresse": NEW, "Anmerkung zur Prüfung": HOSTILE})
    assert f"Sonstiges – {HOSTILE}" in screen.text
    assert not [one for one in screen.page.iter("img") if one.get("src") == "x"]


def test_what_the_form_never_offers_is_refused(desk, backend, erika, screen):
    data = {"csrf_token": token(desk), "email": NEW, "check": "geglaubt", "version": str(erika.version)}
    answer = desk.client.post(f"/kundenservice/kunden/{erika.id}/adresse", data=data, base_url=desk.site)
    assert answer.status_code == 422
    assert backend.mails() == []
