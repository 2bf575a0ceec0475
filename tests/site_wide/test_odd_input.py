"""No header and no character that anyone sends is a fault of the portal."""

import pytest

from tests import people
from tests.browser import Browser
from tests.site_wide.routes import routes
from tests.states import prove

HEADERS = [
    "Referer", "Origin", "Cookie", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "If-None-Match",
    "If-Modified-Since", "If-Range", "Range", "Content-Type", "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded",
    "Authorization", "Sec-Fetch-Site", "HX-Request", "HX-Current-URL", "HX-Target", "HX-Trigger-Name", "HX-Boosted",
]  # fmt: skip
VALUES = (
    "http://[",
    "http://a:x/",
    "//[::1%",
    "\xff\xe4",
    "%ff%00",
    ";,=;",
    "9" * 5_000,
    "bytes=9-1",
    'W/"',
    "text/html;charset=x",
)
PATHS = ("/", "/anmelden", "/einstellungen/konto", "/link/AAAA", "/kundenservice", "/static/css/portal.css")


@pytest.mark.parametrize("header", HEADERS)
def test_no_page_fails_at_a_header(app, erika, header):
    anyone, customer = Browser(app), Browser(app).log_in(erika)
    for value in VALUES:
        for client in (anyone.client, customer.client):
            for path in PATHS:
                answer = client.get(path, base_url=anyone.site, headers={header: value})
                assert answer.status_code < 500, (path, value)
                answer.close()
        sent = {"E-Mail-Adresse": erika.email, "Passwort": people.NEW_PASSWORD}
        answer = customer.client.post("/einstellungen/konto", base_url=anyone.site, headers={header: value}, data=sent)
        assert answer.status_code < 500, value


@pytest.mark.parametrize("odd", ["\u202e", " ", "\u2028", "\x00", "\ud7ff\U0010ffff", "٣", "9" * 40, "'\"<%s>{{1}}\\"])
@pytest.mark.parametrize("user", ["anyone", "customer", "clerk"])
def test_no_form_fails_at_a_character(app, scenario, user, odd):
    """Filters take invisible ones away, so a field that is filled in may be empty afterwards."""
    browser = {
        "anyone": scenario.new_browser,
        "customer": lambda: scenario.log_in(scenario.max),
        "clerk": lambda: scenario.desk_browser(scenario.rosa),
    }[user]()
    scenario.backend.run(prove, scenario.rosa)
    sent = set()
    for route in routes(app, "GET"):
        browser.open(route.path)
        for form in browser.page.iter("form"):
            action = form.get("action", route.path)
            if form.method != "POST" or action in sent or "abmelden" in action:
                continue
            sent.add(action)
            hidden = {one.name for one in form.iter("input") if one.get("type") in ("hidden", "radio", "checkbox")}
            data = {name: value if name in hidden else odd for name, value in form.form_values()}
            answer = browser.client.post(action, base_url=browser.site, data=data)
            assert answer.status_code < 500, (action, data)
    assert len(sent) > 3
