"""The Postausgang at the desk: it renews itself, disturbs nobody, and one click repairs what was refused."""

import re
import time

import pytest
from playwright.sync_api import TimeoutError as NothingCame
from playwright.sync_api import expect

from kmzportal.services import desk, sessions
from tests.e2e.hands import button, come_in, field, in_place, whole

pytestmark = pytest.mark.browser

PAGE = "/kundenservice/postausgang"
RENEWED = re.compile("/postausgang/liste")


def renewing(request):
    return RENEWED.search(request.url)


@pytest.fixture
def at_the_desk(page, app, backend, rosa):
    """Rosa has the Postausgang open."""
    come_in(page, app, backend.run(sessions.start_session, rosa, "Firefox unter Linux").token)
    page.goto(PAGE)
    whole(page, "Postausgang")
    return page


def test_a_refused_mail_says_why_within_five_seconds_and_goes_out_with_one_click(at_the_desk, backend, erika, mailbox):
    mailbox.refused.add(erika.email)
    with in_place(at_the_desk):
        sent_at = time.monotonic()
        backend.run(desk.send_link, erika, "ro", "Anruf")
        expect(at_the_desk.get_by_text("abgelehnt: Adresse unbekannt (550)")).to_be_visible()
        assert time.monotonic() - sent_at < 5
        expect(at_the_desk.get_by_role("status").filter(has_text="1 E-Mail")).to_be_visible()
        mailbox.refused.clear()
        button(at_the_desk, "Erneut senden").click()
        notice = at_the_desk.locator("[data-outcome]").filter(has_text=f"Die E-Mail an {erika.email} geht gleich")
        expect(notice).to_be_focused()
        expect(at_the_desk.get_by_text(re.compile("an den Mailserver übergeben [0-9]{2}:[0-9]{2}$"))).to_be_visible()
        expect(notice).to_be_focused()
    letter = mailbox.letter(erika.email, "Ihr Link zum Konto")
    assert letter.link not in at_the_desk.content() and letter.code not in at_the_desk.content()


def test_renewing_the_list_moves_neither_the_focus_nor_the_filter(at_the_desk, backend, erika, max_, mailbox):
    mailbox.refused.add(erika.email)
    backend.run(desk.send_link, erika, "ro", "Anruf")
    again = button(at_the_desk, "Erneut senden")
    again.focus()
    field(at_the_desk, "Zustand").select_option("zurückgekommen")
    again.focus()
    backend.run(desk.send_link, max_, "ro", "Anruf")
    expect(at_the_desk.get_by_text(max_.email)).to_be_visible()
    expect(again).to_be_focused()
    expect(field(at_the_desk, "Zustand")).to_have_value("zurueckgekommen")
    at_the_desk.evaluate("document.activeElement.blur()")
    with at_the_desk.expect_response(RENEWED):
        pass
    assert at_the_desk.evaluate("document.activeElement === document.body")
    assert at_the_desk.title().startswith("Postausgang – ")


def test_nobody_asks_while_nobody_looks(at_the_desk):
    at_the_desk.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.away, configurable: true })")
    at_the_desk.evaluate("window.away = true")
    with pytest.raises(NothingCame):
        at_the_desk.wait_for_event("request", renewing, timeout=9000)
    at_the_desk.evaluate("window.away = false")
    at_the_desk.wait_for_event("request", renewing, timeout=9000)


def test_while_the_network_is_gone_the_list_waits_in_silence(at_the_desk):
    at_the_desk.context.set_offline(True)
    with at_the_desk.expect_event("requestfailed", renewing):
        pass
    expect(at_the_desk.locator("#meldung")).to_be_empty()
    at_the_desk.context.set_offline(False)
    with at_the_desk.expect_response(RENEWED):
        pass
