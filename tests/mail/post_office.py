"""A real mail server on loopback that answers as it is told."""

import asyncio
import datetime
import ipaddress
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.server.conftest import free_port

PASSWORD = "relaispasswort"


@dataclass
class PostOffice:
    """What it answers: `at_rcpt` by recipient, the rest to everybody. What it saw: letters, names, ways."""

    at_mail: str = ""
    at_rcpt: dict = field(default_factory=dict)
    at_data: str = ""
    hangs_at_data: bool = False
    drops: set = field(default_factory=set)  # recipients at whom it hangs up
    hangs_up_instead_of_bye: bool = False
    letters: list = field(default_factory=list)
    senders: list = field(default_factory=list)
    names: list = field(default_factory=list)
    in_clear: list = field(default_factory=list)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802
        session.host_name = hostname
        self.names.append(hostname)
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        if not session.ssl:
            self.in_clear.append(address)
        if self.at_mail:
            return self.at_mail
        envelope.mail_from = address
        self.senders.append(address)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.drops:
            server.transport.abort()
        if answer := self.at_rcpt.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.hangs_at_data:
            await asyncio.Event().wait()
        if self.at_data:
            return self.at_data
        self.letters.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        if self.hangs_up_instead_of_bye:
            server.transport.abort()
        return "221 Bye"

    @property
    def recipients(self):
        return [letter["To"] for letter in self.letters]


class Opened:
    """The post office, open on a free port for a while."""

    def __init__(self, office, **how):
        self.office = office
        self.port = free_port()
        self.controller = Controller(office, hostname="127.0.0.1", port=self.port, **how)

    def __enter__(self):
        self.controller.start()
        return self

    def __exit__(self, *_):
        self.controller.stop()


def accepts(server, session, envelope, mechanism, login):
    return AuthResult(success=login.password == PASSWORD.encode(), handled=False)


def certificate(folder, name="127.0.0.1"):
    """Write an own authority and a certificate for the mail server; return the authority's file and a TLS context."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _signed("Eigene Zertifizierungsstelle", authority_key, authority_key, "Eigene Zertifizierungsstelle")
    server = _signed(name, key, authority_key, "Eigene Zertifizierungsstelle", name)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(server.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "server.key").write_bytes(key.private_bytes(pem, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return str(folder / "ca.pem"), context


def _signed(subject, key, by, issuer, address=None):
    now = datetime.datetime.now(datetime.UTC)
    named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(named[0])
        .issuer_name(named[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    else:
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
    return builder.sign(by, hashes.SHA256())
