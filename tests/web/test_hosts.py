"""The portal answers under its own name; only the health views do not ask for it."""

import pytest
from werkzeug.test import Client

pytestmark = [pytest.mark.usefixtures("portal"), pytest.mark.parametrize("portal", ["sqlite"], indirect=True)]
OWN = "konto.kmz.example"
FOREIGN = [
    "evil.example", "konto.kmz.example.evil.example", "xkonto.kmz.example", "konto.kmz.example:8443", "127.0.0.1",
    "127.0.0.1:8000", "localhost", "",
]  # fmt: skip
MALFORMED = ["<script>", "a b", f"{OWN}@evil.example", f"{OWN}:443x", "[::1", "ü", "a\\b", f"{OWN}:99999999"]


@pytest.fixture
def fetch(portal):
    """Send a request with any Host header."""

    def fetch(path, host=OWN, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(portal).open(path, method=method, base_url=f"https://{OWN}", headers={"Host": host, **named})

    return fetch


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/anmelden", "/gibt-es-nicht", "/link/x", "/einstellungen"])
def test_a_foreign_host_gets_only_the_way_to_the_portal(fetch, path, host):
    answer = fetch(path, host)
    assert answer.status_code == 400
    assert "Bitte rufen Sie das Portal unter seiner eigenen Adresse auf: https://konto.kmz.example" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert host in OWN or host not in answer.text


@pytest.mark.parametrize("host", MALFORMED)
def test_a_malformed_host_is_a_foreign_one(fetch, host):
    answer = fetch("/anmelden", host)
    assert answer.status_code == 400
    assert "eigenen Adresse" in answer.text and "<script" not in answer.text


def test_a_foreign_host_is_refused_before_a_form_is_read(fetch):
    assert fetch("/passwort-vergessen", "evil.example", "POST").status_code == 400


@pytest.mark.parametrize("host", [OWN, OWN.upper(), "Konto.KMZ.example"])
def test_the_own_host_may_be_written_in_capitals(fetch, host):
    assert fetch("/anmelden", host).status_code == 200


def test_a_forwarded_host_is_ignored(fetch):
    forwarded = dict.fromkeys(("X_Forwarded_Host", "X_Forwarded_Server"), "evil.example")
    answer = fetch("/einstellungen", Forwarded="host=evil.example", **forwarded)
    assert answer.location == "/anmelden?weiter=/einstellungen"
    assert fetch("/anmelden", "evil.example", X_Forwarded_Host=OWN).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:5000", "127.0.0.1:80", "[::1]:5000"])
def test_without_a_public_url_only_this_machine_is_answered(build_portal, host):
    client = Client(build_portal(PUBLIC_URL=""))
    assert client.get("/anmelden", headers={"Host": host}).status_code == 200
    for foreign in ("evil.example", "localhost.evil.example"):
        assert client.get("/anmelden", headers={"Host": foreign}).status_code == 400


@pytest.mark.parametrize("host", [OWN, *FOREIGN])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_liveness_answers_whatever_the_host(fetch, host, method):
    answer = fetch("/healthz", host, method)
    assert (answer.status_code, answer.text) == (200, "ok\n" if method == "GET" else "")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("host", [OWN, "127.0.0.1:8000"])
def test_readiness_answers_yes_or_no_whatever_the_host(fetch, host):
    answer = fetch("/readyz", host)
    assert (answer.status_code, answer.text) == (503, "not ready\n")  # the tests make their tables without migrations
