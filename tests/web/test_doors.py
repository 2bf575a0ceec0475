"""Two doors: each leads to its own pages, shows the other, and lets in nobody who belongs to the other."""

import pytest

from tests.web.doors import CODE, DESK, DOOR, REFUSED, log_in

pytestmark = pytest.mark.usefixtures("clock")


def test_whoever_is_logged_in_is_not_asked_again(browser, erika):
    browser.log_in(erika).open("/anmelden")
    assert browser.path == "/einstellungen"
    assert browser.open("/").path == "/einstellungen"


def test_the_front_page_leads_strangers_to_the_door(browser):
    assert browser.open("/").path == "/anmelden"


def test_rosa_from_the_desk_is_no_customer(browser, rosa):
    browser.log_in(rosa)
    assert browser.status == 422
    assert REFUSED in browser.text


def test_a_customer_does_not_get_in_at_the_desks_door(browser, erika):
    log_in(browser, erika)
    assert (browser.status, REFUSED in browser.text) == (422, True)


def test_a_customer_who_is_logged_in_is_asked_to_log_out_first(browser, erika):
    browser.log_in(erika).open(DOOR)
    assert browser.status == 403
    assert "Melden Sie sich zuerst ab." in browser.text
    browser.press("Abmelden")
    assert browser.open(DOOR).heading == "Anmelden im Kundenservice"


@pytest.mark.parametrize("path", ["/", "/anmelden", DOOR, CODE])
def test_a_clerk_who_is_logged_in_is_led_to_the_desk(browser, tim, offered, path):
    log_in(browser, tim).open(path)
    assert browser.path.startswith(DESK) and browser.status == 200
    assert browser.heading not in ("Anmelden im Kundenservice", "Zweiter Faktor")


def test_each_page_leads_strangers_to_its_own_door(browser):
    assert browser.open("/kundenservice/mitarbeitende").heading == "Anmelden im Kundenservice"
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_the_two_doors_show_each_other(browser):
    browser.open("/anmelden").follow("Für Mitarbeitende: Anmelden im Kundenservice")
    assert browser.path == DOOR
    assert browser.follow("Für Kundinnen und Kunden: Anmelden").path == "/anmelden"
