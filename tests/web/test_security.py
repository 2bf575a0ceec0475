"""What every answer carries, what a forged cookie says, and what is never reflected."""

import gzip

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.services import links
from kmzportal.web.auth import anyone
from kmzportal.web.responses import HEADERS
from tests import people
from tests.browser import Browser
from tests.web.by_hand import HTMX, token_in

pytestmark = pytest.mark.usefixtures("clock")


def answers(app, backend, person, monkeypatch):
    """Yield one answer of every sort, with its status."""
    site, client = app.config["PUBLIC_URL"], Browser(app).log_in(person).client
    link = backend.run(links.issue, LinkKind.DESK, person)
    dead = backend.run(links.issue, LinkKind.DESK, person)
    backend.run(links.issue, LinkKind.DESK, person)
    monkeypatch.setitem(app.view_functions, "account.history", anyone(lambda: 1 / 0))
    requests = [
        ("GET", "/einstellungen", {}, {}, 200),
        ("GET", "/einstellungen", HTMX, {}, 200),
        ("OPTIONS", "/anmelden", {}, {}, 200),
        ("HEAD", "/anmelden", {}, {}, 303),
        ("GET", "/anmelden", HTMX, {}, 204),
        ("GET", f"/link/{backend.keys.token(dead)}", {}, {}, 303),
        ("GET", f"/konto-link/{dead.id}", {}, {}, 410),
        ("GET", f"/konto-link/{link.id}", HTMX, {}, 404),
        ("GET", "//anmelden", {}, {}, 308),
        ("POST", "/abmelden", {"Sec-Fetch-Site": "cross-site"}, {}, 403),
        ("GET", "/gibt-es-nicht", {}, {}, 404),
        ("GET", "/gibt-es-nicht", HTMX, {}, 404),
        ("DELETE", "/anmelden", {}, {}, 405),
        ("POST", "/einstellungen/konto", {}, {"phone": "x" * 100_000}, 413),
        ("POST", "/einstellungen/konto", {}, {"phone": "1"}, 422),
        ("POST", "/einstellungen/konto", HTMX, {"phone": "1"}, 422),
        ("GET", "/einstellungen/verlauf", {}, {}, 500),
        ("GET", "/einstellungen/verlauf", HTMX, {}, 500),
        ("GET", "/readyz", {}, {}, 503),
    ]
    for method, path, headers, data, status in requests:
        answer = client.open(path, method=method, base_url=site, headers=headers, data=data or None)
        assert answer.status_code == status, (method, path, answer.status)
        yield f"{method} {path} {status}", answer


def test_every_sort_of_answer_carries_its_headers(app, backend, erika, monkeypatch):
    for what, answer in answers(app, backend, erika, monkeypatch):
        for name, value in HEADERS.items():
            expected = "no-referrer" if name == "Referrer-Policy" and "/link/" in what else value
            assert answer.headers.get(name) == expected, (what, name)
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains", what
        assert "HX-Request" in answer.headers["Vary"], what
        assert not {"Access-Control-Allow-Origin", "X-XSS-Protection", "X-Powered-By"} & set(answer.headers.keys())


def test_the_policy_allows_nothing_inline_and_nobody_elses():
    policy = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"


def test_asking_from_elsewhere_opens_nothing(app):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = app.test_client().options("/anmelden", base_url=app.config["PUBLIC_URL"], headers=headers)
    assert [name for name, _ in answer.headers if name.startswith("Access-Control")] == []


def test_the_file_with_her_data_is_never_shown_as_a_page(app, erika):
    browser = Browser(app).log_in(erika).open("/einstellungen/daten")
    browser.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    headers = browser.open("/einstellungen/daten.json").answer.headers
    assert (headers["Content-Type"], headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
    assert headers["Content-Disposition"].startswith("attachment")
    assert headers["Cache-Control"] == "no-store"


def test_over_http_on_this_machine_the_cookie_still_arrives(build_portal):
    app = build_portal(PUBLIC_URL="http://127.0.0.1:5000")
    answer = app.test_client().get("/anmelden", base_url="http://127.0.0.1:5000")
    assert answer.headers["Set-Cookie"].startswith("kmzportal=")
    assert "Secure" not in answer.headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in answer.headers


def test_a_cookie_signed_with_another_key_says_nothing(app, build_portal, backend, erika):
    stolen = Browser(app).log_in(erika)
    with stolen.client.session_transaction(base_url=stolen.site) as session:
        contents = dict(session)
    other = build_portal(SECRET_KEY="x" * 48)
    forger = Browser(other)
    with forger.client.session_transaction(base_url=forger.site) as session:
        session.update(contents)
    thief = Browser(app)
    cookie = forger.client.get_cookie("__Host-kmzportal", "konto.kmz.example")
    thief.client.set_cookie("__Host-kmzportal", cookie.value, domain="konto.kmz.example", secure=True)
    assert thief.open("/einstellungen").heading == "Anmelden"


def test_who_knows_the_signing_key_still_needs_a_session(app, erika):
    forger = Browser(app)
    forger.come_in(str(erika.id))
    assert forger.open("/einstellungen").heading == "Anmelden"


def test_the_csrf_token_of_one_browser_is_refused_from_another(app, erika):
    stolen = token_in(Browser(app).open("/anmelden"))
    victim = Browser(app).open("/anmelden")
    fields = {"csrf_token": stolen, "email": erika.email, "password": people.password_of(erika)}
    answer = victim.client.post("/anmelden", data=fields, base_url=victim.site)
    assert answer.status_code == 422
    assert erika.email in answer.text  # what was typed stays
    assert victim.open("/einstellungen").heading == "Anmelden"


def test_the_length_of_a_compressed_page_does_not_show_how_well_it_compressed(app, ask):
    answers = [ask("/hilfe", headers={"Accept-Encoding": "gzip"}) for _ in range(10)]
    assert len({gzip.decompress(answer.data) for answer in answers}) == 1
    assert len({len(answer.data) for answer in answers}) > 1


@pytest.mark.parametrize(
    "text", ['/"><script>alert(1)</script>', "/'onmouseover='alert(1)", "/{{7*7}}", "/a?b=<i>#<b>"]
)
def test_what_stands_in_the_address_never_becomes_markup(browser, text):
    browser.client.get("/anmelden", query_string={"weiter": text}, base_url=browser.site)
    browser.open("/anmelden?" + "weiter=" + text.replace("#", "%23").replace("&", "%26"))
    assert [one for one in browser.page.iter("script") if not one.get("src")] == []
    assert [one for one in browser.page.iter() if "onmouseover" in one.attrib or one.tag in ("i", "b")] == []
    assert "49" not in [form.get("action", "")[-2:] for form in browser.page.iter("form")]


def test_links_never_follow_the_name_somebody_called_us_by(app, backend, erika):
    client = app.test_client()
    headers = {"X-Forwarded-Host": "evil.example", "X-Original-Host": "evil.example", "Forwarded": "host=evil.example"}
    answer = client.get("/passwort-vergessen", base_url=app.config["PUBLIC_URL"], headers=headers)
    assert "evil.example" not in answer.text
