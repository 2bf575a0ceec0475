"""Sends the mails that are due, each outside of any transaction. The log contains no text of a mail."""

import logging
import random
import re
import smtplib
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

from flask import Flask, current_app
from flask_mail import Connection, Mail
from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.logs import log_traceback
from kmzportal.mail import smtp
from kmzportal.mail.compose import Email, compose
from kmzportal.mail.smtp import SENT, failure
from kmzportal.models import MailState, OutgoingMail
from kmzportal.services import outbox
from kmzportal.services.outbox import DeliveryResult
from kmzportal.services.transaction import link_keys, transaction

LONGEST_PAUSE = 1.0  # seconds before a mail, and before it looks again for a free connection
CHECK_EVERY = timedelta(minutes=1)
RENEW_EVERY = 10.0  # seconds; the lease of outbox.LEASE then survives clocks that differ by a minute

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
            host: smtplib.SMTP = smtp.EncryptedClient(*server, timeout=timeout, context=context)
        else:
            host = smtp.Client(*server, timeout=timeout)
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
    """Send the mails that are due, one after another, and return how many were accepted; end when the server fails."""
    tried, refused, accepted = set[int](), set[str](), 0
    while turn := [mail for mail in _due() if mail.id not in tried]:
        for mail in turn:
            result = _send(mail.id, refused)
            accepted += result is SENT
            if result and result.server_failed:
                return accepted
        tried.update(mail.id for mail in turn)
    return accepted


def _due(to_strangers: bool | None = None) -> Sequence[Row[int, str]]:
    if not (current_app.config["MAIL_SERVER"] or current_app.config.get("DEMO")):
        return ()
    found = outbox.due(db.session(), datetime.now(UTC), to_strangers)
    db.session.commit()  # each mail is sent outside of any transaction
    return found


