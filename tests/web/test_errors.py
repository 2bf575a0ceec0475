"""Unknown addresses, other methods and malformed input get a German error, or a form with errors."""

from io import BytesIO

import pytest

from kmzportal.services import sessions
from tests.browser import HTMX, Browser

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize(
    "path",
    [
        "/gibt-es-nicht", "/.git/config", "/instance/kmzportal.db", "/static/../settings.py", "/einstellungen/x.css",
        "/einstellungen/konto.css", "/einstellungen/konto/x.css", "/anmelden/x", "/%00", "/%FF", "/\u202e",
        "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200", "/konto-link/x",
        "/konto-link/" + "9" * 40, "/konto-link/99999", "/" + "x" * 5000, "/demo/postfach", "/demo/mails",
        "/demo/postfach/schreiben",
    ],
)  # fmt: skip
def test_an_unknown_address_is_not_found(browser, path):
    browser.open(path)
    assert browser.status == 404
    assert browser.heading in ("Diese Seite gibt es nicht", "Diesen Link können wir nicht öffnen")
    assert "07051 965 220" in browser.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "ABC"])
def test_other_methods_are_not_allowed_and_the_answer_says_which_are(ask, method):
    answer = ask("/anmelden", method)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


@pytest.mark.parametrize("path", ["/abmelden", "/passwort-vergessen/noch-einmal", "/konto-link/1/abbrechen"])
def test_an_action_cannot_be_opened_as_a_page(ask, path):
    answer = ask(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "OPTIONS, POST")
    assert "Das geht auf diesem Weg nicht" in answer.text


def test_a_missing_right_is_named_and_the_way_back_is_for_who_is_logged_in(app, backend, tim, erika):
    seen = {}
    for person, page in (
        (tim, "/kundenservice/protokoll"),
        (tim, "/einstellungen"),
        (erika, "/kundenservice/kunden"),
    ):
        token = backend.run(sessions.start_session, person, "Firefox").token
        browser = Browser(app).come_in(token).open(page)
        assert (browser.status, browser.heading) == (403, "Dafür fehlt Ihnen die Berechtigung")
        seen[page] = browser.text
        home = "Zu den Einstellungen" if person is erika else "Zu den Kunden"
        assert "Zur Anmeldung" not in browser.text and browser.follow(home).status == 200
    assert "Diese Seite sehen nur Personen, die Mitarbeitende verwalten." in seen["/kundenservice/protokoll"]
    assert "Sie sind im Kundenservice angemeldet." in seen["/einstellungen"]
    assert "nur Mitarbeitende" in seen["/kundenservice/kunden"]


def test_an_unknown_page_leads_those_who_are_logged_in_to_their_first_page(browser, erika):
    assert browser.open("/gibt-es-nicht").follow("Zur Anmeldung").heading == "Anmelden"
    assert browser.log_in(erika).open("/gibt-es-nicht").follow("Zu den Einstellungen").heading == "Einstellungen"
    assert "Zum Abmelden klicken Sie oben auf „Abmelden“." in browser.open("/abmelden").text


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"}, {"Origin": "http://konto.kmz.example"}])  # fmt: skip
@pytest.mark.parametrize("path", ["/anmelden", "/abmelden", "/passwort-vergessen", "/konto-link/1/passwort"])
def test_forms_of_other_sites_are_refused_by_fetch_metadata_or_origin(ask, path, headers):
    answer = ask(path, "POST", headers=headers)
    assert (answer.status_code, "Das geht von hier aus nicht" in answer.text) == (403, True)
    assert ask(path, "POST", headers={"Origin": "null"}).status_code != 403


def test_htmx_gets_an_error_as_a_sentence_for_the_live_region(ask):
    answer = ask("/passwort-vergessen", "POST", headers={**HTMX, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reswap"]) == ("#meldung", "innerHTML")
    assert answer.text.startswith("Das geht von hier aus nicht.") and "<" not in answer.text


@pytest.mark.parametrize("path", ["/anmelden", "/passwort-vergessen", "/abmelden"])
def test_a_form_of_a_hundred_kilobytes_or_a_thousand_parts_is_too_large(app, erika, path):
    browser = Browser(app)
    if path == "/abmelden":
        browser.log_in(erika)
    for data in ({"email": "x" * 100_000}, {f"f{number}": "x" for number in range(1000)}):
        kind = "application/x-www-form-urlencoded" if "email" in data else "multipart/form-data"
        answer = browser.client.post(path, data=data, content_type=kind, base_url=browser.site)
        assert (answer.status_code, "Das ist zu viel auf einmal" in answer.text) == (413, True)


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
def test_a_malformed_form_is_a_form_with_errors_and_logs_no_one_out(ask, app, erika, content_type, body):
    for path in ("/anmelden", "/passwort-vergessen"):
        for headers in ({}, HTMX):
            answer = ask(path, "POST", data=body, content_type=content_type, headers=headers)
            assert (answer.status_code, "<form" in answer.text) == (422, True)
    browser = Browser(app).log_in(erika)
    browser.client.post("/abmelden", base_url=browser.site, data=body, content_type=content_type)
    assert browser.open("/einstellungen").heading == "Einstellungen"


@pytest.mark.parametrize("reason", [["a", "b"], {"a": "b"}, [None], 7])
def test_fields_of_json_or_files_are_no_input(desk, backend, erika, reason):
    """Stored, a list in place of a text would make each page that shows the history fail for good."""
    desk.open(f"/kundenservice/kunden/{erika.id}")
    path, token = f"/kundenservice/kunden/{erika.id}/sperren", desk.csrf_token
    for sent in (
        {"json": {"csrf_token": token, "reason": [reason], "why": reason}},
        {"data": {"csrf_token": token, "reason": (BytesIO(b"x"), "x.txt"), "why": (BytesIO(b"x"), "x.txt")}},
    ):
        assert desk.client.post(path, base_url=desk.site, **sent).status_code == 422
    assert backend.read(erika).locked_at is None
    assert desk.open(f"/kundenservice/kunden/{erika.id}").status == 200


@pytest.mark.parametrize(
    "cookie", ["", "x", "a.b.c", "\x01", "e30.aaa.bbb", ".eJwrSS0uAQAEXQHB.x.y", "x" * 8000, "%FF%FE", '"'], ids=str
)
def test_a_malformed_cookie_is_ignored(ask, cookie):
    for path, status in (("/anmelden", 200), ("/einstellungen", 303)):
        assert ask(path, headers={"Cookie": f"__Host-kmzportal={cookie}"}).status_code == status


@pytest.mark.parametrize(
    "query", ["weiter=a&weiter=//b", "weiter[]=x", "weiter=%FF", "weiter=%00", "&&==", "weiter=" + "x" * 9000]
)
def test_a_malformed_query_is_ignored(ask, query):
    answer = ask(f"/anmelden?{query}")
    assert (answer.status_code, "weiter" in answer.text) == (200, False)
