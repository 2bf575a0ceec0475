"""A clerk's first day: from the command line to the desk, with a telephone that shows codes."""

import pytest
from playwright.sync_api import expect

from tests import people
from tests.backend import Backend
from tests.e2e.hands import Keyboard, Mouse, button, field, link, whole

pytestmark = pytest.mark.browser

ROBIN, CODE = "robin.ostermann@kmz.example", "Code aus der App"
ADD = ("clerks", "add", ROBIN, "--name", "Robin Ostermann", "--initials", "rb", "--admin")


def codes(page):
    return page.locator("code").all_inner_texts()


def set_up(page, hands, url):
    """Follow the first link to the ten codes and return them."""
    page.goto(url)
    whole(page, "Ihr Zugang zum Kundenservice")
    assert page.locator("img").evaluate("(it) => it.complete && it.naturalWidth > 100")
    hands.write(field(page, "Passwort"), people.NEW_PASSWORD)
    hands.write(field(page, "Wdh. Passwort"), people.NEW_PASSWORD)
    hands.write(field(page, CODE), Backend.app_shows(codes(page)[0]))
    hands.press(button(page, "Zugang einrichten"))
    whole(page, "Fertig")
    return codes(page)


def log_in(page, hands, code):
    hands.press(link(page, "Zur Anmeldung im Kundenservice"))
    expect(field(page, "E-Mail-Adresse")).to_have_value(ROBIN)
    hands.write(field(page, "Passwort"), people.NEW_PASSWORD)
    hands.press(button(page, "Anmelden"))
    whole(page, "Zweiter Faktor")
    hands.write(field(page, CODE), code)
    hands.press(button(page, "Weiter"))
    expect(link(page, "Mitarbeitende")).to_be_visible()


@pytest.mark.parametrize(("hands", "javascript"), [(Keyboard, True), (Mouse, False)], ids=["keyboard", "without"])
def test_robin_comes_from_the_command_line_to_the_desk(computer, portal, app, mailbox, hands, javascript):
    page = computer(java_script_enabled=javascript)
    portal.console(*ADD)
    ten = set_up(page, hands(page), mailbox.letter(ROBIN, "Ihr Zugang zum Kundenservice").link)
    assert len(set(ten)) == 10
    log_in(page, hands(page), ten[0])
    mailbox.letter(ROBIN, "Ihr Zugang zum Kundenservice wurde eingerichtet")
    hands(page).press(button(page, "Abmelden"))
    whole(page, "Anmelden im Kundenservice")
