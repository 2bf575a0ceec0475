"""Who hammers the login, or fails at many accounts behind a shared address, keeps nobody out. Real hashes."""

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher

from kmzportal.models import SourceFailure
from kmzportal.services.transaction import transaction
from tests import people
from tests.e2e.served_portal import ServedPortal

ATTACKER, SCHOOL, HOME = "192.0.2.66", "198.51.100.7", "198.51.100.99"  # for documentation (RFC 5737)
LOGIN, DESK_LOGIN = "/anmelden", "/kundenservice/anmelden"
PASSWORD = people.PASSWORDS[people.ERIKA["number"]]
MADE_UP = "gibt.es.nicht@schule.example"
CONNECTIONS, ROOM = 48, 30


@pytest.fixture
def portal(tmp_path):
    with ServedPortal(tmp_path, fast_hashing=False, STAFF_SECOND_FACTOR="offered") as portal:
        yield portal


def enter(portal, *data):
    """Store people with the same password, hashed as in production, and return their addresses."""
    hashed = PasswordHasher().hash(PASSWORD)
    with portal.app.app_context(), transaction("console") as tx:
        for one in data:
            person = people.person(one)
            person.password_hash = hashed
            tx.session.add(person)
    return [one["email"] for one in data]


class Visitor:
    """Sends requests on one connection, through a proxy that names the source."""

    def __init__(self, portal, source):
        self.connection = HTTPConnection("127.0.0.1", portal.port, timeout=60)
        self.headers = {"X-Forwarded-For": source, "Content-Type": "application/x-www-form-urlencoded"}

    def send(self, method, path, body=None):
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        return answer, answer.read().decode()

    def form(self, path):
        """Open a login page; return its token and keep its cookie."""
        answer, page = self.send("GET", path)
        assert answer.status == 200
        self.headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]
        return re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)[1]

    def log_in(self, email, path=LOGIN):
        """Log in with the right password, in a browser that was never there, and return the answer."""
        with closing(self.connection):
            body = urlencode({"csrf_token": self.form(path), "email": email, "password": PASSWORD})
            return self.send("POST", path, body)[0]


def hammer(portal, until):
    """Log in with a wrong password again and again; return how often there was which status."""
    statuses, visitor = Counter(), Visitor(portal, ATTACKER)
    body = urlencode({"csrf_token": visitor.form(LOGIN), "email": MADE_UP, "password": "falsch"})
    while time.monotonic() < until:
        try:
            statuses[visitor.send("POST", LOGIN, body)[0].status] += 1
        except (OSError, HTTPException):
            visitor.connection.close()  # it was not kept; the next request opens another
    visitor.connection.close()
    return statuses


@pytest.mark.parametrize(("seconds", "within"), [(3, 30), pytest.param(20, 10, marks=pytest.mark.trial)])
def test_nobody_is_kept_out_by_48_connections_that_hammer_one_made_up_name(portal, seconds, within):
    teacher, clerk = enter(portal, people.ERIKA, people.ROSA)
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        hammering = [threads.submit(hammer, portal, until) for _ in range(CONNECTIONS)]
        took, pages = [], []
        while time.monotonic() < until:
            for email, path in ((teacher, LOGIN), (clerk, DESK_LOGIN)):
                began = time.monotonic()
                assert Visitor(portal, HOME).log_in(email, path).status == 303
                took.append(time.monotonic() - began)
                began = time.monotonic()
                assert portal.answers(LOGIN) == 200
                pages.append(time.monotonic() - began)
        statuses = sum((one.result() for one in hammering), Counter())
    print(f"{dict(statuses)}; logins {[round(one, 1) for one in took]}; pages {[round(one, 2) for one in pages]}")
    assert max(took) < within and max(pages) < within / 5
    assert statuses.keys() <= {422, 503} and statuses[503] > statuses[422] > 0


@pytest.mark.parametrize("number", [4, pytest.param(ROOM, marks=pytest.mark.trial)])
def test_behind_an_address_over_its_limit_everybody_with_the_right_password_gets_in(portal, number):
    room = [people.ERIKA | {"number": f"R-{one}", "email": f"raum{one}@schule.example"} for one in range(number)]
    addresses = enter(portal, *room)
    with portal.app.app_context(), transaction("console") as tx:
        failures = [SourceFailure(source=SCHOOL, account=f"made up {one}", failed_at=tx.now) for one in range(30)]
        tx.session.add_all(failures)
    until = time.monotonic() + 120

    def try_until_in(email):
        """Return how often the login had to be sent."""
        tries = 1
        while (answer := Visitor(portal, SCHOOL).log_in(email)).status != 303:
            assert answer.status == 503 and time.monotonic() < until
            time.sleep(int(answer.headers["Retry-After"]))  # as the page says
            tries += 1
        return tries

    began = time.monotonic()
    with ThreadPoolExecutor(number) as threads:
        tries = list(threads.map(try_until_in, addresses))
    print(f"{number} people were in after {time.monotonic() - began:.0f} s and {sum(tries)} tries")
