"""Parses a received mail, whatever it is: it never raises, and reads only so much of a mail as a clerk would.

The parser of the standard library is used with its old policy, as the new one raises for some malformed headers.
"""

import hashlib
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from html.parser import HTMLParser

from kmzportal import mail_address
from kmzportal.mail.delivery import refusal_reason
from kmzportal.services.support_mail import Bounce, IncomingMail

SIZE_READ = 10 * 2**20  # bytes
PARTS_READ = 1000
TEXT_READ, TEXT_STORED = 200_000, 20_000  # characters of a part, and of all text
SUBJECT_STORED, NAME_STORED, ATTACHMENTS_STORED = 200, 100, 20
HEADER_READ = 20_000  # characters
#: The parser compares each line with the boundaries of all parts around it, so a deeply nested mail takes minutes.
BOUNDARIES_READ, SIZE_READ_IF_NESTED = 50, 200_000
SHORTENED = "(gekürzt, die ganze E-Mail liegt im Postfach)"
UNREADABLE = "(Diese E-Mail ist nicht lesbar. Sie liegt im Postfach.)"
NO_TEXT = "(Diese E-Mail hat keinen Text.)"

MESSAGE_ID = re.compile(r"<[^<>\s]{1,250}>")
OUR_MESSAGE_ID = re.compile(r"<[0-9a-f]{32}@[^<>\s]{1,250}>")  # as made by Transaction.send
BOUNCE_SENDERS = {"mailer-daemon", "postmaster"}
DELAYED = re.compile(r"delay|verzöger|warning|warnung", re.IGNORECASE)
LINE_BREAKS = frozenset(("br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote"))
NOT_TEXT = frozenset(("script", "style", "title"))


def parse(raw: bytes, authserv_id: str) -> IncomingMail:
    """Return what the mail says. `authserv_id` names the server whose Authentication-Results count; empty: none."""
    if raw.lower().count(b"boundary=") > BOUNDARIES_READ:
        raw = raw[:SIZE_READ_IF_NESTED]
    try:
        message = message_from_bytes(raw)
        text, attachments = _content(message)
        subject = _header(message, "Subject")
        bounce = _bounce(message, raw, text)
    except Exception:  # such as RecursionError; an unreadable mail becomes a note for the clerk
        message, bounce = BytesHeaderParser().parsebytes(raw), None
        text, attachments, subject = UNREADABLE, (), _header(message, "Subject")
    name, sender, single = _sender(message)
    own_id = MESSAGE_ID.fullmatch(_header(message, "Message-ID").strip())
    replied_to = MESSAGE_ID.findall(f"{_header(message, 'References')} {_header(message, 'In-Reply-To')}")
    return IncomingMail(
        message_id=own_id[0] if own_id else f"sha256:{hashlib.sha256(raw).hexdigest()}",
        sender=sender,
        name=name[:NAME_STORED],
        subject=subject[:SUBJECT_STORED],
        text=text + (f"\n{SHORTENED}" if len(raw) >= SIZE_READ else ""),
        attachments=attachments,
        references=replied_to[-50:],
        automatic=_is_automatic(message, sender),
        dmarc=_dmarc(message, sender, authserv_id) if single else "",
        bounce=bounce,
    )


# Headers


def _headers(message: Message, name: str) -> Iterator[str]:
    """Yield the values of all headers of this name as they stand there; bytes that are not ASCII are read as UTF-8."""
    for key, value in message.raw_items():
        if key.lower() == name.lower():
            yield str(value)[:HEADER_READ].encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _header(message: Message, name: str) -> str:
    """Return the first header of this name on one line, decoded (RFC 2047); empty if it is missing."""
    return _decoded(next(_headers(message, name), ""))


def _decoded(value: str) -> str:
    try:
        text = str(make_header(decode_header(value)))
    except (LookupError, ValueError, MessageError):  # an unknown charset, or damaged base64
        text = value
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    """Return the text without control characters, also those that change the direction of writing."""
    return "".join(one for one in text.replace("\xa0", " ") if one.isprintable() or one in "\n\t")


def _sender(message: Message) -> tuple[str, str, bool]:
    """Return name and address, empty if it is not valid, and whether the mail has exactly one sender."""
    values = list(_headers(message, "From"))
    found = [pair for pair in getaddresses(values[:1]) if pair[1]]
    name, address = found[0] if found else ("", "")
    try:
        return _decoded(name), mail_address.parse(address), len(values) == len(found) == 1
    except mail_address.InvalidAddress:
        return _decoded(name), "", False


