"""Kein Zugriff mehr by keyboard without JavaScript, with the code from the mail instead of the puzzle."""

import re

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models import SupportCase
from tests.e2e.actions import Keyboard, button, field, link, whole
from tests.states import SUPPORT_FIELDS

pytestmark = pytest.mark.browser


def test_a_written_request_by_keyboard_without_javascript_with_the_code(new_page, backend, mailbox):
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
