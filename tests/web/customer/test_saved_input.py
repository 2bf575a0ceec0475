"""Input of a form whose session or visit had ended is shown again after the login, and is not sent by itself."""

import secrets
from datetime import timedelta

import pytest

from kmzportal.models import Customer, LinkKind
from kmzportal.services import deletion, retention
from tests import people, secret_scan
from tests.browser import COOKIE
from tests.people import NEW, NEW_PASSWORD

pytestmark = pytest.mark.usefixtures("clock")
KEPT = "Ihre Eingaben stehen wieder im Formular."
LOST = "Diesen Link können wir nicht öffnen"
CURRENT = "Aktuelles Passwort"


@pytest.fixture
def late(browser, erika, adjust, clock):
    """The form of Konto anpassen, open longer than the session lasts."""
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    return browser


@pytest.fixture
def late_link(browser, link, enter_code, clock):
    """The form of a link, open longer than the visit lasts."""
    enter_code(browser, link)
    clock.shift(timedelta(minutes=31))
    return browser


def log_in_again(browser, person):
    assert browser.heading == "Anmelden"
    return browser.submit("Anmelden", {"E-Mail-Adresse": person.email, "Passwort": people.password_of(person)})


def test_all_but_passwords_is_in_the_form_again_after_the_login_and_not_saved_yet(late, backend, erika):
    late.submit("Speichern", {"Telefon": "07051 4711", "Schule": "GMS Neustadt", **NEW})
    assert not any(text in repr(late.session) for text in ("07051 4711", NEW_PASSWORD))
    log_in_again(late, erika)
    assert (late.heading, KEPT in late.text) == ("Konto anpassen", True)
    assert (late.value("Telefon"), late.value("Schule")) == ("07051 4711", "GMS Neustadt")
    assert (late.value("Passwort"), late.value(CURRENT)) == ("", "")
    assert backend.read(erika).phone == erika.phone
    late.submit("Speichern", {CURRENT: people.password_of(erika)})
    assert backend.read(erika).phone == "07051 4711"


def test_a_completely_filled_form_is_kept(late, erika):
    longest = {
        label: (f"{label} überm Bächle " * 20)[:length].strip() for label, length in Customer.DATA_FIELDS.values()
    }
    del longest["Anrede"]
    log_in_again(late.submit("Speichern", longest), erika)
    assert {label: late.value(label) for label in longest} == longest


def test_saved_input_is_not_shown_to_another_customer(late, max_):
    log_in_again(late.submit("Speichern", {"Telefon": "07051 4711"}), max_)
    assert "07051 4711" not in late.answer.text and KEPT not in late.text
    assert "07051 4711" not in repr(late.session)


def test_a_form_that_is_sent_counts_more_than_the_saved_input(late, backend, erika):
    late.submit("Speichern", {"Telefon": "alt"}).log_in(erika)
    sent = {"last_name": "Mustermann", "phone": "07051 4712", "current": people.password_of(erika)}
    late.post("/einstellungen/konto", version=str(erika.version), **sent)
    assert backend.read(erika).phone == "07051 4712"
    assert KEPT not in late.open("/einstellungen/konto").text


def test_input_of_a_link_is_in_the_form_again_when_the_link_is_opened_again(
    late_link, backend, erika, link, enter_code
):
    late_link.submit("Registrieren", {"Telefon": "07051 4711", "Passwort": NEW_PASSWORD})
    assert "Öffnen Sie bitte den Link in der E-Mail noch einmal." in late_link.text
    assert "Dann stehen Ihre Eingaben wieder da." in late_link.text
    path = f"/konto-link/{link.id}/sitzung"  # the request of a page that is still open elsewhere changes nothing
    late_link.client.post(path, base_url=late_link.site, data={"phone": "07051 0"})
    enter_code(late_link, link)
    assert (KEPT in late_link.text, late_link.value("Telefon"), late_link.value("Passwort")) == (True, "07051 4711", "")
    assert backend.read(erika).phone == erika.phone


def test_input_of_an_expired_link_is_in_the_form_of_the_new_link(browser, link, mailed, newest_link, enter_code, clock):
    clock.shift(timedelta(hours=71, minutes=50))
    enter_code(browser, link)
    clock.shift(timedelta(minutes=31))
    browser.submit("Registrieren", {"Telefon": "07051 4711"})
    browser.open(mailed(link)).press("Neuen Link an dieselbe Adresse senden")
    enter_code(browser, newest_link())
    assert (KEPT in browser.text, browser.value("Telefon")) == (True, "07051 4711")


def test_the_newest_input_counts_however_long(late_link, link, enter_code):
    form, long = late_link.page, secrets.token_hex(3000)
    late_link.submit("Registrieren", {"Telefon": "07051 4711"})
    late_link.page = form
    late_link.submit("Registrieren", {"Telefon": "07051 4712", "Schule": long})
    assert len(f"{COOKIE}={late_link.cookie}") < 4093, "browsers keep no longer one (RFC 6265, 6.1)"
    enter_code(late_link, link)
    assert (late_link.value("Telefon"), late_link.value("Schule")) == ("07051 4712", long)


@pytest.mark.parametrize("end", ["log out", "wait", "delete"])
def test_saved_input_ends_with_the_session_after_an_hour_and_with_the_account(late, app, backend, erika, clock, end):
    late.submit("Speichern", {"Telefon": "07051 4711"})
    if end == "log out":  # without the page of the form
        late.log_in(erika).press("Abmelden")
    elif end == "wait":
        clock.shift(timedelta(hours=1, seconds=1))
        backend.run(retention.purge)
    else:
        backend.run(deletion.delete_customer, erika, erika.version, "Wunsch", False)
    with app.app_context():
        assert "07051 4711" not in secret_scan.dump()


@pytest.mark.parametrize("kind", [LinkKind.DESK, LinkKind.CLERK_FIRST, LinkKind.RECOVERY])
def test_neither_codes_nor_passwords_of_a_link_are_kept(browser, erika, rosa, issue, mailed, clock, kind):
    browser.open(mailed(issue(kind, rosa if kind == LinkKind.CLERK_FIRST else erika)))
    if kind == LinkKind.DESK:
        browser.follow("Code aus der E-Mail eingeben")
    if kind == LinkKind.CLERK_FIRST:
        browser.submit("Weiter", NEW)
    clock.shift(timedelta(minutes=31))
    button, fields = {
        LinkKind.DESK: ("Bestätigen", {"Code aus der E-Mail": "ABCD-EFGH"}),
        LinkKind.CLERK_FIRST: ("Zugang einrichten", {"Code aus der App": "ABCD-EFGH"}),
        LinkKind.RECOVERY: ("Passwort speichern", NEW),
    }[kind]
    browser.submit(button, fields)
    assert browser.heading == LOST and "Ihre Eingaben" not in browser.text
    assert not any(secret in repr(browser.session) for secret in ("ABCD-EFGH", NEW_PASSWORD))
