"""Two minutes before a session or a visit to a link ends its reader is asked; no input is lost when it has ended."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models import LinkKind, LinkState, LinkVisit, LoginSession
from kmzportal.services import links
from tests import people
from tests.e2e.accessibility import faults
from tests.e2e.actions import (
    WARNED_AFTER,
    Keyboard,
    button,
    dialog,
    field,
    heading,
    link,
    log_in,
    open_account,
    set_password,
    whole,
)

pytestmark = pytest.mark.browser


@pytest.fixture
def form(page, erika):
    """Konto anpassen with a number typed in and not saved, the browser's clock stopped."""
    page.clock.install()
    log_in(page, erika.email, people.password_of(erika))
    open_account(page, people.password_of(erika))
    field(page, "Telefon").fill("0711 42")
    return page


@pytest.fixture
def idle(backend):
    """Set all sessions idle for some seconds, or to end in some, and let the page's timer run."""

    def idle(page, seconds, ends_in=None):
        now = datetime.now(UTC)
        with backend.transaction("console") as tx:
            for session in tx.session.scalars(select(LoginSession)):
                session.last_seen = now - timedelta(seconds=seconds)
                if ends_in:
                    session.expires_at = now + timedelta(seconds=ends_in)
        page.clock.run_for((WARNED_AFTER + 5) * 1000)

    return idle


def test_a_session_is_extended_with_one_key_at_least_ten_times(form, idle, backend):
    for number in range(10):  # WCAG 2.2.1
        idle(form, WARNED_AFTER)
        expect(dialog(form)).to_have_accessible_name("Sind Sie noch da?")
        expect(dialog(form)).to_have_accessible_description(
            re.compile("^Sie haben lange keine Seite aufgerufen. Um ..:.. Uhr melden wir Sie ab.")
        )
        expect(button(form, "Angemeldet bleiben")).to_be_focused()
        if number == 0:
            assert faults(form) == []
        form.keyboard.press("Enter")
        expect(dialog(form)).to_have_count(0)
        expect(field(form, "Telefon")).to_be_focused()
    Keyboard(form).press(button(form, "Speichern"))
    expect(form.get_by_text("Ihre Änderungen sind gespeichert.")).to_be_visible()


def test_a_session_used_in_another_tab_is_not_asked_about_and_the_check_does_not_extend_it(form, idle, backend):
    with form.expect_response("**/sitzung") as polled:
        idle(form, 10 * 60)
    assert polled.value.status == 200
    with form.expect_response("**/sitzung"):
        form.evaluate("dispatchEvent(new Event('focus'))")
    expect(dialog(form)).to_have_count(0)
    assert datetime.now(UTC) - backend.read(select(LoginSession))[0].last_seen > timedelta(minutes=9)


def test_the_end_after_eight_hours_is_announced(form, idle):
    idle(form, 60, ends_in=100)
    expect(dialog(form)).to_have_accessible_name("Ihre Anmeldung endet bald")
    form.keyboard.press("Enter")
    expect(dialog(form)).to_be_hidden()
    expect(field(form, "Telefon")).to_be_focused()
    assert faults(form) == []


@pytest.mark.parametrize("key", ["Enter", "Escape"])
def test_after_the_end_the_page_is_hidden_and_the_next_login_restores_what_was_typed(form, idle, erika, backend, key):
    idle(form, 31 * 60)
    expect(dialog(form)).to_have_accessible_name("Sie sind nicht mehr angemeldet")
    assert faults(form) == []
    expect(form.get_by_role("main", include_hidden=True)).to_be_hidden()
    expect(button(form, "Neu anmelden")).to_be_focused()
    form.keyboard.press(key)
    whole(form, "Anmelden")
    log_in(form, erika.email, people.password_of(erika), "Konto anpassen")
    expect(form.get_by_text("Ihre Eingaben stehen wieder im Formular.")).to_be_visible()
    expect(field(form, "Telefon")).to_have_value("0711 42")
    assert backend.read(erika).phone == erika.phone


def test_at_the_end_a_page_without_input_leads_to_the_login_and_back_to_the_page(page, idle, erika):
    page.clock.install()
    log_in(page, erika.email, people.password_of(erika))
    link(page, "Verlauf").click()
    idle(page, 31 * 60)
    whole(page, "Anmelden")
    expect(page.locator("html")).not_to_contain_text(erika.last_name)
    log_in(page, erika.email, people.password_of(erika), "Verlauf")


