"""Zugangsbrief: from the desk over one printed page to a login."""

import re

import pytest
from playwright.sync_api import expect

from tests import people
from tests.e2e.actions import button, field, heading, in_place, link, log_in, set_password, whole

pytestmark = pytest.mark.browser
PAGES = re.compile(rb"/Type\s*/Page\b")
#: Millimetres from the corner of the sheet to the lines of the address.
ADDRESS = """() => { const mm = 96 / 25.4, box = document.querySelector(".kmz-a4-to").getBoundingClientRect();
  return [box.left / mm, box.top / mm, box.right / mm, box.bottom / mm].map(Math.round); }"""


def test_a_letter_is_one_page_with_the_address_in_the_window_and_opens_the_account(
    desk_page, new_page, backend, erika, rosa, mailbox
):
    factor = backend.add_second_factor(rosa)
    page = desk_page()
    page.goto(f"/kundenservice/kunden/{erika.id}")
    link(page, "Zugangsbrief drucken").click()
    field(page, "Code aus der App").fill(backend.totp_code(factor.secret))
    button(page, "Weiter").click()
    whole(page, "Zugangsbrief drucken")
    field(page, "Rückruf").check()
    field(page, "Per Post an: Erika Mustermann, Schulweg 1, 75365 Musterstadt").check()
    with in_place(page):
        button(page, "Zugangsbrief drucken").click()
        expect(heading(page, "Zugangsbrief")).to_be_visible()
    expect(page.locator("[data-outcome]")).to_be_focused()
    code = page.locator(".kmz-code").inner_text()
    page.evaluate("window.print = () => { window.printed = true }")
    button(page, "Drucken").click()
    assert page.evaluate("window.printed")

    page.emulate_media(media="print")
    page.set_viewport_size({"width": 794, "height": 1123})
    left, top, right, bottom = page.evaluate(ADDRESS)
    assert (left, top) == (25, 63) and right <= 105 and bottom <= 90, "DIN 5008, form B"
    expect(heading(page, "Zugangsbrief")).to_be_hidden()
    expect(page.get_by_role("img", name="QR-Code für ")).to_be_visible()
    assert len(PAGES.findall(page.pdf(prefer_css_page_size=True))) == 1
    page.reload()
    whole(page, "Zugangsbrief drucken")
    assert mailbox.wait_for(erika.email, "Zugangsbrief zu Ihrem Konto").link

    customer = new_page()
    customer.goto("/link")
    field(customer, "Kundennummer").fill(erika.number)
    field(customer, "Code aus dem Zugangsbrief").fill(f" {code.lower().replace('-', ' ')} ")
    button(customer, "Bestätigen").click()
    link(customer, "Konto bearbeiten").click()
    whole(customer, "Konto bearbeiten")
    set_password(customer)
    button(customer, "Registrieren").click()
    whole(customer, "Fertig")
    log_in(customer, erika.email, people.NEW_PASSWORD)
