"""A web worker that receives requests in its main loop; threads get them when they are complete.

gunicorn's threads read requests themselves, without a limit of time: each client that sends slowly occupies one. Here
it occupies none, and its connection is closed RECEIVE_WITHIN seconds after it was opened, or used again. Nor does one
that stays open behind its last response, for which gunicorn waits two seconds in the main loop.
"""

import re
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gunicorn.http import get_parser
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import ThreadWorker

RECEIVE_WITHIN = 30.0  # seconds for head and body together
LINGER = 2.0  # seconds behind the last response, in which the client reads it and closes (RFC 9112, 9.6)
MAX_LINGERING = 200  # beyond these they are closed at once
MAX_RECEIVING = 500  # of the 1,000 connections of a process; beyond these the one that began first is closed
MAX_HEAD = 64 * 1024
MAX_DISCARDED = 1024 * 1024  # what proxies let through; a client that still sends may not read that it was too much
READ_AT_ONCE = 64 * 1024
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass
class Incoming:
    deadline: float
    data: bytearray = field(default_factory=bytearray)
    discarded: int = 0  # bytes of a body that is refused because of its length

    def complete(self, max_body: int) -> bool:
        """Return whether all of the request is here, or so much that it is refused without the rest."""
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return len(self.data) > MAX_HEAD
        head, body = bytes(self.data[: end + 2]), len(self.data) - end - 4
        if CHUNKED.search(head):
            return body > max_body or self.data.endswith(LAST_CHUNK)
        found = CONTENT_LENGTH.search(head)
        length = int(found[1]) if found else 0
        if length <= max_body:
            return body >= length
        self.discarded += body
        del self.data[end + 4 :]
        return self.discarded >= min(length, MAX_DISCARDED)

    def source(self) -> Iterator[bytes]:
        """Yield the bytes for gunicorn's parser, which then closes the connection if it wants more.

        It must not be used again after half a request: the rest would be taken for the next one.
        """
        yield bytes(self.data)
        raise NoMoreData


class ReceivingWorker(ThreadWorker):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.receiving: dict[Any, Incoming] = {}
        self.lingering: dict[Any, float] = {}  # connections and their deadlines

    def enqueue_req(self, conn: Any) -> None:
        """Receive a request; gunicorn calls this for a new connection, and for a kept one that is used again."""
        if len(self.receiving) >= MAX_RECEIVING:
            self.drop(next(iter(self.receiving)))
        incoming = self.receiving[conn] = Incoming(time.monotonic() + RECEIVE_WITHIN)
        if conn.parser:
            incoming.data += conn.parser.unreader.take_buffered()
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.receive, conn))
        self.receive(conn)

    def receive(self, conn: Any, _sock: object = None) -> None:
        incoming = self.receiving[conn]
        try:
            received = conn.sock.recv(READ_AT_ONCE)
        except BlockingIOError:
            received = None
        except OSError:  # the client closed the connection
            received = b""
        if received == b"":
            self.drop(conn)
            return
        incoming.data += received or b""
        if incoming.complete(self.wsgi.config["MAX_CONTENT_LENGTH"]):
            self.stop_receiving(conn)
            conn.parser = get_parser(self.cfg, incoming.source(), conn.client)  # a thread never waits for more
            conn.initialized = True
            super().enqueue_req(conn)

    def stop_receiving(self, conn: Any) -> None:
        del self.receiving[conn]
        self.poller.unregister(conn.sock)

    def drop(self, conn: Any) -> None:
        self.stop_receiving(conn)
        self.nr_conns -= 1
        conn.close()

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Keep or close the connection after a response; gunicorn calls this in the main loop."""
        close = conn.close

        def close_later(graceful: bool = False) -> None:
            if graceful and self.alive and len(self.lingering) < MAX_LINGERING:
                self.linger(conn)
            else:
                close()

        conn.close = close_later
        super().finish_request(conn, fs)
        conn.close = close

    def linger(self, conn: Any) -> None:
        """Send the end, and read on until the client closes: closed at once, it might not get the whole response."""
        with suppress(OSError):
            conn.sock.shutdown(socket.SHUT_WR)
        conn.sock.setblocking(False)
        self.lingering[conn] = time.monotonic() + LINGER
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.drain, conn))

    def drain(self, conn: Any, _sock: object = None) -> None:
        try:
            received = conn.sock.recv(READ_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self.end_lingering(conn)

    def end_lingering(self, conn: Any) -> None:
        del self.lingering[conn]
        self.poller.unregister(conn.sock)
        conn.close()

    def murder_pending(self) -> None:
        """Close what is late, and when stopping what has sent no byte; gunicorn calls this at least each second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in list(self.lingering.items()):
            if now >= deadline:
                self.end_lingering(conn)
        for conn, incoming in list(self.receiving.items()):
            if now >= incoming.deadline or not (self.alive or incoming.data):
                self.drop(conn)
