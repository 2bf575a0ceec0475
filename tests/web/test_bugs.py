"""A bug gets a number, undoes what was begun, and leaves no secret in the log."""

import logging
import re
from contextlib import nullcontext

import pytest
from sqlalchemy import select, text

from kmzportal.db import db
from kmzportal.models.account_link import LinkKind
from kmzportal.models.customer import Customer
from kmzportal.services import accounts, links
from kmzportal.services.transaction import transaction
from kmzportal.web.auth import anyone
from tests import people, secret_scan
from tests.browser import Browser
from tests.web.by_hand import HTMX

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def broken(app, monkeypatch):
    """Let a page of the portal have a bug."""

    def broken(endpoint, bug):
        monkeypatch.setitem(app.view_functions, endpoint, anyone(bug))

    return broken


@pytest.fixture
def at_her_data(browser, erika):
    fields = {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)}
    browser.open("/anmelden").submit("Anmelden", fields)
    return browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})


def test_a_bug_gets_a_number_that_stands_in_the_log_too(browser, broken, caplog):
    broken("recovery.ask", lambda: 1 / 0)
    with caplog.at_level(logging.ERROR):
        browser.open("/passwort-vergessen")
    assert (browser.status, browser.heading) == (500, "Das hat nicht geklappt")
    number = re.search(r"diese Nummer: ([0-9A-F]{8})", browser.text)[1]
    assert f"Fehler {number} in recovery.ask" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "Zero" not in browser.answer.text and "Traceback" not in browser.answer.text


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_bug_undoes_what_was_begun(browser, backend, erika, broken, in_transaction):
    """Also outside of a transaction: the page about the error loads the user, and that commits."""

    def bug():
        with transaction("customer:1") if in_transaction else nullcontext():
            db.session.get(Customer, erika.id).phone = "halb fertig"
            db.session.flush()
            raise RuntimeError

    browser.log_in(erika)
    broken("recovery.ask", bug)
    assert browser.open("/passwort-vergessen").status == 500
    assert backend.read(erika).phone == erika.phone


def test_a_bug_on_a_links_page_leaves_no_token_in_the_log(app, backend, erika, broken, caplog):
    link = backend.run(links.issue, LinkKind.RECOVERY, erika)
    token = backend.keys.token(link)
    broken("link.open_link", lambda text: 1 / 0)
    browser = Browser(app).open(f"/link/{token}")
    assert browser.status == 500
    for secret in (token, link.token_hash, link.nonce):
        assert not secret_scan.contains_secret(secret, caplog.text + browser.answer.text)


def test_a_broken_statement_leaves_no_address_and_no_password_in_the_log(app, erika, broken, caplog):
    def bug():
        db.session.execute(text("SELECT nothing FROM nowhere WHERE a = :a"), {"a": people.password_of(erika)})

    broken("recovery.ask", bug)
    assert Browser(app).open("/passwort-vergessen").status == 500
    assert not secret_scan.contains_secret(people.password_of(erika), caplog.text)


def test_without_its_database_the_portal_still_says_sorry(browser, app, erika):
    """Who is logged in cannot be found out; the page must not fail over that."""
    browser.log_in(erika)
    rename(app, "login_session", "gone")
    try:
        browser.open("/einstellungen")
    finally:
        rename(app, "gone", "login_session")
    assert (browser.status, browser.heading) == (500, "Das hat nicht geklappt")
    assert browser.open("/einstellungen").status == 200


def rename(app, table, name):
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


@pytest.mark.with_and_without_htmx
def test_a_bug_has_a_number_that_stands_in_the_log_too_and_nothing_is_saved(
    app, at_her_data, erika, backend, monkeypatch, caplog
):
    def broken(tx, customer, data):
        customer.phone = "halb gespeichert"
        tx.session.flush()
        raise ZeroDivisionError("kirschbaum")

    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    monkeypatch.setattr(accounts, "change_data", broken)
    at_her_data.submit("Speichern", {"Telefon": "07051 4711"})
    assert at_her_data.status == 500
    number = re.search(r"Fehler ([0-9A-F]{8})", caplog.text)[1]
    assert at_her_data.htmx or number in at_her_data.text
    assert at_her_data.htmx is False or at_her_data.value("Telefon") == "07051 4711"
    assert backend.read(select(Customer.phone)) == [erika.phone]


def test_two_who_save_at_once_are_told(at_her_data, erika, backend, monkeypatch):
    saved = accounts.change_data

    def meanwhile(tx, customer, data):
        tx.session.connection().exec_driver_sql("UPDATE customer SET version = version + 1")
        return saved(tx, customer, data)

    monkeypatch.setattr(accounts, "change_data", meanwhile)
    at_her_data.submit("Speichern", {"Telefon": "07051 4711"})
    assert at_her_data.status == 422
    assert "Jemand anderes hat diese Daten inzwischen geändert" in at_her_data.text
    assert at_her_data.value("Telefon") == "07051 4711"
    assert backend.read(select(Customer.phone)) == [erika.phone]


def test_a_bug_reaches_htmx_without_a_page_in_it(ask, broken):
    broken("recovery.ask", lambda: 1 / 0)
    answer = ask("/passwort-vergessen", headers=HTMX)
    assert answer.status_code == 500
    assert "<html" not in answer.text
    assert re.search(r"Ihre Eingaben sind noch da. Fehlernummer: [0-9A-F]{8}$", answer.text)
