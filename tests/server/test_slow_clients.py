"""Requests that arrive slowly, straight at the port."""

import socket
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial
from http.client import HTTPConnection

import pytest

from tests.server.conftest import Portal, until

WITHIN = 2.0  # seconds, instead of 30
GUNICORN = f"""
import sys
from gunicorn.app.wsgiapp import run
from kmzportal.server import receiving
receiving.RECEIVE_WITHIN, receiving.MAX_RECEIVING = {WITHIN}, 100
config = "python:kmzportal.server.gunicorn_conf"
sys.argv[1:] = ["--config", config, "--bind", f"127.0.0.1:{{sys.argv[-1]}}", "kmzportal:create_app()"]
run()
"""
HEAD = b"POST /anmelden HTTP/1.1\r\nHost: konto.kmz.example\r\n"
FORM = HEAD + b"Content-Type: application/x-www-form-urlencoded\r\n"
#: What a client sends first, and then again and again, byte by byte.
BEGUN = {
    "head": (HEAD + b"X: ", b"x"),
    "body": (FORM + b"Content-Length: 60000\r\n\r\nemail=", b"x"),
    "chunked body": (FORM + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "nothing": (b"", b""),
}


class ImpatientPortal(Portal):
    started_by = (sys.executable, "-c", GUNICORN)


@pytest.fixture(scope="module")
def portal(tmp_path_factory):
    portal = ImpatientPortal(tmp_path_factory.mktemp("portal"), PUBLIC_URL="https://konto.kmz.example").start()
    until(portal.answers)
    yield portal
    with socket.create_connection(("127.0.0.1", portal.port)):  # a browser keeps an unused connection open
        began = time.monotonic()
        assert portal.end() == 0
    assert time.monotonic() - began < 10  # not gunicorn's graceful_timeout, 20 seconds


def is_open(client: socket.socket) -> bool:
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_slow_requests_are_ended_and_delay_no_page(portal):
    with ExitStack() as stack:
        clients = []
        for first, more in [*BEGUN.values()] * 20:
            client = stack.enter_context(socket.create_connection(("127.0.0.1", portal.port)))
            client.sendall(first)
            client.setblocking(False)
            clients.append((client, more))
        began, slowest = time.monotonic(), 0.0
        while any(is_open(client) for client, _ in clients):
            for client, more in clients:
                try:
                    client.send(more)
                except OSError:
                    continue  # it is closed
            asked = time.monotonic()
            assert portal.answers() == 200
            slowest = max(slowest, time.monotonic() - asked)
            assert time.monotonic() - began < WITHIN + 10
            time.sleep(0.1)  # a slow client
    assert slowest < 4  # without a free thread none is answered
    assert "Traceback" not in portal.output


def test_beyond_a_number_of_half_requests_those_that_began_first_are_closed(portal):
    with ExitStack() as stack:
        clients = []
        for _ in range(300):  # of 100 that each of the two processes keeps
            client = stack.enter_context(socket.create_connection(("127.0.0.1", portal.port)))
            client.sendall(HEAD)
            client.setblocking(False)
            clients.append(client)
        assert portal.answers() == 200
        began = time.monotonic()
        while sum(map(is_open, clients)) > 200:
            assert time.monotonic() - began < WITHIN / 2
            time.sleep(0.05)  # the portal sends no event
        still_open = [is_open(client) for client in clients]  # each process closes its own, however many it got
        assert sum(still_open[:100]) < sum(still_open[-100:]) and all(still_open[-50:])


def request(connection: HTTPConnection, body: bytes | list[bytes], chunked: bool = False) -> tuple[int, str]:
    headers = {"Host": "konto.kmz.example", "Content-Type": "application/x-www-form-urlencoded"}
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    connection.request("POST", "/anmelden", body, headers, encode_chunked=chunked)
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_requests_in_pieces_arrive_whole_on_one_connection(portal):
    """An incomplete form is refused with 422 only after it was read; 400 would be a request that is not understood."""
    connection = HTTPConnection("127.0.0.1", portal.port, timeout=10)
    form = b"email=erika%40kmz.example&password=" + b"x" * 50_000
    statuses = [
        request(connection, form)[0],
        request(connection, [form[:10], form[10:30_000], form[30_000:]], chunked=True)[0],
        request(connection, form)[0],
    ]
    assert statuses == [422, 422, 422]
    status, page = request(connection, b"x" * 900_000)
    assert status == 413
    assert "Das ist zu viel auf einmal" in page
    connection.close()


@pytest.mark.parametrize("framing", [
    b"Content-Length: 2000000\r\n\r\n" + b"x" * 1_050_000,
    b"Transfer-Encoding: chunked\r\n\r\n20000\r\n" + b"x" * 70_000,
])  # fmt: skip
def test_the_rest_of_a_refused_request_is_not_taken_for_the_next_one(portal, framing):
    """Behind a proxy it would be a request in the name of somebody else (RFC 9112, 11.2)."""
    with socket.create_connection(("127.0.0.1", portal.port), timeout=10) as client:
        client.sendall(FORM + framing)
        answer = client.recv(65536)
        with suppress(ConnectionError):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: any\r\n\r\n")
            answer += b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 4")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_two_requests_sent_at_once_are_both_answered(portal):
    with socket.create_connection(("127.0.0.1", portal.port), timeout=10) as client:
        get = b"GET /healthz HTTP/1.1\r\nHost: any\r\n"
        client.sendall(get + b"\r\n" + get + b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_clients_that_stay_behind_their_last_response_delay_no_page(portal):
    """gunicorn waits two seconds for each of them, where all requests of a process arrive."""
    ask = b"GET /healthz HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack:
        clients = []
        for _ in range(30):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", portal.port), timeout=10))
            client.sendall(ask)
            clients.append(client)
        began = time.monotonic()
        assert portal.answers() == 200
        assert time.monotonic() - began < 4  # 30 seconds, were each waited for
        for client in clients:
            assert b"".join(iter(partial(client.recv, 65536), b"")).endswith(b"ok\n"), (
                "the whole response, then its end"
            )
        with suppress(ConnectionError):
            while (
                time.monotonic() - began < 10
            ):  # its own end was sent; the connection ends when the client may not send
                clients[0].sendall(b"x")
                time.sleep(0.1)  # a slow client
            raise AssertionError("it was never closed")
