"""A bug gets a number, undoes what was begun, and leaves no secret in the log."""

import re
from contextlib import nullcontext

import pytest
from sqlalchemy import text

from kmzportal.db import db
from kmzportal.models import Customer, LinkKind
from kmzportal.services import accounts
from kmzportal.services.transaction import transaction
from kmzportal.web.auth import anyone
from tests import people, secret_scan
from tests.browser import HTMX

pytestmark = pytest.mark.usefixtures("clock")
PAGE = "/passwort-vergessen"


@pytest.fixture
def broken(app, monkeypatch):
    """Return a function that replaces a view, by default that of PAGE."""
    return lambda bug, endpoint="recovery.ask": monkeypatch.setitem(app.view_functions, endpoint, anyone(bug))


def test_a_bug_gets_a_number_that_is_on_the_page_and_in_the_log(browser, ask, broken, caplog):
    broken(lambda: 1 / 0)
    browser.open(PAGE)
    assert (browser.status, browser.heading) == (500, "Das hat nicht geklappt")
    number = re.search(r"diese Nummer: ([0-9A-F]{8})", browser.text)[1]
    assert f"Fehler {number} in recovery.ask" in caplog.text and "ZeroDivisionError" in caplog.text
    assert browser.answer.headers["X-Request-ID"] == number
    assert "Zero" not in browser.answer.text and "Traceback" not in browser.answer.text
    answer = ask(PAGE, headers=HTMX | {"X-Request-ID": number})
    assert answer.headers["X-Request-ID"] != number
    assert (answer.status_code, "<html" in answer.text) == (500, False)
    assert re.search(r"Ihre Eingaben sind noch da. Fehlernummer: [0-9A-F]{8}$", answer.text)


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_bug_undoes_what_was_begun(browser, backend, erika, broken, in_transaction):
    """Also outside of a transaction: the page about the error loads the user, and that commits."""

    def bug():
        with transaction("customer:1") if in_transaction else nullcontext():
            db.session.get(Customer, erika.id).phone = "halb fertig"
            db.session.flush()
            raise RuntimeError

    browser.log_in(erika)
    broken(bug)
    assert browser.open(PAGE).status == 500
    assert backend.read(erika).phone == erika.phone


def test_a_bug_leaves_no_token_and_no_password_in_the_log(browser, backend, erika, issue, mailed, broken, caplog):
    def bug():
        db.session.execute(text("SELECT nothing FROM nowhere WHERE a = :a"), {"a": people.password_of(erika)})

    link = issue(LinkKind.RECOVERY, erika)
    broken(lambda text: 1 / 0, "link.open_link")
    broken(bug)
    assert [browser.open(path).status for path in (mailed(link), PAGE)] == [500, 500]
    for secret in (backend.keys.token(link), link.token_hash, link.nonce, people.password_of(erika)):
        assert not secret_scan.contains_secret(secret, caplog.text + browser.answer.text)


def test_without_its_database_the_portal_still_shows_the_error_page(browser, app, erika):
    """The user cannot be loaded; the page must not fail because of that."""

    def rename(table, name):
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))

    browser.log_in(erika)
    rename("login_session", "gone")
    try:
        browser.open("/einstellungen")
    finally:
        rename("gone", "login_session")
    assert (browser.status, browser.heading) == (500, "Das hat nicht geklappt")
    assert browser.open("/einstellungen").status == 200


@pytest.mark.with_and_without_htmx
def test_a_bug_while_saving_saves_nothing_and_with_htmx_the_input_stays(
    browser, erika, adjust, backend, monkeypatch, caplog
):
    def bug(tx, customer, data):
        customer.phone = "halb gespeichert"
        tx.session.flush()
        raise ZeroDivisionError

    adjust(browser, erika)
    monkeypatch.setattr(accounts, "change_data", bug)
    browser.submit("Speichern", {"Telefon": "07051 4711"})
    assert (browser.status, backend.read(erika).phone) == (500, erika.phone)
    assert re.search(r"Fehler ([0-9A-F]{8})", caplog.text)[1] in browser.answer.text
    assert not browser.htmx or browser.value("Telefon") == "07051 4711"


def test_of_two_who_save_at_once_the_second_sees_so_and_keeps_the_input(browser, erika, adjust, backend, monkeypatch):
    change_data = accounts.change_data

    def meanwhile(tx, customer, data):
        tx.session.connection().exec_driver_sql("UPDATE customer SET version = version + 1")
        return change_data(tx, customer, data)

    adjust(browser, erika)
    monkeypatch.setattr(accounts, "change_data", meanwhile)
    browser.submit("Speichern", {"Telefon": "07051 4711"})
    assert (browser.status, browser.value("Telefon")) == (422, "07051 4711")
    assert "Jemand anderes hat diese Daten inzwischen geändert" in browser.text
    assert backend.read(erika).phone == erika.phone
