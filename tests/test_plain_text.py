"""Unfit characters: one list, for every way in."""

import time
import unicodedata
from contextlib import suppress
from email.message import EmailMessage

import pytest
from sqlalchemy import select
from wtforms import PasswordField, StringField

from kmzportal import mail_address, setting_types
from kmzportal.cli import cli
from kmzportal.mail.incoming import parse
from kmzportal.models import AuditEvent, Clerk
from kmzportal.plain_text import INVISIBLE, UNFIT, canonical_number, clean, clean_lines, is_name
from kmzportal.services.customer_file import COLUMNS, check, read_file
from kmzportal.web.customer.support import SupportForm
from kmzportal.web.forms import PortalForm

REFUSED = "\0\x07\x0b\x1b\x7f\x85\u2028\u2029\ue000\uf8ff\ufdd0\ufffb\uffff\U000f0000\U0010fffd"
REMOVED = "\u200b\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c\ufeff\u00ad\U000e0041"
SURROGATE = "\ud800"


def holds_unfit(text):
    return bool(UNFIT.search(text.replace("\n", "")) or INVISIBLE.search(text))


def test_the_list_holds_every_control_surrogate_private_and_bidi_character():
    for code in range(0x110000):
        char = chr(code)
        unfit = unicodedata.category(char) in ("Cc", "Cs", "Co", "Zl", "Zp")
        turns = unicodedata.bidirectional(char) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        if unfit or turns:
            assert UNFIT.search(char) or INVISIBLE.search(char), f"U+{code:04X}"
    for char in "aäßЖ漢 \u00e9-’€😀":
        assert not UNFIT.search(char) and not INVISIBLE.search(char), char


def forms(kind):
    for each in kind.__subclasses__():
        yield each
        yield from forms(each)


def build(form):
    return form("other") if form is SupportForm else form()


def fields():
    """Yield each field for free text of every form: the class of the form, the attribute, the name in the request."""
    for form in dict.fromkeys(forms(PortalForm)):
        built = build(form)
        for name in dir(built):
            field = getattr(built, name)
            if isinstance(field, StringField) and not isinstance(field, PasswordField):
                yield form, name, field.name


@pytest.mark.parametrize("char", "\0\x1b\u2028\ue000\U0010fffd\u202e\u2066\u200b\U000e0041", ids=ascii)
def test_no_field_of_any_form_takes_an_unfit_character(app, char):
    with app.test_request_context("/"):
        found = list(fields())
    assert len(found) > 40
    for form, attribute, name in found:
        with app.test_request_context("/", method="POST", data={name: f"a{char}b"}):
            built = build(form)
            field = getattr(built, attribute)
            field.validate(built)
            assert field.errors or not holds_unfit(field.data or ""), (form, name)


@pytest.mark.parametrize("char", [*REFUSED, *REMOVED], ids=ascii)
def test_no_column_of_an_import_takes_an_unfit_character(tmp_path, char):
    sound = dict(zip(COLUMNS, ["1", "Frau", "E", "M", "e@schule.example", "S", "W", "75365", "C", "1"], strict=True))
    for name, cell in sound.items():
        path = tmp_path / f"{name}.csv"
        cells = sound | {name: f"{cell}{char}{cell}"}
        path.write_text(f"{';'.join(COLUMNS.values())}\n" + ";".join(f'"{cell}"' for cell in cells.values()), "utf-8")
        try:
            [row], _ = read_file(path)
        except Exception as refusal:
            assert "CSV" in str(refusal)
            continue
        check([row])
        assert row.fault or not holds_unfit("".join([row.number, *row.values.values()])), (name, ascii(char))


@pytest.mark.parametrize("char", [*REFUSED, *REMOVED, SURROGATE], ids=ascii)
def test_no_address_and_no_setting_takes_an_unfit_character(char):
    for read in (mail_address.parse, setting_types.text, setting_types.address, setting_types.host_name):
        with suppress(ValueError):
            assert not holds_unfit(str(read(f"a{char}b@schule.example"))), read


def test_no_argument_of_a_command_takes_an_unfit_character(app, backend, erika):
    runner = app.test_cli_runner()
    for char in (REFUSED + REMOVED).replace("\0", ""):  # no argument can hold a NUL
        for name, mail in ((f"a{char}b", "neu@kmz.example"), ("Neu", f"neu{char}@kmz.example")):
            runner.invoke(cli, ("clerks", "add", mail, "--name", name, "--initials", "xx"))
    runner.invoke(cli, ("customers", "delete", erika.number, "--no-loans", "--why", "a\u202eb\x1bc"))
    stored = [clerk.name + clerk.email for clerk in backend.read(select(Clerk))]
    stored += [str(list(event.details.values())) for event in backend.read(select(AuditEvent))]
    assert not [text for text in stored if holds_unfit(text)]
    assert backend.read(erika), "deleted for a reason with unfit characters"


@pytest.mark.parametrize("char", [*REFUSED, *REMOVED], ids=ascii)
def test_a_received_mail_is_read_without_unfit_characters(char):
    message = EmailMessage()
    message["Subject"], message["From"] = "Betreff", "eva@web.de"
    message.set_content("Text")
    raw = message.as_bytes()
    quoted = "".join(f"={byte:02X}" for byte in char.encode())
    raw = raw.replace(b"Betreff", f"=?utf-8?q?a{quoted}b?=".encode())
    raw = raw.replace(b"From: eva@web.de", f"From: =?utf-8?q?a{quoted}b?= <eva@web.de>".encode())
    raw = raw.replace(b"\n\nText", f"\n\nText{char}Text".encode()).replace(b"7bit", b"8bit")
    mail = parse(raw, "")
    assert mail.sender == "eva@web.de" and mail.text.startswith("Text")
    assert not holds_unfit(mail.name + mail.subject + mail.text), ascii(mail)


@pytest.mark.parametrize("marks", ["\u0315\u0316", "\u0316\u0315", "\u0f73\u0316", "\u0344\u0316"])
@pytest.mark.parametrize("function", [clean, clean_lines, canonical_number, is_name])
def test_a_letter_with_very_many_marks_is_read_in_time_linear_in_its_length(function, marks):
    began = time.process_time()
    function("a" + marks * 15_000)
    assert time.process_time() - began < 1  # sorting all these marks takes more


def test_a_letter_keeps_thirty_marks():
    assert clean("e" + "\u0301" * 100 + "x" + "\u0315" * 30) == "é" + "\u0301" * 29 + "x" + "\u0315" * 30
    for hidden in ("\u200b", "\x01"):  # removed, so that marks around it are those of one letter
        assert len(clean_lines("e" + ("\u0315" * 30 + hidden) * 3)) == 31
    vietnamese = "Nguyễn Thị Hằng, Ṩḗ"
    assert clean(unicodedata.normalize("NFD", vietnamese * 20)) == vietnamese * 20
