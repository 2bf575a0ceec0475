"""The sender's domain in the DNS: whether other servers believe that a mail is from the office."""

import ipaddress
import re
from collections.abc import Iterator
from functools import cached_property

import dns.resolver
from dns.exception import DNSException

from kmzportal.doctor.check import TIMEOUT, Checks, Finding, Skip, fail, warn

MOST_LOOKUPS = 10  # RFC 7208, 4.6.4
SPF, DMARC, DKIM_KEY = (re.compile(text, re.IGNORECASE) for text in (r"v=spf1( |$)", r"v=DMARC1\b", r"\bp=\s*\w"))
SPF_TERMS = {"ip4", "ip6", "include", "redirect", "a", "mx", "all", "-all", "~all", "?all", "exp"}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _ask(name: str, kind: str) -> list[str]:
    """Return the records; none where the name or the kind does not exist. Raises DNSException without an answer."""
    try:
        found = dns.resolver.get_default_resolver().resolve(name, kind, lifetime=TIMEOUT)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    if kind == "TXT":
        return [b"".join(record.strings).decode(errors="replace") for record in found]
    return [record.to_text() for record in found]


class SenderDomain(Checks):
    @cached_property
    def _domain(self) -> str:
        if self.config.get("DEMO"):  # it asks no other computer
            raise Skip
        return str(self.config["MAIL_DEFAULT_SENDER"][1]).rpartition("@")[2]

    @cached_property
    def _silence(self) -> str:
        """Return why no DNS server answers; empty when one does."""
        try:
            _ask(self._domain, "MX")
        except DNSException as error:
            return str(error) or type(error).__name__
        return ""

    def _records(self, name: str, kind: str = "TXT") -> list[str]:
        if self._silence:
            raise Skip
        try:
            return _ask(name, kind)
        except DNSException:
            raise Skip from None

    def dns_server(self) -> Finding | None:
        silence = self._silence
        return warn(answer=silence) if silence else None

    def sender_mx(self) -> Finding | None:
        domain = self._domain
        routes = self._records(domain, "MX") or self._records(domain, "A") or self._records(domain, "AAAA")
        accepts = [route for route in routes if not route.endswith(" .")]  # RFC 7505: accepts no mail
        return None if accepts else fail(domain=domain)

    def _policies(self, domain: str) -> list[str]:
        return [record for record in self._records(domain) if SPF.match(record)]

    def spf(self) -> Finding | None:
        domain = self._domain
        number = len(self._policies(domain))
        server = self.config["MAIL_SERVER"] or f"mail.{domain}"
        return None if number == 1 else warn(domain=domain, number=number, server=server)

    def spf_relay(self) -> Finding | None:
        """Whether the mail server's own addresses may send; that of one in the local network is not known."""
        server, domain = self.config["MAIL_SERVER"], self._domain
        if not server or len(self._policies(domain)) != 1:
            raise Skip
        addresses = [address for address in self._addresses(server) if address.is_global]
        if not addresses:
            raise Skip
        permitted = [ipaddress.ip_network(text, strict=False) for text in self._permitted(domain)]
        refused = [one for one in addresses if not any(one in network for network in permitted)]
        return warn(domain=domain, server=server, address=refused[0]) if refused else None

    def _addresses(self, name: str) -> list[Address]:
        try:
            return [ipaddress.ip_address(name)]
        except ValueError:
            return [ipaddress.ip_address(text) for kind in ("A", "AAAA") for text in self._records(name, kind)]

    def _permitted(self, domain: str, depth: int = MOST_LOOKUPS) -> Iterator[str]:
        """Yield the addresses and networks that a policy permits. Raises Skip for rarer terms, such as macros."""
        for term in " ".join(self._policies(domain)).lower().split()[1:]:
            kind, _, value = term.removeprefix("+").replace("=", ":").partition(":")
            if kind not in SPF_TERMS or "%" in value or not depth:
                raise Skip
            if kind in ("ip4", "ip6"):
                yield value
            elif kind in ("include", "redirect"):
                yield from self._permitted(value, depth - 1)
            else:
                yield from (str(one) for host in self._hosts(kind, value or domain) for one in self._addresses(host))

    def _hosts(self, kind: str, name: str) -> list[str]:
        if kind == "mx":
            return [record.split()[1] for record in self._records(name, "MX")]
        return [name] if kind == "a" else []

    def dkim_selector(self) -> Finding | None:
        return None if self.config["MAIL_DKIM_SELECTOR"] else warn()

    def dkim(self) -> Finding | None:
        if not self.config["MAIL_DKIM_SELECTOR"]:
            raise Skip
        name = f"{self.config['MAIL_DKIM_SELECTOR']}._domainkey.{self._domain}"
        return None if any(map(DKIM_KEY.search, self._records(name))) else warn(name=name)

    @cached_property
    def _dmarc(self) -> str:
        """Return the policy of the domain or of one above it (RFC 9989, 4.10: the tree walk)."""
        labels = self._domain.split(".")
        for start in range(max(1, len(labels) - 1)):
            for record in self._records(".".join(["_dmarc", *labels[start:]])):
                if DMARC.match(record):
                    return record
        return ""

    def dmarc(self) -> Finding | None:
        return None if self._dmarc else warn(domain=self._domain)

    def dmarc_policy(self) -> Finding | None:
        record = self._dmarc
        if not record:
            raise Skip
        return warn(domain=self._domain) if re.search(r";\s*p\s*=\s*none", record, re.IGNORECASE) else None
