"""The sender's domain in the DNS: whether other servers believe that a mail is from the office."""

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache

import dns.resolver
from dns.exception import DNSException

from kmzportal.doctor.check import TIMEOUT, Finding, Portal, Skip, check, fail, warn

MOST_LOOKUPS = 10  # RFC 7208, 4.6.4
SPF, DMARC, DKIM_KEY = (re.compile(text, re.IGNORECASE) for text in (r"v=spf1( |$)", r"v=DMARC1\b", r"\bp=\s*\w"))
SPF_TERMS = {"ip4", "ip6", "include", "redirect", "a", "mx", "all", "-all", "~all", "?all", "exp"}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _domain(portal: Portal) -> str:
    return str(portal.config["MAIL_DEFAULT_SENDER"][1]).rpartition("@")[2]


def _ask(name: str, kind: str) -> list[str]:
    """Return the records; none where the name or the kind does not exist. Raises DNSException without an answer."""
    try:
        found = dns.resolver.get_default_resolver().resolve(name, kind, lifetime=TIMEOUT)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    if kind == "TXT":
        return [b"".join(record.strings).decode(errors="replace") for record in found]
    return [record.to_text() for record in found]


@lru_cache(maxsize=1)
def _silence(portal: Portal) -> str:
    """Return why no DNS server answers; empty when one does."""
    try:
        _ask(_domain(portal), "MX")
    except DNSException as error:
        return str(error) or type(error).__name__
    return ""


def _records(portal: Portal, name: str, kind: str = "TXT") -> list[str]:
    if _silence(portal):
        raise Skip
    try:
        return _ask(name, kind)
    except DNSException:
        raise Skip from None


@check
def dns_server(portal: Portal) -> Finding | None:
    silence = _silence(portal)
    return warn(answer=silence) if silence else None


@check
def sender_mx(portal: Portal) -> Finding | None:
    domain = _domain(portal)
    routes = _records(portal, domain, "MX") or _records(portal, domain, "A") or _records(portal, domain, "AAAA")
    accepts = [route for route in routes if not route.endswith(" .")]  # RFC 7505: accepts no mail
    return None if accepts else fail(domain=domain)


def _policies(portal: Portal, domain: str) -> list[str]:
    return [record for record in _records(portal, domain) if SPF.match(record)]


@check
def spf(portal: Portal) -> Finding | None:
    domain = _domain(portal)
    number = len(_policies(portal, domain))
    server = portal.config["MAIL_SERVER"] or f"mail.{domain}"
    return None if number == 1 else warn(domain=domain, number=number, server=server)


@check
def spf_relay(portal: Portal) -> Finding | None:
    """Whether the mail server's own addresses may send; that of one in the local network is not known."""
    server, domain = portal.config["MAIL_SERVER"], _domain(portal)
    if not server or len(_policies(portal, domain)) != 1:
        raise Skip
    addresses = [address for address in _addresses(portal, server) if address.is_global]
    if not addresses:
        raise Skip
    permitted = [ipaddress.ip_network(text, strict=False) for text in _permitted(portal, domain)]
    refused = [one for one in addresses if not any(one in network for network in permitted)]
    return warn(domain=domain, server=server, address=refused[0]) if refused else None


def _addresses(portal: Portal, name: str) -> list[Address]:
    try:
        return [ipaddress.ip_address(name)]
    except ValueError:
        return [ipaddress.ip_address(text) for kind in ("A", "AAAA") for text in _records(portal, name, kind)]


def _permitted(portal: Portal, domain: str, depth: int = MOST_LOOKUPS) -> Iterator[str]:
    """Yield the addresses and networks that a policy permits. Raises Skip for one with rarer terms, such as macros."""
    for term in " ".join(_policies(portal, domain)).lower().split()[1:]:
        kind, _, value = term.removeprefix("+").replace("=", ":").partition(":")
        if kind not in SPF_TERMS or "%" in value or not depth:
            raise Skip
        if kind in ("ip4", "ip6"):
            yield value
        elif kind in ("include", "redirect"):
            yield from _permitted(portal, value, depth - 1)
        else:
            yield from (str(one) for host in _hosts(portal, kind, value or domain) for one in _addresses(portal, host))


def _hosts(portal: Portal, kind: str, name: str) -> list[str]:
    if kind == "mx":
        return [record.split()[1] for record in _records(portal, name, "MX")]
    return [name] if kind == "a" else []


@check
def dkim_selector(portal: Portal) -> Finding | None:
    return None if portal.config["MAIL_DKIM_SELECTOR"] else warn()


@check
def dkim(portal: Portal) -> Finding | None:
    if not portal.config["MAIL_DKIM_SELECTOR"]:
        raise Skip
    name = f"{portal.config['MAIL_DKIM_SELECTOR']}._domainkey.{_domain(portal)}"
    return None if any(map(DKIM_KEY.search, _records(portal, name))) else warn(name=name)


def _dmarc(portal: Portal) -> str:
    """Return the policy of the domain or of one above it (RFC 9989, 4.10: the tree walk)."""
    labels = _domain(portal).split(".")
    for start in range(max(1, len(labels) - 1)):
        for record in _records(portal, ".".join(["_dmarc", *labels[start:]])):
            if DMARC.match(record):
                return record
    return ""


@check
def dmarc(portal: Portal) -> Finding | None:
    return None if _dmarc(portal) else warn(domain=_domain(portal))


@check
def dmarc_policy(portal: Portal) -> Finding | None:
    record = _dmarc(portal)
    if not record:
        raise Skip
    return warn(domain=_domain(portal)) if re.search(r";\s*p\s*=\s*none", record, re.IGNORECASE) else None
