"""Reads the support mailbox (IMAP): each mail has its effect in one transaction and is then moved, never deleted."""

import hashlib
import imaplib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from flask import current_app
from imap_tools import BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxFolderCreateError, MailboxFolderSelectError, MailboxMoveError
from sqlalchemy.exc import OperationalError

from kmzportal.db import db
from kmzportal.logs import log_traceback
from kmzportal.mail.incoming import SIZE_READ, parse
from kmzportal.services import outbox, support_mail
from kmzportal.services.support_mail import Effect
from kmzportal.services.transaction import transaction

log = logging.getLogger(__name__)

ROUNDS = 3  # in which a mail may fail
_failed_rounds: Counter[str] = Counter()  # by hash of the mail; after a restart they begin anew

NOT_UNDERSTOOD = "{server} antwortet nicht, wie es das IMAP-Protokoll verlangt"
#: The first that matches; {} are settings.
FAULTS: tuple[tuple[type[Exception], str], ...] = (
    (socket.gaierror, "Den Mailserver {server} gibt es nicht. Prüfen Sie IMAP_SERVER"),
    (
        ssl.SSLCertVerificationError,
        "Das Zertifikat von {server} ist nicht gültig. Prüfen Sie IMAP_SERVER, MAIL_CA_FILE",
    ),
    (ssl.SSLError, "Mit {server} kommt keine sichere Verbindung zustande. Prüfen Sie IMAP_PORT und IMAP_USE_SSL"),
    (OSError, "{server} ist nicht erreichbar. Prüfen Sie IMAP_SERVER und IMAP_PORT"),
    (MailboxFolderSelectError, "Den Ordner „{folder}“ gibt es im Postfach nicht. Prüfen Sie IMAP_FOLDER"),
    (MailboxFolderCreateError, "Der Ordner „{done}“ lässt sich nicht anlegen. Prüfen Sie IMAP_DONE_FOLDER"),
    (MailboxMoveError, "In den Ordner „{done}“ lässt sich keine E-Mail verschieben. Prüfen Sie IMAP_DONE_FOLDER"),
    (imaplib.IMAP4.abort, "{server} hat die Verbindung beendet"),
)
UNENCRYPTED = "{server} bietet keine Verschlüsselung an. Prüfen Sie IMAP_PORT und IMAP_USE_SSL"
XOAUTH2 = "{server} nimmt kein Passwort an, nur XOAUTH2. Das wird nicht unterstützt"
LOGIN_REFUSED = "{server} nimmt die Anmeldung nicht an. Prüfen Sie IMAP_USERNAME und IMAP_PASSWORD"


class InboxFault(Exception):
    """The mailbox cannot be read; the German text names the cause, and the setting to check."""


def fetch_if_due() -> None:
    """Read the mailbox every IMAP_EVERY seconds, in only one of several worker processes."""
    every = timedelta(seconds=current_app.config["IMAP_EVERY"])
    if not outbox.is_due(db.session(), outbox.INBOX_LOOP, every, datetime.now(UTC)):
        return
    with transaction("worker") as tx:
        outbox.record_heartbeat(tx, outbox.INBOX_LOOP)
    failure = None
    try:
        fetch()
    except InboxFault as fault:
        failure = str(fault)
    with transaction("worker") as tx:
        changed = support_mail.record_outage(tx, failure)
    if changed:
        log.log(logging.ERROR if failure else logging.INFO, "Postfach: %s", failure or "wird wieder gelesen.")


def fetch() -> Counter[Effect]:
    """Read all mails of IMAP_FOLDER, oldest first; return how many had which effect. Raises InboxFault."""
    folder, done = current_app.config["IMAP_FOLDER"], current_app.config["IMAP_DONE_FOLDER"]
    effects: Counter[Effect] = Counter()
    with open_mailbox() as mailbox:
        if not mailbox.folder.exists(done):
            mailbox.folder.create(done)
        mailbox.folder.set(folder)
        for uid in sorted(mailbox.uids("UNDELETED", charset=None), key=int):
            if (raw := _read(mailbox, uid)) is not None and (effect := _receive(raw)):
                effects[effect] += 1
                mailbox.move(uid, done)
    return effects


