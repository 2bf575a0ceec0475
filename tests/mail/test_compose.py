"""What stands in the mails: complete, safe to read anywhere, and never a word that was not meant for its reader."""

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import compat32, strict
from email.utils import getaddresses
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import kmzportal
from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.customer import Customer
from kmzportal.mail.compose import compose
from kmzportal.mail.previews import ASKED, KEYS, MAILS, previews, sample
from kmzportal.settings import SETTINGS

PACKAGE = Path(kmzportal.__file__).parent
OFFICE = {setting.name: setting.default for setting in SETTINGS}
OFFICE |= {"PUBLIC_URL": "https://konto.kmz.example", "MAIL_DEFAULT_SENDER": "support@kmz-cw.de"}
WITH_LINK = [name for name, kind in MAILS.items() if kind]
EVERY = pytest.mark.parametrize("template", MAILS)
EVERY_LINK = pytest.mark.parametrize("template", WITH_LINK)


def letter(template="desk_link", office=OFFICE, **different):
    return compose(sample(template, **different), KEYS, office, ASKED)


def received(letter):
    """The mail as its reader's program sees it; whatever is malformed raises."""
    return message_from_bytes(letter.as_bytes(), policy=strict)


def parts(letter):
    return [part.get_content().replace("\r\n", "\n") for part in received(letter).iter_parts()]


