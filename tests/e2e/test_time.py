"""Two minutes before a session ends its holder is asked; whoever is away longer loses nothing that was typed."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models.login_session import LoginSession
from tests import people
from tests.e2e.hands import Keyboard, button, field, link, log_in, open_account, whole
from tests.e2e.question import WARNED, dialog
from tests.e2e.suits import faults

pytestmark = pytest.mark.browser
SOON = re.compile("^Sie haben lange keine Seite aufgerufen. Um ..:.. Uhr melden wir Sie ab.")
COMFORT = "Ihre Eingaben stehen wieder im Formular."


@pytest.fixture
def form(page, erika):
    """Erika has typed into Konto anpassen, and is interrupted."""
    page.clock.install()
    log_in(page, erika.email, people.password_of(erika))
    open_account(page, people.password_of(erika))
    field(page, "Telefon").fill("0711 42")
    return page


@pytest.fixture
def rest(backend):
    """Let Erika's session rest for so many seconds, or come to its last ones."""

    def rest(page, seconds, until_the_end=None):
        now = datetime.now(UTC)
        with backend.transaction("console") as tx:
            for one in tx.session.scalars(select(LoginSession)):
                one.last_seen = now - timedelta(seconds=seconds)
                if until_the_end:
                    one.expires_at = now + timedelta(seconds=until_the_end)
        page.clock.run_for((WARNED + 5) * 1000)

    return rest


def test_who_is_asked_stays_with_one_key_as_often_as_it_takes(form, rest, backend):
    hand = Keyboard(form)
    for _ in range(10):
        rest(form, WARNED)
        expect(dialog(form)).to_have_accessible_name("Sind Sie noch da?")
        expect(dialog(form)).to_have_accessible_description(SOON)
        expect(button(form, "Angemeldet bleiben")).to_be_focused()
        form.keyboard.press("Enter")
        expect(dialog(form)).to_have_count(0)
        expect(field(form, "Telefon")).to_be_focused()
    hand.press(button(form, "Speichern"))
    expect(form.get_by_text("Ihre Änderungen sind gespeichert.")).to_be_visible()


def test_the_question_suits_everybody(form, rest):
    rest(form, WARNED)
    expect(button(form, "Angemeldet bleiben")).to_be_focused()
    assert faults(form) == []


def test_who_was_busy_in_another_tab_is_not_asked(form, rest):
    with form.expect_response("**/sitzung") as asked:
        rest(form, 10 * 60)
    assert asked.value.status == 200
    expect(dialog(form)).to_have_count(0)


def test_asking_by_itself_keeps_no_session_alive(form, rest, backend):
    rest(form, 10 * 60)
    with form.expect_response("**/sitzung"):
        form.evaluate("dispatchEvent(new Event('focus'))")
    seen = backend.read(select(LoginSession))[0].last_seen
    assert datetime.now(UTC) - seen > timedelta(minutes=9)


def test_after_eight_hours_one_is_told_and_sent_on(form, rest):
    rest(form, 60, until_the_end=100)
    expect(dialog(form)).to_have_accessible_name("Ihre Anmeldung endet bald")
    form.keyboard.press("Enter")
    expect(dialog(form)).to_be_hidden()
    expect(field(form, "Telefon")).to_be_focused()
    assert faults(form) == []


def test_who_comes_too_late_loses_nothing(form, rest, erika, backend):
    rest(form, 31 * 60)
    expect(dialog(form)).to_have_accessible_name("Sie sind nicht mehr angemeldet")
    assert faults(form) == []
    form.keyboard.press("Enter")
    button(form, "Speichern").click()
    whole(form, "Anmelden")
    field(form, "E-Mail-Adresse").fill(erika.email)
    field(form, "Passwort").fill(people.password_of(erika))
    button(form, "Anmelden").click()
    whole(form, "Konto anpassen")
    expect(form.get_by_text(COMFORT)).to_be_visible()
    expect(field(form, "Telefon")).to_have_value("0711 42")
    assert backend.read(erika).phone == erika.phone


def test_the_end_leads_to_the_login_and_back_to_the_page(page, rest, erika):
    page.clock.install()
    log_in(page, erika.email, people.password_of(erika))
    link(page, "Verlauf").click()
    rest(page, 31 * 60)
    link(page, "Neu anmelden").click()
    whole(page, "Anmelden")
    field(page, "E-Mail-Adresse").fill(erika.email)
    field(page, "Passwort").fill(people.password_of(erika))
    button(page, "Anmelden").click()
    whole(page, "Verlauf")


def test_without_a_network_the_question_makes_way_for_the_reason(form, rest):
    rest(form, WARNED)
    expect(button(form, "Angemeldet bleiben")).to_be_focused()
    form.context.set_offline(True)
    form.keyboard.press("Enter")
    expect(form.locator("#meldung")).to_contain_text("Keine Verbindung.")
    expect(field(form, "Telefon")).to_be_focused()
    form.context.set_offline(False)
