"""Before Flask: our own name, a sign of life, and the static files."""

import gzip
import re

import pytest
from werkzeug.test import Client

from kmzportal.web.front_door import FOLDER, FrontDoor, StaticFiles

OURS, FOREIGN = (
    "konto.kmz.example",
    (
        "evil.example",
        "konto.kmz.example.evil.example",
        "xkonto.kmz.example",
        "konto.kmz.example:8443",
        "127.0.0.1",
        "",
        "localhost",
    ),
)


@pytest.fixture
def ask(portal):
    """Send a request with any Host header."""

    def ask(path, host=OURS, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(portal).open(path, method=method, base_url="https://" + OURS, headers={"Host": host, **named})

    return ask


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/anmelden", "/gibt-es-nicht", "/link/x", "/readyz", "/einstellungen"])
def test_under_a_foreign_name_there_is_only_the_way_to_the_right_one(ask, path, host):
    answer = ask(path, host)
    assert answer.status_code == 400
    assert "https://konto.kmz.example" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert host == "" or host in OURS or host not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "<script>",
        "a b",
        "konto.kmz.example@evil.example",
        "konto.kmz.example:443x",
        "[::1",
        "ü",
        "a\\b",
        "konto.kmz.example:99999999",
    ],
)
def test_a_host_of_nonsense_is_a_foreign_one(ask, host):
    answer = ask("/anmelden", host)
    assert answer.status_code == 400
    assert "<script" not in answer.text


@pytest.mark.parametrize("host", [OURS, OURS.upper(), "Konto.KMZ.example"])
def test_our_name_is_ours_in_capitals_too(ask, host):
    assert ask("/anmelden", host).status_code == 200


def test_a_forwarded_host_is_not_believed(ask):
    answer = ask(
        "/einstellungen",
        X_Forwarded_Host="evil.example",
        X_Forwarded_Server="evil.example",
        Forwarded="host=evil.example",
    )
    assert answer.location == "/anmelden?weiter=/einstellungen"
    assert ask("/anmelden", "evil.example", X_Forwarded_Host=OURS).status_code == 400


@pytest.mark.parametrize("host", [OURS, *FOREIGN, "127.0.0.1:8000"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_sign_of_life_answers_whatever_the_host(ask, host, method):
    answer = ask("/healthz", host, method)
    assert answer.status_code == 200
    assert answer.text == ("ok\n" if method == "GET" else "")
    assert answer.headers["Cache-Control"] == "no-store"


def test_readiness_says_no_more_than_yes_or_no(ask):
    answer = ask("/readyz")
    assert answer.status_code == 503  # the tests make their tables without migrations
    assert answer.text == "not ready\n"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:5000", "127.0.0.1:80", "[::1]:5000"])
def test_without_a_public_url_only_this_machine_may_ask(host):
    def house(environ, start):
        start("200 OK", [])
        return [b""]

    door = FrontDoor(house, StaticFiles(FOLDER), "")
    assert Client(door).get("/", headers={"Host": host}).status_code == 200
    assert Client(door).get("/", headers={"Host": "evil.example"}).status_code == 400
    assert Client(door).get("/", headers={"Host": "localhost.evil.example"}).status_code == 400


def test_every_file_a_page_names_is_there_for_ever(ask):
    page = ask("/anmelden").text
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(names) >= 5
    for name in names:
        answer = ask(name)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers


def test_files_are_sent_small_to_whom_understands_it(ask):
    (css,) = re.findall(r'href="(/static/[^"]+\.css)"', ask("/anmelden").text)
    small = ask(css, Accept_Encoding="gzip")
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == ask(css).data
    assert small.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_files_can_only_be_read(ask, method):
    (css,) = re.findall(r'href="(/static/[^"]+\.css)"', ask("/anmelden").text)
    assert ask(css, method=method).status_code in (404, 405)


@pytest.mark.parametrize(
    "name",
    [
        "../settings.py",
        "..%2fsettings.py",
        "",
        "css",
        "css/",
        "css/kmz.css%00",
        "css/../../settings.py",
        "//etc/passwd",
    ],
)
def test_there_are_no_files_but_the_ones_we_know(ask, name):
    (css,) = re.findall(r'href="(/static/[^"]+)/css/kmz\.css"', ask("/anmelden").text)
    answer = ask(f"{css}/{name}")
    assert answer.status_code in (308, 404)


def test_a_head_has_no_body(ask):
    (css,) = re.findall(r'href="(/static/[^"]+\.css)"', ask("/anmelden").text)
    assert ask(css, method="HEAD").data == b""
    assert ask("/anmelden", "evil.example", "HEAD").data == b""


def test_what_the_style_sheet_names_is_there(ask):
    page = ask("/anmelden").text
    sheet = re.search(r'href="(/static/[^"]+)css/kmz.css"', page)[1]
    css = ask(f"{sheet}css/kmz.css").text
    named = set(re.findall(r"url\(\"?\.\./([^)\"]+)\"?\)", css))
    assert {name.partition("/")[0] for name in named} == {"fonts", "icons"}
    for name in named:
        assert ask(sheet + name).status_code == 200, name


@pytest.mark.parametrize(
    "path",
    [
        "/static/x/css/kmz.css", "/static/../settings.py", "/static/%2e%2e/db.py", "/.git/config",
        "/instance/secret_key", "/kmzportal.db", "/demo/postfach", "/demo/mails",
    ],
)  # fmt: skip
def test_nothing_else_lies_about(ask, path):
    assert ask(path).status_code == 404
