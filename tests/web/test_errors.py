"""When something goes wrong: a page in German that says what to do, and nothing lost."""

import re

import pytest
from sqlalchemy import select

from kmzportal.domain.customer import Customer
from kmzportal.services import account
from tests import cast

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.parametrize("portal", ["sqlite"], indirect=True)]
HOME = "https://konto.kmz.example"


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def at_her_data(browser, erika):
    fields = {"E-Mail-Adresse": erika.email, "Passwort": cast.password_of(erika)}
    browser.open("/anmelden").submit("Anmelden", fields)
    return browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": cast.password_of(erika)})


@pytest.mark.parametrize("path", ["/gibt-es-nicht", "/einstellungen/x.css", "/konto-link/99999", "/.well-known/nichts"])
def test_a_page_that_does_not_exist_says_what_to_do(client, path):
    answer = client.get(path, base_url=HOME)
    assert answer.status_code == 404
    assert "07051 965 220" in answer.text and "<h1" in answer.text


def test_the_wrong_way_names_the_right_ones(client):
    answer = client.get("/abmelden", base_url=HOME)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert "Knöpfe" in answer.text


def test_too_much_at_once_is_refused_in_german(client):
    answer = client.post("/anmelden", base_url=HOME, data={"email": "x" * 70_000})
    assert answer.status_code == 413
    assert "zu viel auf einmal" in answer.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_other_site_may_send_a_form_here(client, site):
    answer = client.post("/anmelden", base_url=HOME, data={"email": "a@b.de"}, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert "direkt auf" in answer.text


def test_whoever_comes_from_a_mail_gets_in(client):
    assert client.get("/anmelden", base_url=HOME, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    "body", [b"\xff\xfe%00=%00", b"email=%ff%fe&password=%00", b"email=a&email=b&email[]=c", b"{}"]
)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", "multipart/form-data", "x"])
@pytest.mark.parametrize("path", ["/anmelden", "/passwort-vergessen", "/abmelden"])
def test_nonsense_is_refused_and_breaks_nothing(client, path, body, kind):
    answer = client.post(path, base_url=HOME, data=body, content_type=kind)
    assert answer.status_code in (303, 400, 422)


def test_a_bug_has_a_number_that_stands_in_the_log_too_and_nothing_is_saved(
    app, at_her_data, erika, deeds, monkeypatch, caplog
):
    def broken(work, customer, data):
        customer.phone = "halb gespeichert"
        work.session.flush()
        raise ZeroDivisionError("kirschbaum")

    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    monkeypatch.setattr(account, "change_data", broken)
    at_her_data.submit("Speichern", {"Telefon": "07051 4711"})
    assert at_her_data.status == 500
    number = re.search(r"Fehler ([0-9A-F]{8})", caplog.text)[1]
    assert at_her_data.htmx or number in at_her_data.text
    assert at_her_data.htmx is False or at_her_data.value("Telefon") == "07051 4711"
    assert deeds.read(select(Customer.phone)) == [erika.phone]


def test_two_who_save_at_once_are_told(at_her_data, erika, deeds, monkeypatch):
    saved = account.change_data

    def meanwhile(work, customer, data):
        work.session.connection().exec_driver_sql("UPDATE customer SET version = version + 1")
        return saved(work, customer, data)

    monkeypatch.setattr(account, "change_data", meanwhile)
    at_her_data.submit("Speichern", {"Telefon": "07051 4711"})
    assert at_her_data.status == 409
    assert "gerade gespeichert" in at_her_data.text
    assert deeds.read(select(Customer.phone)) == [erika.phone]
