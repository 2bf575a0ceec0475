"""The proxy that stands before the portal in production: ends TLS and says for whom and how it asks."""

import datetime
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VISITOR = "203.0.113.7"  # who asks the proxy, as it says
NOT_HANDED_ON = {"connection", "transfer-encoding", "content-length", "date", "server"}


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    portal: int  #: its port

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = [*self.headers.get_all("X-Forwarded-For", []), VISITOR]
        told = {"X-Forwarded-For": ", ".join(seen), "X-Forwarded-Proto": "https", "Connection": "close"}
        asking = HTTPConnection("127.0.0.1", self.portal, timeout=20)
        asking.request(self.command, self.path, body or None, {**dict(self.headers), **told})
        answer = asking.getresponse()
        content = answer.read()
        asking.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in NOT_HANDED_ON:
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Browsers open connections ahead and drop them."""


def certificate(folder: Path) -> Path:
    """Write a certificate for this machine and its key into one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    draft = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), extensions=[])
    draft = draft.not_valid_before(now).not_valid_after(now + datetime.timedelta(hours=1)).add_extension(names, False)
    raw = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "tls.pem"
    path.write_bytes(key.private_bytes(*raw) + draft.sign(key, hashes.SHA256()).public_bytes(raw[0]))
    return path


@contextmanager
def proxy(folder: Path, port: int) -> Iterator[type[_Proxy]]:
    """Listen on this port until the end of the `with`; `portal` of what is given must be told."""
    handler = type("Proxy", (_Proxy,), {})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder))
    server = _Server(("127.0.0.1", port), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()
