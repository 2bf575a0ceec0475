"""Konto anpassen, also without a network, after the session ended, and with the account open in two browsers."""

import pytest
from playwright.sync_api import expect

from kmzportal.services import sessions
from tests import people
from tests.e2e.accessibility import faults
from tests.e2e.actions import (
    button,
    field,
    in_place,
    link,
    log_in,
    notice,
    open_account,
    refusal,
    set_password,
    whole,
)

pytestmark = pytest.mark.browser

NEW = "erika@neue-schule.example"
SAVED = "Ihre Änderungen sind gespeichert."
PROXY_DOWN = "<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.fixture
def password(erika):
    return people.password_of(erika)


@pytest.fixture
def form(page, erika, password):
    """Konto anpassen with a number typed in and not saved."""
    log_in(page, erika.email, password)
    open_account(page, password)
    field(page, "Telefon").fill("0711 42")
    return page


def save(page):
    button(page, "Speichern").click()


def saved(page):
    return notice(page, SAVED)


def test_input_survives_a_session_ended_on_another_device(form, new_page, erika, password, backend):
    set_password(form)
    other = new_page()
    log_in(other, erika.email, password)
    link(other, "Angemeldete Geräte").click()
    button(other, "Alle anderen Geräte abmelden").click()
    expect(notice(other, "Alle anderen Geräte sind abgemeldet.")).to_be_focused()

    save(form)
    whole(form, "Anmelden")
    expect(notice(form, "Sie wurden abgemeldet.")).to_be_visible()
    log_in(form, erika.email, password, "Konto anpassen")
    expect(field(form, "Telefon")).to_have_value("0711 42")
    expect(field(form, "Passwort")).to_have_value("")
    assert backend.read(erika).phone == erika.phone

    save(form)
    expect(refusal(form)).to_contain_text("noch einmal Ihr aktuelles Passwort")
    expect(field(form, "Telefon")).to_have_value("0711 42")
    field(form, "Aktuelles Passwort").fill(password)
    save(form)
    expect(saved(form)).to_be_focused()
    assert backend.read(erika).phone == "0711 42"


def test_after_the_session_ended_the_login_leads_back_to_the_form(page, erika, password, backend):
    log_in(page, erika.email, password)
    link(page, "Konto anpassen").click()
    backend.run(sessions.end_all, erika)
    field(page, "Aktuelles Passwort").fill(password)
    button(page, "Weiter").click()
    whole(page, "Anmelden")
    log_in(page, erika.email, password, "Konto anpassen")


def test_without_a_network_the_input_stays(form):
    with in_place(form):
        form.context.set_offline(True)
        save(form)
        expect(form.locator("#meldung")).to_contain_text("Keine Verbindung. Ihre Eingaben sind noch da.")
        expect(field(form, "Telefon")).to_have_value("0711 42")
        expect(button(form, "Speichern")).to_be_focused()
        form.context.set_offline(False)
        save(form)
        expect(saved(form)).to_be_focused()
        expect(form.locator("#meldung")).to_be_empty()


def test_without_a_network_the_message_does_not_cover_the_button_on_a_small_screen(form):
    form.set_viewport_size({"width": 390, "height": 740})
    form.context.set_offline(True)
    save(form)
    message, pressed = form.locator("#meldung"), button(form, "Speichern")
    expect(message).to_contain_text("Keine Verbindung.")
    expect(pressed).to_be_focused()
    expect(pressed).to_be_in_viewport(ratio=1)
    lower, upper = pressed.bounding_box(), message.bounding_box()
    assert lower["y"] + lower["height"] <= upper["y"]
    form.context.set_offline(False)


def test_a_server_error_is_shown_in_german_with_a_telephone_link_and_the_input_stays(form):
    with in_place(form):
        form.route("**/konto", lambda route: route.fulfill(status=502, body=PROXY_DOWN, content_type="text/html"))
        save(form)
        message = form.locator("#meldung")
        expect(message).to_contain_text("Das hat nicht geklappt, der Fehler liegt bei uns. Ihre Eingaben sind noch da.")
        expect(message).to_contain_text("Oder rufen Sie uns an: 07051 965 220.")
        expect(message.get_by_role("link")).to_have_attribute("href", "tel:+497051965220")
        expect(message).to_be_in_viewport()
        assert faults(form) == []
        expect(form.locator("html")).not_to_contain_text("Bad Gateway")
        expect(field(form, "Telefon")).to_have_value("0711 42")
        form.unroute("**/konto")
        save(form)
        expect(saved(form)).to_be_focused()


