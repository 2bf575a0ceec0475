"""As in production: https behind a proxy, real password hashing, and links opened from another site (webmail)."""

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models import AuditEvent
from tests import people
from tests.e2e import https_proxy
from tests.e2e.actions import button, field, in_place, link, notice, open_account, right_tiles, set_password, whole
from tests.e2e.served_portal import ServedPortal
from tests.server.conftest import free_port

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("https")]  # one served portal for all

WEBMAIL = "https://webmail.example"
FORGED = "198.51.100.1"


@pytest.fixture(scope="module")
def portal(tmp_path_factory, mail_settings):
    port, folder = free_port(), tmp_path_factory.mktemp("https")
    with (
        https_proxy.listening(port) as proxy,
        ServedPortal(folder, f"https://127.0.0.1:{port}", fast_hashing=False, PROXY_HOPS=1, **mail_settings) as portal,
    ):
        proxy.upstream = portal.port
        yield portal


@pytest.fixture
def page(new_page):
    forged = {"X-Forwarded-For": FORGED, "X-Forwarded-Proto": "http"}
    return new_page(WEBMAIL, ignore_https_errors=True, extra_http_headers=forged)


def open_mail(page, message):
    """Click the link on a webmail site, so that the request comes from another site."""
    page.context.route(
        f"{WEBMAIL}/**",
        lambda route: route.fulfill(body=f'<a href="{message.link}">Link</a>', content_type="text/html"),
    )
    page.goto(f"{WEBMAIL}/post")
    link(page, "Link").click()


@pytest.mark.trial
@pytest.mark.usefixtures("rosa")
def test_desk_link_login_and_account_work_over_https(page, erika, portal, app, backend, mailbox):
    portal.run("links", "send", erika.email, "--by", "ro")
    message = mailbox.wait_for(erika.email, "Ihr Link zum Konto")
    assert message.link.startswith(f"{portal.url}/link/")
    open_mail(page, message)
    whole(page, "Link zum Konto")
    with in_place(page):
        field(page, "Ich bin kein Roboter").click()
        for number in right_tiles(page, app):
            field(page, f"Bild {number} von 9").check()
        button(page, "Bestätigen").click()
        expect(link(page, "Konto bearbeiten")).to_be_visible()
    link(page, "Konto bearbeiten").click()
    set_password(page)
    button(page, "Registrieren").click()
    whole(page, "Fertig")
    link(page, "Zur Anmeldung").click()
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    button(page, "Anmelden").click()
    whole(page, "Einstellungen")
    names = {cookie["name"] for cookie in page.context.cookies()}
    assert names == {"__Host-kmzportal", "__Host-kmzportal-device"}
    assert all(cookie["secure"] for cookie in page.context.cookies())

    open_account(page, people.NEW_PASSWORD)
    field(page, "Telefon").fill("0711 42")
    button(page, "Speichern").click()
    expect(notice(page, "Ihre Änderungen sind gespeichert.")).to_be_focused()
    button(page, "Abmelden").click()
    whole(page, "Anmelden")
    logins = backend.read(select(AuditEvent).where(AuditEvent.action == "login.succeeded"))
    assert [login.source for login in logins] == [https_proxy.CLIENT]


def test_a_password_is_set_over_https_without_javascript(new_page, erika, mailbox):
    page = new_page(WEBMAIL, ignore_https_errors=True, java_script_enabled=False)
    page.goto("/passwort-vergessen")
    field(page, "E-Mail-Adresse").fill(erika.email)
    button(page, "Link anfordern").click()
    whole(page, "Schauen Sie in Ihr Postfach")
    open_mail(page, mailbox.wait_for(erika.email, "Neues Passwort festlegen"))
    whole(page, "Neues Passwort")
    set_password(page)
    button(page, "Passwort speichern").click()
    whole(page, "Fertig")


def test_a_form_sent_from_another_site_is_refused(page, erika, backend):
    form = f'<form method="post" action="{page.monitor.origins[0]}passwort-vergessen"><button>Gewinn</button></form>'
    page.context.route(f"{WEBMAIL}/**", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto(f"{WEBMAIL}/post")
    button(page, "Gewinn").click()
    whole(page, "Das geht von hier aus nicht")
    assert backend.actions() == []
