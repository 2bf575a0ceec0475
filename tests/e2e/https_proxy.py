"""A proxy like the one in front of the portal in production: ends TLS and sets the X-Forwarded headers."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme

CLIENT = "203.0.113.7"  # the client's address as the proxy reports it
OWN_HEADERS = {"connection", "transfer-encoding", "content-length", "date", "server"}


class Proxy(ThreadingHTTPServer):
    daemon_threads = True
    upstream: int  #: port of the portal

    def handle_error(self, *_: object) -> None:
        """Print nothing: browsers open connections in advance and drop them."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        client = ", ".join([*self.headers.get_all("X-Forwarded-For", []), CLIENT])
        forwarded = {"X-Forwarded-For": client, "X-Forwarded-Proto": "https", "Connection": "close"}
        upstream = HTTPConnection("127.0.0.1", self.server.upstream, timeout=20)
        upstream.request(self.command, self.path, body or None, {**dict(self.headers), **forwarded})
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in OWN_HEADERS:
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(port: int) -> Iterator[Proxy]:
    """Run the proxy on this port; the caller sets its `upstream`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    proxy = Proxy(("127.0.0.1", port), _Handler)
    proxy.socket = context.wrap_socket(proxy.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    yield proxy
    proxy.shutdown()
    proxy.server_close()
    thread.join()
