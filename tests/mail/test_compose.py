"""What stands in every mail: complete, safe to read anywhere, and never a word that was not meant for its reader."""

import re
from pathlib import Path

import pytest

import kmzportal
from kmzportal.mail.compose import compose
from kmzportal.mail.previews import ASKED, KEYS, MAILS, previews, sample
from kmzportal.models.account_link import LinkKind
from tests.mail.letters import OFFICE, Seen, letter, parts, received

PACKAGE = Path(kmzportal.__file__).parent
EVERY = pytest.mark.parametrize("template", MAILS)


def test_every_mail_that_a_deed_sends_can_be_written():
    backend = "\n".join(path.read_text("utf-8") for path in (PACKAGE / "services").glob("*.py"))
    sent = set(re.findall(r'(?:send|notify|warn|tell_old)\([^")]*"(\w+)"', backend))
    sent |= {f"{kind}_link" for kind in LinkKind if kind is not LinkKind.OBJECTION}
    assert len(sent) > 10
    assert sent <= set(MAILS)


def test_every_template_is_shown_among_the_previews():
    templates = {path.stem for path in (PACKAGE / "templates" / "mail").glob("[a-z]*.txt")}
    assert templates == set(previews(OFFICE))


@EVERY
def test_a_mail_is_well_formed_and_says_once_who_when_and_what(template):
    mail = received(letter(template))
    for name in ("From", "To", "Date", "Subject", "Message-ID", "Reply-To", "Content-Language"):
        assert len(mail.get_all(name)) == 1, name
    assert mail["From"] == "Kreismedienzentrum Calw <support@kmz-cw.de>"
    assert mail["Reply-To"] == "support@kmz-cw.de"
    assert mail["Date"].datetime == ASKED
    assert mail["Date"].endswith("+0000")
    assert mail["Content-Language"] == "de"


@EVERY
def test_no_machine_answers_a_mail(template):
    mail = received(letter(template))
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"


@EVERY
def test_every_mail_server_can_carry_it(template):
    raw = letter(template).as_bytes()
    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 76
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert raw.count(b"Content-Transfer-Encoding: quoted-printable") == 2


@EVERY
def test_the_text_comes_first_and_the_html_says_the_same(template):
    mail = received(letter(template))
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    text, html = parts(letter(template))
    shown = Seen(html).text
    for line in text.splitlines():
        assert line.rstrip(":") in shown


@EVERY
def test_the_offices_number_is_dialled_when_it_is_tapped(template):
    text, html = parts(letter(template))
    assert html.count('<a href="tel:07051965220">07051 965 220</a>') == text.count("07051 965 220") > 0


def test_an_office_without_a_telephone_writes_all_the_same():
    assert "tel:" not in letter("test", office=OFFICE | {"OFFICE_PHONE": ""}).html


@EVERY
def test_reading_it_asks_nobody_for_anything(template):
    html = Seen(parts(letter(template))[1])
    assert html.tags <= {"html", "head", "meta", "title", "body", "h1", "p", "a", "strong", "br"}
    assert {name for name, _ in html.attributes} <= {"lang", "charset", "href"}
    assert ("lang", "de") in html.attributes


@EVERY
def test_it_greets_by_name_and_says_how_to_reach_the_office(template):
    text = parts(letter(template))[0]
    if template == "address_link":  # the asker may be called anything, and the address be a stranger's
        assert text.startswith("Guten Tag,\n")
    else:
        assert text.startswith(("Guten Tag Frau Mustermann,\n", "Guten Tag Robin Ostermann,\n"))
    for word in ("Kreismedienzentrum Calw", "Oberriedter Straße 10", "75365 Calw", "07051 965 220", "07051 965 230"):
        assert word in text
    assert "Bei uns fragt Sie niemand nach Ihrem Passwort" in text


@EVERY
def test_it_says_why_it_comes(template):
    assert "22.11.2026, 14:05 Uhr" in parts(letter(template))[0]


@EVERY
def test_it_says_what_to_do_for_whoever_did_not_ask(template):
    text = parts(letter(template))[0]
    assert re.search(r"nicht\? Dann|nichts tun|rufen Sie uns|gebeten\? Dann|davon\? Dann", text)


@pytest.mark.parametrize("template", ["address_change_asked", "address_changed_old", "address_taken"])
def test_no_mail_names_the_new_address_to_the_old_one(template):
    mail = sample(template)
    mail.customer.set_pending_email("ganz.neu@andere-schule.example")
    assert b"andere-schule" not in compose(mail, KEYS, OFFICE, ASKED).as_bytes()


def test_a_second_try_brings_the_same_mail():
    mail = sample("desk_link", message_id="<abc@kmz-cw.de>")
    first, second = (compose(mail, KEYS, OFFICE, ASKED) for _ in range(2))
    assert (first.subject, first.body, first.html) == (second.subject, second.body, second.html)
    assert received(first)["Message-ID"] == received(second)["Message-ID"] == "<abc@kmz-cw.de>"
