"""A new clerk gets from the command line to the desk, with a password and an app that shows codes."""

import pytest
from playwright.sync_api import expect

from tests import people
from tests.backend import Backend
from tests.e2e.actions import Mouse, button, field, link, set_password, whole

pytestmark = [pytest.mark.browser, pytest.mark.trial]

EMAIL, CODE = "robin.ostermann@kmz.example", "Code aus der App"
ADD = ("clerks", "add", EMAIL, "--name", "Robin Ostermann", "--initials", "rb", "--admin")


def test_a_clerk_sets_up_access_and_logs_in_with_two_factors(new_page, portal, app, mailbox):
    page = new_page(java_script_enabled=False)  # clerk_flow does the same by keyboard, with JavaScript
    hands = Mouse(page)
    portal.run(*ADD)
    page.goto(mailbox.wait_for(EMAIL, "Ihr Zugang zum Kundenservice").link)
    whole(page, "Ihr Zugang zum Kundenservice")
    assert page.locator("img").evaluate("(it) => it.complete && it.naturalWidth > 100")  # the QR code
    set_password(page)
    hands.fill(field(page, CODE), Backend.totp_code(page.locator("code").first.inner_text()))
    hands.press(button(page, "Zugang einrichten"))
    whole(page, "Fertig")
    recovery_codes = page.locator("code").all_inner_texts()
    assert len(set(recovery_codes)) == 10

    hands.press(link(page, "Zur Anmeldung im Kundenservice"))
    expect(field(page, "E-Mail-Adresse")).to_have_value(EMAIL)
    hands.fill(field(page, "Passwort"), people.NEW_PASSWORD)
    hands.press(button(page, "Anmelden"))
    whole(page, "Zweiter Faktor")
    hands.fill(field(page, CODE), recovery_codes[0])
    hands.press(button(page, "Weiter"))
    expect(link(page, "Mitarbeitende")).to_be_visible()
    assert mailbox.wait_for(EMAIL, "Ihr Zugang zum Kundenservice wurde eingerichtet")
    hands.press(button(page, "Abmelden"))
    whole(page, "Anmelden im Kundenservice")
