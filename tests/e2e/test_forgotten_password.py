"""Passwort vergessen, from the import of the customer to the logout."""

from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models import KeptEntry
from kmzportal.services.customer_file import COLUMNS
from tests import people
from tests.e2e.accessibility import faults
from tests.e2e.actions import (
    button,
    field,
    heading,
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

EMAIL = people.ANNELIESE["email"]
NEW_LINK, SET = "Neues Passwort festlegen", "Ihr Passwort wurde gesetzt"


@pytest.fixture
def imported(portal, app, tmp_path):
    """Anneliese, imported from a file as Excel writes it, without a password."""
    file = tmp_path / "kunden.csv"
    lines = (";".join(COLUMNS.values()), ";".join(people.ANNELIESE.get(field, "") for field in COLUMNS), "")
    file.write_bytes("\r\n".join(lines).encode("cp1252"))
    assert "Neu: 1" in portal.run("customers", "import", str(file))


def request_link(page, address):
    page.goto("/anmelden")
    link(page, "Passwort vergessen?").click()
    field(page, "E-Mail-Adresse").fill(address)
    button(page, "Link anfordern").click()
    expect(heading(page, "Schauen Sie in Ihr Postfach")).to_be_visible()


def scan(url, browser):
    """Open a link as mail scanners do: HEAD, GET, GET, and a browser that runs scripts and waits."""
    for method in ("HEAD", "GET", "GET"):
        with build_opener(HTTPCookieProcessor()).open(Request(url, method=method)) as answer:
            assert answer.status == 200
    browser.clock.install()
    browser.goto(url)
    browser.clock.run_for(10_000)
    whole(browser, "Neues Passwort")
    assert browser.monitor.posts == []


@pytest.mark.usefixtures("imported")
def test_an_imported_customer_sets_a_password_and_changes_a_number(new_page, mailbox):
    page = new_page()
    request_link(page, f"  {EMAIL.upper()} ")
    message = mailbox.wait_for(EMAIL, NEW_LINK)
    assert "Guten Tag Frau Müller-Lüdenscheidt" in message.text
    scan(message.link, new_page())

    page.goto(message.link)
    whole(page, "Neues Passwort")
    assert message.link.rpartition("/")[2] not in page.url
    with in_place(page):
        field(page, "Passwort").fill(people.NEW_PASSWORD)
        field(page, "Wdh. Passwort").fill(people.OTHER_PASSWORD)
        button(page, "Passwort speichern").click()
        summary = refusal(page)
        expect(summary).to_be_focused()
        expect(summary).to_contain_text("Die beiden Passwörter sind nicht gleich")
        expect(page).to_have_title("Fehler: Neues Passwort – Kreismedienzentrum Calw")
    set_password(page)
    button(page, "Passwort speichern").click()
    whole(page, "Fertig")
    link(page, "Zur Anmeldung").click()
    expect(field(page, "E-Mail-Adresse")).to_have_value(EMAIL)
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    button(page, "Anmelden").click()
    whole(page, "Einstellungen")

    open_account(page, people.NEW_PASSWORD)
    with in_place(page):
        field(page, "Telefon").fill("07051 987654")
        button(page, "Speichern").click()
        expect(notice(page, "Ihre Änderungen sind gespeichert.")).to_be_focused()
    expect(field(page, "Telefon")).to_have_value("07051 987654")

    button(page, "Abmelden").click()
    whole(page, "Anmelden")
    for _ in range(3):
        page.go_back()
        whole(page, "Anmelden")
        for personal in ("Anneliese", "07051 987654", EMAIL):
            expect(page.locator("html")).not_to_contain_text(personal)
    assert mailbox.wait_for(EMAIL, SET) and mailbox.subjects(EMAIL) == [NEW_LINK, SET]


def test_a_double_click_requests_one_link(page, erika, mailbox, backend):
    page.goto("/passwort-vergessen")
    field(page, "E-Mail-Adresse").fill(erika.email)
    button(page, "Link anfordern").dblclick()
    expect(heading(page, "Schauen Sie in Ihr Postfach")).to_be_visible()
    assert page.monitor.posts == ["/passwort-vergessen"]
    assert mailbox.wait_for(erika.email, NEW_LINK)
    assert backend.actions().count("recovery.sent") == 1


def test_a_double_click_sets_the_password_once(page, erika, mailbox):
    request_link(page, erika.email)
    page.goto(mailbox.wait_for(erika.email, NEW_LINK).link)
    set_password(page)
    button(page, "Passwort speichern").dblclick()
    whole(page, "Fertig")
    assert len([path for path in page.monitor.posts if path.endswith("/passwort")]) == 1
    log_in(page, erika.email, people.NEW_PASSWORD)


def test_the_wait_before_another_link_is_shown(page, erika):
    page.clock.install()
    request_link(page, erika.email)
    again = button(page, "Noch einmal senden")
    expect(again).to_be_disabled()
    expect(page.get_by_text("Wieder möglich in")).to_be_visible()
    page.clock.run_for(61_000)
    expect(again).to_be_enabled()


def test_the_state_of_the_request_changes_by_itself_and_moves_no_focus(page, erika, backend):
    page.clock.install()
    request_link(page, erika.email)
    state = page.get_by_role("status").filter(has_text="Anfrage angenommen um")
    expect(state).to_be_visible()
    [kept] = [one for one in backend.read(select(KeptEntry)) if "at" in one.content]
    backend.update(kept, content=kept.content | {"at": kept.content["at"] - 10})
    page.get_by_role("link", name="E-Mail-Adresse berichtigen").focus()
    with in_place(page):
        page.clock.run_for(6_000)
        expect(page.get_by_role("status").filter(has_text="Bearbeitet.")).to_be_visible()
    expect(page.get_by_role("link", name="E-Mail-Adresse berichtigen")).to_be_focused()
    assert faults(page) == []


def test_back_forward_and_reload_show_whole_pages(page, erika):
    request_link(page, "niemand@schule.example")
    page.reload()
    whole(page, "Schauen Sie in Ihr Postfach")
    page.go_back()
    whole(page, "Passwort vergessen?")
    field(page, "E-Mail-Adresse").fill("keine adresse")
    button(page, "Link anfordern").click()
    expect(refusal(page)).to_be_focused()
    page.go_forward()
    whole(page, "Schauen Sie in Ihr Postfach")
    log_in(page, erika.email, people.password_of(erika))
    open_account(page, people.password_of(erika))
    page.reload()
    whole(page, "Konto anpassen")
    page.go_back()
    whole(page, "Einstellungen")
    page.go_forward()
    whole(page, "Konto anpassen")