def test_after_the_end_what_was_typed_is_shown_again_when_it_cannot_be_sent(form, idle):
    idle(form, 31 * 60)
    expect(dialog(form)).to_be_visible()
    form.context.set_offline(True)
    form.keyboard.press("Enter")
    expect(form.locator("#meldung")).to_contain_text("Keine Verbindung.")
    expect(field(form, "Telefon")).to_have_value("0711 42")
    form.context.set_offline(False)


def test_without_a_network_the_question_closes_and_the_reason_is_shown(form, idle):
    idle(form, WARNED_AFTER)
    expect(button(form, "Angemeldet bleiben")).to_be_focused()
    form.context.set_offline(True)
    form.keyboard.press("Enter")
    expect(form.locator("#meldung")).to_contain_text("Keine Verbindung.")
    expect(field(form, "Telefon")).to_be_focused()
    form.context.set_offline(False)


@pytest.fixture
def polled(desk_page, backend):
    """Open the Postausgang, which loads its list every three seconds, with a session that is about to end."""

    def polled(**session):
        page = desk_page()
        page.goto("/kundenservice/postausgang")
        backend.update(*backend.read(select(LoginSession)), **session)
        page.evaluate("dispatchEvent(new Event('focus'))")
        return page

    return polled


def let_it_poll(page, times=2):
    for _ in range(times):
        page.wait_for_event("requestfinished", lambda request: "/postausgang/liste" in request.url)


def test_a_list_that_loads_itself_leaves_the_question_open(polled):
    page = polled(last_seen=datetime.now(UTC) - timedelta(minutes=14))
    expect(button(page, "Angemeldet bleiben")).to_be_focused()
    page.evaluate("document.addEventListener('close', () => { window.closed = 'by a poll' }, true)")
    let_it_poll(page)
    assert page.evaluate("window.closed") != "by a poll", "screen readers would read it again every three seconds"
    expect(button(page, "Angemeldet bleiben")).to_be_focused()


def test_a_list_that_loads_itself_leaves_the_announcement_closed(polled):
    page = polled(expires_at=datetime.now(UTC) + timedelta(seconds=100))
    button(page, "Hinweis schließen").click()
    let_it_poll(page)
    expect(dialog(page)).to_be_hidden()


@pytest.fixture
def link_page(page, erika, backend):
    """A recovery link with half a password typed in, the browser's clock stopped."""
    page.clock.install()
    page.goto(f"/link/{backend.keys.token(backend.issue(LinkKind.RECOVERY, erika))}")
    whole(page, "Neues Passwort")
    field(page, "Passwort").fill("lampe")
    return page


@pytest.fixture
def idle_link(backend):
    """Set the visit idle for some seconds."""

    def idle_link(page, seconds):
        [visit] = backend.read(select(LinkVisit))
        backend.update(visit, last_seen=visit.last_seen - timedelta(seconds=seconds))
        page.clock.run_for((WARNED_AFTER + 5) * 1000)

    return idle_link


def test_a_visit_to_a_link_is_extended_with_one_key(link_page, idle_link):
    for _ in range(2):
        idle_link(link_page, WARNED_AFTER)
        expect(dialog(link_page)).to_have_accessible_name("Sind Sie noch da?")
        expect(dialog(link_page)).to_have_accessible_description(
            re.compile("Um ..:.. Uhr läuft Ihre Zeit auf dieser Seite ab.")
        )
        expect(button(link_page, "Hier weitermachen")).to_be_focused()
        assert faults(link_page) == []
        link_page.keyboard.press("Enter")
        expect(dialog(link_page)).to_have_count(0)
        expect(field(link_page, "Passwort")).to_be_focused()
        expect(field(link_page, "Passwort")).to_have_value("lampe")


def test_after_the_end_of_a_visit_the_link_is_to_be_opened_again(link_page, idle_link):
    idle_link(link_page, 31 * 60)
    expect(dialog(link_page)).to_have_accessible_name("Die Zeit für diese Seite ist um")
    assert faults(link_page) == []
    link_page.keyboard.press("Enter")
    button(link_page, "Passwort speichern").click()
    expect(link_page.locator("#meldung")).to_contain_text("Öffnen Sie bitte den Link in der E-Mail noch einmal.")


def test_after_its_link_was_withdrawn_a_page_asks_nothing(link_page, erika, backend):
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.RECOVERY})
    set_password(link_page)
    button(link_page, "Passwort speichern").click()
    expect(heading(link_page, "Dieser Link gilt nicht mehr")).to_be_focused()
    with link_page.expect_response("**/sitzung"):
        link_page.clock.run_for((WARNED_AFTER + 1) * 1000)
    expect(link_page.locator("#time-left")).to_have_count(0)
    expect(heading(link_page, "Dieser Link gilt nicht mehr")).to_be_focused()
