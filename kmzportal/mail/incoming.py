"""Parses a received mail, whatever it is: it never raises, and reads only so much of a mail as a clerk would.

The parser of the standard library is used with its old policy, as the new one raises for some malformed headers.
"""

import encodings
import hashlib
import html
import pkgutil
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from encodings.aliases import aliases

from kmzportal import mail_address
from kmzportal.mail.smtp import refusal_reason
from kmzportal.plain_text import clean_lines
from kmzportal.services.support_mail import Bounce, IncomingMail

SIZE_READ = 10 * 2**20  # bytes
PARTS_READ = 1000
TEXT_READ, TEXT_STORED = 200_000, 20_000  # characters of all parts of one kind
SUBJECT_STORED, NAME_STORED, ATTACHMENTS_STORED = 200, 100, 20
HEADER_READ = 20_000  # characters
ENCODED_READ = (
    2_000  # characters of a header with encoded words (RFC 2047), which decode_header reads in quadratic time
)
REPORTS_READ = 50  # recipients of a delivery report
#: The parser compares each line with the boundaries of all parts around it, so a deeply nested mail takes minutes.
COMPARISONS, SIZE_READ_IF_COSTLY = 4_000_000, 50_000
#: Each header field, part and postmark costs it as much as some hundred lines of text.
COSTLY = re.compile(rb"^(?:[^\s:]+:|--|From )", re.MULTILINE)
COSTLY_READ = 5000
#: It reads the parameters of these headers in time quadratic in their length.
PARAMETERS = re.compile(rb"^content-[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE)
PARAMETERS_READ = 1000  # bytes
HEADER_LINE = re.compile(rb"(?:[!-9;-~]+:|[ \t])[^\r\0]*")
SHORTENED = "(gekürzt, die ganze E-Mail liegt im Postfach)"
UNREADABLE = "(Diese E-Mail ist nicht lesbar. Sie liegt im Postfach.)"
NO_TEXT = "(Diese E-Mail hat keinen Text.)"

#: Python keeps each other name that a mail asks for in memory for good. The codecs of domains take quadratic time.
CHARSETS = {module.name for module in pkgutil.iter_modules(encodings.__path__)} - {"aliases", "idna", "punycode"}

MESSAGE_ID = re.compile(r"<[^<>\s]{1,250}>")
OUR_MESSAGE_ID = re.compile(r"<[0-9a-f]{32}@[^<>\s]{1,250}>")  # as made by Transaction.send
BOUNCE_SENDERS = {"mailer-daemon", "postmaster"}
DELAYED = re.compile(r"delay|verzöger|warning|warnung", re.IGNORECASE)
#: Each repetition ends at the next `<`: the time is linear in the length, unlike that of html.parser.
TAG = re.compile(r"<(?:(!--)|(/?[a-z][\w:-]{0,20})[^<>]*>|[!?/][^<>]*>)", re.IGNORECASE)
NOT_TEXT = {name: re.compile(rf"</{name}[^<>]*>?", re.IGNORECASE) for name in ("script", "style", "title")}
NOT_TEXT["!--"] = re.compile("-->")
BLOCKS = frozenset(("p", "div", "ul", "ol", "li", "table", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote"))


def parse(raw: bytes, authserv_id: str) -> IncomingMail:
    """Return what the mail says. `authserv_id` names the server whose Authentication-Results count; empty: none."""
    own_id = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    shortened = len(raw) >= SIZE_READ
    raw = raw.replace(b"\r\n", b"\n")
    # The mail server may read other headers than we do where lines are none (RFC 5322, 2.2), or end in a bare CR.
    same_headers = all(map(HEADER_LINE.fullmatch, raw.partition(b"\n\n")[0].split(b"\n")))
    raw = raw.replace(b"\r", b"\n")  # as the parser does, or lines would hide from what follows
    comparisons = raw.count(b"\n") * (2 + raw.lower().count(b"boundary"))
    if comparisons > COMPARISONS or sum(1 for _ in COSTLY.finditer(raw)) > COSTLY_READ:
        raw, shortened = raw[:SIZE_READ_IF_COSTLY], True
    raw = PARAMETERS.sub(lambda header: header[0][:PARAMETERS_READ], raw)
    try:
        message = message_from_bytes(raw)
        text, attachments = _content(message)
        bounce = _bounce(message, raw, text)
    except Exception:  # such as RecursionError; an unreadable mail becomes a note for the clerk
        message, bounce = BytesHeaderParser().parsebytes(raw), None
        text, attachments = UNREADABLE, ()
    try:
        name, sender, single = _sender(message)
        found = MESSAGE_ID.fullmatch(_header(message, "Message-ID").strip())
        replied_to = MESSAGE_ID.findall(f"{_header(message, 'References')} {_header(message, 'In-Reply-To')}")
        return IncomingMail(
            message_id=found[0] if found else own_id,
            sender=sender,
            name=name[:NAME_STORED],
            subject=_header(message, "Subject")[:SUBJECT_STORED],
            text=text + (f"\n{SHORTENED}" if shortened else ""),
            attachments=attachments,
            references=replied_to[-50:],
            automatic=_is_automatic(message, sender),
            no_receipt="X-Auto-Response-Suppress" in message,  # [MS-OXCMAIL] 2.1.3.2.20
            dmarc=_dmarc(message, sender, authserv_id) if single and same_headers else "",
            bounce=bounce,
        )
    except Exception:
        return IncomingMail(own_id, "", "", "", UNREADABLE)


# Headers


def _headers(message: Message, name: str) -> Iterator[str]:
    """Yield the values of all headers of this name as they stand there; bytes that are not ASCII are read as UTF-8."""
    for key, value in message.raw_items():
        if key.lower() == name.lower():
            yield str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:HEADER_READ]


def _header(message: Message, name: str) -> str:
    """Return the first header of this name on one line, decoded (RFC 2047); empty if it is missing."""
    return _decoded(next(_headers(message, name), ""))


def _decoded(value: str) -> str:
    if "=?" in value:
        value = value[:ENCODED_READ]
    try:
        text = str(make_header([(part, charset and _charset(charset)) for part, charset in decode_header(value)]))
    except (LookupError, ValueError, MessageError):  # an unknown charset, or damaged base64
        text = value
    return " ".join(clean_lines(text).split())


def _charset(name: str) -> str:
    """Return the codec of this charset, one of CHARSETS; raises LookupError."""
    known = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    codec = aliases.get(known, known)
    if codec not in CHARSETS:
        raise LookupError(name)
    return codec


def _sender(message: Message) -> tuple[str, str, bool]:
    """Return name and address, empty if it is not valid, and whether the mail has exactly one sender."""
    values = list(_headers(message, "From"))
    found = [pair for pair in getaddresses(values[:1]) if pair[1]]
    name, address = found[0] if found else ("", "")
    try:
        whole = all(len(value) < HEADER_READ for value in values)  # another sender may stand in the rest
        return _decoded(name), mail_address.parse(address), whole and len(values) == len(found) == 1
    except mail_address.InvalidAddress:
        return _decoded(name), "", False


def _is_automatic(message: Message, sender: str) -> bool:
    """Return whether a program wrote the mail (RFC 3834, 2), such as a report (RFC 6522), or a list distributes it."""
    return (
        message.get_content_type() == "multipart/report"
        or _header(message, "Auto-Submitted").lower().partition(";")[0].strip() not in ("", "no")
        or _header(message, "Precedence").lower() in ("bulk", "list", "junk")
        or "List-Id" in message
        or _header(message, "Return-Path").replace(" ", "") == "<>"
        or sender.partition("@")[0].lower() in BOUNCE_SENDERS
    )


def _dmarc(message: Message, sender: str, authserv_id: str) -> str:
    """Return the DMARC result for the sender's domain in the newest Authentication-Results of this server.

    The server copies parts of the mail into this header, some without escaping. So a header that may be read in two
    ways counts as none, and `pass` counts only with the sender's domain.
    """
    for value in _headers(message, "Authentication-Results"):
        plain = re.sub(r'="[^"();\\]*"', "=", value).lower()
        bare = re.sub(r"\([^()]*\)", " ", plain)
        server, *results = bare.split(";")
        if not authserv_id or server.split()[:1] != [authserv_id.lower()]:
            continue
        if re.search(r'["\\]', plain) or re.search(r"[()]", bare) or len(re.findall(r"dmarc\s*=", value.lower())) > 1:
            return ""
        found = (re.match(r"\s*dmarc\s*=\s*([a-z]+)(.*)", result, re.DOTALL) for result in results)
        for result, properties in (match.groups() for match in found if match):
            named = re.search(r"header\.from\s*=\s*(\S+)", properties)
            domain = named[1].rpartition("@")[2] if named else ""
            same = domain == mail_address.canonical(sender).rpartition("@")[2]
            return str(result) if same or result != "pass" else ""
        return ""
    return ""


# Text and attachments


def _content(message: Message) -> tuple[str, tuple[str, ...]]:
    """Return the text, of HTML where there is no other, and the names of the attachments, which are not opened."""
    plain, formatted, names = [], [], []
    for part in _parts(message):
        kind = part.get_content_type()
        name = _parameter(part, "filename", "Content-Disposition") or _parameter(part, "name", "Content-Type")
        if name or part.get_content_disposition() == "attachment" or part.get_content_maintype() != "text":
            names.append(_decoded(name or kind)[:NAME_STORED])
        elif kind == "text/html":
            formatted.append(_text_of(part))
        else:
            plain.append(_text_of(part))
    text = _tidy("\n".join(plain)[:TEXT_READ]) or _tidy(_html_as_text("\n".join(formatted)[:TEXT_READ])) or NO_TEXT
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
        return content.decode(_charset(_parameter(part, "charset", "Content-Type")), "replace")
    except (LookupError, ValueError):  # none, or one that does not exist
        return content.decode("utf-8", "replace")


def _parameter(part: Message, name: str, header: str) -> str:
    """Return a parameter of the header, or nothing. Its own charset (RFC 2231) is one of CHARSETS, or ignored."""
    value = part.get_param(name, "", header)
    if not isinstance(value, tuple):
        return str(value).strip()
    charset, _, text = value
    try:
        return text.encode("raw-unicode-escape").decode(_charset(charset or ""), "replace").strip()
    except (LookupError, ValueError):
        return str(text).strip()


def _tidy(text: str) -> str:
    lines = clean_lines(text).split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()


def _html_as_text(source: str) -> str:
    source = " ".join(source.split())
    texts: list[str] = []
    at, line_is_empty = 0, True
    while tag := TAG.search(source, at):
        before, at, name = source[at : tag.start()], tag.end(), (tag[1] or tag[2] or "").lower()
        texts.append(before)
        line_is_empty = line_is_empty and not before.strip()
        if name in NOT_TEXT:
            end = NOT_TEXT[name].search(source, at - 2)  # `<!-->` is a whole comment
            at = end.end() if end else len(source)
        elif name == "br" or (name.strip("/") in BLOCKS and not line_is_empty):
            texts.append("\n")
            line_is_empty = True
        elif name in ("td", "th"):
            texts.append(" ")
    texts.append(source[at:])
    return "\n".join(" ".join(line.split()) for line in html.unescape("".join(texts)).split("\n"))


# Bounces


def _bounce(message: Message, raw: bytes, text: str) -> Bounce | None:
    """Return which of our mails came back and why, from a report (RFC 3464) or the text of a mail server."""
    reports = [part for part in _parts(message) if part.get_content_type() == "message/delivery-status"]
    if reports:
        named_in, fields = raw, [field for report in reports for field in report.get_payload()][:REPORTS_READ]
        failed = [one for one in fields if isinstance(one, Message) and _header(one, "Action").lower() == "failed"]
        if not failed:
            return None
        status, reply = _header(failed[0], "Status"), _header(failed[0], "Diagnostic-Code")
    else:
        sender = _sender(message)[1].partition("@")[0].lower()
        if sender not in BOUNCE_SENDERS or DELAYED.search(_header(message, "Subject")):
            return None
        named_in, reply = raw.partition(b"\n\n")[2], text
        found = re.search(r"\b5\.\d{1,3}\.\d{1,3}\b", text)
        status = found[0] if found else ""
    message_ids = OUR_MESSAGE_ID.findall(named_in.decode("ascii", "replace"))[:10]
    code = re.search(r"(?<![\d.])5[0-5]\d(?![\d.])", reply)
    number = int(code[0]) if code else None
    return Bounce(message_ids, number, refusal_reason(number, status)) if message_ids else None
