"""A web worker whose main loop receives requests and sends responses; threads wait for no client.

gunicorn's threads read and write themselves, without a limit of time: each client that sends or reads slowly occupies
one. Here it occupies none, and its connection is closed RECEIVE_WITHIN seconds after it was opened, or used again, and
SEND_WITHIN seconds after its response began. Nor does one that stays open behind its last response, for which gunicorn
waits two seconds in the main loop.
"""

import re
import selectors
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

from gunicorn.http import get_parser
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import ThreadWorker

RECEIVE_WITHIN = 30.0  # seconds for head and body together
UNUSED_WITHIN = 1.0  # seconds for the first byte, when stopping: a browser keeps unused connections open
SEND_WITHIN = 60.0  # seconds for a response
MAX_SENDING = 100  # connections; beyond these the one that began first is closed
MAX_UNSENT = 64 * 1024 * 1024  # bytes of their responses in all; likewise
HELD = 1024 * 1024  # bytes of a response in pieces; beyond these its thread sends: the office's video, see VIDEOS
LINGER = 2.0  # seconds behind the last response, in which the client reads it and closes (RFC 9112, 9.6)
MAX_LINGERING = 200  # beyond these they are closed at once
MAX_RECEIVING = 300  # connections; beyond these, likewise. With MAX_SENDING far below worker_connections
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
    searched: int = 0  # bytes in which the head does not end
    body_at: int = 0  # where the body begins; 0 until the head is here
    length: int | None = None  # of the body; None if it comes in chunks
    discarded: int = 0  # bytes of a body that is refused because of its length

    def complete(self, max_body: int) -> bool:
        """Return whether all of the request is here, or so much that it is refused without the rest."""
        if not self.body_at and not self.find_body():
            return len(self.data) > MAX_HEAD
        body = len(self.data) - self.body_at
        if self.length is None:
            return body > max_body or self.data.endswith(LAST_CHUNK)
        if self.length <= max_body:
            return body >= self.length
        self.discarded += body
        del self.data[self.body_at :]
        return self.discarded >= min(self.length, MAX_DISCARDED)

    def find_body(self) -> bool:
        """Look for the end of the head, each byte once: clients may send one byte at a time."""
        end = self.data.find(b"\r\n\r\n", max(self.searched - 3, 0))
        self.searched = len(self.data)
        if end < 0:
            return False
        self.body_at, head = end + 4, bytes(self.data[: end + 2])
        if not CHUNKED.search(head):
            found = CONTENT_LENGTH.search(head)
            self.length = int(found[1]) if found else 0
        return True

    def source(self) -> Iterator[bytes]:
        """Yield the bytes for gunicorn's parser, which then closes the connection if it wants more.

        It must not be used again after half a request: the rest would be taken for the next one.
        """
        yield bytes(self.data)
        raise NoMoreData


class Outgoing:
    """The socket of a connection, for a thread: what is written is kept in `data`, and the thread does not wait."""

    def __init__(self, sock: socket.socket):
        self.sock, self.data = sock, bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def sendall(self, data: bytes) -> None:
        if len(self.data) > HELD:
            self.flush()
        self.data += data

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def sendfile(self, file: BinaryIO, offset: int, count: int) -> int:
        if count > HELD:
            self.flush()
            self.sock.settimeout(SEND_WITHIN)  # without any progress
            return self.sock.sendfile(file, offset, count)
        file.seek(offset)
        self.sendall(file.read(count))
        return count

    def flush(self) -> None:
        self.sock.settimeout(SEND_WITHIN)
        self.sock.sendall(self.data)
        self.data.clear()


@dataclass
class Unsent:
    data: bytearray
    response: Future[Any]
    deadline: float
    registered: bool = False  # it waits in the poller