class Deliveries:
    """Sends mails side by side, in threads.

    Were they sent in a row, whoever asks for links to his own address, another one, and his own again would learn from
    the time between his two mails whether the other has an account. So no mail waits for one to another recipient: each
    begins after a random pause, whose bounds depend on nothing, and only mails to one recipient follow each other. Nor
    is there a bound of those that pause, which the next one would show to be reached; outbox.due returns at most 100.

    `to_strangers`: only mails that anyone can cause, TO_STRANGERS, or only the others; `at_once`: connections, also for
    check_server_if_due.
    """

    def __init__(self, to_strangers: bool, at_once: int):
        self.to_strangers = to_strangers
        self.in_flight: set[str] = set()  # recipients
        self.refused: set[str] = set()  # domains, see _outage_proven
        self.ending = False
        self._failed = threading.Event()
        self._places = threading.Semaphore(at_once)

    def start_due(self) -> None:
        """Start sending what is due, and return at once."""
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        self._failed.clear()
        for mail in _due(self.to_strangers):
            if mail.recipient_canonical not in self.in_flight:
                self.in_flight.add(mail.recipient_canonical)
                threading.Thread(target=self._deliver, args=(app, *mail), daemon=True).start()

    def _deliver(self, app: Flask, mail_id: int, recipient: str) -> None:
        with self._place():
            try:
                with app.app_context():
                    if not (self.ending or self._failed.is_set()):
                        result = _send(mail_id, self.refused)
                        if result and result.server_failed:  # what waits is tried later
                            self._failed.set()
            except DBAPIError as error:
                log.warning("Mail %d: %s", mail_id, type(error.orig).__name__)
            finally:
                self.in_flight.discard(recipient)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Pause, then take a free connection; if none is free, pause again. Nothing queues, as its order would tell."""
        free = False
        while not free:
            time.sleep(random.uniform(0, LONGEST_PAUSE))  # noqa: S311  hides times; nothing is derived from it
            free = self._places.acquire(blocking=False)
        try:
            yield
        finally:
            self._places.release()

    def check_server_if_due(self) -> None:
        """Look every CHECK_EVERY whether the server takes mails from us, and store it for outbox.public_outage.

        By one of these connections: a further one may be refused by a provider that accepts no more, and would be while
        mails to customers fill the others, so that the public page tells of them.
        """
        if not current_app.config["MAIL_SERVER"]:
            return
        if not outbox.is_due(db.session(), outbox.SERVER_LOOP, CHECK_EVERY, datetime.now(UTC)):
            return
        db.session.commit()  # no connection of the database is held meanwhile
        with self._place():
            fault = _check_server()
        with transaction("worker") as tx:
            changed = outbox.record_result(tx, outbox.SERVER_LOOP, fault)
        if changed:
            log.log(logging.WARNING if fault else logging.INFO, "Mailserver: %s", fault or "nimmt E-Mails an.")

    def end(self, deadline: float) -> None:
        """Start nothing more, and wait for what is being sent until this time of time.monotonic()."""
        self.ending = True
        while self.in_flight and time.monotonic() < deadline:
            time.sleep(0.05)


def _check_server() -> str | None:
    """Return in German why the mail server takes no mail from our sender, or None."""
    sender = current_app.config["MAIL_DEFAULT_SENDER"][1]
    try:
        with mail_server.connect() as connection:
            host = cast(smtplib.SMTP, connection.host)
            host.ehlo_or_helo_if_needed()
            code, reply = host.mail(sender)
            if code != 250:
                raise smtplib.SMTPSenderRefused(code, reply, sender)
            host.rset()
    except Exception as error:  # whatever a server makes smtplib raise
        return failure(error, current_app.config).reason
    return None


def post(email: Email) -> DeliveryResult:
    """Send the mail, but not in the demo; whatever the connection or the login raises is the result."""
    if current_app.config.get("DEMO"):  # its mailbox shows the outbox
        return SENT
    connected = False
    try:
        sender = current_app.config["MAIL_DEFAULT_SENDER"][1]
        with mail_server.connect() as connection:
            connected = True
            connection.send(email, envelope_from=sender)
    except Exception as error:
        result = failure(error, current_app.config)
        in_session = connected and not isinstance(error, smtplib.SMTPSenderRefused)
        return replace(result, may_be_recipient=result.server_failed and in_session)
    return SENT


def _outage_proven(result: DeliveryResult, mail: OutgoingMail, refused: set[str]) -> DeliveryResult:
    """Return the result; what may be due to the recipient is an outage from the second domain on, if none succeeds.

    Otherwise a domain that the server blocks, or that lets it wait, would delay the mails of others. An address that
    belongs to no account counts never: anyone may have typed it.
    """
    if result is SENT:
        refused.clear()
    if not result.may_be_recipient:
        return result
    if not _is_unproven(mail):
        refused.add(mail.recipient_canonical.rpartition("@")[2])
        if len(refused) > 1:
            return result
    return replace(result, server_failed=False)


def _send(mail_id: int, refused: set[str]) -> DeliveryResult | None:
    with transaction("worker") as tx:
        mail = outbox.claim(tx, mail_id)
    if mail is None:
        return None
    email = _compose(mail)
    with _renewed_lease(mail.id, mail.tries):
        result = post(email) if isinstance(email, Email) else email
    result = _outage_proven(result, mail, refused)
    with transaction("worker") as tx:
        settled = outbox.settle(tx, mail.id, mail.tries, result)
    level = logging.INFO if result is SENT else logging.WARNING
    words = f" – {ADDRESS.sub('…', result.reply)}" if result.reply else ""
    log.log(level, "Mail %d: %s %s %s%s", mail_id, result.state, result.code or "", result.reason or "", words)
    if not settled:
        log.warning("Mail %d: another process has settled it", mail_id)
    return result


def _is_unproven(mail: OutgoingMail) -> bool:
    """Return whether the address belongs to no account yet: it is in a written request, or to be confirmed."""
    return not (mail.customer_id or mail.clerk_id) or bool(mail.link and mail.link.policy.confirms_address)


@contextmanager
def _renewed_lease(mail_id: int, claim: int) -> Iterator[None]:
    """Renew the lease, in a thread, as long as the mail is being sent: the final dot alone may take ten minutes."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    sent = threading.Event()

    def renew() -> None:
        while not sent.wait(RENEW_EVERY):
            try:
                with app.app_context(), transaction("worker") as tx:
                    outbox.renew_lease(tx, mail_id, claim)
            except DBAPIError as error:
                log.warning("Mail %d: lease not renewed (%s)", mail_id, type(error.orig).__name__)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        sent.set()
        thread.join()


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
        log_traceback(f"Mail {mail.id}", error)
        reason = f"Die E-Mail konnte nicht geschrieben werden ({type(error).__name__})"
        return DeliveryResult(MailState.DEFERRED, reason=reason)
    return email


INVALID_RECIPIENT = DeliveryResult(MailState.REFUSED, reason="Das ist keine gültige E-Mail-Adresse")
ADDRESS = re.compile(r"\S+@\S+")  # in the words of a mail server; the log names no person
