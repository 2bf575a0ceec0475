"""A flood of requests for a new password: what it leaves in the database, and whom it delays."""

import re
import socket
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest
from sqlalchemy import func, select

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.models import RecoveryRequest
from kmzportal.services import recovery, sessions
from kmzportal.services.transaction import transaction
from tests import people
from tests.mail_server import MailServer, listening
from tests.server.conftest import until

pytestmark = pytest.mark.trial
HOST, PAGE = "konto.kmz.example", "/passwort-vergessen"
SCHOOL = "192.0.2.10"
SECONDS, RATE, CLIENTS = 60, 500, 24
#: Of a /32 for documentation (RFC 3849): each is another /64 block, so another source.
SOURCES = {
    "one source": lambda number: "203.0.113.7",
    "many sources": lambda number: f"2001:db8:{number % 65_536:x}::1",
}


class Form:
    """The form of Passwort vergessen, opened once; sent from any source on one connection."""

    def __init__(self, port):
        self.port = port
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", PAGE, headers={"Host": HOST})
        answer = connection.getresponse()
        self.token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', answer.read().decode())[1]
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        connection.close()

    def request(self, address, source):
        body = urlencode({"csrf_token": self.token, "email": address})
        return (
            f"POST {PAGE} HTTP/1.1\r\nHost: {HOST}\r\nCookie: {self.cookie}\r\nX-Forwarded-For: {source}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def send(self, connection, address, source):
        """Send it and return the head of the answer, without waiting for the next page."""
        connection.sendall(self.request(address, source))
        answer = b""
        while b"\r\n\r\n" not in answer:
            if not (more := connection.recv(65_536)):
                raise ConnectionError
            answer += more
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        while len(body) < length:
            body += connection.recv(65_536)
        return head.decode()


class Flood:
    def __init__(self, form, source_of):
        self.form, self.source_of, self.sent, self.ending = form, source_of, 0, False
        self.failed = 0
        self.lock, self.began = threading.Lock(), time.monotonic()

    def run(self):
        connection = None
        while not self.ending:
            with self.lock:
                self.sent += 1
                number = self.sent
            time.sleep(max(0.0, self.began + number / RATE - time.monotonic()))  # at most RATE
            try:
                connection = connection or socket.create_connection(("127.0.0.1", self.form.port), timeout=20)
                head = self.form.send(connection, f"erfunden{number}@nirgends.example", self.source_of(number))
                assert " 303 " in head.partition("\r\n")[0], head
            except OSError:
                connection = None
                self.failed += 1
        if connection:
            connection.close()

    @contextmanager
    def running(self):
        threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        yield
        self.ending = True
        for thread in threads:
            thread.join(30)


@pytest.fixture
def mails():
    server = MailServer()
    with listening(server) as server.port:
        yield server


@pytest.fixture
def portal(start, mails):
    portal = start(
        "serve",
        PUBLIC_URL=f"https://{HOST}",
        PROXY_HOPS="1",
        RECOVERY_IN_ALL="500",
        MAIL_SERVER="127.0.0.1",
        MAIL_PORT=str(mails.port),
    )
    until(portal.answers)
    return portal


@pytest.fixture
def app(portal):
    app = create_app({"PUBLIC_URL": f"https://{HOST}"}, portal.folder)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def teachers(app):
    """Erika, and nine others of her school, from where one logged in before."""
    with transaction("console", SCHOOL) as tx:
        tx.session.add(people.person(people.ERIKA))
        for number in range(9):
            tx.session.add(
                people.person(people.MAX | {"number": f"L-{number}", "email": f"lehrer{number}@schule.example"})
            )
        tx.session.flush()
        sessions.start(tx, tx.session.scalar(select(people.Customer).limit(1)), "Firefox")
    return [people.ERIKA["email"], *(f"lehrer{number}@schule.example" for number in range(9))]


def size(portal):
    return sum(path.stat().st_size for path in portal.folder.glob("kmzportal.db*"))


@pytest.mark.parametrize("sources", SOURCES)
def test_after_a_minute_of_a_flood_a_teacher_gets_her_mail_within_five_seconds(portal, mails, teachers, sources):
    form, before, waits = Form(portal.port), size(portal), []

    def asks(address):
        with socket.create_connection(("127.0.0.1", portal.port), timeout=20) as connection:
            asked = time.monotonic()
            form.send(connection, address, SCHOOL)
            answered = time.monotonic()
            until(lambda: mails.subjects(address), within=30)
            waits.append((round(answered - asked, 2), round(time.monotonic() - asked, 2)))

    flood = Flood(form, SOURCES[sources])
    with flood.running():
        for turn, address in enumerate(teachers[1:]):
            time.sleep(max(0.0, flood.began + (turn + 1) * SECONDS / 10 - time.monotonic()))
            asks(address)
        time.sleep(max(0.0, flood.began + SECONDS - time.monotonic()))
    rate = flood.sent / (time.monotonic() - flood.began)
    asks(teachers[0])
    print(f"{sources}: {rate:.0f} requests/s, {flood.failed} failed; page and mail after seconds: {waits}")
    print(f"grew by {(size(portal) - before) / 1e6:.1f} MB")
    db.session.rollback()
    print(f"{db.session.scalar(select(func.count(RecoveryRequest.id)))} rows")
    with transaction("console") as tx:
        shown = recovery.recent_requests(tx.session, tx.now)[: recovery.REQUESTS_SHOWN]
    assert teachers[0] in {request.email_canonical for request in shown}
    until(lambda: size(portal) - before < 20e6)  # the -wal file becomes small with the next write
    assert waits[-1][1] < 5
