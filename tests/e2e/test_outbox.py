"""Postausgang: the list polls without moving the focus, and a refused mail is sent again with one click."""

import re
import time

import pytest
from playwright.sync_api import expect

from kmzportal.services import desk
from tests.e2e.actions import button, field, in_place, whole

pytestmark = pytest.mark.browser

PAGE = "/kundenservice/postausgang"
POLL = re.compile("/postausgang/liste")


def is_poll(request):
    return POLL.search(request.url)


@pytest.fixture
def outbox(desk_page):
    page = desk_page()
    page.goto(PAGE)
    whole(page, "Postausgang")
    return page


def test_a_refused_mail_shows_the_reason_within_five_seconds_and_is_sent_again_with_one_click(
    outbox, backend, erika, mailbox
):
    mailbox.rcpt_replies[erika.email] = "550 5.1.1 User unknown"
    with in_place(outbox):
        sent_at = time.monotonic()
        backend.run(desk.send_link, erika, "Anruf")
        expect(outbox.get_by_text("abgelehnt: Adresse unbekannt (550)")).to_be_visible()
        assert time.monotonic() - sent_at < 5
        expect(outbox.get_by_role("status").filter(has_text="1 E-Mail")).to_be_visible()
        mailbox.rcpt_replies.clear()
        button(outbox, "Erneut senden").click()
        notice = outbox.locator("[data-outcome]").filter(
            has_text=f"Die E-Mail an {erika.email} wird gleich noch einmal gesendet"
        )
        expect(notice).to_be_focused()
        expect(outbox.get_by_text(re.compile("an den Mailserver übergeben [0-9]{2}:[0-9]{2}$"))).to_be_visible()
        expect(notice).to_be_focused()
    message = mailbox.wait_for(erika.email, "Ihr Link zum Konto")
    assert message.link not in outbox.content() and message.code not in outbox.content()


def test_polling_moves_neither_the_focus_nor_the_filter(outbox, backend, erika, max_, mailbox):
    mailbox.rcpt_replies[erika.email] = "550 5.1.1 User unknown"
    backend.run(desk.send_link, erika, "Anruf")
    again = button(outbox, "Erneut senden")
    again.focus()
    field(outbox, "Zustand").select_option("zurückgekommen")
    again.focus()
    backend.run(desk.send_link, max_, "Anruf")
    expect(outbox.get_by_text(max_.email)).to_be_visible()
    expect(again).to_be_focused()
    expect(field(outbox, "Zustand")).to_have_value("zurueckgekommen")
    outbox.evaluate("document.activeElement.blur()")
    with outbox.expect_response(POLL):
        pass
    assert outbox.evaluate("document.activeElement === document.body")
    assert outbox.title().startswith("Postausgang – ")


def test_a_hidden_page_does_not_poll(desk_page):
    page = desk_page()
    page.clock.install()
    page.goto(PAGE)
    whole(page, "Postausgang")
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.away, configurable: true })")
    page.evaluate("window.away = true")
    polls = []
    page.on("request", lambda request: polls.append(request.url) if POLL.search(request.url) else None)
    page.clock.run_for(20_000)
    page.evaluate("fetch('/healthz')")  # requests are reported in their order
    assert polls == []
    page.evaluate("window.away = false")
    with page.expect_response(POLL):
        page.clock.run_for(20_000)


def test_polling_without_a_network_shows_no_message(desk_page):
    page = desk_page()
    page.clock.install()
    page.goto(PAGE)
    whole(page, "Postausgang")
    page.context.set_offline(True)
    with page.expect_event("requestfailed", is_poll):
        page.clock.run_for(20_000)
    expect(page.locator("#meldung")).to_be_empty()
    page.context.set_offline(False)
    with page.expect_response(POLL):
        page.clock.run_for(20_000)
