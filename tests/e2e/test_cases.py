"""A written request at the desk: from the opened case to the sent link with three actions, until the customer is in."""

import time

import pytest
from playwright.sync_api import expect

from kmzportal.models import CaseState
from kmzportal.services import support
from tests import people
from tests.e2e.actions import button, field, link, log_in, set_password, whole
from tests.e2e.test_desk import CORRECT, Counting

pytestmark = pytest.mark.browser
NEW = "erika.privat@web.example"


def test_a_case_is_answered_with_three_actions_and_closes_itself(new_page, desk_page, backend, erika, mailbox):
    with backend.transaction() as tx:
        case = support.open_case(
            tx, "other", "mail", NEW, "Benötige neue Zugangsdaten für edupool.\n\nErika Mustermann", proven=True
        )
    page = desk_page()
    page.goto("/kundenservice/anfragen")
    link(page, "Anfragen (1)").focus()
    choice = field(page, "Stand")
    width = "(list) => list.getBoundingClientRect().width"
    natural = "(list) => { list.style.width = 'max-content'; return list.getBoundingClientRect().width }"
    assert choice.evaluate(width) >= choice.evaluate(natural), "the longest choice is not cut off"
    link(page, case.reference).click()
    whole(page, f"Anfrage {case.reference}")
    hands, started = Counting(page), time.monotonic()
    hands.press(button(page, "Erika Mustermann (K-1001) zuordnen"))
    whole(page, "Erika Mustermann")
    expect(page.get_by_text("Benötige neue Zugangsdaten für edupool.")).to_be_visible()
    expect(field(page, "Neue E-Mail-Adresse")).to_have_value(NEW)
    hands.check(field(page, "Rückruf"))
    hands.press(button(page, CORRECT))
    expect(page.locator("[data-outcome]")).to_contain_text(f"Der Link zum Konto ist unterwegs an {NEW}.")
    assert hands.actions == 3 and hands.filled == [] and time.monotonic() - started < 30
    message = mailbox.wait_for(NEW, "Ihr Link zum Konto")
    customer = new_page()
    customer.goto(message.link)
    link(customer, "Code aus der E-Mail eingeben").click()
    field(customer, "Code aus der E-Mail").fill(message.code)
    button(customer, "Bestätigen").click()
    link(customer, "Konto bearbeiten").click()
    set_password(customer)
    button(customer, "Registrieren").click()
    whole(customer, "Fertig")
    log_in(customer, NEW, people.NEW_PASSWORD)
    assert (backend.read(case).state, backend.read(case).closed_as) == (CaseState.CLOSED, "redeemed")
