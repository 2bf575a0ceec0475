"""What goes wrong is told in German, with a way on, and with nothing that was not meant for the reader."""

import logging
import re

import pytest
from sqlalchemy import select, text

from kmzportal.db import db
from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.customer import Customer
from kmzportal.services import account, account_link
from kmzportal.unit_of_work import unit_of_work
from kmzportal.web.access import anyone
from tests import canary, cast
from tests.browser import Browser

pytestmark = [
    pytest.mark.usefixtures("clock"),
    pytest.mark.parametrize("portal", ["sqlite"], indirect=True),
]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def ask(app):
    """Send a request as it comes, from nobody."""
    return lambda path, method="GET", **how: app.test_client().open(
        path, method=method, base_url=app.config["PUBLIC_URL"], **how
    )


@pytest.fixture
def broken(app, monkeypatch):
    """Let a page of the portal have a bug."""

    def broken(endpoint, bug):
        monkeypatch.setitem(app.view_functions, endpoint, anyone(bug))

    return broken


@pytest.fixture
def at_her_data(browser, erika):
    fields = {"E-Mail-Adresse": erika.email, "Passwort": cast.password_of(erika)}
    browser.open("/anmelden").submit("Anmelden", fields)
    return browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": cast.password_of(erika)})


@pytest.mark.parametrize(
    "path",
    [
        "/gibt-es-nicht", "/.git/config", "/instance/kmzportal.db", "/static/../settings.py", "/static/x/css/kmz.css",
        "/einstellungen/konto.css", "/einstellungen/konto/x.css", "/anmelden/x", "/%00", "/%FF", "/\u202e",
        "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200", "/link", "/konto-link/x",
        "/konto-link/" + "9" * 40, "/einstellungen/x.css", "/konto-link/99999", "/.well-known/nichts",
        "/" + "x" * 5000, "/demo/postfach", "/demo/mails",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_not_found(browser, path):
    browser.open(path)
    assert browser.status == 404
    assert browser.heading in ("Diese Seite gibt es nicht", "Diesen Link können wir nicht öffnen")
    assert "07051 965 220" in browser.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "ABC"])
@pytest.mark.parametrize("path", ["/anmelden", "/einstellungen/konto", "/passwort-vergessen"])
def test_other_methods_are_not_allowed_and_the_answer_says_which_are(ask, path, method):
    answer = ask(path, method)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


@pytest.mark.parametrize("path", ["/abmelden", "/passwort-vergessen/noch-einmal", "/konto-link/1/abbrechen"])
def test_what_is_only_sent_cannot_be_opened(ask, path):
    answer = ask(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "OPTIONS, POST")
    assert "Das geht auf diesem Weg nicht" in answer.text


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
)
@pytest.mark.parametrize("path", ["/anmelden", "/passwort-vergessen", "/einstellungen/konto", "/abmelden"])
def test_a_form_of_a_hundred_kilobytes_is_too_much(ask, path, content_type):
    answer = ask(path, "POST", data=b"email=" + b"x" * 100_000, content_type=content_type)
    assert answer.status_code in (303, 413, 422)
    if path != "/einstellungen/konto" and "urlencoded" in content_type:
        assert answer.status_code == 413
        assert "Das ist zu viel auf einmal" in answer.text