def count_mails() -> int:
    """Return how many mails wait in IMAP_FOLDER; raises InboxFault."""
    with open_mailbox() as mailbox:
        mailbox.folder.set(current_app.config["IMAP_FOLDER"], readonly=True)
        return len(mailbox.uids("UNDELETED", charset=None))


@contextmanager
def open_mailbox() -> Iterator[BaseMailBox]:
    """Yield the mailbox, logged in over a verified connection; an error of the server becomes InboxFault."""
    config = current_app.config
    names = {
        "server": f"{config['IMAP_SERVER']}:{config['IMAP_PORT']}",
        "folder": config["IMAP_FOLDER"],
        "done": config["IMAP_DONE_FOLDER"],
    }
    try:
        mailbox = _connect()
        try:
            _log_in(mailbox)
            yield mailbox
        finally:
            with suppress(imaplib.IMAP4.error, ImapToolsError, OSError):
                mailbox.logout()
            with suppress(OSError):
                mailbox.client.shutdown()
    except InboxFault as fault:
        raise InboxFault(f"{fault}.".format(**names)) from None
    except (imaplib.IMAP4.error, ImapToolsError, OSError) as error:
        text = next((text for kind, text in FAULTS if isinstance(error, kind)), NOT_UNDERSTOOD)
        raise InboxFault(f"{text}.".format(**names)) from error


def _connect() -> BaseMailBox:
    config = current_app.config
    server, timeout = (config["IMAP_SERVER"], config["IMAP_PORT"]), config["MAIL_TIMEOUT"]
    if config["IMAP_USE_SSL"]:
        return MailBox(*server, timeout=timeout, ssl_context=_tls())
    return MailBoxUnencrypted(*server, timeout=timeout)  # encrypted before anything else is sent


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=current_app.config["MAIL_CA_FILE"] or None)


def _log_in(mailbox: BaseMailBox) -> None:
    if not current_app.config["IMAP_USE_SSL"]:
        if "STARTTLS" not in mailbox.client.capabilities:
            raise InboxFault(UNENCRYPTED)
        mailbox.client.starttls(_tls())
    name, password = current_app.config["IMAP_USERNAME"], current_app.config["IMAP_PASSWORD"]
    offered = mailbox.client.capabilities
    if "AUTH=XOAUTH2" in offered and "LOGINDISABLED" in offered and "AUTH=PLAIN" not in offered:
        raise InboxFault(XOAUTH2)
    log_in = mailbox.login if f"{name}{password}".isascii() else mailbox.login_utf8
    try:
        log_in(name, password, initial_folder=None)
    except imaplib.IMAP4.abort:
        raise
    except (imaplib.IMAP4.error, ImapToolsError):
        raise InboxFault(LOGIN_REFUSED) from None


def _read(mailbox: BaseMailBox, uid: str) -> bytes | None:
    """Return at most SIZE_READ bytes of the mail, which stays unread; None when another process has moved it."""
    _, data = mailbox.client.uid("FETCH", uid, f"(BODY.PEEK[]<0.{SIZE_READ}>)")
    return next((part[1] for part in data if isinstance(part, tuple)), None)


def _receive(raw: bytes) -> Effect | None:
    """Return the effect of the mail; None when it failed: then the mail stays in its folder for the next round.

    After ROUNDS failures a case names the mail, so that it is neither lost nor read for ever.
    """
    config = current_app.config
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    try:
        mail = parse(raw, config["MAIL_AUTHSERV_ID"]) if _failed_rounds[digest] < ROUNDS else None
        with transaction("worker") as tx:
            if mail:
                effect = support_mail.receive(tx, mail)
            else:
                effect = support_mail.receive_unreadable(tx, digest, config["IMAP_DONE_FOLDER"])
            outbox.record_heartbeat(tx, outbox.INBOX_LOOP)  # extends the lease
    except OperationalError:
        raise
    except Exception as error:  # must not block the other mails
        _failed_rounds[digest] += 1
        log_traceback("Eine E-Mail im Postfach", error)
        return None
    return effect