class ReceivingWorker(ThreadWorker):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.receiving: dict[Any, Incoming] = {}
        self.unsent: dict[Any, bytearray] = {}  # responses that threads have written
        self.sending: dict[Any, Unsent] = {}
        self.lingering: dict[Any, float] = {}  # connections and their deadlines

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Call what waits for each event. A fault of one ends neither the process nor its other connections."""
        for key, _ in self.poller.select(timeout):
            try:
                key.data(key.fileobj)
            except Exception:
                self.log.exception("A connection has failed")
                if key.data not in (self.accept, self.method_queue.run_callbacks):
                    self.unwatch(key.fileobj)  # or it would fail again at once

    def unwatch(self, sock: Any) -> None:
        with suppress(KeyError, ValueError):  # it is not watched
            self.poller.unregister(sock)

    def enqueue_req(self, conn: Any) -> None:
        """Receive a request; gunicorn calls this for a new connection, and for a kept one that is used again."""
        if len(self.receiving) >= MAX_RECEIVING:
            self.drop(next(iter(self.receiving)))
        incoming = self.receiving[conn] = Incoming(time.monotonic() + RECEIVE_WITHIN)
        if conn.parser:
            incoming.data += conn.parser.unreader.take_buffered()
        # The next of several that were sent at once: no more is read before its answer, or it would fill the memory.
        if self.hand_over(conn, incoming):
            return
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.receive, conn))
        self.receive(conn)

    def receive(self, conn: Any, _sock: object = None) -> None:
        incoming = self.receiving.get(conn)
        if incoming is None:  # closed since the events were read, of which this is one
            return
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
        self.hand_over(conn, incoming)

    def hand_over(self, conn: Any, incoming: Incoming) -> bool:
        """Let a thread answer the request if it is complete; return whether it is."""
        if not incoming.complete(self.wsgi.config["MAX_CONTENT_LENGTH"]):
            return False
        self.stop_receiving(conn)
        conn.parser = get_parser(self.cfg, incoming.source(), conn.client)  # a thread never waits for more
        conn.initialized = True
        super().enqueue_req(conn)
        return True

    def stop_receiving(self, conn: Any) -> None:
        del self.receiving[conn]
        self.unwatch(conn.sock)

    def drop(self, conn: Any) -> None:
        self.stop_receiving(conn)
        self.nr_conns -= 1
        conn.close()

    def handle(self, conn: Any) -> Any:
        """Answer the request of a connection; gunicorn calls this in a thread."""
        sock = conn.sock
        conn.sock = outgoing = Outgoing(sock)
        try:
            return super().handle(conn)
        finally:
            conn.sock, self.unsent[conn] = sock, outgoing.data

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Send the response; gunicorn calls this in the main loop after `handle`."""
        unsent = self.sending[conn] = Unsent(self.unsent.pop(conn, bytearray()), fs, time.monotonic() + SEND_WITHIN)
        self.send(conn)
        if unsent.data and conn in self.sending:
            self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self.send, conn))
            unsent.registered = True
            while len(self.sending) > MAX_SENDING or sum(len(one.data) for one in self.sending.values()) > MAX_UNSENT:
                self.stop_sending(next(iter(self.sending)))

    def send(self, conn: Any, _sock: object = None) -> None:
        unsent = self.sending.get(conn)
        if unsent is None:  # as in receive
            return
        try:
            conn.sock.setblocking(False)
            del unsent.data[: conn.sock.send(unsent.data)]
        except BlockingIOError:
            return
        except OSError:  # closed, by the client or after an error
            self.stop_sending(conn)
            return
        if not unsent.data:
            self.forget_sending(conn)
            self.finish(conn, unsent.response)

    def forget_sending(self, conn: Any) -> None:
        if self.sending.pop(conn).registered:
            self.unwatch(conn.sock)

    def stop_sending(self, conn: Any) -> None:
        self.forget_sending(conn)
        self.nr_conns -= 1
        conn.close()

    def finish(self, conn: Any, fs: Future[Any]) -> None:
        """Keep or close the connection after its response."""
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
        if conn not in self.lingering:  # as in receive
            return
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
        self.unwatch(conn.sock)
        conn.close()

    def murder_pending(self) -> None:
        """Close what is late; gunicorn calls this at least each second."""
        super().murder_pending()
        now = time.monotonic()
        sending = {conn: unsent.deadline for conn, unsent in self.sending.items()}
        unused = 0.0 if self.alive else RECEIVE_WITHIN - UNUSED_WITHIN
        receiving = {conn: one.deadline - (0.0 if one.data else unused) for conn, one in self.receiving.items()}
        for close, deadlines in (
            (self.end_lingering, self.lingering),
            (self.stop_sending, sending),
            (self.drop, receiving),
        ):
            for conn in [conn for conn, deadline in deadlines.items() if now >= deadline]:
                close(conn)