class Seen(HTMLParser):
    """Collects what an HTML part shows and where it leads."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words = set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_every_mail_that_a_deed_sends_can_be_written():
    deeds = "\n".join(path.read_text("utf-8") for path in (PACKAGE / "services").glob("*.py"))
    sent = set(re.findall(r'(?:send|notify|warn|tell_old)\([^")]*"(\w+)"', deeds))
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


@EVERY_LINK
def test_the_link_stands_alone_on_its_line_and_nothing_breaks_it(template):
    mail = sample(template)
    url = f"https://konto.kmz.example/link/{KEYS.token(mail.link)}"
    written = compose(mail, KEYS, OFFICE, ASKED)
    assert written.body.splitlines().count(url) == 1
    assert f"\r\n{url}\r\n".encode() in written.as_bytes()
    html = parts(written)[1]
    assert [value for name, value in Seen(html).attributes if name == "href"] == [url]
    assert url in Seen(html).text


@EVERY_LINK
def test_it_says_until_when_the_link_works_and_that_it_works_once(template):
    hours = {"recovery_link": "22.11.2026, 16:05 Uhr", "address_link": "23.11.2026, 14:05 Uhr"}
    week = (
        "29.11.2026, 14:05 Uhr" if template.startswith(("address_change", "address_corr")) else "25.11.2026, 14:05 Uhr"
    )
    text = parts(letter(template))[0]
    assert f"Der Link gilt bis {hours.get(template, week)}." in text
    assert "Er funktioniert nur einmal." in text


@pytest.mark.parametrize(
    ("template", "subject"),
    [
        ("recovery_link", "Ihr neues Passwort – Kreismedienzentrum Calw"),
        ("desk_link", "Ihr Link zum Konto – Kreismedienzentrum Calw"),
        ("address_link", "Bitte bestätigen Sie Ihre E-Mail-Adresse – Kreismedienzentrum Calw"),
        ("clerk_first_link", "Ihr Zugang zum Kundenservice – Kreismedienzentrum Calw"),
    ],
)
def test_the_subject_is_the_one_people_were_told(template, subject):
    assert received(letter(template))["Subject"] == subject


def test_only_the_desks_mail_brings_a_code_and_the_clerks_initials():
    mail = sample("desk_link")
    text = compose(mail, KEYS, OFFICE, ASKED).body
    assert f"Code aus der E-Mail: {KEYS.code(mail.link)}\n" in text
    assert "\nBearbeiter: ro\n" in text
    for other in map(sample, set(MAILS) - {"desk_link"}):
        text = compose(other, KEYS, OFFICE, ASKED).body
        assert "Bearbeiter:" not in text
        assert other.link is None or KEYS.code(other.link) not in text


def test_the_link_is_called_link_zum_konto_and_an_objection_das_war_ich_nicht():
    assert "Link zum Konto:\nhttps://" in letter("desk_link").body
    assert "<strong>Link zum Konto</strong>" in letter("desk_link").html
    assert "Das war ich nicht:\nhttps://" in letter("address_change_asked").body
    assert "<strong>Das war ich nicht</strong>" in letter("address_changed_old").html


def test_whoever_fetched_a_fresh_link_reads_that_the_old_one_is_over():
    mail = sample("desk_link")
    mail.link.renewals = 1
    assert "Der alte Link gilt nicht mehr." in compose(mail, KEYS, OFFICE, ASKED).body
    assert "Der alte Link" not in letter("desk_link").body


@pytest.mark.parametrize("template", ["address_change_asked", "address_changed_old", "address_taken"])
def test_no_mail_names_the_new_address_to_the_old_one(template):
    mail = sample(template)
    mail.customer.await_confirmation_of("ganz.neu@andere-schule.example")
    assert b"andere-schule" not in compose(mail, KEYS, OFFICE, ASKED).as_bytes()


def test_a_second_try_brings_the_same_mail():
    mail = sample("desk_link", message_id="<abc@kmz-cw.de>")
    first, second = (compose(mail, KEYS, OFFICE, ASKED) for _ in range(2))
    assert (first.subject, first.body, first.html) == (second.subject, second.body, second.html)
    assert received(first)["Message-ID"] == received(second)["Message-ID"] == "<abc@kmz-cw.de>"


def test_somebody_without_a_name_is_greeted_all_the_same():
    nobody = Customer(salutation="", first_name="", last_name="", email="kita@schule.example")
    assert letter("password_set", customer=nobody).body.startswith("Guten Tag,\n")
    assert letter("test", customer=None).body.startswith("Guten Tag,\n")


def test_a_name_is_never_read_as_a_template_or_as_html():
    clever = Customer(salutation="Frau", first_name="", last_name="{{ 7 * 7 }}<img src=x>", email="a@schule.example")
    written = letter("password_set", customer=clever)
    assert "Guten Tag Frau {{ 7 * 7 }}<img src=x>," in written.body
    assert "{{ 7 * 7 }}&lt;img src=x&gt;" in written.html
    assert "img" not in Seen(written.html).tags


def test_a_name_cannot_begin_a_line_of_its_own():
    url = "https://konto.kmz.example/link/gefälscht"
    clever = Customer(salutation="", first_name="Erika\n\nLink zum Konto:\n", last_name=url, email="a@schule.example")
    written = letter("password_set", customer=clever)
    assert written.body.splitlines()[0] == f"Guten Tag Erika Link zum Konto: {url},"
    assert "a" not in Seen(written.html).tags


@pytest.mark.parametrize("name", ["OFFICE_NAME", "MAIL_DEFAULT_SENDER", "OFFICE_SUPPORT_EMAIL"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_nothing_can_smuggle_in_a_header(name, end):
    with pytest.raises(ValueError):
        letter(office=OFFICE | {name: f"a@b.example{end}Bcc: dieb@example.org"}).as_bytes()


def test_nor_can_the_recipient_or_the_message_id():
    for smuggled in (
        {"recipient": "a@b.example\r\nBcc: dieb@example.org"},
        {"message_id": "<a@b>\r\nBcc: d@example.org"},
    ):
        with pytest.raises(ValueError):
            letter(**smuggled).as_bytes()


def test_a_domain_with_umlauts_reaches_every_mail_server():
    mail = received(letter(recipient="Erika.Muster@straße-müller.example"))
    assert mail["To"] == "Erika.Muster@xn--strae-mller-y6a49a.example"


@pytest.mark.parametrize(
    "name",
    [
        'Kreismedienzentrum für Schule, Bildung & "Medien" im Landkreis Musterhausen-Süd, Außenstelle West',
        "Kreismedienzentrum fuer Schule, Bildung & Medien im Landkreis Musterhausen-Sued und Aussenstelle West",
        "Göppingen Straße Süd",
    ],
)
def test_an_office_with_a_long_or_odd_name_is_still_one_sender(name):
    mail = message_from_bytes(letter(office=OFFICE | {"OFFICE_NAME": name}).as_bytes(), policy=compat32)
    [(sender, address)] = getaddresses([mail["From"]])
    assert (decoded(sender), address) == (name, "support@kmz-cw.de")
    assert decoded(mail["Subject"]) == f"Ihr Link zum Konto – {name}"


def decoded(text):
    return str(make_header(decode_header(text)))


def test_a_long_domain_does_not_break_the_message_id():
    message_id = f"<{'0123456789abcdef' * 2}@medienzentrum.landkreis-musterhausen-sued.bw.schule.example>"
    raw = letter(message_id=message_id).as_bytes()
    assert message_id.encode() in raw.replace(b"\r\n ", b"")
    assert received(letter(message_id=message_id))["Message-ID"] == message_id


def test_without_a_public_url_no_mail_is_written():
    with pytest.raises(LookupError, match="PUBLIC_URL"):
        letter(office=OFFICE | {"PUBLIC_URL": ""})


def test_a_link_mail_without_its_link_is_no_mail():
    with pytest.raises(UndefinedError):
        letter("recovery_link", link=None)
