"""Each page, in each of its states, is whole, and each answer carries its headers."""

import pytest
from jinja2 import StrictUndefined

from tests import people
from tests.browser import Browser, only, words
from tests.house_rules.routes import cast_url, log_in, rules
from tests.states import every_state

pytestmark = pytest.mark.usefixtures("clock")


def test_every_answer_carries_its_headers(app, erika):
    browser = log_in(app, erika)
    paths = [path for rule, path in rules(app) if "GET" in rule.methods]
    for path in [*paths, "/gibt-es-nicht", "/link/x"]:
        answer = browser.client.get(path, base_url=cast_url(app))
        headers = answer.headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] in ("same-origin", "no-referrer")
        assert headers["Strict-Transport-Security"].startswith("max-age=31536000")
        assert "Access-Control-Allow-Origin" not in headers
        for cookie in headers.getlist("Set-Cookie"):
            assert cookie.startswith("__Host-kmzportal=")
            assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; ")), cookie


def test_every_page_is_whole(app, erika, backend):
    browser = log_in(app, erika)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    paths = [path for rule, path in rules(app) if "GET" in rule.methods and not path.endswith(".json")]
    for path in [*paths, "/gibt-es-nicht"]:
        browser.open(path)
        if browser.answer.mimetype == "text/html":
            look_at(browser.page, path)


def look_at(root, path):
    everything = list(root.iter())
    ids = [one.get("id") for one in everything if one.get("id")]
    assert twice(ids) == [], path
    refused = [box for box in everything if "data-refused" in box.attrib]
    to_blame = [link.get("href").removeprefix("#") for box in refused for link in box.iter("a")]
    assert to_blame == sorted(to_blame, key=ids.index), path
    assert root.get("lang") == "de"
    assert len(list(root.iter("h1"))) == 1, path
    assert words(only(root.iter("title"), "title")), path
    labelled = {label.get("for") for label in root.iter("label")}
    wrapped = {box for label in root.iter("label") for box in label.iter("input")}
    for field in (one for one in everything if one.tag in ("input", "select", "textarea")):
        if field.get("type") not in ("hidden", "submit") and "hidden" not in field.attrib:
            assert field.get("id") in labelled or field in wrapped, (path, field.attrib)
    for one in everything:
        assert one.tag != "style" and "style" not in one.attrib, (path, one.attrib)
        assert not any(name.startswith(("on", "hx-on")) for name in one.attrib), (path, one.attrib)
        assert one.tag != "script" or (one.get("src") and not (one.text or "").strip()), path
        if "hx-post" in one.attrib:
            assert one.get("hx-post") == one.get("action"), path


def twice(ids):
    return sorted({one for one in ids if ids.count(one) > 1})


def test_every_name_in_every_template_is_given(app, erika, monkeypatch):
    monkeypatch.setattr(app.jinja_env, "undefined", StrictUndefined)
    browser = log_in(app, erika)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    for path in [path for rule, path in rules(app) if "GET" in rule.methods]:
        assert browser.client.get(path, base_url=cast_url(app)).status_code < 500, path


@pytest.mark.parametrize("htmx", [False, True], ids=["browser", "htmx"])
def test_every_page_in_every_state_is_whole(app, house, htmx):
    house.sit_down = lambda: Browser(app, htmx)
    for name, browser in every_state(house):
        assert browser.status < 500, name
        look_at(browser.page, name)


def test_every_state_has_a_name_of_its_own(house):
    names = [name for name, _ in every_state(house)]
    assert len(names) > 40 and twice(names) == []
