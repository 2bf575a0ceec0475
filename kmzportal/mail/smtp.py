"""The connection to the mail server (RFC 5321), and what each of its failures means."""

import base64
import re
import smtplib
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kmzportal.logs import log_traceback
from kmzportal.models import MailState
from kmzportal.plain_text import clean_lines
from kmzportal.services.outbox import DeliveryResult
from kmzportal.services.tokens import without_secrets

FINAL_DOT_TIMEOUT = 600  # seconds; RFC 5321, 4.5.3.2.6. Who gives up earlier sends the mail twice
LONGEST_REPLY = 500  # characters


class Client(smtplib.SMTP):
    """Waits longer for the reply to the final dot than for any other, and can log in with umlauts."""

    greeting = ""  #: the server's first line; many write their time into it
    greeted_at: datetime | None = None

    def connect(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        code, reply = super().connect(*args, **options)
        self.greeting, self.greeted_at = _text(reply), datetime.now(UTC)
        return code, reply

    def send(self, s: Any) -> None:
        super().send(s)
        if self.sock and not isinstance(s, str):  # the mail and its final dot; commands are str
            self.sock.settimeout(FINAL_DOT_TIMEOUT)

    def data(self, msg: Any) -> tuple[int, bytes]:
        try:
            return super().data(msg)
        finally:
            if self.sock:
                self.sock.settimeout(self.timeout)

    def login(self, user: str, password: str, **options: Any) -> tuple[int, bytes]:
        """Log in; other characters than ASCII only by AUTH PLAIN, which is in UTF-8 (RFC 4616, 2)."""
        if f"{user}{password}".isascii():
            return super().login(user, password, **options)
        self.ehlo_or_helo_if_needed()
        if "PLAIN" not in self.esmtp_features.get("auth", "").upper().split():
            raise OnlyAsciiLogin
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        code, reply = self.docmd("AUTH", f"PLAIN {token}")
        if code not in (235, 503):  # 503: already authenticated
            raise smtplib.SMTPAuthenticationError(code, reply)
        return code, reply


class EncryptedClient(Client, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""


class OnlyAsciiLogin(smtplib.SMTPException):
    """The server offers no AUTH PLAIN, and the other ways have no characters beyond ASCII."""


SENT = DeliveryResult(MailState.SENT, 250)
_LATER = "Der Mailserver nimmt die E-Mail gerade nicht an"
_REJECTED = "Der Mailserver weist die E-Mail ab"
_POLICY = "Der Mailserver nimmt von uns keine E-Mails an"
_MISFIT = "Die Verschlüsselung passt nicht zum Port. Prüfen Sie MAIL_PORT, MAIL_USE_TLS und MAIL_USE_SSL"
_ENCRYPT = "Der Mailserver verlangt Verschlüsselung. Prüfen Sie MAIL_USE_TLS und MAIL_USE_SSL"
_LOG_IN = "Der Mailserver verlangt eine Anmeldung. Prüfen Sie MAIL_USERNAME und MAIL_PASSWORD"
_NOT_REACHED = "Der Mailserver ist nicht erreichbar"
#: By the subject of the enhanced status code (RFC 3463, 4), else by the reply code (RFC 5321, 4.2.2).
_BY_STATUS = {"1": "Adresse unbekannt", "2": "Postfach voll oder gesperrt"}
_BY_CODE = {550: _BY_STATUS["1"], 551: _BY_STATUS["1"], 552: _BY_STATUS["2"], 553: _BY_STATUS["1"]}
#: The server refuses any mail from us: it is closing, or demands authentication or encryption.
_SENDER_CODES = {421, 523, 530, 534, 535, 538}
#: Policy (RFC 3463, 3.8), which qmail writes behind its text; and relaying, which some refuse without a status.
_ABOUT_POLICY = re.compile(r"5\.7\.(\d{1,3})")
_ABOUT_RELAYING = re.compile(
    r"\brelay(ing)?\b.{0,40}\b(denied|not|prohibited)\b|\b(not|unable|cannot)\b.{0,40}\brelay", re.IGNORECASE
)
_STATUS = re.compile(r"\b5\.\d{1,3}\.\d")
#: Policies of the recipient: a closed list (RFC 3463, 3.8), an owner who changed (RFC 7293, 14).
_RECIPIENT_POLICIES = {"2", "17", "18"}
#: The first that matches, where the server gave no reply; {} are settings.
_FAULTS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (socket.gaierror, "Den Namen {server} kennt das DNS nicht, oder es antwortet nicht. Prüfen Sie MAIL_SERVER"),
    (
        ConnectionRefusedError,
        "{server} nimmt auf Port {port} keine Verbindung an. Prüfen Sie MAIL_PORT",
    ),
    (TimeoutError, "{server} hat auf Port {port} nicht rechtzeitig geantwortet"),
    (ssl.SSLCertVerificationError, "Das Zertifikat des Mailservers ist nicht gültig. Prüfen Sie MAIL_CA_FILE"),
    (ssl.SSLError, _MISFIT),
    ((FileNotFoundError, PermissionError), "Die Datei MAIL_CA_FILE ist nicht lesbar"),
    (OnlyAsciiLogin, "Der Mailserver erlaubt in MAIL_USERNAME und MAIL_PASSWORD keine Umlaute und Sonderzeichen"),
    (smtplib.SMTPServerDisconnected, "Der Mailserver hat die Verbindung beendet"),
    (OSError, _NOT_REACHED),
)


def failure(error: Exception, settings: Mapping[str, Any]) -> DeliveryResult:
    """Return the result of a failed try, either for this mail or for the mail server as a whole."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _of_mail(*next(iter(error.recipients.values())), saw_content=False)
    if isinstance(error, smtplib.SMTPDataError):
        return _of_mail(error.smtp_code, error.smtp_error, saw_content=True)
    code, text = getattr(error, "smtp_code", None), _text(getattr(error, "smtp_error", ""))
    reason = _of_server(error, code, text) if code else _without_reply(error, settings)
    return DeliveryResult(MailState.DEFERRED, code, reason, server_failed=True, reply=_words(code, text))


def _of_mail(code: int, reply: bytes | str, saw_content: bool) -> DeliveryResult:
    """Return what the refusal of a recipient or of the text means.

    A policy about us (5.7.x) ends no mail: it is sent when the operator has corrected the cause. After the text 5.7.1
    may also mean the text, such as a spam filter: then this mail waits, and the next is sent.
    """
    text = _text(reply)
    words, found = _words(code, text), _ABOUT_POLICY.search(text)
    relaying = _ABOUT_RELAYING.search(text) and not _STATUS.search(text)  # 5.1.1 … unknown in relay recipient table
    policy = found[1] if found else ("relay" if relaying else None)
    about_us = code >= 500 and policy not in (None, *_RECIPIENT_POLICIES)
    if about_us and saw_content and policy == "1":
        return DeliveryResult(MailState.DEFERRED, code, _REJECTED, reply=words)
    if about_us or code in _SENDER_CODES:
        reason = _by_demand(code, text) or (_LATER if code < 500 else _POLICY)
        return DeliveryResult(MailState.DEFERRED, code, reason, server_failed=True, reply=words)
    if code < 500:
        return DeliveryResult(MailState.DEFERRED, code, _LATER, reply=words)
    return DeliveryResult(MailState.REFUSED, code, refusal_reason(code, text), reply=words)


def _by_demand(code: int, text: str) -> str | None:
    """Return which setting is missing when the server demands one (RFC 3207, 4; RFC 4954, 6)."""
    if code in (523, 538) or (code == 530 and "TLS" in text.upper()) or "5.7.10" in text:
        return _ENCRYPT
    return _LOG_IN if code == 530 else None


def _of_server(error: Exception, code: int, text: str) -> str:
    if demand := _by_demand(code, text):
        return demand
    if code < 500:
        return "Der Mailserver nimmt gerade keine E-Mails an"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "Der Mailserver nimmt unsere Anmeldung nicht an. Prüfen Sie MAIL_USERNAME und MAIL_PASSWORD"
    if isinstance(error, smtplib.SMTPSenderRefused):
        return "Der Mailserver nimmt unseren Absender nicht an. Prüfen Sie MAIL_DEFAULT_SENDER"
    return _POLICY


def _without_reply(error: Exception, settings: Mapping[str, Any]) -> str:
    if isinstance(error, smtplib.SMTPNotSupportedError):
        what = "Verschlüsselung (STARTTLS)" if "STARTTLS" in str(error) else "Anmeldung"
        return f"Der Mailserver bietet keine {what} an. Prüfen Sie MAIL_PORT, MAIL_USE_TLS und MAIL_USE_SSL"
    cause = error.__context__ if isinstance(error.__context__, TimeoutError) else error  # smtplib hides a timeout
    reason = next((text for kind, text in _FAULTS if isinstance(cause, kind)), None)
    if reason is None:
        log_traceback("Mailserver", error)
        name = type(error).__name__
        reason = f"Die Verbindung zum Mailserver ist nicht möglich ({name}). Prüfen Sie die Einstellungen MAIL_…"
    if isinstance(cause, TimeoutError) and settings["MAIL_PORT"] == 465 and not settings["MAIL_USE_SSL"]:
        reason = _MISFIT
    return reason.format(server=settings["MAIL_SERVER"], port=settings["MAIL_PORT"])


def refusal_reason(code: int | None, reply: str) -> str:
    """Return in German why a server refused or returned a mail; `reply` begins with its status code (RFC 3463)."""
    status = re.match(r"5\.(\d{1,3})\.\d", reply)
    return _BY_STATUS.get(status[1], _REJECTED) if status else _BY_CODE.get(code or 0, _REJECTED)


def _text(reply: bytes | str) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else reply


def _words(code: int | None, text: str) -> str | None:
    """Return the server's own words in one printable line, without the secrets of a mail that they may quote."""
    if code is None:
        return None
    line = " ".join(clean_lines(f"{code} {text}").split())
    return without_secrets(line)[:LONGEST_REPLY]
