"""Passkeys with Chromium's virtual authenticator: add, log in by button and by the browser's own offer, remove."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models import LoginSession, Passkey
from tests import people
from tests.e2e.actions import button, field, link, notice, refusal

pytestmark = pytest.mark.browser

ADDED = "Ihr Passkey ist angelegt. Damit melden Sie sich ab jetzt ohne Passwort an."
KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def site(portal):
    """The address under which passkeys work: IP addresses have none."""
    return portal.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def browser(new_page, site):
    """A page, with a device that answers at once."""
    page = new_page(other_site=site)
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable", {"enableUI": False})
    device = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})["authenticatorId"]

    def send(what, **values):
        return devtools.send(f"WebAuthn.{what}", {"authenticatorId": device, **values})

    return SimpleNamespace(page=page, send=send)


def without_offer(page):
    """Keep the browser from offering passkeys by itself, which the device would take at once."""
    page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")
    return page


def log_in(page, site, person):
    page.goto(f"{site}/anmelden")
    field(page, "E-Mail-Adresse").fill(person.email)
    field(page, "Passwort").fill(people.password_of(person))
    page.get_by_role("button", name="Anmelden", exact=True).click()
    page.wait_for_url("**/einstellungen")


def add_passkey(page, site, person):
    page.goto(f"{site}/einstellungen/passkeys")
    field(page, "Aktuelles Passwort").fill(people.password_of(person))
    button(page, "Weiter").click()
    field(page, "Name des Passkeys").fill("Mein Telefon")
    button(page, "Passkey hinzufügen").click()
    expect(notice(page, ADDED)).to_be_focused()


def log_out(page):
    button(page, "Abmelden").click()
    page.wait_for_url("**/anmelden")


def test_from_adding_it_to_removing_it(browser, site, erika, backend):
    page = without_offer(browser.page)
    log_in(page, site, erika)
    add_passkey(page, site, erika)
    log_out(page)

    button(page, "Mit Passkey anmelden").click()
    page.wait_for_url("**/einstellungen")
    link(page, "Konto anpassen").click()
    button(page, "Mit Passkey bestätigen").click()
    expect(field(page, "Telefon")).to_be_visible()

    link(page, "Einstellungen").click()
    link(page, "Passkeys").click()
    page.get_by_role("link", name="Mein Telefon ändern oder entfernen").click()
    button(page, "Passkey entfernen").click()
    expect(page.get_by_text("Sie haben noch keinen Passkey.")).to_be_visible()
    log_out(page)
    button(page, "Mit Passkey anmelden").click()
    expect(refusal(page)).to_contain_text("Dieser Passkey gilt hier nicht.")
    assert backend.read(select(Passkey)) == []
    assert [mail.facts["act"] for mail in backend.mails("passkeys_changed")] == ["added", "removed"]


def test_the_browser_offers_it_in_the_address_field(browser, site, erika):
    page = browser.page
    log_in(page, site, erika)
    add_passkey(page, site, erika)
    button(page, "Abmelden").click()
    page.wait_for_url("**/einstellungen")  # the device answers the offer of the login page at once


def test_a_copied_key_is_refused_and_its_holder_told(browser, site, erika, backend):
    page = without_offer(browser.page)
    log_in(page, site, erika)
    add_passkey(page, site, erika)
    backend.update(backend.read(select(Passkey))[0], sign_count=1000)
    log_out(page)
    button(page, "Mit Passkey anmelden").click()
    expect(refusal(page)).to_contain_text("Dieser Passkey gilt hier nicht.")
    assert "passkey.copied" in backend.actions()
    assert [mail.facts["act"] for mail in backend.mails("passkeys_changed")] == ["added", "copied"]


def test_a_clerk_comes_back_after_fifteen_minutes_in_one_touch(browser, site, rosa, backend):
    page, factor = without_offer(browser.page), backend.add_second_factor(rosa)
    page.goto(f"{site}/kundenservice/anmelden")
    field(page, "E-Mail-Adresse").fill(rosa.email)
    field(page, "Passwort").fill(people.password_of(rosa))
    page.get_by_role("button", name="Anmelden", exact=True).click()
    field(page, "Code aus der App").fill(backend.totp_code(factor.secret))
    button(page, "Weiter").click()
    page.wait_for_url("**/kundenservice/kunden")
    now = datetime.now(UTC)
    (login_session,) = backend.read(select(LoginSession).where(LoginSession.ended_at.is_(None)))
    backend.update(login_session, password_checked_at=now)  # as after another code
    page.goto(f"{site}/kundenservice/zugang/passkeys")
    button(page, "Passkey hinzufügen").click()
    expect(notice(page, ADDED)).to_be_focused()

    (login_session,) = backend.read(select(LoginSession).where(LoginSession.ended_at.is_(None)))
    backend.update(login_session, last_seen=now - timedelta(minutes=16))
    page.goto(f"{site}/kundenservice/kunden?suche=muster")
    expect(page.get_by_role("heading", level=1)).to_have_text("Anmelden im Kundenservice")
    button(page, "Mit Passkey anmelden").click()
    page.wait_for_url("**/kundenservice/kunden?suche=muster")


def test_after_a_failure_the_button_has_the_focus_and_the_message_does_not_cover_it(browser, site, erika):
    page = without_offer(browser.page)
    page.set_viewport_size({"width": 320, "height": 720})
    page.goto(f"{site}/anmelden")
    button(page, "Mit Passkey anmelden").click()  # the device has none
    message = page.locator("#meldung")
    expect(message).to_contain_text("Es wurde kein Passkey benutzt.")
    expect(button(page, "Mit Passkey anmelden")).to_be_focused()
    asked = button(page, "Mit Passkey anmelden").bounding_box()
    assert asked["y"] > 0 and asked["y"] + asked["height"] <= message.bounding_box()["y"]
