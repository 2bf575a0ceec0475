"""Received mails: a reply to a case, a new case, a returned mail of ours, or an automatic mail without effect."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import CaseEntry, CaseState, Heartbeat, MailState, OutgoingMail, ReceivedMail, SupportCase
from kmzportal.services import outbox, support
from kmzportal.services.tokens import CODE_ALPHABET, parse_reference
from kmzportal.services.transaction import Transaction, insert_once

REFERENCE = re.compile(rf"\bV[- ]?([{CODE_ALPHABET}]{{4}})[- ]?([{CODE_ALPHABET}]{{4}})\b", re.IGNORECASE)
REFERENCES_READ = 20
NOT_READ = "Eine E-Mail konnte nicht gelesen werden. Sie liegt im Postfach im Ordner „{folder}“."
#: A mail in one of these states may have left, so it can come back.
CAN_BOUNCE = (MailState.QUEUED, MailState.DEFERRED, MailState.SENT)


@dataclass(frozen=True)
class Bounce:
    message_ids: Sequence[str]  #: of mails that the bounce names
    code: int | None  #: reply code (RFC 5321, 4.2)
    reason: str  #: in German


@dataclass(frozen=True)
class IncomingMail:
    """What was read of a mail. All texts have a bounded length, without control characters."""

    message_id: str  #: or a hash of the mail where it has none
    sender: str  #: empty where the mail has no valid one
    name: str  #: of the sender
    subject: str
    text: str
    attachments: Sequence[str] = ()  #: names
    references: Sequence[str] = ()  #: Message-IDs of the mails that it replies to
    automatic: bool = False  #: by its headers no person has written it
    no_receipt: bool = False  #: its sender, or the server, wants no automatic answer
    dmarc: str = ""  #: result that the office's own server found, such as `pass`; empty if it found none
    bounce: Bounce | None = None


class Effect(StrEnum):
    """What a received mail caused."""

    CASE = "Anfragen"
    REPLY = "Antworten"
    BOUNCE = "zurückgekommen"
    NONE = "ohne Folge"
    KNOWN = "schon bekannt"


def receive(tx: Transaction, mail: IncomingMail) -> Effect:
    """Let the mail have its effect, once for each Message-ID."""
    if not insert_once(tx.session, ReceivedMail, {"message_id": mail.message_id, "received_at": tx.now}):
        return Effect.KNOWN
    if mail.bounce and _mark_bounced(tx, mail.bounce):  # a person may also forward the report of a mail of her own
        return Effect.BOUNCE
    if mail.automatic or not mail.sender or mail_address.canonical(mail.sender) in _own_addresses(tx.settings):
        return Effect.NONE
    text, forged, proven = f"{mail.subject}\n\n{mail.text}".strip(), mail.dmarc == "fail", mail.dmarc == "pass"
    received = {"message_id": mail.message_id, "attachments": list(mail.attachments)}
    case = _find_case(tx.session, mail)
    # Where no server checks senders, the address alone has to do. Where one does, an unproven reply from the case's
    # address opens nothing again: it is a case of its own, as the desk would not see it in one that waits.
    believed = proven or not (forged or tx.settings["MAIL_AUTHSERV_ID"])
    apart = (
        case
        and case.state != CaseState.OPEN
        and not (believed or forged)
        and case.email_canonical == mail_address.canonical(mail.sender)
    )
    if case and not apart and support.add_reply(tx, case, mail.sender, text, forged=not believed, **received):
        return Effect.REPLY
    new = support.open_by_mail(tx, mail.sender, text, proven, not believed, mail.name, **received)
    # A stranger's mail about a closed case does not reopen that, but a clerk must see it; its sender learns nothing.
    if case is None and not forged and not mail.no_receipt:
        support.send_to_stranger(tx, "case_receipt", mail.sender, new)
    return Effect.CASE


def receive_unreadable(tx: Transaction, message_id: str, folder: str) -> Effect:
    """Open a case, once for each `message_id`, about a mail in `folder` that could not be received."""
    if not insert_once(tx.session, ReceivedMail, {"message_id": message_id, "received_at": tx.now}):
        return Effect.KNOWN
    support.open_case(tx, "other", "mail", tx.settings["OFFICE_SUPPORT_EMAIL"], NOT_READ.format(folder=folder))
    return Effect.CASE


def _own_addresses(settings: Mapping[str, Any]) -> set[str]:
    """Return the addresses that the portal itself writes from: a mail from there would be a loop."""
    own = set()
    for address in (settings["MAIL_DEFAULT_SENDER"][1], settings["OFFICE_SUPPORT_EMAIL"], settings["IMAP_USERNAME"]):
        with suppress(mail_address.InvalidAddress):  # a user name such as `OFFICE\\support@mail`
            own.add(mail_address.canonical(address))
    return own


def _find_case(session: Session, mail: IncomingMail) -> SupportCase | None:
    """Return the case that the mail replies to or names; of several that of the sender, else the first."""
    named = dict.fromkeys(parse_reference("".join(one)) for one in REFERENCE.findall(f"{mail.subject}\n{mail.text}"))
    found: ColumnElement[bool] = SupportCase.reference.in_(list(named)[:REFERENCES_READ])
    if mail.references:
        ours = select(OutgoingMail.case_id).where(OutgoingMail.message_id.in_(mail.references))
        theirs = select(CaseEntry.case_id).where(CaseEntry.message_id.in_(mail.references))
        found = or_(found, SupportCase.id.in_(ours), SupportCase.id.in_(theirs))
    cases = [support.root(case) for case in session.scalars(select(SupportCase).where(found).order_by(SupportCase.id))]
    sender = mail_address.canonical(mail.sender)
    return next((case for case in cases if case.email_canonical == sender), next(iter(cases), None))


def _mark_bounced(tx: Transaction, bounce: Bounce) -> bool:
    named = select(OutgoingMail).where(OutgoingMail.message_id.in_(bounce.message_ids))
    mails = tx.session.scalars(named.where(OutgoingMail.state.in_(CAN_BOUNCE)).with_for_update()).all()
    for mail in mails:
        outbox.mark_bounced(tx, mail, bounce.code, bounce.reason)
        if mail.case and mail.template == "case_question":
            support.question_came_back(tx, mail.case, bounce.reason)
    return bool(mails)


# The mailbox


def inbox_outage(session: Session, settings: Mapping[str, Any]) -> tuple[datetime, str] | None:
    """Return since when and why, in German, the mailbox cannot be read; None when it can, or none is configured."""
    loop = session.get(Heartbeat, outbox.INBOX_LOOP) if settings["IMAP_SERVER"] else None
    return (loop.failing_since, loop.failure or "") if loop and loop.failing_since else None


def record_outage(tx: Transaction, failure: str | None) -> bool:
    """Store the result of reading the mailbox, None for success; return whether it differs from the last one."""
    return outbox.record_result(tx, outbox.INBOX_LOOP, failure)
