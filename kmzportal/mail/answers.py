"""What a mail server said, in our words. Its own are not kept: some servers quote the link they dislike."""

import re
import smtplib
import ssl

from kmzportal.domain.outgoing_mail import MailState
from kmzportal.services.outbox import Answer

SENT = Answer(MailState.SENT, 250)
NO_ADDRESS = Answer(MailState.REFUSED, reason="Das ist keine gültige E-Mail-Adresse")
PATIENCE = "Der Mailserver nimmt die E-Mail gerade nicht an"
#: By the subject of the enhanced status code (RFC 3463, 4), else by the reply code (RFC 5321, 4.2.2).
BY_SUBJECT = {"1": "Adresse unbekannt", "2": "Postfach voll oder gesperrt"}
BY_CODE = {
    550: "Adresse unbekannt",
    551: "Adresse unbekannt",
    552: "Postfach voll oder gesperrt",
    553: "Adresse unbekannt",
}
OTHERWISE = "Der Mailserver weist die E-Mail ab"
#: The server does not want us, whatever the mail: it is closing, or we should log in or encrypt.
ABOUT_US = {421, 530, 534, 535, 538}
TROUBLES = (
    (smtplib.SMTPAuthenticationError, "Der Mailserver nimmt unsere Anmeldung nicht an"),
    (smtplib.SMTPSenderRefused, "Der Mailserver nimmt unseren Absender nicht an"),
    (smtplib.SMTPNotSupportedError, "Der Mailserver bietet keine Verschlüsselung oder Anmeldung an"),
    (ssl.SSLError, "Die Verbindung zum Mailserver ist nicht sicher; bitte sein Zertifikat prüfen"),
    (Exception, "Der Mailserver ist nicht erreichbar"),
)


def understood(error: smtplib.SMTPException | OSError) -> Answer:
    """Return what the failing of a try means: for the mail, or for the mail server as a whole."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _said(*next(iter(error.recipients.values())))
    if isinstance(error, smtplib.SMTPDataError):
        return _said(error.smtp_code, error.smtp_error)
    reason = next(text for kind, text in TROUBLES if isinstance(error, kind))
    return Answer(MailState.DEFERRED, getattr(error, "smtp_code", None), reason, disturbed=True)


def _said(code: int, text: bytes | str) -> Answer:
    if code < 500 or code in ABOUT_US:
        return Answer(MailState.DEFERRED, code, PATIENCE, disturbed=code in ABOUT_US)
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    status = re.match(r"5\.(\d{1,3})\.\d", words)
    reason = BY_SUBJECT.get(status[1], OTHERWISE) if status else BY_CODE.get(code, OTHERWISE)
    return Answer(MailState.REFUSED, code, reason)
