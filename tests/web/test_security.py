"""The headers of every answer, forged cookies, and what is never reflected."""

import gzip

import pytest

from kmzportal.models import LinkKind
from kmzportal.services import accounts, passwords, sessions
from kmzportal.services.shares import Holder, Pace, Shares
from kmzportal.web import auth
from kmzportal.web.auth import anyone
from kmzportal.web.responses import HEADERS
from tests import people
from tests.browser import HTMX, SOURCE, Browser
from tests.people import NEW

pytestmark = pytest.mark.usefixtures("clock")


def test_every_kind_of_answer_has_the_security_headers(app, erika, issue, mailed, monkeypatch):
    browser = Browser(app).log_in(erika)
    kinds = LinkKind.ADDRESS, LinkKind.ADDRESS, LinkKind.DESK
    dead, _, link = (issue(kind, erika) for kind in kinds)  # the second one ends the first
    monkeypatch.setitem(app.view_functions, "account.history", anyone(lambda: 1 / 0))
    requests = [
        ("GET", "/einstellungen", {}, {}, 200),
        ("GET", "/einstellungen", HTMX, {}, 200),
        ("OPTIONS", "/anmelden", {}, {}, 200),
        ("HEAD", "/anmelden", {}, {}, 303),
        ("GET", "/anmelden", HTMX, {}, 204),
        ("GET", mailed(dead), {}, {}, 303),
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
        ("GET", "/healthz", {}, {}, 200),
        ("GET", "/anmelden", {"Host": "anders.example"}, {}, 400),
    ]
    for method, path, headers, data, status in requests:
        answer = browser.client.open(path, method=method, base_url=browser.site, headers=headers, data=data or None)
        request = (method, path, headers)
        assert answer.status_code == status, request
        for name, value in HEADERS.items():
            expected = "no-referrer" if name == "Referrer-Policy" and path.startswith("/link/") else value
            assert answer.headers.get(name) == expected, (request, name)
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000", request
        assert "HX-Request" in answer.headers["Vary"], request
        assert not {"Access-Control-Allow-Origin", "X-XSS-Protection", "X-Powered-By"} & set(answer.headers.keys())


def test_the_policy_allows_nothing_inline_and_nothing_from_other_sites(ask):
    policy = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = ask("/anmelden", "OPTIONS", headers=preflight)
    assert [name for name, _ in answer.headers if name.startswith("Access-Control")] == []


def test_over_http_on_this_machine_the_cookie_is_sent_without_secure(build_portal):
    client = build_portal(PUBLIC_URL="http://127.0.0.1:5000").test_client()
    answer = client.get("/anmelden", base_url="http://127.0.0.1:5000")
    assert answer.headers["Set-Cookie"].startswith("kmzportal=") and "Secure" not in answer.headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in answer.headers


def test_a_cookie_needs_the_key_of_the_portal_and_the_token_of_a_session(app, build_portal, erika):
    token = Browser(app).log_in(erika).session["_user_id"]
    assert Browser(app).come_in(token).open("/einstellungen").heading == "Einstellungen"
    assert Browser(app).come_in(str(erika.id)).open("/einstellungen").heading == "Anmelden"
    forger, thief = Browser(build_portal(SECRET_KEY="x" * 48)).come_in(token), Browser(app)
    thief.cookie = forger.cookie
    assert thief.open("/einstellungen").heading == "Anmelden"


def test_a_cookie_that_a_sibling_host_could_set_is_not_read(app, erika):
    """Only names with __Host- cannot be set by other hosts of the domain (RFC 6265bis, 4.1.3.2)."""
    stranger = Browser(app)
    cookie = Browser(app).log_in(erika).cookie
    stranger.client.set_cookie("kmzportal", cookie, domain="konto.kmz.example", secure=True)
    assert stranger.open("/einstellungen").heading == "Anmelden"
    stranger.cookie = cookie
    assert stranger.open("/einstellungen").heading == "Einstellungen"


def test_the_length_of_a_compressed_page_does_not_show_how_well_it_compressed(ask):
    answers = [ask("/hilfe", headers={"Accept-Encoding": "gzip"}) for _ in range(10)]
    assert len({gzip.decompress(answer.data) for answer in answers}) == 1
    assert len({len(answer.data) for answer in answers}) > 1