def test_a_double_click_saves_once(form, backend):
    button(form, "Speichern").dblclick()
    expect(saved(form)).to_be_focused()
    assert form.monitor.posts.count("/einstellungen/konto") == 1
    assert backend.actions().count("data.changed") == 1


def test_a_new_password_ends_the_session_on_another_device(form, new_page, erika, password, mailbox):
    other = new_page()
    log_in(other, erika.email, password)
    set_password(form)
    save(form)
    expect(saved(form)).to_be_focused()
    assert mailbox.wait_for(erika.email, "Ihr Passwort wurde geändert")
    link(other, "Angemeldete Geräte").click()
    whole(other, "Anmelden")
    form.reload()
    whole(form, "Konto anpassen")


def test_a_logout_in_one_tab_is_noticed_in_the_other(form, erika):
    tab = form.context.new_page()
    tab.goto("/einstellungen")
    button(tab, "Abmelden").click()
    whole(tab, "Anmelden")
    # Firefox and Safari restore pages from the back/forward cache; Chromium under Playwright does not.
    form.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    whole(form, "Anmelden")
    expect(form.locator("html")).not_to_contain_text(erika.last_name)


def test_a_new_address_is_used_when_confirmed_and_the_old_one_can_object(form, new_page, erika, password, mailbox):
    old = erika.email
    field(form, "Neue E-Mail-Adresse").fill(NEW)
    save(form)
    expect(form.get_by_text("Bis Sie dort auf „Bestätigen“ klicken, gilt die bisherige.")).to_be_visible()
    asked = mailbox.wait_for(old, "Ihre E-Mail-Adresse soll geändert werden")
    assert NEW not in asked.text
    link(form, "Einstellungen").click()
    expect(form.get_by_text(f"Öffnen Sie den Link in der E-Mail an {NEW}")).to_be_visible()

    mine = new_page()
    mine.goto(mailbox.wait_for(NEW, "Bitte bestätigen Sie Ihre E-Mail-Adresse").link)
    whole(mine, "E-Mail-Adresse bestätigen")
    button(mine, "Bestätigen").click()
    whole(mine, "Fertig")
    link(mine, "Zur Anmeldung").click()
    expect(field(mine, "E-Mail-Adresse")).to_have_value(NEW)
    log_in(mine, NEW, password)
    assert mailbox.wait_for(NEW, "Ihre E-Mail-Adresse wurde geändert")
    notice_to_old = mailbox.wait_for(old, "Ihre E-Mail-Adresse wurde geändert")
    assert NEW not in notice_to_old.text

    other = new_page()
    other.goto(notice_to_old.link)
    whole(other, "Das war ich nicht")
    button(other, "Das war ich nicht – Konto sperren").click()
    whole(other, "Das Konto ist gesperrt")
    mine.reload()
    whole(mine, "Anmelden")
    with in_place(mine):
        field(mine, "E-Mail-Adresse").fill(NEW)
        field(mine, "Passwort").fill(password)
        button(mine, "Anmelden").click()
        expect(refusal(mine)).to_contain_text("Falsche Zugangsdaten")


def test_the_old_address_objects_before_the_new_one_is_confirmed(form, new_page, erika, mailbox):
    field(form, "Neue E-Mail-Adresse").fill(NEW)
    save(form)
    confirm = mailbox.wait_for(NEW, "Bitte bestätigen Sie Ihre E-Mail-Adresse").link  # not sent after the objection
    other = new_page()
    other.goto(mailbox.wait_for(erika.email, "Ihre E-Mail-Adresse soll geändert werden").link)
    button(other, "Das war ich nicht – Konto sperren").click()
    whole(other, "Das Konto ist gesperrt")
    mine = new_page()
    mine.goto(confirm)
    expect(mine.locator("h1")).not_to_have_text("E-Mail-Adresse bestätigen")
    form.goto("/einstellungen/konto")
    whole(form, "Anmelden")
