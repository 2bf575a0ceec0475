"""Every answer has its security headers, and every page is complete in every state, with and without htmx."""

import pytest

from tests import people
from tests.browser import Browser, only, parse, words
from tests.site_wide.routes import routes
from tests.states import every_state

pytestmark = pytest.mark.usefixtures("clock")


def test_every_answer_has_security_headers_and_every_page_is_complete(app, scenario):
    browser = scenario.log_in(scenario.erika)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": people.password_of(scenario.erika)})
    for path in [*(route.path for route in routes(app, "GET")), "/gibt-es-nicht", "/link/x"]:
        answer = browser.client.get(path, base_url=browser.site)
        assert answer.status_code < 500, path
        check_headers(answer, path)
        if answer.mimetype == "text/html" and "<html" in answer.text and answer.status_code != 303:
            check_page(parse(answer.text), path)


def check_headers(answer, path):
    headers = answer.headers
    assert "default-src 'none'" in headers["Content-Security-Policy"], path
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] in ("same-origin", "no-referrer")
    for cookie in headers.getlist("Set-Cookie"):
        assert cookie.startswith("__Host-kmzportal=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; ")), cookie


def check_page(root, name):
    elements = list(root.iter())
    ids = [element.get("id") for element in elements if element.get("id")]
    assert len(ids) == len(set(ids)), (name, sorted(ids))
    linked = [link.get("href")[1:] for box in root.iterfind(".//*[@data-refused]") for link in box.iter("a")]
    assert linked == sorted(linked, key=ids.index), f"{name}: the error summary is not in the order of the fields"
    assert root.get("lang") == "de"
    assert len(list(root.iter("h1"))) == 1, name
    assert words(only(root.iter("title"), "title")), name
    labelled = {label.get("for") for label in root.iter("label")}
    wrapped = {box for label in root.iter("label") for box in label.iter("input")}
    for field in root.iter("input", "select", "textarea"):
        if field.get("type") not in ("hidden", "submit") and "hidden" not in field.attrib:
            assert field.get("id") in labelled or field in wrapped, (name, field.attrib)
    for element in elements:
        assert element.tag != "style" and "style" not in element.attrib, (name, element.attrib)
        assert not any(key.startswith(("on", "hx-on")) for key in element.attrib), (name, element.attrib)
        assert element.tag != "script" or (element.get("src") and not (element.text or "").strip()), name
        assert element.get("hx-post") in (None, element.get("action")), (name, element.attrib)


@pytest.mark.parametrize("htmx", [False, True], ids=["browser", "htmx"])
def test_every_page_in_every_state_is_complete_and_htmx_gets_its_fragment(app, scenario, htmx):
    scenario.new_browser = lambda: Browser(app, htmx)
    names = []
    for name, browser in every_state(scenario):
        names.append(name)
        assert browser.status < 500, name
        check_page(browser.page, name)
        if htmx and browser.page.xpath("//main//*[@hx-get or @hx-post]"):
            check_fragment(browser, name)
    assert len(names) > 80 and len(names) == len(set(names)), sorted(names)


def check_fragment(browser, name):
    """A page with forms or links for htmx, requested by htmx, is one element with an id, without the layout."""
    for method in ("GET", "POST"):
        answer = browser.client.open(
            browser.path,
            method=method,
            base_url=browser.site,
            headers={"HX-Request": "true"},
            follow_redirects=method == "GET",
        )
        if answer.text and "HX-Retarget" not in answer.headers and answer.status_code in (200, 410, 422):
            assert "<html" not in answer.text, name
            assert parse(answer.text).get("id"), name
