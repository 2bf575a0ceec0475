"""Kein Zugriff mehr by keyboard without JavaScript, with codes from mails instead of puzzles, until the login."""

import re

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models import SupportCase
from tests import people
from tests.e2e.actions import Keyboard, button, field, link, whole
from tests.e2e.test_desk import CORRECT, Counting
from tests.states import SUPPORT_FIELDS

pytestmark = pytest.mark.browser


@pytest.mark.trial
def test_a_written_request_by_keyboard_without_javascript_brings_its_customer_in(
    new_page, desk_page, backend, erika, mailbox
):
    page = new_page(java_script_enabled=False)
    hands, address = Keyboard(page), SUPPORT_FIELDS["Neue E-Mail-Adresse"]
    page.goto("/anmelden")
    hands.press(link(page, "Kommen Sie nicht mehr an Ihr E-Mail-Postfach?"))
    whole(page, "Kein Zugriff mehr")
    hands.press(link(page, "Meine E-Mail-Adresse hat sich geändert"))
    whole(page, "Meine E-Mail-Adresse hat sich geändert")
    for label, text in SUPPORT_FIELDS.items():
        hands.fill(field(page, label), text)
    hands.press(button(page, "Code aus der E-Mail eingeben"))
    code = re.findall(r"^([A-Z0-9]{4}-[A-Z0-9]{4})$", mailbox.wait_for(address, "Ihr Code").text, re.MULTILINE)[0]
    expect(field(page, "Code aus der E-Mail")).to_be_focused()
    page.keyboard.type(code)
    page.keyboard.press("Enter")  # is Bestätigen
    whole(page, "Ihre Anfrage ist angekommen")
    (case,) = backend.read(select(SupportCase))
    expect(page.get_by_role("main")).to_contain_text(case.reference)
    expect(page.get_by_role("main")).to_contain_text("Antwort bis ")
    assert case.email_proven and mailbox.wait_for(address, f"Ihre Anfrage {case.reference}")

    desk = desk_page(java_script_enabled=False)
    clerk = Counting(desk)
    desk.goto(f"/kundenservice/anfragen/{case.id}")
    clerk.press(desk.get_by_role("button", name=f"{erika.name} ({erika.number}) zuordnen"))
    expect(field(desk, "Neue E-Mail-Adresse")).to_have_value(address)
    clerk.check(field(desk, "Rückruf"))
    clerk.press(button(desk, CORRECT))
    expect(desk.locator("[data-outcome]")).to_contain_text(f"Der Link zum Konto ist unterwegs an {address}.")
    assert (clerk.actions, clerk.filled) == (3, [])

    message = mailbox.wait_for(address, "Ihr Link zum Konto")
    page.goto(message.link)
    hands.press(link(page, "Code aus der E-Mail eingeben"))
    hands.fill(field(page, "Code aus der E-Mail"), message.code)
    hands.press(button(page, "Bestätigen"))
    hands.press(link(page, "Konto bearbeiten"))
    for label in ("Passwort", "Wdh. Passwort"):
        hands.fill(field(page, label), people.NEW_PASSWORD)
    hands.press(button(page, "Registrieren"))
    whole(page, "Fertig")
    hands.press(link(page, "Zur Anmeldung"))
    hands.fill(field(page, "Passwort"), people.NEW_PASSWORD)
    hands.press(button(page, "Anmelden"))
    whole(page, "Einstellungen")
    desk.goto(f"/kundenservice/anfragen/{case.id}")
    expect(desk.get_by_text("abgeschlossen: Link benutzt")).to_be_visible()
