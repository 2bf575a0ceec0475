"""Whatever is sent that no page would send: it is a form with errors, no cookie, no query, or too much."""

import pytest

from tests.browser import Browser
from tests.web.by_hand import HTMX

pytestmark = pytest.mark.usefixtures("clock")


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
