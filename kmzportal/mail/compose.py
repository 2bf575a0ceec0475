"""Composes the mail of an outbox row just before it is sent: only then do link and code exist in clear text.

Each mail has one source, `templates/mail/<template>.txt`: its block `subject`, and the text. The HTML part is built
from the same paragraphs; a line with a URL of the portal becomes a button named by the line above, the code is set
large, and the office's phone number becomes a `tel:` link.
"""

import re
import textwrap
from collections.abc import Mapping
from datetime import datetime
from email.header import Header
from email.headerregistry import Address, HeaderRegistry, UniqueSingleAddressHeader, UniqueUnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from pathlib import Path
from typing import Any

from flask_mail import Message
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, select_autoescape

from kmzportal import mail_address, phone
from kmzportal.dates import format_datetime, format_day
from kmzportal.models import NEUTRAL_GREETING, AccountLink, OutgoingMail
from kmzportal.services import support
from kmzportal.services.tokens import LinkKeys
from kmzportal.settings import office

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent / "templates"),
    autoescape=select_autoescape(["html"], default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["phone_uri"] = phone.uri
#: Content of the style element of every mail.
STYLE = TEMPLATES.get_template("mail/_style.css").render()
HEADERS = {
    "Auto-Submitted": "auto-generated",
    "X-Auto-Response-Suppress": "All",
    "Content-Language": "de",
}


class Email(Message):
    """Flask-Mail's message, serialised by EmailMessage, which folds, encodes and refuses CR and LF in headers."""

    def __init__(self, message_id: str, written_at: datetime, **parts: Any):
        super().__init__(**parts)
        self.msgId = message_id
        self.written_at = written_at

    def as_bytes(self) -> bytes:
        message = EmailMessage(policy=POLICY)
        message["From"] = self.sender
        message["To"] = self.recipients[0]
        message["Reply-To"] = self.reply_to
        message["Subject"] = self.subject
        message["Date"] = self.written_at
        message["Message-ID"] = self.msgId
        message.set_content(_wrapped(self.body or ""), cte="quoted-printable")
        message.add_alternative(self.html, subtype="html", cte="quoted-printable")
        for name, value in HEADERS.items():  # last: set_content deletes a Content-Language
            message[name] = value
        return message.as_bytes()


def compose(mail: OutgoingMail, keys: LinkKeys, settings: Mapping[str, Any], now: datetime) -> Email:
    """Return the mail to send; raises InvalidAddress, or LookupError when its key or PUBLIC_URL is missing."""
    if not settings["PUBLIC_URL"]:
        raise LookupError("PUBLIC_URL is empty")
    context = _context(mail, keys, settings)
    subject, text = _text(mail.template, context)
    subject = subject_line(subject, settings)
    sender_name, sender = settings["MAIL_DEFAULT_SENDER"]
    return Email(
        mail.message_id,
        now,
        subject=subject,
        recipients=[mail_address.mailable(mail.recipient)],
        body=text,
        html=_html(subject, text, context.get("code"), settings),
        sender=str(Address(sender_name, addr_spec=sender)),
        reply_to=mail_address.mailable(settings["OFFICE_SUPPORT_EMAIL"]),
    )


@cache
def subject_of(template: str) -> str:
    """Return the subject without the office's name, or the template's name if the template no longer exists.

    For lists, without the facts of a mail: a template whose subject depends on them needs one without them.
    """
    try:
        loaded = TEMPLATES.get_template(f"mail/{template}.txt")
    except TemplateNotFound:
        return template
    return "".join(loaded.blocks["subject"](loaded.new_context())).strip()


def subject_line(subject: str, settings: Mapping[str, Any]) -> str:
    """Return the whole subject, as mailboxes show it."""
    return f"{subject} – {settings['OFFICE_NAME']}"


def _context(mail: OutgoingMail, keys: LinkKeys, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values, no rows, so that a template can show only these."""
    context = {
        "greeting": _greeting(mail),
        "asked_at": format_datetime(mail.queued_at),
        "facts": mail.facts,
        "office": office(settings),
        "public_url": settings["PUBLIC_URL"],
    }
    if mail.case:
        context |= {"reference": mail.case.reference, "promised_on": format_day(mail.case.promised_on)}
    if mail.template == "case_code":
        context |= {"code": support.code_of(keys, mail.message_id)}
    return context | (_link_context(mail.link, keys, settings["PUBLIC_URL"]) if mail.link else {})


def _greeting(mail: OutgoingMail) -> str:
    """Return the greeting: by name, that before a change in the notice of it, but to no unconfirmed address."""
    person = mail.customer or mail.clerk
    unconfirmed = mail.customer and mail.recipient == mail.customer.pending_email
    if person is None or unconfirmed or (mail.link and not mail.link.policy.greets_by_name):
        return NEUTRAL_GREETING
    return str(mail.facts.get("greeting", person.greeting))


def _link_context(link: AccountLink, keys: LinkKeys, public_url: str) -> dict[str, Any]:
    return {
        "url": f"{public_url}/link/{keys.token(link)}",
        "code": keys.code(link) if link.policy.robot_check else None,
        "issued_at": format_datetime(link.issued_at),
        "valid_until": format_datetime(link.expires_at),
        "renewed": link.renewals > 0,
        "initials": link.initials,
    }


def _text(template: str, context: dict[str, Any]) -> tuple[str, str]:
    """Return subject and text, with one empty line between paragraphs, also where a block is empty."""
    rendered = TEMPLATES.get_template(f"mail/{template}.txt").render(context)
    subject, _, text = rendered.partition("\n")
    return subject, re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _wrapped(text: str) -> str:
    """Return the text in lines for mail programs that wrap none; what has no blank, such as a link, stays whole."""
    wrapper = textwrap.TextWrapper(TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in text.split("\n"))


def _html(subject: str, text: str, code: str | None, settings: Mapping[str, Any]) -> str:
    return TEMPLATES.get_template("mail/_page.html").render(
        subject=subject,
        paragraphs=[paragraph.splitlines() for paragraph in text.strip().split("\n\n")],
        code=code,
        public_url=settings["PUBLIC_URL"],
        phone=settings["OFFICE_PHONE"],
    )


TEXT_WIDTH = 74  # characters; RFC 5322, 2.1.1 wants at most 78
MAX_LINE = 76  # RFC 2045, 6.7 and RFC 2047, 2; the library's 78 is for lines that are not encoded


class Subject(UniqueUnstructuredHeader):
    def fold(self, *, policy: Any) -> str:
        return f"Subject: {_encode_header(str(self), 'Subject')}\r\n"


class Sender(UniqueSingleAddressHeader):
    def fold(self, *, policy: Any) -> str:
        name, address = self.address.display_name, self.address.addr_spec
        return f"From: {_encode_header(name, 'From')}\r\n <{address}>\r\n"


def _encode_header(text: str, header: str) -> str:
    charset = "us-ascii" if re.fullmatch(r"[\w &'/+-]*", text, re.ASCII) else "utf-8"
    return Header(text, charset, MAX_LINE, header).encode(linesep="\r\n")


_registry = HeaderRegistry()
_registry.map_to_type("subject", Subject)  # type: ignore[arg-type]
_registry.map_to_type("from", Sender)  # type: ignore[arg-type]
POLICY = SMTP.clone(max_line_length=MAX_LINE, header_factory=_registry)