def test_a_thousand_parts_are_too_many(ask):
    answer = ask("/anmelden", "POST", data={f"f{n}": "x" for n in range(1000)}, content_type="multipart/form-data")
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"email": "a@b.example", "password": "x"}'),
        ("text/plain", b"email=a@b.example"),
        ("text/xml", b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=email\r\n\r\n\xff\xfe\r\n"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"email=+ADw-script+AD4-"),
        ("application/x-www-form-urlencoded", b"email=%ff%fe&password=%00&csrf_token=%ed%a0%80"),
        ("application/x-www-form-urlencoded", b"email=a&email=b&email[]=c&email[x]=d&password=1&password=2"),
        ("application/x-www-form-urlencoded", b"&&&===&;&%&%zz"),
        ("\x00", b"\x00"),
        ("", b""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/anmelden", "/passwort-vergessen"])
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["browser", "htmx"])
def test_nonsense_is_a_form_with_errors(ask, path, content_type, body, headers):
    answer = ask(path, "POST", data=body, content_type=content_type, headers=headers)
    assert answer.status_code == 422
    assert "<form" in answer.text


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json", "x"])
@pytest.mark.parametrize("body", [b"\xff\xfe%00=%00", b"csrf_token=%ff&csrf_token=%00", b"{}"])
def test_nonsense_logs_nobody_out(app, erika, body, content_type):
    browser = Browser(app).log_in(erika)
    browser.client.post("/abmelden", base_url=browser.site, data=body, content_type=content_type)
    assert browser.open("/einstellungen").heading == "Einstellungen"


@pytest.mark.parametrize(
    "cookie", ["", "x", "a.b.c", "\x01", "e30.aaa.bbb", ".eJwrSS0uAQAEXQHB.x.y", "x" * 8000, "%FF%FE", '"'], ids=str
)
def test_a_cookie_of_nonsense_is_no_cookie(ask, cookie):
    answer = ask("/anmelden", headers={"Cookie": f"__Host-kmzportal={cookie}"})
    assert answer.status_code == 200
    assert ask("/einstellungen", headers={"Cookie": f"__Host-kmzportal={cookie}"}).status_code == 303


@pytest.mark.parametrize(
    "query", ["weiter=a&weiter=//b", "weiter[]=x", "weiter=%FF", "weiter=%00", "&&==", "weiter=" + "x" * 9000]
)
def test_a_query_of_nonsense_is_no_query(ask, query):
    answer = ask(f"/anmelden?{query}")
    assert answer.status_code == 200
    assert "weiter" not in answer.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/anmelden", "/abmelden", "/passwort-vergessen", "/konto-link/1/passwort"])
def test_no_other_site_sends_a_form_here(ask, path, site):
    answer = ask(path, "POST", headers={"Sec-Fetch-Site": site, "Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "Das geht von hier aus nicht" in answer.text


def test_a_link_in_a_mail_comes_from_elsewhere_and_opens(app, deeds, erika):
    link = deeds.do(account_link.issue, LinkKind.RECOVERY, erika)
    client = app.test_client()
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Referer": "https://webmail.example/"}
    answer = client.get(f"/link/{deeds.keys.token(link)}", base_url=app.config["PUBLIC_URL"], headers=headers)
    assert answer.status_code == 303


def test_another_sites_form_logs_nobody_out(app, erika):
    browser = Browser(app).log_in(erika)
    browser.client.post("/abmelden", base_url=browser.site, headers={"Sec-Fetch-Site": "cross-site"})
    assert browser.open("/einstellungen").heading == "Einstellungen"


def test_an_error_reaches_an_htmx_page_as_a_sentence_beside_the_form(ask):
    answer = ask("/passwort-vergessen", "POST", headers={**HTMX, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reswap"]) == ("#meldung", "innerHTML")
    assert answer.text.startswith("Das geht von hier aus nicht.")
    assert "<" not in answer.text


def test_a_bug_gets_a_number_that_stands_in_the_log_too(browser, broken, caplog):
    broken("recovery.ask", lambda: 1 / 0)
    with caplog.at_level(logging.ERROR):
        browser.open("/passwort-vergessen")
    assert (browser.status, browser.heading) == (500, "Das hat nicht geklappt")
    number = re.search(r"diese Nummer: ([0-9A-F]{8})", browser.text)[1]
    assert f"Fehler {number} in recovery.ask" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "Zero" not in browser.answer.text and "Traceback" not in browser.answer.text


def test_a_bug_undoes_what_was_begun(browser, deeds, erika, broken):
    def bug():
        with unit_of_work("customer:1") as work:
            account.change_data(work, work.session.get(Customer, erika.id), {"phone": "halb fertig"})
            work.session.flush()
            raise RuntimeError

    broken("recovery.ask", bug)
    assert browser.open("/passwort-vergessen").status == 500
    assert deeds.read(erika).phone == erika.phone
    assert deeds.history() == []


def test_a_bug_on_a_links_page_leaves_no_token_in_the_log(app, deeds, erika, broken, caplog):
    link = deeds.do(account_link.issue, LinkKind.RECOVERY, erika)
    token = deeds.keys.token(link)
    broken("account_link.arrive", lambda text: 1 / 0)
    browser = Browser(app).open(f"/link/{token}")
    assert browser.status == 500
    for secret in (token, link.token_hash, link.nonce):
        assert not canary.sings(secret, caplog.text + browser.answer.text)


def test_a_broken_statement_leaves_no_address_and_no_password_in_the_log(app, erika, broken, caplog):
    def bug():
        db.session.execute(text("SELECT nothing FROM nowhere WHERE a = :a"), {"a": cast.password_of(erika)})

    broken("recovery.ask", bug)
    assert Browser(app).open("/passwort-vergessen").status == 500
    assert not canary.sings(cast.password_of(erika), caplog.text)


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
    assert at_her_data.status == 422
    assert "Jemand anderes hat diese Daten inzwischen geändert" in at_her_data.text
    assert at_her_data.value("Telefon") == "07051 4711"
    assert deeds.read(select(Customer.phone)) == [erika.phone]


def test_a_bug_reaches_htmx_without_a_page_in_it(ask, broken):
    broken("recovery.ask", lambda: 1 / 0)
    answer = ask("/passwort-vergessen", headers=HTMX)
    assert answer.status_code == 500
    assert "<html" not in answer.text
    assert re.search(r"Ihre Eingaben sind noch da. Fehlernummer: [0-9A-F]{8}$", answer.text)
