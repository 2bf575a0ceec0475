"""Hosts and addresses: the portal answers under its own name only, and believes its own proxies only."""

import pytest
from flask import request
from sqlalchemy import select
from werkzeug.test import Client

from kmzportal.models import RecoveryRequest
from kmzportal.services.shares import Holder
from kmzportal.web.auth import holder_of_source, source
from tests.backend import Backend
from tests.browser import Browser

OWN = "konto.kmz.example"
FOREIGN = [
    "evil.example", "konto.kmz.example.evil.example", "xkonto.kmz.example", "konto.kmz.example:8443", "127.0.0.1",
    "127.0.0.1:8000", "localhost", "", f"{OWN}..", f"{OWN}:80", ":443", f"{OWN}.:8443",
]  # fmt: skip
MALFORMED = ["<script>", "a b", f"{OWN}@evil.example", f"{OWN}:443x", "[::1", "ü", "a\\b", f"{OWN}:99999999"]
FORGED = {"X-Forwarded-Host": "evil.example", "X-Original-Host": "evil.example", "Forwarded": "host=evil.example"}


@pytest.fixture
def fetch(app):
    """Send a request with any Host header."""
    return lambda path, host=OWN, method="GET", **headers: Client(app).open(
        path, method=method, base_url=f"https://{OWN}", headers={"Host": host, **headers}
    )


@pytest.mark.parametrize("host", FOREIGN + MALFORMED)
def test_under_a_foreign_host_there_is_only_the_way_to_the_portal(fetch, host):
    for path, method in (("/anmelden", "GET"), ("/gibt-es-nicht", "GET"), ("/link/x", "GET"), ("/anmelden", "POST")):
        answer = fetch(path, host, method, **{"X-Forwarded-Host": OWN})
        assert answer.status_code == 400
        assert "Bitte rufen Sie das Portal unter seiner eigenen Adresse auf: https://konto.kmz.example" in answer.text
        assert "Set-Cookie" not in answer.headers and "<script" not in answer.text
        assert host in OWN or host not in answer.text


@pytest.mark.parametrize(
    "host", [OWN, OWN.upper(), "Konto.KMZ.example", f"{OWN}.", f"{OWN}:443", f"{OWN}.:443", f"{OWN}:"]
)
def test_the_own_host_may_be_in_capitals_with_port_or_dot_and_forwarded_names_are_ignored(fetch, host):
    assert fetch("/einstellungen", host, **FORGED).location == "/anmelden?weiter=/einstellungen"
    assert "evil.example" not in fetch("/passwort-vergessen", host, **FORGED).text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:5000", "127.0.0.1:80", "[::1]:5000"])
def test_without_a_public_url_only_this_machine_is_answered(build_portal, host):
    client = Client(build_portal(PUBLIC_URL=""))
    assert client.get("/anmelden", headers={"Host": host}).status_code == 200
    for foreign in ("evil.example", "localhost.evil.example"):
        assert client.get("/anmelden", headers={"Host": foreign}).status_code == 400


@pytest.mark.parametrize("host", [OWN, "127.0.0.1:8000", "evil.example"])
def test_monitoring_gets_an_answer_under_any_host(fetch, host):
    for method, text in (("GET", "ok\n"), ("HEAD", "")):
        answer = fetch("/healthz", host, method)
        assert (answer.status_code, answer.text, answer.headers["Cache-Control"]) == (200, text, "no-store")
    answer = fetch("/readyz", host)
    assert (answer.status_code, answer.text) == (503, "not ready\n")  # the tests make their tables without migrations


def test_a_cookie_that_another_host_signed_with_its_clock_a_few_seconds_ahead_is_kept(app, erika, clock):
    browser = Browser(app).log_in(erika)
    clock.shift(-5)
    assert browser.open("/einstellungen").heading == "Einstellungen"
    clock.shift(5)
    assert browser.open("/einstellungen").heading == "Einstellungen"


@pytest.mark.parametrize(("hops", "recorded"), [(0, "192.0.2.7"), (1, "203.0.113.3"), (2, "203.0.113.2")])
def test_the_source_of_a_request_is_the_one_that_the_own_proxies_added(build_portal, hops, recorded):
    browser = Browser(build_portal(PROXY_HOPS=hops))
    browser.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    browser.client.environ_base["HTTP_X_FORWARDED_FOR"] = "203.0.113.1, 203.0.113.2, 203.0.113.3"
    browser.client.environ_base["HTTP_X_FORWARDED_HOST"] = "evil.example"
    browser.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": "x@schule.example"})
    requests = Backend(browser.client.application).read(select(RecoveryRequest))
    assert [request.source for request in requests] == [recorded]


@pytest.mark.parametrize("sent", ['"', '"a', 'a", "b', '\\"', '",\t"', "", ",", "\x0b", "ü", "[", "unknown"])
def test_what_a_stranger_puts_before_the_address_that_the_proxy_appends_hides_it_not(build_portal, sent):
    browser = Browser(build_portal(PROXY_HOPS=1))
    browser.client.environ_base["REMOTE_ADDR"] = "127.0.0.1"
    browser.client.environ_base["HTTP_X_FORWARDED_FOR"] = f"{sent}, 203.0.113.3"
    browser.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": "x@schule.example"})
    requests = Backend(browser.client.application).read(select(RecoveryRequest))
    assert [request.source for request in requests] == ["203.0.113.3"]


@pytest.mark.parametrize("hops", [0, 1])
def test_a_cookie_of_many_blanks_is_read_as_one_with_single_blanks(build_portal, hops):
    """Werkzeug reads n blanks in n * n steps, and all threads of the process wait."""
    app, seen = build_portal(PROXY_HOPS=hops), []
    app.before_request(lambda: seen.append(request.headers.get("Cookie")))
    sent = f"a={' ' * 8_000}x y;{chr(9) * 4_000} b=c"
    app.test_client(use_cookies=False).get("/hilfe", base_url=app.config["PUBLIC_URL"], headers={"Cookie": sent})
    assert seen == ["a= x y; b=c"]


def test_what_a_trusted_proxy_sends_and_is_no_address_is_one_source_and_not_this_machine(build_portal):
    with build_portal(PROXY_HOPS=1).test_request_context("/", environ_base={"REMOTE_ADDR": "unknown"}):
        assert source() == holder_of_source("x").name == "unknown"


@pytest.mark.parametrize(
    ("seen", "block"),
    [
        ("203.0.113.9", "203.0.113.9"), ("::ffff:203.0.113.9", "203.0.113.9"), ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8:1:2:3::4]:443", "2001:db8:1:2::/64"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", None), ("127.8.8.8", None), ("::ffff:127.0.0.1", None), ("unix:", None), ("", None), ("<b>", None),
    ],
)  # fmt: skip
def test_a_source_is_an_ipv4_address_or_a_block_of_ipv6_addresses(app, seen, block):
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": seen}):
        assert source() == block


@pytest.mark.parametrize(
    ("seen", "holder"),
    [
        ("2001:db8:7:1234::1", Holder("2001:db8:7:1200::/56", network="2001:db8:7::/48")),
        ("203.0.113.9", Holder("203.0.113.9")),
        ("::1", Holder("name")),
    ],
)
def test_a_home_takes_turns_at_slow_work_and_its_site_is_known(app, seen, holder):
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": seen}):
        assert holder_of_source("name") == holder
