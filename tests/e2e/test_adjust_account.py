"""Konto anpassen, when all goes well and when the network, the session or somebody else gets in the way."""

import pytest
from playwright.sync_api import expect

from kmzportal.services import sessions
from tests import people
from tests.e2e.hands import button, field, heading, in_place, link, log_in, notice, open_account, refusal, whole

pytestmark = pytest.mark.browser

NEW = "erika@neue-schule.example"
SAVED = "Ihre Änderungen sind gespeichert."
PROXY_DOWN = "<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.fixture
def hers(erika):
    return people.password_of(erika)


@pytest.fixture
def form(page, erika, hers):
    """Erika has opened Konto anpassen and typed, but not saved."""
    log_in(page, erika.email, hers)
    open_account(page, hers)
    field(page, "Telefon").fill("0711 42")
    return page


def save(page):
    button(page, "Speichern").click()


def saved(page):
    return notice(page, SAVED)


def test_a_session_that_ended_loses_nothing_that_was_typed(form, computer, erika, hers, backend):
    field(form, "Passwort").fill(people.NEW_PASSWORD)
    field(form, "Wdh. Passwort").fill(people.NEW_PASSWORD)
    elsewhere = computer()
    log_in(elsewhere, erika.email, hers)
    link(elsewhere, "Angemeldete Geräte").click()
    button(elsewhere, "Alle anderen Geräte abmelden").click()
    expect(notice(elsewhere, "Alle anderen Geräte sind abgemeldet.")).to_be_focused()

    save(form)
    whole(form, "Anmelden")
    expect(notice(form, "Sie wurden abgemeldet.")).to_be_visible()
    field(form, "E-Mail-Adresse").fill(erika.email)
    field(form, "Passwort").fill(hers)
    button(form, "Anmelden").click()
    whole(form, "Konto anpassen")
    expect(field(form, "Telefon")).to_have_value("0711 42")
    expect(field(form, "Passwort")).to_have_value("")
    assert backend.read(erika).phone == erika.phone

    save(form)
    expect(refusal(form)).to_contain_text("noch einmal Ihr aktuelles Passwort")
    expect(field(form, "Telefon")).to_have_value("0711 42")
    field(form, "Aktuelles Passwort").fill(hers)
    save(form)
    expect(saved(form)).to_be_focused()
    assert backend.read(erika).phone == "0711 42"


def test_a_session_that_ended_before_the_password_was_asked_leads_back_there(page, erika, hers, backend):
    log_in(page, erika.email, hers)
    link(page, "Konto anpassen").click()
    backend.run(sessions.end_all, erika)
    field(page, "Aktuelles Passwort").fill(hers)
    button(page, "Weiter").click()
    whole(page, "Anmelden")
    field(page, "E-Mail-Adresse").fill(erika.email)
    field(page, "Passwort").fill(hers)
    button(page, "Anmelden").click()
    whole(page, "Konto anpassen")


def test_without_a_network_nothing_is_lost(form):
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


def test_a_broken_server_is_told_in_german_and_nothing_is_lost(form):
    with in_place(form):
        form.route("**/konto", lambda route: route.fulfill(status=502, body=PROXY_DOWN, content_type="text/html"))
        save(form)
        expect(form.locator("#meldung")).to_contain_text("Das hat nicht geklappt, der Fehler liegt bei uns.")
        expect(form.locator("#meldung")).to_be_in_viewport()
        expect(form.locator("html")).not_to_contain_text("Bad Gateway")
        expect(field(form, "Telefon")).to_have_value("0711 42")
        form.unroute("**/konto")
        save(form)
        expect(saved(form)).to_be_focused()


def test_saving_with_a_double_click_saves_once(form, backend):
    button(form, "Speichern").dblclick()
    expect(saved(form)).to_be_focused()
    assert form.watch.sent.count("/einstellungen/konto") == 1
    assert backend.actions().count("data.changed") == 1


def test_a_new_password_ends_the_session_in_another_tab_of_another_computer(form, computer, erika, hers, mailbox):
    elsewhere = computer()
    log_in(elsewhere, erika.email, hers)
    field(form, "Passwort").fill(people.NEW_PASSWORD)
    field(form, "Wdh. Passwort").fill(people.NEW_PASSWORD)
    save(form)
    expect(saved(form)).to_be_focused()
    assert mailbox.letter(erika.email, "Ihr Passwort wurde geändert")
    link(elsewhere, "Angemeldete Geräte").click()
    whole(elsewhere, "Anmelden")
    form.reload()
    whole(form, "Konto anpassen")


def test_logging_out_in_one_tab_is_seen_in_the_other(form, erika):
    tab = form.context.new_page()
    tab.goto("/einstellungen")
    button(tab, "Abmelden").click()
    whole(tab, "Anmelden")
    # Firefox and Safari show a page as they kept it; Chromium under Playwright never does, so it is told here.
    form.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    whole(form, "Anmelden")
    expect(form.locator("html")).not_to_contain_text(erika.last_name)


def test_a_new_address_counts_when_confirmed_and_the_old_one_can_object(form, computer, erika, hers, mailbox):
    old = erika.email
    field(form, "Neue E-Mail-Adresse").fill(NEW)
    save(form)
    expect(form.get_by_text("Bis Sie ihn öffnen, gilt die alte.")).to_be_visible()
    asked = mailbox.letter(old, "Ihre E-Mail-Adresse soll geändert werden")
    assert NEW not in asked.text
    link(form, "Einstellungen").click()
    expect(form.get_by_text(f"Öffnen Sie den Link in der E-Mail an {NEW}")).to_be_visible()

    mine = computer()
    mine.goto(mailbox.letter(NEW, "Bitte bestätigen Sie Ihre E-Mail-Adresse").link)
    whole(mine, "E-Mail-Adresse bestätigen")
    button(mine, "Bestätigen").click()
    whole(mine, "Fertig")
    link(mine, "Zur Anmeldung").click()
    expect(field(mine, "E-Mail-Adresse")).to_have_value(NEW)
    field(mine, "Passwort").fill(hers)
    button(mine, "Anmelden").click()
    whole(mine, "Einstellungen")
    assert mailbox.letter(NEW, "Ihre E-Mail-Adresse wurde geändert")
    told = mailbox.letter(old, "Ihre E-Mail-Adresse wurde geändert")
    assert NEW not in told.text

    other = computer()
    other.goto(told.link)
    whole(other, "Das war ich nicht")
    button(other, "Das war ich nicht – Konto sperren").click()
    whole(other, "Das Konto ist gesperrt")
    mine.reload()
    whole(mine, "Anmelden")
    with in_place(mine):
        field(mine, "E-Mail-Adresse").fill(NEW)
        field(mine, "Passwort").fill(hers)
        button(mine, "Anmelden").click()
        expect(refusal(mine)).to_contain_text("Falsche Zugangsdaten")


def test_the_old_address_objects_before_the_new_one_is_confirmed(form, computer, erika, mailbox):
    field(form, "Neue E-Mail-Adresse").fill(NEW)
    save(form)
    other = computer()
    other.goto(mailbox.letter(erika.email, "Ihre E-Mail-Adresse soll geändert werden").link)
    button(other, "Das war ich nicht – Konto sperren").click()
    whole(other, "Das Konto ist gesperrt")
    mine = computer()
    mine.goto(mailbox.letter(NEW, "Bitte bestätigen Sie Ihre E-Mail-Adresse").link)
    expect(mine.locator("h1")).not_to_have_text("E-Mail-Adresse bestätigen")
    save(form)
    whole(form, "Anmelden")
    expect(heading(form, "Konto anpassen")).to_have_count(0)
