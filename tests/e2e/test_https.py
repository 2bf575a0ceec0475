"""As in production: https, a proxy, a mail read on another site. Faults that plain HTTP hides (standards C1, C2)."""

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models.audit_event import AuditEvent
from tests import people
from tests.e2e import https
from tests.e2e.hands import button, field, in_place, link, notice, open_account, right_tiles, whole
from tests.e2e.portals import Serving
from tests.server.conftest import COMMAND, free_port

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("https")]  # one portal in production

WEBMAIL = "https://webmail.example"
FORGED = "198.51.100.1"


class InEarnest(Serving):
    """It hashes as in production, too."""

    started_by = COMMAND


@pytest.fixture(scope="module")
def portal(tmp_path_factory, relay):
    port, folder = free_port(), tmp_path_factory.mktemp("https")
    with (
        https.proxy(folder, port) as proxy,
        InEarnest(folder, f"https://127.0.0.1:{port}", PROXY_HOPS=1, **relay) as portal,
    ):
        proxy.portal = portal.port
        yield portal


@pytest.fixture
def page(computer):
    forged = {"X-Forwarded-For": FORGED, "X-Forwarded-Proto": "http"}
    return computer(WEBMAIL, ignore_https_errors=True, extra_http_headers=forged)


def open_mail(page, letter):
    """Read the mail at a webmailer and click the link there: the browser comes from another site."""
    page.context.route(
        f"{WEBMAIL}/**",
        lambda route: route.fulfill(body=f'<a href="{letter.link}">Link</a>', content_type="text/html"),
    )
    page.goto(f"{WEBMAIL}/post")
    link(page, "Link").click()


@pytest.mark.usefixtures("rosa")
def test_the_link_to_the_account_and_logging_in_work_in_production(page, erika, portal, app, backend, mailbox):
    portal.console("links", "send", erika.email, "--by", "ro")
    letter = mailbox.letter(erika.email, "Ihr Link zum Konto")
    assert letter.link.startswith(f"{portal.url}/link/")
    open_mail(page, letter)
    whole(page, "Link zum Konto")
    with in_place(page):
        field(page, "Ich bin kein Roboter").click()
        for number in right_tiles(page, app):
            field(page, f"Bild {number} von 9").check()
        button(page, "Bestätigen").click()
        expect(link(page, "Konto bearbeiten")).to_be_visible()
    link(page, "Konto bearbeiten").click()
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    field(page, "Wdh. Passwort").fill(people.NEW_PASSWORD)
    button(page, "Registrieren").click()
    whole(page, "Fertig")
    link(page, "Zur Anmeldung").click()
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    button(page, "Anmelden").click()
    whole(page, "Einstellungen")
    assert [cookie["name"] for cookie in page.context.cookies()] == ["__Host-kmzportal"]
    assert all(cookie["secure"] for cookie in page.context.cookies())

    open_account(page, people.NEW_PASSWORD)
    field(page, "Telefon").fill("0711 42")
    button(page, "Speichern").click()
    expect(notice(page, "Ihre Änderungen sind gespeichert.")).to_be_focused()
    button(page, "Abmelden").click()
    whole(page, "Anmelden")
    logins = backend.read(select(AuditEvent).where(AuditEvent.action == "login.succeeded"))
    assert [login.source for login in logins] == [https.VISITOR]


def test_without_javascript_forms_are_taken_over_https_too(computer, erika, mailbox):
    page = computer(WEBMAIL, ignore_https_errors=True, java_script_enabled=False)
    page.goto("/passwort-vergessen")
    field(page, "E-Mail-Adresse").fill(erika.email)
    button(page, "Link anfordern").click()
    whole(page, "Sehen Sie in Ihr Postfach")
    open_mail(page, mailbox.letter(erika.email, "Ihr neues Passwort"))
    whole(page, "Neues Passwort")
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    field(page, "Wdh. Passwort").fill(people.NEW_PASSWORD)
    button(page, "Passwort speichern").click()
    whole(page, "Fertig")


def test_a_form_sent_from_another_site_is_refused(page, erika, backend):
    form = f'<form method="post" action="{page.watch.origins[0]}passwort-vergessen"><button>Gewinn</button></form>'
    page.context.route(f"{WEBMAIL}/**", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto(f"{WEBMAIL}/post")
    button(page, "Gewinn").click()
    whole(page, "Das geht von hier aus nicht")
    assert backend.actions() == []
