"""The server is down, and somebody has a telephone in their hand."""

import pytest
from playwright.sync_api import expect

from tests.e2e.hands import button, field
from tests.e2e.suits import faults

pytestmark = pytest.mark.browser


def test_the_number_to_call_can_be_tapped_in_the_message(page):
    page.goto("/passwort-vergessen")
    page.route("**/passwort-vergessen", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    field(page, "E-Mail-Adresse").fill("erika@schule.example")
    button(page, "Link anfordern").click()
    message = page.locator("#meldung")
    expect(message).to_contain_text("Das hat nicht geklappt, der Fehler liegt bei uns. Ihre Eingaben sind noch da.")
    expect(message).to_contain_text("Oder rufen Sie uns an: 07051 965 220.")
    expect(message.get_by_role("link")).to_have_attribute("href", "tel:07051965220")
    assert faults(page) == []
