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
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

from kmzportal.doctor.check import TIMEOUT, Finding, Portal, Skip, check, fail, warn
from kmzportal.services import diagnosis

DAYS_WARN, DAYS_FAIL = 21, 7
CLOCKS_DIFFER = 15  # seconds
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


def _get(portal: Portal, path: str, chunks: tuple[bytes, ...] = (), **headers: str) -> Answer:
    """Request a path under PUBLIC_URL; with `chunks` as a body whose length is not told."""
    url = portal.url
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


def _probe(portal: Portal) -> str:
    return f"/healthz?probe={diagnosis.new_probe(portal.config)}"


@lru_cache(maxsize=1)
def _reached(portal: Portal) -> Answer | Exception:
    try:
        return _get(portal, _probe(portal))
    except FAULTS as error:
        return error


def _answer(portal: Portal) -> Answer:
    answer = _reached(portal)
    if isinstance(answer, Exception) or answer.status != 200:
        raise Skip
    return answer


def _seen(portal: Portal) -> dict[str, Any]:
    if not (seen := _answer(portal).seen):
        raise Skip
    return seen


@check
def https(portal: Portal) -> Finding | None:
    return None if portal.url.scheme == "https" else warn()


@check
def passkey_host(portal: Portal) -> Finding | None:
    host = portal.url.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return warn(host=host)


@check
def host_resolves(portal: Portal) -> Finding | None:
    try:
        socket.getaddrinfo(portal.url.hostname, portal.url.port or portal.url.scheme)
    except (OSError, UnicodeError) as error:
        return fail(host=portal.url.hostname, answer=error)
    return None


@check
def reachable(portal: Portal) -> Finding | None:
    answer = _reached(portal)
    if isinstance(answer, (socket.gaierror, ssl.SSLCertVerificationError)):
        raise Skip  # see host_resolves and certificate
    why = str(answer) or type(answer).__name__ if isinstance(answer, Exception) else f"Status {answer.status}"
    return None if why == "Status 200" else fail(url=portal.url.geturl(), answer=why)


@check
def certificate(portal: Portal) -> Finding | None:
    answer = _reached(portal)
    if isinstance(answer, ssl.SSLCertVerificationError):
        return fail(host=portal.url.hostname, answer=answer.verify_message)
    if isinstance(answer, Exception) or not answer.certificate:
        raise Skip
    return None


@check
def certificate_days(portal: Portal) -> Finding | None:
    valid_until = _answer(portal).certificate.get("notAfter")
    if not valid_until:
        raise Skip
    days = int((ssl.cert_time_to_seconds(valid_until) - portal.now.timestamp()) // 86_400)
    status = fail if days < DAYS_FAIL else warn
    return status(host=portal.url.hostname, days=days) if days < DAYS_WARN else None


@check
def redirect(portal: Portal) -> Finding | None:
    host = portal.url.hostname or ""
    if portal.url.scheme != "https" or (portal.url.port and not portal.http_port):
        raise Skip
    try:
        with closing(HTTPConnection(host, portal.http_port or 80, timeout=TIMEOUT)) as connection:
            connection.request("GET", "/anmelden")
            response = connection.getresponse()
    except FAULTS as error:
        return warn(host=host, answer=error)
    to = response.headers.get("Location", "")
    return (
        None
        if response.status // 100 == 3 and to.startswith("https://")
        else warn(host=host, answer=f"Status {response.status} {to}".strip())
    )


@check
def own_portal(portal: Portal) -> Finding | None:
    return None if _answer(portal).seen else fail(url=portal.url.geturl())


@check
def host_header(portal: Portal) -> Finding | None:
    default = {"https": ":443", "http": ":80"}[portal.url.scheme]
    found, needed = (host.lower().removesuffix(default) for host in (_seen(portal)["host"], portal.url.netloc))
    return None if found == needed else fail(found=found, needed=needed)


@check
def scheme(portal: Portal) -> Finding | None:
    return None if _seen(portal)["scheme"] == portal.url.scheme else fail()


@check
def hops(portal: Portal) -> Finding | None:
    found, needed = _seen(portal)["hops"], portal.config["PROXY_HOPS"]
    return None if found == needed else fail(found=found, needed=needed)


@check
def spoofing(portal: Portal) -> Finding | None:
    _seen(portal)
    seen = _get(portal, _probe(portal), X_Forwarded_For=STRANGER).seen
    return fail() if seen and seen["source"] == STRANGER else None


@check
def buffering(portal: Portal) -> Finding | None:
    if not portal.config["PROXY_HOPS"]:
        raise Skip
    _seen(portal)
    seen = _get(portal, _probe(portal), (b"half", b"half")).seen
    return warn() if seen and not seen["buffered"] else None


@check
def headers(portal: Portal) -> Finding | None:
    _seen(portal)
    if portal.app is None:
        raise Skip
    sent = portal.app.test_client().get("/healthz", base_url=portal.url.geturl()).headers
    arrived = _answer(portal).headers
    changed = [name for name in KEPT_HEADERS if sent.getlist(name) != (arrived.get_all(name) or [])]
    return fail(found=", ".join(changed)) if changed else None


@check
def http_clock(portal: Portal) -> Finding | None:
    answer = _answer(portal)
    try:
        there = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        raise Skip from None
    seconds = round(abs((there - answer.received_at).total_seconds()))
    return fail(seconds=seconds) if seconds > CLOCKS_DIFFER else None


@check
def security_txt(portal: Portal) -> Finding | None:
    _answer(portal)
    path = "/.well-known/security.txt"
    answer = _get(portal, path)
    expires = EXPIRES.search(answer.text)
    valid = answer.status == 200 and expires and datetime.fromisoformat(expires[1]) > portal.now
    return None if valid else warn(url=f"{portal.url.geturl()}{path}")
