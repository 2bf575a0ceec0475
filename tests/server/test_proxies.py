"""The portal behind nginx and Caddy, set up as deploy/ says."""

import json
import re
import time
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.models import AuditEvent
from kmzportal.services import diagnosis
from kmzportal.services.transaction import transaction
from tests import people
from tests.proxies import HOST, PROGRAMS, Proxy
from tests.server.conftest import until

pytestmark = pytest.mark.trial
TOKEN = "Zq7" * 14 + "x"  # 43 characters, as of a link
PUBLIC_URL = f"https://{HOST}"
FORM = {"Content_Type": "application/x-www-form-urlencoded", "Origin": PUBLIC_URL}


@pytest.fixture
def portal(start):
    portal = start("serve", PUBLIC_URL=PUBLIC_URL, PROXY_HOPS="1")
    until(portal.answers)
    return portal


@pytest.fixture(params=PROGRAMS)
def proxy(request, portal, tmp_path_factory):
    proxy = Proxy(request.param, tmp_path_factory.mktemp(request.param), portal.port)
    yield proxy
    proxy.end()


@pytest.fixture
def database(portal):
    app = create_app({"PUBLIC_URL": PUBLIC_URL}, portal.folder)
    with app.app_context():
        yield
        db.session.remove()
        db.engine.dispose()


def log_in(proxy, password, **headers):
    """Send the form of /anmelden; return the answer and the cookie."""
    page = proxy.fetch("/anmelden")
    secret = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page.text)[1]
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    form = urlencode({"csrf_token": secret, "email": people.ERIKA["email"], "password": password})
    return proxy.fetch("/anmelden", "POST", form, Cookie=cookie, **FORM, **headers)


def test_a_customer_logs_in_over_https_and_a_forged_source_does_not_count(proxy, database):
    with transaction("console") as tx:
        tx.session.add(people.person(people.ERIKA))
    assert log_in(proxy, "falsch", X_Forwarded_For="6.6.6.6").status == 422
    answer = log_in(proxy, people.PASSWORDS[people.ERIKA["number"]], X_Forwarded_For="6.6.6.6, 7.7.7.7")
    assert (answer.status, answer.headers["Location"]) == (303, "/einstellungen")
    cookies = [cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie")]
    cookie = next(cookie for cookie in cookies if cookie.startswith("__Host-kmzportal="))
    assert "Erika Mustermann" in proxy.fetch("/einstellungen", Cookie=cookie).text
    sources = db.session.scalars(select(AuditEvent.source).where(AuditEvent.action.startswith("login."))).all()
    assert set(sources) == {None}  # the client, this machine itself, and not 6.6.6.6; see auth.source
    assert proxy.fetch("/metrics").status == 404


def test_plain_http_leads_to_https_and_no_log_holds_a_token_or_a_source(portal, proxy):
    answer = proxy.fetch(f"/link/{TOKEN}?a=b", https=False)
    assert answer.status in (301, 308)
    assert re.fullmatch(rf"https://{HOST}(:\d+)?/link/{TOKEN}\?a=b", answer.headers["Location"])
    assert proxy.fetch(f"/link/{TOKEN}", Referer=f"{PUBLIC_URL}/link/{TOKEN}").status == 404
    for written in (f"/%6Cink/{TOKEN}", f"//link/{TOKEN}", f"/./link/{TOKEN}", f"/hilfe/..//link/{TOKEN}"):
        assert proxy.fetch(written).status in (301, 302, 303, 308, 400, 404)
    assert proxy.fetch("/passwort-vergessen?suche=mueller").status == 200
    portal.end()
    down = proxy.fetch(f"/link/{TOKEN}", Referer=f"{PUBLIC_URL}/link/{TOKEN}")
    assert down.status == 502
    assert "Das Portal ist gerade nicht erreichbar" in down.text
    assert "<script" not in down.text and "nginx" not in down.text
    assert down.headers["Cache-Control"] == "no-store"
    proxy.end()
    for private in (TOKEN, "mueller", "127.0.0.1:5", "client: "):
        assert private not in proxy.logged


def test_what_is_too_long_is_refused(proxy):
    for length in [900_000, 1_100_000] * 20:
        assert proxy.fetch("/anmelden", "POST", b"x" * length, **FORM).status == 413


def test_sixty_slow_senders_delay_no_page(proxy):
    head = f"POST /anmelden HTTP/1.1\r\nHost: {HOST}\r\n".encode()
    form = head + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\n"
    with ExitStack() as stack:
        for begun in [head + b"X: ", form + b"email="] * 30:
            stack.enter_context(proxy.connect()).sendall(begun)
        times = []
        for _ in range(20):
            began = time.monotonic()
            assert proxy.fetch("/anmelden").status == 200
            times.append(time.monotonic() - began)
    assert max(times) < 1


def test_whoever_reads_the_video_of_the_office_slowly_fills_no_disk(start, tmp_path, tmp_path_factory):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "dgs.mp4").write_bytes(bytes(30_000_000))
    portal = start("serve", PUBLIC_URL=PUBLIC_URL, PROXY_HOPS="1", SIGN_LANGUAGE_VIDEO="dgs.mp4")
    until(portal.answers)
    proxy = Proxy("nginx", tmp_path_factory.mktemp("nginx"), portal.port)
    with ExitStack() as stack:
        stack.callback(proxy.end)
        for _ in range(4):
            reader = stack.enter_context(proxy.connect())
            reader.sendall(f"GET /leichte-sprache/gebaerdensprache HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert reader.recv(100).startswith(b"HTTP/1.1 200")
        time.sleep(1)  # the portal would send all of it meanwhile
        assert proxy.on_disk() == 0
        assert proxy.fetch("/anmelden").status == 200


def test_the_probe_of_the_doctor_arrives_as_it_should_and_requests_are_buffered(portal, proxy):
    probe = diagnosis.new_probe({"SECRET_KEY": (portal.folder / "secret_key").read_text()})
    whole = json.loads(proxy.fetch(f"/healthz?probe={probe}").text)
    forged = json.loads(proxy.fetch(f"/healthz?probe={probe}", X_Forwarded_For="192.0.2.77").text)
    chunks = b"4\r\nhalf\r\n4\r\nhalf\r\n0\r\n\r\n"
    chunked = json.loads(proxy.fetch(f"/healthz?probe={probe}", body=chunks, Transfer_Encoding="chunked").text)
    assert (whole["host"], whole["scheme"], whole["hops"]) == (HOST, "https", 1)
    assert forged["source"] == "127.0.0.1"
    by_caddy = "Caddy" in (proxy.fetch("/healthz").headers.get_all("Server") or ())
    assert chunked["buffered"] or by_caddy  # 2.6 buffers, but passes chunks on: the check does not apply to it
