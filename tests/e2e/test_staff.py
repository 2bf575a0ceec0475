"""A clerk's first day: from the command line to the desk, with a telephone that shows codes."""

import pytest
from playwright.sync_api import expect

from tests import cast
from tests.deeds import Deeds
from tests.e2e.hands import Keyboard, Mouse, button, field, link, whole
from tests.e2e.test_narrow import ZOOMED, fits

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
    hands.write(field(page, "Passwort"), cast.NEW_PASSWORD)
    hands.write(field(page, "Wdh. Passwort"), cast.NEW_PASSWORD)
    hands.write(field(page, CODE), Deeds.app_shows(codes(page)[0]))
    hands.press(button(page, "Zugang einrichten"))
    whole(page, "Fertig")
    return codes(page)


def log_in(page, hands, code):
    hands.press(link(page, "Zur Anmeldung im Kundenservice"))
    expect(field(page, "E-Mail-Adresse")).to_have_value(ROBIN)
    hands.write(field(page, "Passwort"), cast.NEW_PASSWORD)
    hands.press(button(page, "Anmelden"))
    whole(page, "Zweiter Faktor")
    hands.write(field(page, CODE), code)
    hands.press(button(page, "Weiter"))
    expect(link(page, "Mitarbeitende")).to_be_visible()


@pytest.mark.parametrize("hands", [Mouse, Keyboard])
@pytest.mark.parametrize("javascript", [True, False], ids=["htmx", "without"])
def test_robin_comes_from_the_command_line_to_the_desk(computer, portal, app, mailbox, hands, javascript):
    page = computer(java_script_enabled=javascript)
    portal.console(*ADD)
    ten = set_up(page, hands(page), mailbox.letter(ROBIN, "Ihr Zugang zum Kundenservice").link)
    assert len(set(ten)) == 10
    log_in(page, hands(page), ten[0])
    mailbox.letter(ROBIN, "Ihr Zugang zum Kundenservice wurde eingerichtet")
    hands(page).press(button(page, "Abmelden"))
    whole(page, "Anmelden im Kundenservice")


def test_the_way_to_the_desk_fits(computer, portal, app, mailbox):
    page = computer(**ZOOMED)
    page.goto("/kundenservice/mitarbeitende")
    fits(page, "Anmelden im Kundenservice")
    button(page, "Anmelden").click()
    expect(page.get_by_role("alert")).to_be_focused()
    fits(page, "Anmelden im Kundenservice")
    portal.console(*ADD)
    url = mailbox.letter(ROBIN, "Ihr Zugang zum Kundenservice").link
    page.goto(url)
    button(page, "Zugang einrichten").click()
    expect(page.get_by_role("alert")).to_be_focused()
    fits(page, "Ihr Zugang zum Kundenservice")
    ten = set_up(page, Mouse(page), url)
    fits(page, "Fertig")
    log_in(page, Mouse(page), ten[9])
    link(page, "Mitarbeitende").click()
    fits(page, "Mitarbeitende")
    link(page, "Jemanden anlegen").click()
    button(page, "Anlegen und Link senden").click()
    expect(page.get_by_role("alert")).to_be_focused()
    fits(page, "Jemanden anlegen")
    field(page, "Vor- und Nachname").fill("Kim Muster")
    field(page, "E-Mail-Adresse").fill("kim.muster@kmz.example")
    field(page, "Kürzel").fill("km")
    button(page, "Anlegen und Link senden").click()
    expect(button(page, "Sperren")).to_be_visible()
    fits(page, "Mitarbeitende")
    button(page, "Sperren").click()
    expect(button(page, "Entsperren")).to_be_visible()
    page.goto("/kundenservice/zweiter-faktor")
    button(page, "Abmelden").click()
    whole(page, "Anmelden im Kundenservice")
