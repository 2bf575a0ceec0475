"""Passwort vergessen, from the office's list to logging out again."""

from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest
from playwright.sync_api import expect

from kmzportal.services.customer_csv import COLUMNS
from tests import people
from tests.e2e.hands import button, field, heading, in_place, link, log_in, notice, open_account, refusal, whole

pytestmark = pytest.mark.browser

HER = people.ANNELIESE["email"]
FRESH, SET = "Ihr neues Passwort", "Ihr Passwort wurde gesetzt"


@pytest.fixture
def imported(portal, app, tmp_path):
    """Anneliese, as the office's list has her: written by Excel, and without a password."""
    file = tmp_path / "kunden.csv"
    lines = (";".join(COLUMNS.values()), ";".join(people.ANNELIESE.get(field, "") for field in COLUMNS), "")
    file.write_bytes("\r\n".join(lines).encode("cp1252"))
    assert "Neu: 1" in portal.console("customers", "import", str(file))


def ask(page, address):
    page.goto("/anmelden")
    link(page, "Passwort vergessen?").click()
    field(page, "E-Mail-Adresse").fill(address)
    button(page, "Link anfordern").click()
    expect(heading(page, "Sehen Sie in Ihr Postfach")).to_be_visible()


def scan(url, browser):
    """Open a link as mail scanners do: HEAD, GET, GET, and a browser that runs scripts, waits, and presses nothing."""
    for method in ("HEAD", "GET", "GET"):
        with build_opener(HTTPCookieProcessor()).open(Request(url, method=method)) as answer:
            assert answer.status == 200
    browser.clock.install()
    browser.goto(url)
    browser.clock.run_for(10_000)
    whole(browser, "Neues Passwort")
    assert browser.watch.sent == []


@pytest.mark.usefixtures("imported")
def test_anneliese_comes_from_the_offices_list_to_a_new_telephone_number(computer, mailbox):
    page = computer()
    ask(page, f"  {HER.upper()} ")
    letter = mailbox.letter(HER, FRESH)
    assert "Guten Tag Frau Müller-Lüdenscheidt" in letter.text
    scan(letter.link, computer())

    page.goto(letter.link)
    whole(page, "Neues Passwort")
    assert letter.link.rpartition("/")[2] not in page.url
    with in_place(page):
        field(page, "Passwort").fill(people.NEW_PASSWORD)
        field(page, "Wdh. Passwort").fill(people.OTHER_PASSWORD)
        button(page, "Passwort speichern").click()
        summary = refusal(page)
        expect(summary).to_be_focused()
        expect(summary).to_contain_text("Die beiden Passwörter sind nicht gleich")
        expect(page).to_have_title("Fehler: Neues Passwort – Kreismedienzentrum Calw")
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    field(page, "Wdh. Passwort").fill(people.NEW_PASSWORD)
    button(page, "Passwort speichern").click()
    whole(page, "Fertig")
    link(page, "Zur Anmeldung").click()
    expect(field(page, "E-Mail-Adresse")).to_have_value(HER)
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
        for personal in ("Anneliese", "07051 987654", HER):
            expect(page.locator("html")).not_to_contain_text(personal)
    assert mailbox.letter(HER, SET) and mailbox.to(HER) == [FRESH, SET]


def test_asking_with_a_double_click_asks_once(page, erika, mailbox, backend):
    page.goto("/passwort-vergessen")
    field(page, "E-Mail-Adresse").fill(erika.email)
    button(page, "Link anfordern").dblclick()
    expect(heading(page, "Sehen Sie in Ihr Postfach")).to_be_visible()
    assert page.watch.sent == ["/passwort-vergessen"]
    assert mailbox.letter(erika.email, FRESH)
    assert backend.actions().count("recovery.sent") == 1


def test_a_password_is_set_once_with_a_double_click(page, erika, mailbox):
    ask(page, erika.email)
    page.goto(mailbox.letter(erika.email, FRESH).link)
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    field(page, "Wdh. Passwort").fill(people.NEW_PASSWORD)
    button(page, "Passwort speichern").dblclick()
    whole(page, "Fertig")
    assert len([path for path in page.watch.sent if path.endswith("/passwort")]) == 1
    log_in(page, erika.email, people.NEW_PASSWORD)


def test_the_wait_before_sending_again_is_shown(page, erika):
    page.clock.install()
    ask(page, erika.email)
    again = button(page, "Noch einmal senden")
    expect(again).to_be_disabled()
    expect(page.get_by_text("Wieder möglich in")).to_be_visible()
    page.clock.run_for(61_000)
    expect(again).to_be_enabled()


def test_back_forward_and_reload_always_give_whole_pages(page, erika):
    ask(page, "niemand@schule.example")
    page.reload()
    whole(page, "Sehen Sie in Ihr Postfach")
    page.go_back()
    whole(page, "Passwort vergessen?")
    field(page, "E-Mail-Adresse").fill("keine adresse")
    button(page, "Link anfordern").click()
    expect(refusal(page)).to_be_focused()
    page.go_forward()
    whole(page, "Sehen Sie in Ihr Postfach")
    log_in(page, erika.email, people.password_of(erika))
    open_account(page, people.password_of(erika))
    page.reload()
    whole(page, "Konto anpassen")
    page.go_back()
    whole(page, "Einstellungen")
    page.go_forward()
    whole(page, "Konto anpassen")
