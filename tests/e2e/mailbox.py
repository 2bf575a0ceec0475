"""A real mail server that keeps what it is given, and the letters in it."""

import re
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import Envelope

MAILED_WITHIN = 5  # seconds; "a second or two" on an idle machine


class Letter:
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


class Mailbox:
    """All letters in the order they came. What is asked for is waited for."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.refused: set[str] = set()  #: recipients whom it does not know
        self._came = threading.Condition()

    async def handle_RCPT(  # noqa: N802
        self, _server: object, _session: object, envelope: Envelope, address: str, _options: object
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:  # noqa: N802
        with self._came:
            self.letters.append(Letter(envelope))
            self._came.notify_all()
        return "250 OK"

    def to(self, address: str) -> list[str]:
        """Return the subjects of all letters to this address, without the office's name."""
        return [letter.subject.partition(" – ")[0] for letter in self.letters if letter.to == [address]]

    def letter(self, address: str, subject: str) -> Letter:
        """Return the newest letter to this address with this subject."""

        def found() -> list[Letter]:
            return [one for one in self.letters if one.to == [address] and one.subject.startswith(f"{subject} – ")]

        with self._came:
            assert self._came.wait_for(found, MAILED_WITHIN), f"to {address} came only {self.to(address)}"
            return found()[-1]

    def empty(self) -> None:
        with self._came:
            self.letters.clear()
            self.refused.clear()
