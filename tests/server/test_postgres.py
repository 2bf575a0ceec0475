"""The portal on PostgreSQL that restarts, behind PgBouncer, and on two hosts of which one is killed."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import make_url, select

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.migrations import upgrade
from kmzportal.models import OutgoingMail
from kmzportal.services.transaction import transaction
from tests import people, postgres
from tests.browser import Browser
from tests.mail_server import MailServer, listening
from tests.server.conftest import Portal, free_port, until

PUBLIC_URL = "https://konto.kmz.example"
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
KILLS, MAILS_EACH = 20, 3


@contextmanager
def portal(uri, folder, people_added=()):
    """An application in this process, with its tables and people."""
    folder.mkdir(exist_ok=True)
    app = create_app({"PUBLIC_URL": PUBLIC_URL, "TESTING": True, "SQLALCHEMY_DATABASE_URI": uri}, folder)
    try:
        upgrade(app)
        with app.app_context(), transaction("console") as tx:
            tx.session.add_all(people_added)
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()


def test_a_restart_of_the_database_is_no_error_and_its_outage_a_german_page(tmp_path, caplog):
    with (
        postgres.restartable() as (uri, control),
        portal(uri, tmp_path, [people.person(people.ERIKA)]) as app,
    ):
        browser = Browser(app).log_in(people.person(people.ERIKA))
        control("stop"), control("start")
        assert browser.open("/einstellungen").status == 200
        control("stop")
        caplog.clear()
        page = browser.open("/einstellungen")
        assert (page.status, page.heading) == (503, "Das geht gerade nicht")
        assert "07051 965 220" in page.text
        assert "Traceback" not in caplog.text and caplog.text.count("Die Datenbank antwortet nicht") == 1
        assert Browser(app).open("/hilfe").status == 200
        assert browser.open("/readyz").status == 503
        control("start")
        assert browser.open("/einstellungen").status == 200


@contextmanager
def pgbouncer(uri):
    """PgBouncer with transaction pooling and few connections in front of the server; yields its URI."""
    port, host = free_port(), make_url(uri).query["host"]
    # Not below tmp_path: pytest closes those folders to other users, again with each run that begins meanwhile.
    folder = Path(tempfile.mkdtemp(prefix="kmz-pgbouncer-"))
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\npostgres = host={host} dbname=postgres user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n"
    )
    folder.chmod(0o755), (folder / "pgbouncer.ini").chmod(0o644)  # a command run before may have set the umask
    assert PGBOUNCER, "pgbouncer is not installed: run tools/servers as root"
    process = subprocess.Popen([PGBOUNCER, folder / "pgbouncer.ini"], **postgres.system_user())
    try:
        until(partial(answers, port))
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


def answers(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.trial
def test_behind_pgbouncer_with_transaction_pooling_no_request_fails(tmp_path):
    with (
        postgres.server() as uri,
        pgbouncer(uri) as pooled,
        portal(pooled, tmp_path, [people.person(people.ERIKA)]) as app,
    ):

        def visit(_number):
            browser = Browser(app).log_in(people.person(people.ERIKA))
            return [browser.open(path).status for path in ("/einstellungen", "/einstellungen/verlauf") * 10]

        with ThreadPoolExecutor(8) as pool:
            statuses = Counter(status for visited in pool.map(visit, range(32)) for status in visited)
        assert statuses == {200: 640}


class Proxy:
    """A browser behind a proxy that gives each request to the next host, or to the other when the first is down."""

    def __init__(self, hosts):
        self.hosts, self.turn, self.cookies = hosts, 0, {}

    def send(self, method, path, fields=None):
        for _ in range(2):
            self.turn += 1
            connection = HTTPConnection("127.0.0.1", self.hosts[self.turn % 2].port, timeout=20)
            headers = {"Host": "konto.kmz.example", "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
            if fields:
                headers |= {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
            try:
                connection.request(method, path, urlencode(fields or {}), headers)
                response = connection.getresponse()
                text = response.read().decode()
            except OSError:
                continue
            finally:
                connection.close()
            for cookie in response.headers.get_all("Set-Cookie", []):
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            return response.status, text
        raise AssertionError("no host answers")

    def ask_for_a_link(self, address):
        status, page = self.send("GET", "/passwort-vergessen")
        assert status == 200
        token = page.partition('name="csrf_token"')[2].partition('value="')[2].partition('"')[0]
        status, page = self.send("POST", "/passwort-vergessen", {"csrf_token": token, "email": address})
        assert status in (200, 303), page


@pytest.mark.trial
def test_of_two_hosts_one_is_killed_twenty_times_and_no_mail_is_lost_or_late(tmp_path):
    sink = MailServer()
    sink.data_takes = 1
    addresses = [f"k{number}@schule.example" for number in range(KILLS * MAILS_EACH)]
    customers = [
        people.person(people.ERIKA | {"number": f"K-{number}", "email": address})
        for number, address in enumerate(addresses)
    ]
    folders = [tmp_path / name for name in "ab"]
    with ExitStack() as stack:
        uri = stack.enter_context(postgres.server())
        port = stack.enter_context(listening(sink))
        app = stack.enter_context(portal(uri, folders[0], customers))
        folders[1].mkdir()
        for key in folders[0].glob("*_key"):
            shutil.copy(key, folders[1])
        settings = {
            "PUBLIC_URL": PUBLIC_URL,
            "PROXY_HOPS": "1",
            "SQLALCHEMY_DATABASE_URI": uri,
            "MAIL_SERVER": "127.0.0.1",
        }
        settings |= {"MAIL_PORT": str(port), "RECOVERY_PER_SOURCE": "1000"}
        hosts = [Portal(folder, "serve", **settings).start() for folder in folders]
        stack.callback(lambda: [_kill(host) for host in hosts])
        for host in hosts:
            until(host.answers)
        asked = {}
        for number in range(KILLS):
            killed = hosts[number % 2]
            for address in addresses[number * MAILS_EACH :][:MAILS_EACH]:
                Proxy(hosts).ask_for_a_link(address)
                asked[address] = time.monotonic()
            time.sleep(secrets.randbelow(1500) / 1000)
            _kill(killed)
            until(killed.start().answers)
        until(lambda: {message.to[0] for message in sink.messages} == set(addresses), within=90)
        until(lambda: all(mail.state == "sent" for mail in _mails(app)), within=90)
    sent = Counter(message.mail["Message-ID"] for message in sink.messages)
    assert len(sent) == len(addresses)
    assert sent.total() - len(sent) <= 2 * KILLS, "each kill may repeat the two mails that were being sent"
    print(f"{sent.total() - len(sent)} of {len(sent)} mails were doubled")


def _mails(app):
    with app.app_context(), transaction("console") as tx:
        return tx.session.scalars(select(OutgoingMail)).all()


def _kill(host):
    for pid in host.members():
        os.kill(pid, signal.SIGKILL)
    host.process.wait()
