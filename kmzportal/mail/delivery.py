"""Sends the mails that are due, each outside of any transaction. The log contains no text of a mail."""

import logging
import re
import smtplib
import ssl
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from flask import current_app
from flask_mail import Connection, Mail

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.mail.compose import Email, compose
from kmzportal.models import MailState, OutgoingMail
from kmzportal.services import outbox
from kmzportal.services.outbox import DeliveryResult
from kmzportal.services.transaction import link_keys, transaction

log = logging.getLogger(__name__)


class VerifiedConnection(Connection):
    """Flask-Mail's connection with certificate check, timeout and EHLO name; an error of QUIT does not fail a mail."""

    def __enter__(self) -> Self:
        self.host = self.configure_host()
        return self

    def __exit__(self, kind: type[BaseException], error: BaseException, trace: TracebackType) -> None:
        if self.host is None:
            return
        try:
            self.host.quit()
        except (smtplib.SMTPException, OSError):  # the mail is already accepted or refused
            self.host.close()

    def configure_host(self) -> smtplib.SMTP:
        context = ssl.create_default_context(cafile=current_app.config["MAIL_CA_FILE"] or None)
        name = urlsplit(current_app.config["PUBLIC_URL"]).hostname or "localhost"
        server = (self.mail.server, self.mail.port, name.encode("idna").decode())
        timeout = current_app.config["MAIL_TIMEOUT"]
        if self.mail.use_ssl:
            host: smtplib.SMTP = smtplib.SMTP_SSL(*server, timeout=timeout, context=context)
        else:
            host = smtplib.SMTP(*server, timeout=timeout)
        try:
            if self.mail.use_tls:
                host.starttls(context=context)
            if self.mail.username:
                host.login(self.mail.username, self.mail.password)
        except BaseException:
            host.close()
            raise
        return host


class MailServer(Mail):
    def connect(self) -> VerifiedConnection:
        return VerifiedConnection(current_app.extensions["mail"])


mail_server = MailServer()


def deliver_due() -> int:
    """Send the mails that are due and return how many were accepted; stop when the mail server fails."""
    if not current_app.config["MAIL_SERVER"]:
        return 0
    accepted = 0
    for mail_id in outbox.due(db.session(), datetime.now(UTC)):
        result = _deliver(mail_id)
        accepted += result is SENT
        if result and result.server_failed:
            break
    return accepted


def post(email: Email) -> DeliveryResult:
    sender = current_app.config["MAIL_DEFAULT_SENDER"][1]
    try:
        with mail_server.connect() as connection:
            connection.send(email, envelope_from=sender)
    except (smtplib.SMTPException, OSError) as error:
        return result_of(error)
    return SENT


def _deliver(mail_id: int) -> DeliveryResult | None:
    with transaction("worker") as tx:
        mail = outbox.claim(tx, mail_id)
    if mail is None:
        return None
    lease = mail.leased_until
    email = _compose(mail)
    result = post(email) if isinstance(email, Email) else email
    with transaction("worker") as tx:
        settled = outbox.settle(tx, mail_id, lease, result)
    level = logging.INFO if result is SENT else logging.WARNING
    log.log(level, "Mail %d: %s %s %s", mail_id, result.state, result.code or "", result.reason or "")
    if not settled:
        log.warning("Mail %d: took longer than its lease, another process has it", mail_id)
    return result


def _compose(mail: OutgoingMail) -> Email | DeliveryResult:
    """Return the mail, or the result if it cannot be composed: it is deferred, as the cause may be corrected."""
    try:
        mail_address.mailable(mail.recipient)
    except mail_address.InvalidAddress:
        return INVALID_RECIPIENT
    try:
        email = compose(mail, link_keys(), current_app.config, datetime.now(UTC))
        email.as_bytes()
    except Exception as error:  # must not block the other mails
        name = type(error).__name__
        log.error("Mail %d: %s\n%s", mail.id, name, "".join(traceback.format_tb(error.__traceback__)))
        return DeliveryResult(MailState.DEFERRED, reason=f"Die E-Mail konnte nicht geschrieben werden ({name})")
    return email


SENT = DeliveryResult(MailState.SENT, 250)
INVALID_RECIPIENT = DeliveryResult(MailState.REFUSED, reason="Das ist keine gültige E-Mail-Adresse")
_NOT_NOW = "Der Mailserver nimmt die E-Mail gerade nicht an"
#: By the subject of the enhanced status code (RFC 3463, 4), else by the reply code (RFC 5321, 4.2.2).
_BY_STATUS = {"1": "Adresse unbekannt", "2": "Postfach voll oder gesperrt"}
_BY_CODE = {550: _BY_STATUS["1"], 551: _BY_STATUS["1"], 552: _BY_STATUS["2"], 553: _BY_STATUS["1"]}
_REJECTED = "Der Mailserver weist die E-Mail ab"
#: The server refuses any mail from us: it is closing, or demands authentication or encryption.
_SENDER_CODES = {421, 530, 534, 535, 538}
_CONNECTION_FAULTS = (
    (smtplib.SMTPAuthenticationError, "Der Mailserver nimmt unsere Anmeldung nicht an"),
    (smtplib.SMTPSenderRefused, "Der Mailserver nimmt unseren Absender nicht an"),
    (smtplib.SMTPNotSupportedError, "Der Mailserver bietet keine Verschlüsselung oder Anmeldung an"),
    (ssl.SSLError, "Die Verbindung zum Mailserver ist nicht sicher; bitte sein Zertifikat prüfen"),
    (Exception, "Der Mailserver ist nicht erreichbar"),
)


def result_of(error: smtplib.SMTPException | OSError) -> DeliveryResult:
    """Return the result of a failed try, either for this mail or for the mail server as a whole."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _from_reply(*next(iter(error.recipients.values())))
    if isinstance(error, smtplib.SMTPDataError):
        return _from_reply(error.smtp_code, error.smtp_error)
    reason = next(text for kind, text in _CONNECTION_FAULTS if isinstance(error, kind))
    return DeliveryResult(MailState.DEFERRED, getattr(error, "smtp_code", None), reason, server_failed=True)


def _from_reply(code: int, text: bytes | str) -> DeliveryResult:
    if code < 500 or code in _SENDER_CODES:
        return DeliveryResult(MailState.DEFERRED, code, _NOT_NOW, server_failed=code in _SENDER_CODES)
    reply = text.decode(errors="replace") if isinstance(text, bytes) else text
    return DeliveryResult(MailState.REFUSED, code, refusal_reason(code, reply))


def refusal_reason(code: int | None, reply: str) -> str:
    """Return in German why a server refused or returned a mail; `reply` begins with its status code (RFC 3463)."""
    status = re.match(r"5\.(\d{1,3})\.\d", reply)
    return _BY_STATUS.get(status[1], _REJECTED) if status else _BY_CODE.get(code or 0, _REJECTED)
