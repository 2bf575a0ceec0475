"""The mail server as far as RCPT, without a mail, and the support mailbox."""

import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import cached_property, partial, partialmethod
from typing import cast

from kmzportal.doctor.check import CLOCKS_DIFFER, Checks, Finding, Skip, fail, warn
from kmzportal.mail import inbox
from kmzportal.mail.delivery import mail_server as server
from kmzportal.mail.smtp import Client

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
DATE = re.compile(r"[A-Z][a-z]{2}, +\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}")  # RFC 5322, 3.3


def _words(code: int, reply: bytes | str) -> str:
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply
    return f"{code} {' '.join(text.split())}"


def _seconds_apart(smtp: Client) -> int | None:
    """Return by how many seconds the clocks differ; None if the greeting has no time."""
    found = DATE.search(smtp.greeting)
    if not found or not smtp.greeted_at:
        return None
    return round(abs((parsedate_to_datetime(found[0]) - smtp.greeted_at).total_seconds()))


class MailServers(Checks):
    _seconds_apart: int | None = None  # from the mail server's clock, after _talk

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

    def smtp_clock(self) -> Finding | None:
        if not self.config["MAIL_SERVER"] or self._talk[0] or self._seconds_apart is None:
            raise Skip
        return fail(seconds=self._seconds_apart) if self._seconds_apart > CLOCKS_DIFFER else None

    @cached_property
    def _talk(self) -> tuple[str, str]:
        """Return the stage that failed and the server's own words; empty if it would take a mail."""
        try:
            with server.connect() as connection:
                smtp = cast(Client, connection.host)
                self._seconds_apart = _seconds_apart(smtp)
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
