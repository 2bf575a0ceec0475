"""An SMTP server on loopback. It keeps the messages that it accepts and replies as a test asks it to."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.server.conftest import free_port

PASSWORD = "relaispasswort"
DELIVERED_WITHIN = 5  # seconds; one or two on an idle machine


class Message:
    def __init__(self, envelope: Envelope):
        self.to = envelope.rcpt_tos
        self.mail: EmailMessage = message_from_bytes(envelope.content, policy=policy.default)
        self.subject = str(self.mail["Subject"])
        self.text = self.mail.get_body(("plain",)).get_content().replace("\r\n", "\n")

    @property
    def link(self) -> str:
        return re.findall(r"^https?://\S+/link/\S+$", self.text, re.MULTILINE)[0]

    @property
    def code(self) -> str:
        return re.findall(r"^Code aus der E-Mail: (\S+)$", self.text, re.MULTILINE)[0]


class MailServer:
    """A handler for aiosmtpd. Its attributes are set by the test's thread and read by the server's."""

    def __init__(self) -> None:
        self._accepted = threading.Condition()
        self.reset()

    def reset(self) -> None:
        """Forget all messages and accept everything."""
        self.mail_reply = self.data_reply = ""  #: instead of "250 OK"
        self.rcpt_replies: dict[str, str] = {}  #: by recipient
        self.closed_at: set[str] = set()  #: recipients at which the connection is closed
        self.data_takes = 0.0  #: seconds until the reply to the final dot
        self.closes_at_quit = False
        self.messages: list[Message] = []
        self.senders: list[str] = []
        self.unencrypted: list[str] = []  #: senders without TLS
        self.client_names: list[str] = []  #: as given with EHLO

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.client_names.append(hostname)
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if not server.transport.get_extra_info("ssl_object"):
            self.unencrypted.append(address)
        if not self.mail_reply:
            envelope.mail_from = address
            self.senders.append(address)
        return self.mail_reply or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.closed_at:
            server.transport.abort()
        if address not in self.rcpt_replies:
            envelope.rcpt_tos.append(address)
        return self.rcpt_replies.get(address, "250 OK")

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if not self.data_reply:
            with self._accepted:
                self.messages.append(Message(envelope))
                self._accepted.notify_all()
        await asyncio.sleep(self.data_takes)
        return self.data_reply or "250 OK"

    async def handle_QUIT(self, server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        if self.closes_at_quit:
            server.transport.abort()
        return "221 Bye"

    def subjects(self, address: str) -> list[str]:
        """Return the subjects of all messages to this address, without the office's name."""
        return [message.subject.partition(" – ")[0] for message in self.messages if message.to == [address]]

    def wait_for(self, address: str, subject: str) -> Message:
        """Return the newest message to this address with this subject; wait for it for DELIVERED_WITHIN seconds."""

        def found() -> list[Message]:
            return [one for one in self.messages if one.to == [address] and one.subject.startswith(f"{subject} – ")]

        with self._accepted:
            assert self._accepted.wait_for(found, DELIVERED_WITHIN), f"{address} only got {self.subjects(address)}"
            return found()[-1]

    def wait_for_number(self, number: int) -> None:
        """Wait for so many messages, for DELIVERED_WITHIN seconds."""
        with self._accepted:
            assert self._accepted.wait_for(lambda: len(self.messages) >= number, DELIVERED_WITHIN), len(self.messages)


@contextmanager
def listening(server: MailServer, **options: Any) -> Iterator[int]:
    """Let the server listen on a free port and yield the port; `options` are those of aiosmtpd's Controller."""
    controller = Controller(server, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: LoginPassword
) -> AuthResult:
    return AuthResult(success=login.password == PASSWORD.encode(), handled=False)
