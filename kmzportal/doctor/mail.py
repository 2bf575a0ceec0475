"""The mail server as far as RCPT, without a mail, and the support mailbox."""

import smtplib
import socket
import ssl
from collections.abc import Callable
from functools import cached_property, partial, partialmethod
from typing import cast

from kmzportal.doctor.check import Checks, Finding, Skip, fail, warn
from kmzportal.mail import inbox
from kmzportal.mail.delivery import mail_server as server

STAGES = (
    *("smtp_name", "smtp_connection", "smtp_greeting", "smtp_encryption", "smtp_login", "smtp_sender"),
    "smtp_recipient",
)
#: The stage at which each error arises; the first that matches.
ERRORS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    ((socket.gaierror, UnicodeError), "smtp_name"),
    (ssl.SSLError, "smtp_encryption"),
    (smtplib.SMTPAuthenticationError, "smtp_login"),
    (smtplib.SMTPHeloError, "smtp_greeting"),
    (smtplib.SMTPNotSupportedError, "smtp_encryption"),
    (smtplib.SMTPConnectError, "smtp_connection"),
    (OSError, "smtp_connection"),
    (Exception, "smtp_login"),
)
MANY_WAIT = 20


def _words(code: int, reply: bytes | str) -> str:
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply
    return f"{code} {' '.join(text.split())}"


class MailServers(Checks):
    def mail_server(self) -> Finding | None:
        return None if self.config["MAIL_SERVER"] else warn()

    def _stage(self, stage: str) -> Finding | None:
        if not self.config["MAIL_SERVER"]:
            raise Skip
        failed, answer = self._talk
        if failed and STAGES.index(failed) < STAGES.index(stage):
            raise Skip
        name = f"{self.config['MAIL_SERVER']}:{self.config['MAIL_PORT']}"
        return fail(server=name, answer=answer) if failed == stage else None

    smtp_name = partialmethod(_stage, "smtp_name")
    smtp_connection = partialmethod(_stage, "smtp_connection")
    smtp_greeting = partialmethod(_stage, "smtp_greeting")
    smtp_encryption = partialmethod(_stage, "smtp_encryption")
    smtp_login = partialmethod(_stage, "smtp_login")
    smtp_sender = partialmethod(_stage, "smtp_sender")
    smtp_recipient = partialmethod(_stage, "smtp_recipient")

    @cached_property
    def _talk(self) -> tuple[str, str]:
        """Return the stage that failed and the server's own words; empty if it would take a mail."""
        try:
            with server.connect() as connection:
                smtp = cast(smtplib.SMTP, connection.host)
                smtp.ehlo_or_helo_if_needed()
                commands: tuple[tuple[str, Callable[[], tuple[int, bytes]]], ...] = (
                    ("smtp_sender", partial(smtp.mail, self.config["MAIL_DEFAULT_SENDER"][1])),
                    ("smtp_recipient", partial(smtp.rcpt, self.config["OFFICE_SUPPORT_EMAIL"])),
                )
                for stage, command in commands:
                    code, reply = command()
                    if code not in (250, 251):
                        return stage, _words(code, reply)
                smtp.rset()
        except Exception as error:  # whatever a server makes smtplib raise
            if isinstance(error, smtplib.SMTPResponseException):
                answer = _words(error.smtp_code, error.smtp_error)
            else:
                answer = str(error) or type(error).__name__
            if "AUTH extension" in answer:  # SMTPNotSupportedError of the login
                return "smtp_login", answer
            return next(stage for kind, stage in ERRORS if isinstance(error, kind)), answer
        return "", ""

    @cached_property
    def _waiting(self) -> int | str:
        """Return how many mails wait in the mailbox, or in German why it cannot be read."""
        if not self.config["IMAP_SERVER"]:
            raise Skip
        try:
            return inbox.count_mails()
        except inbox.InboxFault as fault:
            return str(fault)

    def mailbox(self) -> Finding | None:
        waiting = self._waiting
        return fail(answer=waiting) if isinstance(waiting, str) else None

    def mailbox_waiting(self) -> Finding | None:
        number = self._waiting
        if isinstance(number, str):
            raise Skip
        return warn(number=number, folder=self.config["IMAP_FOLDER"]) if number > MANY_WAIT else None
