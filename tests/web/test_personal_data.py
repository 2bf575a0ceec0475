"""Meine Daten: hers to read and to take along, behind the proof and without secrets."""

import json

import pytest
from sqlalchemy import select

from kmzportal.models.login_session import LoginSession
from tests import people, secret_scan
from tests.web.adjusting import CURRENT

pytestmark = pytest.mark.usefixtures("clock")


def test_her_data_is_hers_to_read_and_to_take_along(browser, erika, max_):
    browser.log_in(erika).follow("Meine Daten").submit("Weiter", {CURRENT: people.password_of(erika)})
    for fact in (erika.number, erika.email, erika.phone, erika.school, "Angemeldet"):
        assert fact in browser.text
    browser.follow("Als Datei herunterladen (JSON)")
    assert browser.answer.mimetype == "application/json"
    assert browser.answer.headers["Content-Disposition"] == "attachment; filename=meine-daten.json"
    assert json.loads(browser.answer.text)["Kundennummer"] == erika.number
    assert max_.email not in browser.answer.text


def test_the_file_holds_no_secret(browser, backend, erika):
    browser.log_in(erika).follow("Meine Daten").submit("Weiter", {CURRENT: people.password_of(erika)})
    text = browser.open("/einstellungen/daten.json").answer.text
    (login_session,) = backend.read(select(LoginSession))
    for secret in (backend.read(erika).password_hash, login_session.token_hash, people.password_of(erika), "argon2"):
        assert not secret_scan.contains_secret(secret, text)


def test_without_the_proof_there_is_no_file(browser, erika):
    browser.log_in(erika).open("/einstellungen/daten.json")
    assert (browser.path, browser.heading) == ("/einstellungen/daten", "Meine Daten")
    assert browser.value(CURRENT) == ""
