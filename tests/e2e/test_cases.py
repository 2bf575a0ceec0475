"""A written request from the mail in the support mailbox until its customer is in again, and a failing mailbox."""

import time

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models import SupportCase
from tests import imap_server
from tests.e2e.accessibility import faults
from tests.e2e.actions import button, field, link, register, right_tiles, whole
from tests.e2e.served_portal import ServedPortal
from tests.e2e.test_desk import CORRECT, Counting
from tests.server.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("cases")]  # one served portal for both
NEW = "erika.privat@web.example"
TEXT = "Benötige neue Zugangsdaten für edupool"
LIST = "/kundenservice/anfragen"
HISTORY = [
    "Anfrage zugeordnet",
    "Anfrage beantwortet",
    "Link zum Konto: neue E-Mail-Adresse eingetragen, geöffnet, Bilderrätsel gelöst, Passwort gesetzt, "
    "Anfrage abgeschlossen, E-Mail-Adresse geändert",
    "Angemeldet",
]


@pytest.fixture(scope="module")
def imap(tmp_path_factory):
    with imap_server.listening(imap_server.certificate(tmp_path_factory.mktemp("imap"))) as server:
        yield server


@pytest.fixture(scope="module")
def portal(tmp_path_factory, mail_settings, imap):
    settings = mail_settings | imap_server.settings(imap) | {"IMAP_EVERY": 1}
    with ServedPortal(tmp_path_factory.mktemp("instance"), **settings) as portal:
        yield portal


@pytest.mark.usefixtures("max_")
def test_a_mail_is_a_case_in_a_minute_and_three_actions_bring_its_customer_in(
    new_page, desk_page, app, backend, erika, mailbox, imap
):
    imap.add(imap_server.written(f"{TEXT}.\n\nErika Mustermann\nGMS Musterstadt", NEW, TEXT))
    [case] = until(lambda: backend.read(select(SupportCase)), within=60)
    assert "Antwort bis " in mailbox.wait_for(NEW, f"Ihre Anfrage {case.reference}").text

    page = desk_page()
    page.goto(LIST)
    link(page, "Anfragen (1)").focus()
    choice = field(page, "Stand")
    width = "(list) => list.getBoundingClientRect().width"
    natural = "(list) => { list.style.width = 'max-content'; return list.getBoundingClientRect().width }"
    assert choice.evaluate(width) >= choice.evaluate(natural), "the longest choice is not cut off"
    link(page, case.reference).click()
    whole(page, f"Anfrage {case.reference}")
    first = page.get_by_role("button", name="zuordnen").first
    expect(first).to_have_accessible_name("Erika Mustermann (K-1001) zuordnen")
    hands, started = Counting(page), time.monotonic()
    hands.press(first)
    whole(page, "Erika Mustermann")
    expect(page.get_by_text(f"{TEXT}.")).to_be_visible()
    expect(field(page, "Neue E-Mail-Adresse")).to_have_value(NEW)
    hands.check(field(page, "Rückruf"))
    hands.press(button(page, CORRECT))
    expect(page.locator("[data-outcome]")).to_contain_text(f"Der Link zum Konto ist unterwegs an {NEW}.")
    assert (hands.actions, hands.filled, len(page.monitor.posts)) == (3, [], 2)
    assert time.monotonic() - started < 30

    customer = new_page()
    customer.goto(mailbox.wait_for(NEW, "Ihr Link zum Konto").link)
    field(customer, "Ich bin kein Roboter").click()
    for number in right_tiles(customer, app):
        field(customer, f"Bild {number} von 9").check()
    button(customer, "Bestätigen").click()
    register(customer, NEW)

    page.goto(f"{LIST}/{case.id}")
    expect(page.get_by_text("abgeschlossen: Link benutzt")).to_be_visible()
    customer.goto("/einstellungen/verlauf")
    events = [text.split("\n")[0] for text in customer.locator("td[data-label=Was]").all_inner_texts()[::-1]]
    assert [event for event in events if event in HISTORY] == HISTORY


def test_a_mailbox_that_cannot_be_read_is_shown_with_its_cause(desk_page, imap):
    page = desk_page()
    imap.end()
    cause = page.get_by_text(f"127.0.0.1:{imap.port} ist nicht erreichbar.")
    until(lambda: page.goto(LIST) and cause.count(), within=20)
    expect(page.get_by_text("Das Postfach wird seit")).to_be_visible()
    assert faults(page) == []
