"""A new clerk gets from the command line to the desk, with a password and an app that shows codes."""

import re

import pytest
from playwright.sync_api import expect

from tests import people
from tests.backend import Backend
from tests.e2e.actions import Mouse, add_session, button, field, heading, link, set_password, whole
from tests.states import prove, session_token

pytestmark = pytest.mark.browser

EMAIL, CODE = "robin.ostermann@kmz.example", "Code aus der App"
KEPT = "Ich habe die Ersatzcodes aufbewahrt"
ADD = ("clerks", "add", EMAIL, "--name", "Robin Ostermann", "--initials", "rb", "--admin")


@pytest.mark.trial
def test_a_clerk_sets_up_access_and_logs_in_with_two_factors(new_page, portal, app, mailbox):
    page = new_page(java_script_enabled=False)  # clerk_flow does the same by keyboard, with JavaScript
    hands = Mouse(page)
    portal.run(*ADD)
    page.goto(mailbox.wait_for(EMAIL, "Ihr Zugang zum Kundenservice").link)
    whole(page, "Ihr Zugang zum Kundenservice")
    set_password(page)
    hands.press(button(page, "Weiter"))
    whole(page, "Ihr zweiter Faktor")
    expect(page.locator("img")).to_have_js_property("complete", True)
    assert page.locator("img").evaluate("(it) => it.naturalWidth > 100")  # the QR code
    hands.fill(field(page, CODE), Backend.totp_code(page.locator("code").first.inner_text()))
    hands.press(button(page, "Zugang einrichten"))
    whole(page, "Fertig")
    recovery_codes = page.locator("code").all_inner_texts()
    assert len(set(recovery_codes)) == 10

    hands.press(button(page, "Weiter"))
    expect(page.get_by_label(KEPT)).to_be_focused()  # the browser itself keeps the page until the box is ticked
    assert page.locator("code").all_inner_texts() == recovery_codes
    page.get_by_label(KEPT).check()
    hands.press(button(page, "Weiter"))
    whole(page, "Anmelden im Kundenservice")
    expect(field(page, "E-Mail-Adresse")).to_have_value("")
    hands.fill(field(page, "E-Mail-Adresse"), EMAIL)
    hands.fill(field(page, "Passwort"), people.NEW_PASSWORD)
    hands.press(button(page, "Anmelden"))
    whole(page, "Zweiter Faktor")
    hands.fill(field(page, CODE), recovery_codes[0])
    hands.press(button(page, "Weiter"))
    expect(link(page, "Mitarbeitende")).to_be_visible()
    assert mailbox.wait_for(EMAIL, "Ihr Zugang zum Kundenservice wurde eingerichtet")
    hands.press(button(page, "Abmelden"))
    whole(page, "Anmelden im Kundenservice")


def test_recovery_codes_are_copied_and_saved(new_page, app, backend, rosa, factor):
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    add_session(page, app, session_token(backend, rosa))
    backend.run(prove, rosa)
    page.goto("/kundenservice/zugang/ersatzcodes")
    button(page, "Neue Ersatzcodes zeigen").click()
    heading(page, "Ihre Ersatzcodes").wait_for()
    expect(button(page, "Drucken")).to_be_visible()
    text = "".join(f"{code}\n" for code in page.locator("code").all_inner_texts())
    assert len(text.split()) == 10
    button(page, "Kopieren").click()
    expect(page.locator("#meldung")).to_have_text(re.compile("kopiert"))
    assert page.evaluate("navigator.clipboard.readText()") == text
    with page.expect_download() as saving:
        button(page, "Als Datei speichern").click()
    assert saving.value.suggested_filename == "Ersatzcodes Kundenservice.txt"
    assert saving.value.path().read_text("utf-8") == text
    page.reload()
    heading(page, "Neue Ersatzcodes").wait_for()
    assert page.locator("code").count() == 0
