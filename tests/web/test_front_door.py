"""What is answered before anybody asks Flask: our own name, a sign of life, and the static files."""

import gzip
import re

import pytest

pytestmark = pytest.mark.parametrize("portal", ["sqlite"], indirect=True)
FOREIGN = ("evil.example", "konto.kmz.example.evil.example", "127.0.0.1", "konto.kmz.example:8443", "")
NOT_OURS_TO_SHOW = (
    *("/static/x/css/kmz.css", "/static/../settings.py", "/static/%2e%2e/db.py", "//etc/passwd", "/.git/config"),
    *("/instance/secret_key", "/kmzportal.db", "/demo/postfach", "/demo/mails"),
)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/anmelden", "/gibt-es-nicht", "/passwort-vergessen", "/link/x"])
def test_another_name_gets_a_page_that_names_ours(client, host, path):
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 400
    assert "https://konto.kmz.example" in answer.text
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert not host or host not in answer.text


def test_our_name_may_be_written_in_capitals(client):
    assert client.get("/anmelden", headers={"Host": "KONTO.kmz.Example"}).status_code == 200


@pytest.mark.parametrize("host", ["konto.kmz.example", *FOREIGN])
def test_the_sign_of_life_does_not_ask_for_the_name(client, host):
    answer = client.get("/healthz", headers={"Host": host})
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_every_file_a_page_loads_is_kept_for_ever_and_asks_no_cookie(client):
    page = client.get("/anmelden", base_url="https://konto.kmz.example").text
    paths = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert any(path.endswith(".css") for path in paths) and any(path.endswith(".js") for path in paths)
    for path in paths:
        answer = client.get(path, base_url="https://konto.kmz.example")
        assert answer.status_code == 200, path
        assert "immutable" in answer.headers["Cache-Control"]
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_the_style_sheet_names_is_there(client):
    page = client.get("/anmelden", base_url="https://konto.kmz.example").text
    sheet = re.search(r'href="(/static/[^"]+)css/kmz.css"', page)[1]
    css = client.get(f"{sheet}css/kmz.css", base_url="https://konto.kmz.example").text
    named = set(re.findall(r"url\(\"?\.\./([^)\"]+)\"?\)", css))
    assert {name.partition("/")[0] for name in named} == {"fonts", "icons"}
    for name in named:
        assert client.get(sheet + name, base_url="https://konto.kmz.example").status_code == 200, name


def test_text_travels_compressed_to_whom_can_read_it(client):
    page = client.get("/anmelden", base_url="https://konto.kmz.example").text
    path = re.search(r'"(/static/[^"]+htmx.min.js)"', page)[1]
    plain = client.get(path, base_url="https://konto.kmz.example")
    zipped = client.get(path, base_url="https://konto.kmz.example", headers={"Accept-Encoding": "br, gzip"})
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in zipped.headers["Vary"]
    assert gzip.decompress(zipped.data) == plain.data and len(zipped.data) < len(plain.data) / 2


@pytest.mark.parametrize("path", NOT_OURS_TO_SHOW)
def test_nothing_else_lies_about(client, path):
    assert client.get(path, base_url="https://konto.kmz.example").status_code == 404