@pytest.mark.parametrize(
    "text", ['/"><script>alert(1)</script>', "/'onmouseover='alert(1)", "/{{7*7}}", "/a?b=<i>%23<b>"]
)
def test_text_in_the_address_never_becomes_markup(browser, text):
    browser.open(f"/anmelden?weiter={text}")
    assert [one for one in browser.page.iter("script") if not one.get("src")] == []
    assert [one for one in browser.page.iter() if "onmouseover" in one.attrib or one.tag in ("i", "b")] == []
    assert "49" not in [form.get("action", "")[-2:] for form in browser.page.iter("form")]


@pytest.mark.parametrize("htmx", [False, True])
def test_a_session_that_ends_while_its_form_is_handled_leads_to_the_login(
    app, backend, erika, adjust, monkeypatch, htmx
):
    browser = adjust(Browser(app, htmx), erika)
    check = passwords.check_strength

    def meanwhile(*arguments):
        backend.run(sessions.end_all, erika)
        return check(*arguments)

    monkeypatch.setattr(passwords, "check_strength", meanwhile)
    assert browser.submit("Speichern", {"Telefon": "07051 4711", **NEW}).heading == "Anmelden"
    assert backend.log_in(erika.email, people.password_of(erika))


def test_failed_logins_of_strangers_do_not_throttle_the_current_password_in_a_session(backend, erika):
    login_session = backend.session_of(backend.log_in(erika.email, people.password_of(erika)))
    for _ in range(8):
        backend.log_in(erika.email, "falsch")
    checked = passwords.check_password(people.password_of(erika), erika.password_hash)
    assert backend.run(accounts.check_current_password, erika, login_session, checked)


def test_more_logins_than_can_be_served_get_503_with_a_time_to_retry(browser, monkeypatch):
    shares = Shares(places=1, each=0, strangers=1, most=1)
    monkeypatch.setattr(passwords, "_shares", shares)
    browser.open("/anmelden").submit("Anmelden", {"E-Mail-Adresse": "a@schule.example", "Passwort": "egal"})
    assert (browser.status, browser.answer.headers["Retry-After"]) == (503, "5")
    assert "einige Sekunden" in browser.text


SLOW_FORMS = [
    ("/anmelden", "Anmelden", {"E-Mail-Adresse": "erika@gms-musterstadt.example", "Passwort": "egal"}),
    ("/anmelden", "Anmelden", {"E-Mail-Adresse": "unbekannt@schule.example", "Passwort": "egal"}),
    ("/link", "Bestätigen", {"Kundennummer": "K-1001", "Code aus dem Zugangsbrief": "AAAA-BBBB-CCCC"}),
]


@pytest.mark.parametrize(("path", "button", "fields"), SLOW_FORMS)
def test_a_source_over_its_limit_waits_for_a_turn_and_learns_that_it_is_the_connection(
    browser, backend, erika, monkeypatch, path, button, fields
):
    for number in range(30):
        backend.log_in(f"unbekannt{number}@schule.example", "falsch", SOURCE)
    monkeypatch.setattr(auth, "slow_logins", Pace(60, each=0, most=4))
    assert browser.open(path).submit(button, fields).status == 422, "compared at once"
    assert browser.open(path).submit(button, fields).status == 503
    assert browser.answer.headers["Retry-After"] == "5"
    assert "Von Ihrem Internet-Anschluss kamen viele falsche Anmeldungen" in browser.text
    assert "An Ihrem Konto liegt es nicht" in browser.text


@pytest.mark.parametrize("login_before", [False, True])
def test_a_source_of_earlier_logins_waits_apart_from_strangers_who_are_slow_too(
    browser, backend, erika, monkeypatch, login_before
):
    if login_before:
        assert backend.log_in(erika.email, people.password_of(erika), SOURCE)
    for number in range(30):
        backend.log_in(f"unbekannt{number}@schule.example", "falsch", SOURCE)
    pace = Pace(60, each=0, most=4)
    waited = []
    monkeypatch.setattr(pace, "wait", waited.append)
    monkeypatch.setattr(auth, "slow_logins", pace)
    for path, button, fields in SLOW_FORMS:
        browser.open(path).submit(button, fields)
    assert waited == [Holder(SOURCE, known=login_before)] * 3
