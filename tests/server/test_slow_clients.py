"""Clients that send, read or close slowly, straight at the port."""

import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial
from http.client import HTTPConnection

import pytest

from kmzportal.server.receiving import Incoming
from tests.server.conftest import Portal, until

WITHIN = 2.0  # seconds, instead of 30
SENDING = 12.0  # seconds, instead of 60
GUNICORN = f"""
import sys
from gunicorn.app.wsgiapp import run
from kmzportal.server import receiving
receiving.RECEIVE_WITHIN, receiving.MAX_RECEIVING, receiving.SEND_WITHIN = {WITHIN}, 100, {SENDING}
complete = receiving.Incoming.complete
receiving.Incoming.complete = lambda incoming, most: b"X-Fault" in incoming.data and 1 / 0 or complete(incoming, most)
config = "python:kmzportal.server.gunicorn_conf"
sys.argv[1:] = ["--config", config, "--bind", f"127.0.0.1:{{sys.argv[-1]}}", "kmzportal:create_app()"]
run()
"""
SLOW_TO_START = """
import time
from kmzportal.server import gunicorn_conf
gunicorn_conf.post_fork = lambda _server, _worker: time.sleep(3)
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


class SlowlyStartingPortal(Portal):
    started_by = (sys.executable, "-c", SLOW_TO_START + GUNICORN)


@pytest.fixture(scope="module")
def portal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("portal")
    (folder / "pages").mkdir()
    (folder / "pages" / "impressum.md").write_text("# Impressum\n\n" + "Lang. " * 1_000_000)
    portal = ImpatientPortal(folder, PUBLIC_URL="https://konto.kmz.example").start()
    until(portal.answers)
    yield portal
    with socket.create_connection(("127.0.0.1", portal.port)):  # a browser keeps an unused connection open
        began = time.monotonic()
        assert portal.end() == 0
    assert time.monotonic() - began < 10  # not gunicorn's graceful_timeout, 80 seconds


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


def test_a_half_request_that_goes_on_in_the_moment_in_which_it_is_closed_ends_no_process(portal):
    """Both events may have been read at once; a fault in the main loop ends the process with all its requests."""
    with ExitStack() as stack:
        clients = []
        for number in range(600):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(("127.0.0.1", portal.port))
            clients.append(client)
            if number % 6 == 5:  # six new ones and, while they are accepted, a byte of those that began first
                for other in clients[-300:]:
                    with suppress(OSError):
                        other.send(HEAD if other in clients[-6:] else b"x")
        assert portal.answers() == 200
    assert "Traceback" not in portal.output


def test_a_fault_in_the_main_loop_ends_no_other_request(tmp_path):
    portal = ImpatientPortal(tmp_path, PUBLIC_URL="https://konto.kmz.example").start()
    try:
        until(portal.answers)
        with ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", portal.port), 10)) for _ in range(20)]
            for client in clients:
                client.sendall(HEAD + b"Content-Length: 1\r\n\r\n")
            for _ in range(20):  # both processes get some
                faulty = stack.enter_context(socket.create_connection(("127.0.0.1", portal.port), 10))
                faulty.sendall(b"X-Fault")
            assert portal.answers() == 200
            for client in clients:
                client.sendall(b"x")
                assert client.recv(65536).startswith(b"HTTP/1.1 422")
            time.sleep(WITHIN + 1.5)  # the portal closes what has failed, and sends no event
            assert portal.answers() == 200
        assert portal.output.count("Traceback") == 20 and "exited" not in portal.output
    finally:
        assert portal.end() == 0


def test_a_process_that_is_just_starting_does_not_miss_its_end(tmp_path):
    portal = SlowlyStartingPortal(tmp_path, PUBLIC_URL="https://konto.kmz.example").start()
    until(lambda: len(portal.members()) == 3)
    portal.process.send_signal(signal.SIGTERM)
    try:
        assert portal.process.wait(15) == 0, "in less than gunicorn's graceful_timeout, 80 seconds"
    finally:
        for process in portal.members():
            os.kill(process, signal.SIGKILL)


def test_a_request_that_just_arrives_at_the_end_is_still_answered(tmp_path):
    """Otherwise each reload would cut off some clients."""
    portal = ImpatientPortal(tmp_path, PUBLIC_URL="https://konto.kmz.example").start()
    until(portal.answers)
    with socket.create_connection(("127.0.0.1", portal.port), timeout=10) as client:
        time.sleep(0.1)  # a process has accepted it
        portal.process.send_signal(signal.SIGTERM)
        time.sleep(0.4)  # it is stopping
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: any\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    assert portal.process.wait(20) == 0


def ask(portal, stack, path: bytes) -> socket.socket:
    client = stack.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10)
    client.connect(("127.0.0.1", portal.port))
    client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: konto.kmz.example\r\n\r\n")
    return client


def arrives_whole(client: socket.socket) -> bool:
    received = 0
    with suppress(ConnectionError):
        while some := client.recv(65536):
            received += len(some)
    return received > 6_000_000


def test_clients_that_do_not_read_a_long_response_delay_no_page_and_are_closed(portal):
    with ExitStack() as stack:
        clients = [ask(portal, stack, b"/impressum") for _ in range(100)]  # 36 threads in each of two processes
        assert all(portal.answers(within=SENDING - 2) == 200 for _ in range(10))  # a busy machine needs some seconds
        assert not arrives_whole(clients[0]), "of so many, what began first is given up, for the memory of the others"
        time.sleep(SENDING + 2)  # the portal sends no event
        assert not any(map(arrives_whole, clients[1:]))
    assert "Traceback" not in portal.output


def test_a_long_response_arrives_whole(portal):
    connection = HTTPConnection("127.0.0.1", portal.port, timeout=10)
    for _ in range(2):  # the connection is used again
        connection.request("GET", "/impressum", headers={"Host": "konto.kmz.example"})
        response = connection.getresponse()
        assert response.status == 200 and len(response.read()) == int(response.headers["Content-Length"]) > 6_000_000
    connection.close()


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


class Searched(bytearray):
    """Counts the bytes that are looked at."""

    looked_at = 0

    def find(self, what, start=0):
        self.looked_at += len(self) - start
        return super().find(what, start)

    def __getitem__(self, key):
        part = super().__getitem__(key)
        self.looked_at += len(part)
        return part


@pytest.mark.parametrize(
    ("framing", "body"), [("Content-Length: 500", b"x" * 500), ("Transfer-Encoding: chunked", b"1f4\r\n" + b"x" * 500)]
)
def test_of_a_request_that_comes_byte_by_byte_each_byte_is_looked_at_once(framing, body):
    """A head of 60 KB was searched anew for each byte of the body: a stranger kept the main loop busy."""
    body += b"\r\n0\r\n\r\n" if "chunked" in framing else b""
    incoming = Incoming(deadline=0.0, data=Searched())
    request = f"POST / HTTP/1.1\r\nX-Long: {'x' * 60_000}\r\n{framing}\r\n\r\n".encode() + body
    complete = []
    for byte in request:
        incoming.data.append(byte)
        complete.append(incoming.complete(max_body=1000))
    assert complete == [False] * (len(request) - 1) + [True]
    assert incoming.data.looked_at < 6 * len(request)


def test_two_requests_sent_at_once_are_both_answered(portal):
    with socket.create_connection(("127.0.0.1", portal.port), timeout=10) as client:
        get = b"GET /healthz HTTP/1.1\r\nHost: any\r\n"
        client.sendall(get + b"\r\n" + get + b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_of_requests_sent_at_once_no_more_is_read_before_those_before_are_answered(portal):
    """Or one connection could fill the memory: each answer would let it bring 64 KB more."""
    asked, sent = b"GET /healthz HTTP/1.1\r\nHost: any\r\n\r\n" * 1_000_000, 0
    with socket.create_connection(("127.0.0.1", portal.port), timeout=10) as client:
        client.setblocking(False)
        began = time.monotonic()
        while time.monotonic() - began < 4:
            with suppress(BlockingIOError):
                sent += client.send(memoryview(asked)[sent : sent + 65536])
            with suppress(BlockingIOError):
                client.recv(65536)
    assert sent < 9_000_000  # of which the two systems hold the most part


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