def _is_automatic(message: Message, sender: str) -> bool:
    """Return whether a program wrote the mail (RFC 3834, 2) or a list distributes it."""
    return (
        _header(message, "Auto-Submitted").lower().partition(";")[0].strip() not in ("", "no")
        or _header(message, "Precedence").lower() in ("bulk", "list", "junk")
        or any(name in message for name in ("List-Id", "X-Auto-Response-Suppress"))
        or _header(message, "Return-Path").replace(" ", "") == "<>"
        or sender.partition("@")[0].lower() in BOUNCE_SENDERS
    )


def _dmarc(message: Message, sender: str, authserv_id: str) -> str:
    """Return the DMARC result for the sender's domain in the newest Authentication-Results of this server."""
    for value in _headers(message, "Authentication-Results"):
        bare = re.sub(r'"[^"]*"', "", re.sub(r"\([^()]*\)", " ", value)).lower()
        server, *results = bare.split(";")
        if not authserv_id or server.split()[:1] != [authserv_id.lower()]:
            continue
        found = (re.match(r"\s*dmarc\s*=\s*([a-z]+)(.*)", result, re.DOTALL) for result in results)
        for result, properties in (match.groups() for match in found if match):
            domain = re.search(r"header\.from\s*=\s*(?:\S*@)?(\S+)", properties)
            other = domain and domain[1] != mail_address.canonical(sender).rpartition("@")[2]
            return "" if other and result == "pass" else str(result)
        return ""
    return ""


# Text and attachments


def _content(message: Message) -> tuple[str, tuple[str, ...]]:
    """Return the text, of HTML where there is no other, and the names of the attachments, which are not opened."""
    plain, html, names = [], [], []
    for part in _parts(message):
        kind = part.get_content_type()
        if (
            part.get_filename()
            or part.get_content_disposition() == "attachment"
            or part.get_content_maintype() != "text"
        ):
            names.append(_decoded(str(part.get_filename() or kind))[:NAME_STORED])
        elif kind == "text/html":
            html.append(_html_as_text(_text_of(part)))
        else:
            plain.append(_text_of(part))
    text = next((text for parts in (plain, html) if (text := _tidy("\n".join(parts)))), NO_TEXT)
    if len(text) > TEXT_STORED:
        text = f"{text[:TEXT_STORED]}\n{SHORTENED}"
    return text, tuple(names[:ATTACHMENTS_STORED])


def _parts(message: Message) -> Iterator[Message]:
    """Yield the parts that contain no others, at most PARTS_READ; an attached message is one part."""
    waiting, number = [message], 0
    while waiting and number < PARTS_READ:
        part, number = waiting.pop(), number + 1
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting.extend(reversed(part.get_payload()))  # type: ignore[arg-type]
        else:
            yield part


def _text_of(part: Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload[:TEXT_READ] if isinstance(payload, bytes) else b""
    try:
        return content.decode(part.get_content_charset() or "utf-8", "replace")
    except (LookupError, ValueError):  # a charset that does not exist
        return content.decode("utf-8", "replace")


def _tidy(text: str) -> str:
    lines = _printable(text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()


class _TextOfHtml(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.skipped: str | None = None

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        self.skipped = tag if tag in NOT_TEXT else self.skipped
        if tag in LINE_BREAKS:
            self.text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.skipped = None if tag == self.skipped else self.skipped

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.text.append(re.sub(r"\s+", " ", data))


def _html_as_text(html: str) -> str:
    parser = _TextOfHtml()
    parser.feed(html)
    parser.close()
    return "".join(parser.text)


# Bounces


def _bounce(message: Message, raw: bytes, text: str) -> Bounce | None:
    """Return which of our mails came back and why, from a report (RFC 3464) or the text of a mail server."""
    reports = [part for part in _parts(message) if part.get_content_type() == "message/delivery-status"]
    if reports:
        named_in, fields = raw, [field for report in reports for field in report.get_payload()]
        failed = [one for one in fields if isinstance(one, Message) and _header(one, "Action").lower() == "failed"]
        if not failed:
            return None
        status, reply = _header(failed[0], "Status"), _header(failed[0], "Diagnostic-Code")
    else:
        sender = _sender(message)[1].partition("@")[0].lower()
        if sender not in BOUNCE_SENDERS or DELAYED.search(_header(message, "Subject")):
            return None
        named_in, reply = raw.partition(b"\n\r\n" if b"\n\r\n" in raw else b"\n\n")[2], text
        found = re.search(r"\b5\.\d{1,3}\.\d{1,3}\b", text)
        status = found[0] if found else ""
    message_ids = OUR_MESSAGE_ID.findall(named_in.decode("ascii", "replace"))[:10]
    code = re.search(r"(?<![\d.])5[0-5]\d(?![\d.])", reply)
    number = int(code[0]) if code else None
    return Bounce(message_ids, number, refusal_reason(number, status)) if message_ids else None
