"""An IMAP server (pymap) on loopback, in a thread, with a mailbox that tests fill and read over IMAP."""

import asyncio
import ssl
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from email import policy
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path

import trustme
from imap_tools import MailBox, MailBoxStartTls
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, DictBackend
from pymap.imap import IMAPServer
from pysasl import SASLAuth

USER, PASSWORD = "support@kmz-cw.de", "postfachpasswort"
STARTS_WITHIN = 10  # seconds


class XOAuth2Config(Config):
    """A server that accepts no password."""

    tls_auth = SASLAuth([])
    initial_capability = (b"LITERAL+", b"AUTH=XOAUTH2")


class PlainConfig(Config):
    """A server without encryption."""

    initial_capability = (b"LITERAL+",)


class Mailbox:
    """What tests do with the mailbox of a server over IMAP."""

    authority: str
    port: int
    starttls = False

    @contextmanager
    def mailbox(self) -> Iterator[MailBox]:
        context = ssl.create_default_context(cafile=self.authority)
        kind = MailBoxStartTls if self.starttls else MailBox
        with kind("127.0.0.1", self.port, timeout=10, ssl_context=context).login(USER, PASSWORD) as mailbox:
            yield mailbox

    def add(self, *mails: bytes, folder: str = "INBOX") -> None:
        with self.mailbox() as mailbox:
            for mail in mails:
                mailbox.append(mail, folder)

    def count(self, folder: str = "INBOX") -> int:
        with self.mailbox() as mailbox:
            return mailbox.folder.status(folder, ["MESSAGES"])["MESSAGES"]


class ImapServer(Mailbox):
    def __init__(self, tls: ssl.SSLContext, authority: str, starttls: bool, config_class: type[Config]):
        self.authority, self.starttls = authority, starttls
        self._tls, self._config_class = tls, config_class
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(STARTS_WITHIN)

    def end(self) -> None:
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(STARTS_WITHIN)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        arguments = Namespace(
            host="127.0.0.1", port=0, debug=False, cert=None, key=None, tls=self.starttls, proxy_protocol=None,
            passlib_cfg=None, demo_data=False, demo_user=USER, demo_password=PASSWORD,
        )  # fmt: skip
        backend, _ = await DictBackend.init(arguments)
        config = self._config_class.from_args(arguments, ssl_context=self._tls)
        config.apply_context()
        connected = ProxyProtocolReader(config.proxy_protocol).get_callback(IMAPServer(backend.login, config))
        implicit_tls = None if self.starttls else self._tls
        writers = []

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await connected(reader, writer)

        server = await asyncio.start_server(connect, "127.0.0.1", 0, ssl=implicit_tls)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            self._started.set()
            await self._ended.wait()
        for _ in range(3):  # a TLS handshake that was going on may still become a connection
            for writer in writers:
                writer.transport.abort()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0.1)


def certificate(folder: Path, host: str = "127.0.0.1") -> tuple[str, ssl.SSLContext]:
    """Make a certificate for a host; return the path of its authority and the server's TLS context."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return str(folder / "ca.pem"), context


@contextmanager
def listening(
    certificate: tuple[str, ssl.SSLContext], starttls: bool = False, config_class: type[Config] = Config
) -> Iterator[ImapServer]:
    authority, context = certificate
    server = ImapServer(context, authority, starttls, config_class)
    server.start()
    try:
        yield server
    finally:
        server.end()


def settings(server: Mailbox) -> dict[str, object]:
    """Return the portal's settings for this server."""
    return {
        "IMAP_SERVER": "127.0.0.1",
        "IMAP_PORT": server.port,
        "IMAP_USE_SSL": not server.starttls,
        "IMAP_USERNAME": USER,
        "IMAP_PASSWORD": PASSWORD,
        "MAIL_CA_FILE": server.authority,
        "MAIL_TIMEOUT": 5,
    }


def written(
    text: str = "Benötige neue Zugangsdaten für edupool",
    sender: str = "Erika Mustermann <erika.privat@web.de>",
    subject: str = "Zugangsdaten",
    **headers: str,
) -> bytes:
    """Return a mail as a person writes it; `Message_ID` in `headers` stands for Message-ID."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, USER, subject
    for name, value in ({"Message_ID": make_msgid(domain="web.de")} | headers).items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail.as_bytes()
