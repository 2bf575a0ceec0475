"""What stands around a portal, on loopback: a DNS server, and a proxy with TLS. Tests break each of them."""

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset
from werkzeug.serving import WSGIRequestHandler, make_server

CLIENT = "198.51.100.9"  # as the proxy sees it


class Dns(socketserver.UDPServer):
    """Answers with `zone`, texts by name and type."""

    zone: dict[tuple[str, str], list[str]]


class _DnsHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        query = dns.message.from_wire(data)
        answer, question = dns.message.make_response(query), query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        if records := self.server.zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        sock.sendto(answer.to_wire(), self.client_address)


class Proxy(ThreadingHTTPServer):
    """Ends TLS and passes requests on. Its attributes are what an operator configures, rightly at first."""

    daemon_threads = True
    upstream: int  #: port
    tls: ssl.SSLContext

    def reset(self) -> None:
        self.sent = {"X-Forwarded-Proto": "https"}
        self.appends_client = self.buffers = True
        self.dropped: set[str] = set()  #: headers of answers
        self.added: dict[str, str] = {}
        self.answers: dict[str, tuple[int, bytes]] = {}  #: its own, by the beginning of the path

    def get_request(self) -> Any:
        sock, address = super().get_request()
        return self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_: object) -> None:
        """Print nothing: the doctor ends connections whose certificate is wrong."""


class _ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        for path, (status, content) in self.server.answers.items():
            if self.path.startswith(path):
                self._answer(status, {}, content)
                return
        headers = dict(self.headers) | self.server.sent | {"Connection": "close"}
        if self.server.appends_client:
            headers["X-Forwarded-For"] = ", ".join([*self.headers.get_all("X-Forwarded-For", []), CLIENT])
        upstream = HTTPConnection("127.0.0.1", self.server.upstream, timeout=5)
        if headers.pop("Transfer-Encoding", ""):
            body = self._chunks()
            if self.server.buffers:
                upstream.request("GET", self.path, b"".join(body), headers)
            else:
                headers["Transfer-Encoding"] = "chunked"
                upstream.request("GET", self.path, iter(body), headers, encode_chunked=True)
        else:
            upstream.request("GET", self.path, None, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        self._answer(answer.status, dict(answer.getheaders()), content)

    def _chunks(self) -> list[bytes]:
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        return chunks

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in (headers | self.server.added).items():
            if name not in self.server.dropped | {"Connection", "Server"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Redirect(ThreadingHTTPServer):
    """Plain http: leads to https, or to `to`."""

    daemon_threads = True
    to = "https://localhost/anmelden"


class _RedirectHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response_only(301)
        self.send_header("Location", self.server.to)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _NoLog(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        pass


class Portal:
    """The app of the running test, served without TLS."""

    app: Any

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def dns_server() -> Any:
    return serving(Dns(("127.0.0.1", 0), _DnsHandler))


def proxy() -> Any:
    return serving(Proxy(("127.0.0.1", 0), _ProxyHandler))


def redirect() -> Any:
    return serving(Redirect(("127.0.0.1", 0), _RedirectHandler))


def portal(app: Portal) -> Any:
    return serving(make_server("127.0.0.1", 0, app, threaded=True, request_handler=_NoLog))
