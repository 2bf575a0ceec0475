"""What was typed into a form whose session or visit had ended comes back to its writer, and is not sent by itself."""

import secrets
from datetime import timedelta

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.models.customer import Customer
from tests import people
from tests.browser import Browser
from tests.people import NEW
from tests.web.by_hand import COOKIE, cookie
from tests.web.customer.adjusting import CURRENT, FIELDS, adjust
from tests.web.links import LOST, pass_the_robot_check

pytestmark = pytest.mark.usefixtures("clock")
KEPT = "Ihre Eingaben stehen wieder im Formular."


def log_in_again(browser, person):
    assert browser.heading == "Anmelden"
    return browser.submit("Anmelden", {"E-Mail-Adresse": person.email, "Passwort": people.password_of(person)})


def test_what_was_typed_comes_back_after_logging_in_again_and_is_not_sent_by_itself(browser, backend, erika, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    browser.submit("Speichern", {"Telefon": "07051 4711", "Schule": "GMS Neustadt", **NEW})
    log_in_again(browser, erika)
    assert browser.heading == "Konto anpassen"
    assert KEPT in browser.text
    assert (browser.value("Telefon"), browser.value("Schule")) == ("07051 4711", "GMS Neustadt")
    assert (browser.value("Passwort"), browser.value(CURRENT)) == ("", "")
    assert backend.read(erika).phone == erika.phone
    browser.submit("Speichern", {CURRENT: people.password_of(erika)})
    assert backend.read(erika).phone == "07051 4711"


def test_a_form_filled_to_the_brim_comes_back_too(browser, erika, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    longest = {
        label: (f"{label} überm Bächle " * 20)[:length].strip() for label, length in Customer.DATA_FIELDS.values()
    }
    del longest["Anrede"]
    browser.submit("Speichern", longest)
    log_in_again(browser, erika)
    assert {label: browser.value(label) for label in longest} == longest


def test_what_was_typed_is_shown_to_nobody_else(browser, erika, max_, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    browser.submit("Speichern", {"Telefon": "07051 4711"})
    log_in_again(browser, max_)
    assert "07051 4711" not in browser.answer.text
    assert KEPT not in browser.text
    with browser.client.session_transaction(base_url=browser.site) as session:
        assert "07051 4711" not in repr(dict(session))


def test_no_password_waits_in_the_cookie(browser, erika, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    browser.submit("Speichern", {"Telefon": "07051 4711", **NEW})
    with browser.client.session_transaction(base_url=browser.site) as session:
        assert "07051 4711" in repr(dict(session))
        assert people.NEW_PASSWORD not in repr(dict(session))


def test_what_is_typed_now_counts_more_than_what_was_kept(browser, app, backend, erika, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    browser.submit("Speichern", {"Telefon": "alt"})
    browser.log_in(erika)
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    data = {"csrf_token": token, "last_name": "Mustermann", "phone": "neu", "current": people.password_of(erika)}
    data["version"] = str(erika.version)
    browser.client.post("/einstellungen/konto", data=data, base_url=browser.site)
    assert backend.read(erika).phone == "neu"
    assert KEPT not in browser.open("/einstellungen/konto").text


@pytest.mark.parametrize("sign", [lambda n: "x", lambda n: "ü", lambda n: chr(0x4E00 + n * 7919 % 20_000)])
@pytest.mark.parametrize("length", [60, 190, 360, 1_000])
def test_the_cookie_never_outgrows_what_browsers_keep(browser, erika, clock, sign, length):
    """Letters that repeat shrink well and others do not, so their number says little."""
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    fields = [(place * 1000, name) for place, name in enumerate(FIELDS)]
    browser.submit("Speichern", {name: "".join(map(sign, range(place, place + length))) for place, name in fields})
    assert browser.heading == "Anmelden"
    assert len(f"{COOKIE}={cookie(browser)}") < 4093
    assert log_in_again(browser, erika).status == 200


def test_what_was_typed_too_late_stands_there_when_the_link_is_opened_again(app, backend, erika, issue, mailed, clock):
    browser, link = Browser(app), issue(LinkKind.DESK, erika)
    pass_the_robot_check(browser.open(mailed(link)), backend, link).follow("Konto bearbeiten")
    clock.shift(timedelta(minutes=31))
    browser.submit("Registrieren", {"Telefon": "07051 4711", "Passwort": people.NEW_PASSWORD})
    assert "Öffnen Sie bitte den Link in der E-Mail noch einmal." in browser.text
    assert "Dann stehen Ihre Eingaben wieder da." in browser.text
    pass_the_robot_check(browser.open(mailed(link)), backend, link).follow("Konto bearbeiten")
    assert "Ihre Eingaben stehen wieder im Formular." in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert browser.value("Passwort") == ""
    assert backend.read(erika).phone == erika.phone


@pytest.mark.parametrize("label", ["Code aus der E-Mail", "Code aus der App"])
def test_no_code_is_kept_in_the_cookie(app, backend, erika, rosa, issue, mailed, clock, label):
    desk = label == "Code aus der E-Mail"
    browser = Browser(app).open(mailed(issue(LinkKind.DESK, erika) if desk else issue(LinkKind.CLERK_FIRST, rosa)))
    if desk:
        browser.follow("Code aus der E-Mail eingeben")
    clock.shift(timedelta(minutes=31))
    browser.submit("Bestätigen" if desk else "Zugang einrichten", {label: "ABCD-EFGH"})
    assert browser.heading == LOST
    with browser.client.session_transaction(base_url=browser.site) as session:
        assert "ABCD-EFGH" not in repr(dict(session))


def test_where_only_passwords_were_typed_nothing_is_promised_back(app, erika, issue, mailed, clock):
    browser = Browser(app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    clock.shift(timedelta(minutes=31))
    browser.submit("Passwort speichern", NEW)
    assert browser.heading == LOST and "Ihre Eingaben" not in browser.text


def test_what_is_too_long_to_keep_brings_nothing_older_back(app, backend, erika, issue, mailed, clock):
    browser, link = Browser(app), issue(LinkKind.DESK, erika)
    form = pass_the_robot_check(browser.open(mailed(link)), backend, link).follow("Konto bearbeiten").page
    clock.shift(timedelta(minutes=31))
    browser.submit("Registrieren", {"Telefon": "07051 4711"})
    browser.page = form
    browser.submit("Registrieren", {"Telefon": "07051 4712", "Schule": secrets.token_hex(3000)})
    assert browser.heading == LOST and "Ihre Eingaben" not in browser.text
