"""Posts what is due: each mail on its own, outside any transaction, and with no word about its content in the log."""

import logging
import smtplib
import ssl
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from flask import current_app
from flask_mail import Connection, Mail

from kmzportal.db import db
from kmzportal.domain import mail_address
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail
from kmzportal.mail.answers import NO_ADDRESS, SENT, understood
from kmzportal.mail.compose import Letter, compose
from kmzportal.services import outbox
from kmzportal.services.outbox import Answer
from kmzportal.unit_of_work import link_keys, unit_of_work

log = logging.getLogger(__name__)


class VerifiedConnection(Connection):
    """Checks certificates, gives up in time, says its public name, and never speaks of a sent mail as failed."""

    def __enter__(self) -> Self:
        self.host = self.configure_host()
        return self

    def __exit__(self, kind: type[BaseException], error: BaseException, trace: TracebackType) -> None:
        if self.host is None:
            return
        try:
            self.host.quit()
        except (smtplib.SMTPException, OSError):  # by now the mail is accepted or refused
            self.host.close()

    def configure_host(self) -> smtplib.SMTP:
        context = ssl.create_default_context(cafile=current_app.config["MAIL_CA_FILE"] or None)
        host = self._connected(context)
        try:
            if self.mail.use_tls:
                host.starttls(context=context)
            if self.mail.username:
                host.login(self.mail.username, self.mail.password)
        except BaseException:
            host.close()
            raise
        return host

    def _connected(self, context: ssl.SSLContext) -> smtplib.SMTP:
        name = urlsplit(current_app.config["PUBLIC_URL"]).hostname or "localhost"
        place = (self.mail.server, self.mail.port, name.encode("idna").decode())
        timeout = current_app.config["MAIL_TIMEOUT"]
        if self.mail.use_ssl:
            return smtplib.SMTP_SSL(*place, timeout=timeout, context=context)
        return smtplib.SMTP(*place, timeout=timeout)


class MailServer(Mail):
    def connect(self) -> VerifiedConnection:
        return VerifiedConnection(current_app.extensions["mail"])


mail_server = MailServer()


def deliver_due() -> int:
    """Post the mails that are due and return how many were taken; stop when the mail server is disturbed."""
    if not current_app.config["MAIL_SERVER"]:
        return 0
    taken = 0
    for mail_id in outbox.due(db.session(), datetime.now(UTC)):
        answer = _deliver(mail_id)
        taken += answer is SENT
        if answer and answer.disturbed:
            break
    return taken


def post(letter: Letter) -> Answer:
    """Hand the letter to the mail server and return what it answered."""
    sender = mail_address.mailable(current_app.config["MAIL_DEFAULT_SENDER"])
    try:
        with mail_server.connect() as connection:
            connection.send(letter, envelope_from=sender)
    except (smtplib.SMTPException, OSError) as error:
        return understood(error)
    return SENT


def _deliver(mail_id: int) -> Answer | None:
    with unit_of_work("worker") as work:
        mail = outbox.claim(work, mail_id)
    if mail is None:
        return None
    lease = mail.leased_until
    letter = _write(mail)
    answer = post(letter) if isinstance(letter, Letter) else letter
    with unit_of_work("worker") as work:
        settled = outbox.settle(work, mail_id, lease, answer)
    level = logging.INFO if answer is SENT else logging.WARNING
    log.log(level, "Mail %d: %s %s %s", mail_id, answer.state, answer.code or "", answer.reason or "")
    if not settled:
        log.warning("Mail %d: took longer than its lease, another process has it", mail_id)
    return answer


def _write(mail: OutgoingMail) -> Letter | Answer:
    """Compose the mail; what cannot be composed waits for somebody who mends the cause."""
    try:
        mail_address.mailable(mail.recipient)
    except mail_address.NotAnAddress:
        return NO_ADDRESS
    try:
        letter = compose(mail, link_keys(), current_app.config, datetime.now(UTC))
        letter.as_bytes()
    except Exception as error:  # whatever it is, it must not keep the other mails
        name = type(error).__name__
        log.error("Mail %d: %s\n%s", mail.id, name, "".join(traceback.format_tb(error.__traceback__)))
        return Answer(MailState.DEFERRED, reason=f"Die E-Mail konnte nicht geschrieben werden ({name})")
    return letter
