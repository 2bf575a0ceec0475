"""The public address, and what reaches the portal through the proxy."""

import ipaddress
import json
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

from kmzportal.doctor.check import CLOCKS_DIFFER, TIMEOUT, Checks, Finding, Skip, fail, warn
from kmzportal.services import diagnosis

DAYS_WARN, DAYS_FAIL = 21, 7
STRANGER = "192.0.2.77"  # RFC 5737: no client has it
KEPT_HEADERS = ("Content-Security-Policy", "Strict-Transport-Security")
EXPIRES = re.compile(r"^Expires: (\S+)$", re.MULTILINE)
FAULTS = (OSError, HTTPException, ValueError)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    text: str
    certificate: Mapping[str, Any]
    received_at: datetime

    @property
    def seen(self) -> dict[str, Any] | None:
        """What the portal saw of the request; None where another program answers."""
        try:
            seen = json.loads(self.text)
        except ValueError:
            return None
        return seen if isinstance(seen, dict) and "hops" in seen else None


class PublicAddress(Checks):
    def _get(self, path: str, chunks: tuple[bytes, ...] = (), **headers: str) -> Answer:
        """Request a path under PUBLIC_URL; with `chunks` as a body whose length is not told."""
        url = self.url
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        with closing(kind(url.hostname or "", url.port, timeout=TIMEOUT)) as connection:
            connection.connect()
            certificate = connection.sock.getpeercert() if isinstance(connection.sock, ssl.SSLSocket) else None
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if chunks:
                sent["Transfer-Encoding"] = "chunked"
            connection.request("GET", path, iter(chunks) if chunks else None, sent, encode_chunked=bool(chunks))
            response = connection.getresponse()
            text = response.read(100_000).decode(errors="replace")
            return Answer(response.status, response.headers, text, certificate or {}, datetime.now(UTC))

    def _probe(self) -> str:
        return f"/healthz?probe={diagnosis.new_probe(self.config)}"

    @cached_property
    def _reached(self) -> Answer | Exception:
        try:
            return self._get(self._probe())
        except FAULTS as error:
            return error

    @cached_property
    def _answer(self) -> Answer:
        answer = self._reached
        if isinstance(answer, Exception) or answer.status != 200:
            raise Skip
        return answer

    @cached_property
    def _seen(self) -> dict[str, Any]:
        if not (seen := self._answer.seen):
            raise Skip
        return seen

    def _probe_again(self, chunks: tuple[bytes, ...] = (), **headers: str) -> dict[str, Any]:
        """Return what the portal saw of another request; raises Skip where it did not see the first."""
        if self._seen and (seen := self._get(self._probe(), chunks, **headers).seen):
            return seen
        raise Skip

    def https(self) -> Finding | None:
        return None if self.url.scheme == "https" else warn()

    def passkey_host(self) -> Finding | None:
        host = self.url.hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return None
        return warn(host=host)

    def host_resolves(self) -> Finding | None:
        try:
            socket.getaddrinfo(self.url.hostname, self.url.port or self.url.scheme)
        except (OSError, UnicodeError) as error:
            return fail(host=self.url.hostname, answer=error)
        return None

    def reachable(self) -> Finding | None:
        answer = self._reached
        if isinstance(answer, (socket.gaierror, ssl.SSLCertVerificationError)):
            raise Skip  # see host_resolves and certificate
        why = str(answer) or type(answer).__name__ if isinstance(answer, Exception) else f"Status {answer.status}"
        return None if why == "Status 200" else fail(url=self.url.geturl(), answer=why)

    def certificate(self) -> Finding | None:
        answer = self._reached
        if isinstance(answer, ssl.SSLCertVerificationError):
            return fail(host=self.url.hostname, answer=answer.verify_message)
        if isinstance(answer, Exception) or not answer.certificate:
            raise Skip
        return None

    def certificate_days(self) -> Finding | None:
        valid_until = self._answer.certificate.get("notAfter")
        if not valid_until:
            raise Skip
        days = int((ssl.cert_time_to_seconds(valid_until) - self.now.timestamp()) // 86_400)
        status = fail if days < DAYS_FAIL else warn
        return status(host=self.url.hostname, days=days) if days < DAYS_WARN else None

    def redirect(self) -> Finding | None:
        host = self.url.hostname or ""
        unknown = isinstance(self._reached, socket.gaierror)
        if unknown or self.url.scheme != "https" or (self.url.port and not self.http_port):
            raise Skip
        try:
            with closing(HTTPConnection(host, self.http_port or 80, timeout=TIMEOUT)) as connection:
                connection.request("GET", "/anmelden")
                response = connection.getresponse()
        except FAULTS as error:
            return warn(host=host, answer=error)
        to = response.headers.get("Location", "")
        if response.status // 100 == 3 and to.startswith("https://"):
            return None
        return warn(host=host, answer=f"Status {response.status} {to}".strip())

    def own_portal(self) -> Finding | None:
        return None if self._answer.seen else fail(url=self.url.geturl())

    def host_header(self) -> Finding | None:
        default = {"https": ":443", "http": ":80"}[self.url.scheme]
        found, needed = (host.lower().removesuffix(default) for host in (self._seen["host"], self.url.netloc))
        return None if found == needed else fail(found=found, needed=needed)

    def scheme(self) -> Finding | None:
        return None if self._seen["scheme"] == self.url.scheme else fail()

    def hops(self) -> Finding | None:
        found, needed = self._seen["hops"], self.config["PROXY_HOPS"]
        return None if found == needed else fail(found=found, needed=needed)

    def spoofing(self) -> Finding | None:
        return fail() if self._probe_again(X_Forwarded_For=STRANGER)["source"] == STRANGER else None

    def buffering(self) -> Finding | None:
        caddy = "Caddy" in (self._answer.headers.get_all("Server") or ())  # 2.6 buffers, but passes chunks on
        if caddy or not self.config["PROXY_HOPS"]:
            raise Skip
        return None if self._probe_again((b"half", b"half"))["buffered"] else warn()

    def headers(self) -> Finding | None:
        if self.app is None or not self._answer.seen:
            raise Skip
        sent = self.app.test_client().get("/healthz", base_url=self.url.geturl()).headers
        arrived = self._answer.headers
        changed = [name for name in KEPT_HEADERS if sent.getlist(name) != (arrived.get_all(name) or [])]
        return fail(found=", ".join(changed)) if changed else None

    def http_clock(self) -> Finding | None:
        answer = self._answer
        try:
            there = parsedate_to_datetime(answer.headers.get("Date", ""))
        except ValueError:
            raise Skip from None
        seconds = round(abs((there - answer.received_at).total_seconds()))
        return fail(seconds=seconds) if seconds > CLOCKS_DIFFER else None

    def security_txt(self) -> Finding | None:
        if not self._answer.seen:
            raise Skip
        path = "/.well-known/security.txt"
        answer = self._get(path)
        expires = EXPIRES.search(answer.text)
        valid = answer.status == 200 and expires and datetime.fromisoformat(expires[1]) > self.now
        return None if valid else warn(url=f"{self.url.geturl()}{path}")
