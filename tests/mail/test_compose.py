"""The content of every mail: complete, readable in any program, and safe whatever people and offices are called."""

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import compat32, strict
from email.utils import getaddresses
from pathlib import Path

import lxml.html
import pytest
from jinja2 import UndefinedError

import kmzportal
from kmzportal.mail.compose import STYLE, compose, subject_of
from kmzportal.mail.previews import ASKED, KEYS, MAILS, previews, sample
from kmzportal.models import Customer
from kmzportal.settings import SETTINGS

OFFICE = {setting.name: setting.default for setting in SETTINGS}
SENDER = "support@kmz-cw.de"
OFFICE |= {"PUBLIC_URL": "https://konto.kmz.example", "MAIL_DEFAULT_SENDER": ("Kreismedienzentrum Calw", SENDER)}
TAGS = {"html", "head", "meta", "title", "style", "body", "div", "h1", "p", "a", "strong", "span", "br"}
ATTRIBUTES = {"lang", "charset", "name", "content", "class", "href"}
TEMPLATES = Path(kmzportal.__file__).parent / "templates" / "mail"
EVERY = pytest.mark.parametrize("template", MAILS)
EVERY_LINK = pytest.mark.parametrize("template", [name for name, kind in MAILS.items() if kind])


def email(template="desk_link", office=OFFICE, **columns):
    return compose(sample(template, **columns), KEYS, office, ASKED)


def received(email):
    """Return the message as a mail program parses it; malformed ones raise."""
    return message_from_bytes(email.as_bytes(), policy=strict)


def parts(email):
    """Return the plain text and the parsed HTML."""
    text, html = (part.get_content().replace("\r\n", "\n") for part in received(email).iter_parts())
    return text, lxml.html.document_fromstring(html)


def shown(html):
    """Return the visible text with single spaces, each element a word of its own unless it is within a sentence."""
    body = html.find("body")
    for element in body.iter():
        if element.tag not in ("a", "strong"):
            element.text = f" {element.text or ''}"
            element.tail = f" {element.tail or ''}"
    return one_line(body.text_content())


def one_line(text):
    return " ".join(text.split())


def urls(html):
    return [link for _, _, link, _ in html.iterlinks() if not link.startswith("tel:")]


def test_every_template_has_a_preview():
    assert {path.stem for path in TEMPLATES.glob("[a-z]*.txt")} == set(previews(OFFICE))


@EVERY
def test_headers_are_complete_and_ask_for_no_automatic_reply_and_any_server_can_relay_the_lines(template):
    written = email(template)
    mail, raw = received(written), written.as_bytes()
    for name in ("From", "To", "Date", "Subject", "Message-ID", "Reply-To", "Content-Language"):
        assert len(mail.get_all(name)) == 1, name
    assert mail["From"] == "Kreismedienzentrum Calw <support@kmz-cw.de>"
    assert mail["Reply-To"] == "support@kmz-cw.de"
    assert mail["Date"].datetime == ASKED and mail["Date"].endswith("+0000")
    assert mail["Content-Language"] == "de"
    assert mail["Auto-Submitted"] == "auto-generated"  # RFC 3834
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert raw.isascii() and b"\n" not in raw.replace(b"\r\n", b"")
    assert max(len(line) for line in raw.split(b"\r\n")) <= 76
    assert raw.count(b"Content-Transfer-Encoding: quoted-printable") == 2


@EVERY
def test_text_and_html_say_the_same_and_the_html_loads_nothing(template):
    mail = received(email(template))
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    text, html = parts(email(template))
    assert html.get("lang") == "de"
    assert {one.tag for one in html.iter()} <= TAGS
    assert {name for one in html.iter() for name in one.attrib} <= {
        "lang",
        "charset",
        "name",
        "content",
        "class",
        "href",
    }
    assert "url(" not in STYLE and "@import" not in STYLE
    phones = [(one.get("href"), one.text) for one in html.iter("a") if one.get("href").startswith("tel:")]
    assert phones == [("tel:+497051965220", "07051 965 220")] * text.count("07051 965 220") != []
    visible = shown(html)
    for line in text.splitlines():
        assert line.rstrip(":") in visible


@EVERY
def test_the_text_names_reader_office_time_and_what_to_do_if_it_was_not_them(template):
    text, _ = parts(email(template))
    to_stranger = template.startswith("case_")
    # Anyone may have typed the address, so no name is given away. Of a deleted account none is known.
    if template in ("address_link", "clerk_first_link", "account_deleted") or to_stranger:
        assert text.startswith("Guten Tag,\n")
    else:
        assert text.startswith(("Guten Tag Frau Mustermann,\n", "Guten Tag Robin Ostermann,\n"))
    for words in ("Kreismedienzentrum Calw", "Oberriedter Straße 10", "75365 Calw", "07051 965 220", "07051 965 230"):
        assert words in text
    assert "Bei uns fragt Sie niemand nach Ihrem Passwort" in one_line(text)
    assert "22.11.2026, 14:05 Uhr" in one_line(text) or template in ("case_receipt", "case_question", "account_deleted")
    unasked = r"nicht\? Dann|nichts tun|rufen Sie uns|gebeten\? Dann|davon\? Dann"
    assert re.search(unasked, one_line(text)) or template.startswith(("case_question", "alarm_"))


@EVERY
def test_lists_name_every_mail_by_its_subject(template):
    subject = subject_of(template)
    assert subject and "{" not in subject
    if template != "passkeys_changed":  # its subject depends on what has changed
        assert email(template).subject.startswith(subject)


def test_admins_read_whether_a_clerk_is_new_or_back_or_manages_now():
    acts = {
        None: "ein neuer Zugang angelegt",
        "returned": "jemand zurückgeholt",
        "promoted": "noch jemand dieses Recht",
    }
    for act, what in acts.items():
        facts = {"initials": "tb", **({"act": act} if act else {})}
        text = one_line(parts(email("clerk_added", facts=facts))[0])
        assert [words for words in acts.values() if words in text] == [what] and "mit dem Kürzel tb" in text


def test_clerks_read_who_was_locked_left_or_manages_no_more():
    acts = {"locked": "gesperrt. Im Protokoll", "left": "ausgeschieden", "demoted": "verlor"}
    for act in acts:
        text = one_line(parts(email("clerk_limited", facts={"initials": "tb", "act": act}))[0])
        assert [known for known, words in acts.items() if words in text] == [act] and "mit dem Kürzel tb" in text


@EVERY
def test_no_line_of_the_text_is_long_but_that_of_a_link_is_whole(template):
    text, _ = parts(email(template))
    assert [line for line in text.splitlines() if len(line) > 76 and not line.startswith("https://")] == []


def test_a_link_stays_whole_however_long_its_host_is_and_paragraphs_keep_their_lines():
    office = OFFICE | {"PUBLIC_URL": f"https://{'konto-' * 9}x.kmz.example"}
    text, _ = parts(email(office=office))
    assert max(map(len, text.splitlines())) > 100
    assert "Oberriedter Straße 10\n75365 Calw\nTelefon: 07051 965 220\nFax: " in text
    assert "\n\nCode aus der E-Mail: " in text


def test_the_html_has_a_button_with_the_address_below_it_and_the_code_on_a_line_of_its_own():
    mail = sample("desk_link")
    code, url = KEYS.code(mail.link), f"https://konto.kmz.example/link/{KEYS.token(mail.link)}"
    _, html = parts(compose(mail, KEYS, OFFICE, ASKED))
    [button] = html.find_class("button")
    assert (button.get("href"), button.text_content()) == (url, "Link zum Konto")
    assert (button.getnext().tag, button.getnext().getnext().text) == ("br", url)
    for template, before in (("desk_link", "Code aus der E-Mail:"), ("case_code", "Geben Sie dort diesen Code ein:")):
        _, html = parts(email(template))
        [large] = html.find_class("code")
        assert (large.getparent().text.strip(), large.getprevious().tag, large.tail) == (before, "br", None)
        assert template == "case_code" or re.fullmatch(r"[A-Z0-9]{4}-[A-Z0-9]{4}", code)


def test_office_hours_stand_below_the_telephone_if_there_are_any():
    assert "Sprechzeiten" not in email().body
    written = email(office=OFFICE | {"OFFICE_HOURS": "Montag bis Freitag, 8 bis 12 Uhr"})
    hours = "Telefon: 07051 965 220\nSprechzeiten: Montag bis Freitag, 8 bis 12 Uhr\nFax:"
    assert hours in written.body


@EVERY_LINK
def test_the_link_is_a_line_of_its_own_that_works_once_until_a_time(template):
    mail = sample(template)
    written, url = compose(mail, KEYS, OFFICE, ASKED), f"https://konto.kmz.example/link/{KEYS.token(mail.link)}"
    assert written.body.splitlines().count(url) == 1
    assert f"\r\n{url}\r\n".encode() in written.as_bytes()
    text, html = parts(written)
    assert urls(html) == [url] and url in shown(html)
    objection = template.startswith(("address_change", "address_corr", "letter"))
    until = "29.11.2026, 14:05 Uhr" if objection else "25.11.2026, 14:05 Uhr"
    until = {"recovery_link": "22.11.2026, 16:05 Uhr", "address_link": "23.11.2026, 14:05 Uhr"}.get(template, until)
    assert f"Der Link gilt bis {until}." in text
    assert "Er funktioniert nur einmal." in text


@pytest.mark.parametrize(("template", "subject", "label"), [
    ("recovery_link", "Neues Passwort festlegen", None),
    ("desk_link", "Ihr Link zum Konto", "Link zum Konto"),
    ("address_link", "Bitte bestätigen Sie Ihre E-Mail-Adresse", None),
    ("clerk_first_link", "Ihr Zugang zum Kundenservice", None),
    ("address_change_asked", "Ihre E-Mail-Adresse soll geändert werden", "Das war ich nicht"),
    ("address_changed_old", "Ihre E-Mail-Adresse wurde geändert", "Das war ich nicht"),
])  # fmt: skip
def test_subject_and_link_have_the_names_that_people_were_told(template, subject, label):
    assert received(email(template))["Subject"] == f"{subject} – Kreismedienzentrum Calw"
    if label:
        assert f"{label}:\nhttps://" in email(template).body
        assert f"<strong>{label}</strong>" in email(template).html


def test_only_the_mail_of_the_desk_has_a_code_and_the_initials_of_the_clerk():
    mail = sample("desk_link")
    text = compose(mail, KEYS, OFFICE, ASKED).body
    assert f"Code aus der E-Mail: {KEYS.code(mail.link)}\n" in text
    assert "\nBearbeiter: ro\n" in text
    assert "Der alte Link" not in text
    for other in map(sample, set(MAILS) - {"desk_link"}):
        text = compose(other, KEYS, OFFICE, ASKED).body
        assert "Bearbeiter:" not in text
        assert other.link is None or KEYS.code(other.link) not in text
    mail.link.renewals = 1
    assert "Der alte Link gilt nicht mehr." in compose(mail, KEYS, OFFICE, ASKED).body


@pytest.mark.parametrize("template", ["address_change_asked", "address_changed_old", "address_taken"])
def test_the_old_address_does_not_learn_the_new_one(template):
    mail = sample(template)
    mail.customer.set_pending_email("ganz.neu@andere-schule.example")
    assert b"andere-schule" not in compose(mail, KEYS, OFFICE, ASKED).as_bytes()


def test_a_mail_without_its_link_or_without_the_public_url_is_not_written():
    with pytest.raises(UndefinedError):
        email("recovery_link", link=None)
    with pytest.raises(LookupError, match="PUBLIC_URL"):
        email(office=OFFICE | {"PUBLIC_URL": ""})


def test_without_a_name_the_greeting_is_neutral_and_without_a_telephone_there_is_no_link_to_it():
    unnamed = Customer(salutation="", first_name="", last_name="", email="kita@schule.example")
    assert email("password_set", customer=unnamed).body.startswith("Guten Tag,\n")
    assert email("test", customer=None).body.startswith("Guten Tag,\n")
    assert "tel:" not in email("test", office=OFFICE | {"OFFICE_PHONE": ""}).html


NAMES = [
    "Mustermann",
    "von der Tann",
    "Müller-Lüdenscheidt",
    "O’Connor",
    "Dr. Müller",
    "Klein, geb. Y",
    "Şahin",
    "Иванова",
]
NO_NAMES = [
    *("Konto gesperrt: bitte melden", "boese.example/konto", "boese.example", "a@boese", "www. boese", "Ruf 0900"),
    *("boese．example", "boese。example", "a＠boese", "Siehe：Konto", "Nummer ２", "Nummer ٣", "<b>Erika</b>"),
    *("{{ 7 }}", "Erika!", "x" * 41, "Ihr Konto wird gesperrt, bitte rufen Sie an"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_greeting_names_who_is_written_to(name):
    person = Customer(salutation="Frau", first_name="Erika", last_name=name, email="a@schule.example")
    assert email("password_set", customer=person).body.startswith(f"Guten Tag Frau {name},\n")


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_greeting_names_nothing_that_does_not_look_like_a_name(name):
    for person in (
        Customer(salutation="Frau", first_name="Erika", last_name=name, email="a@schule.example"),
        Customer(salutation="", first_name=name, last_name="", email="a@schule.example"),
    ):
        assert email("password_set", customer=person).body.startswith("Guten Tag,\n")


def test_no_mail_to_an_unconfirmed_address_names_anybody():
    """Whoever entered the address may have mistyped it, and whoever reads it may be a stranger."""
    for template in MAILS:
        person = Customer(salutation="Frau", first_name="Erika", last_name="Mustermann", email="alt@schule.example")
        person.set_pending_email("neu@schule.example")
        written = email(template, customer=person, recipient=person.pending_email)
        if not template.startswith("clerk_"):
            assert "Mustermann" not in written.body and "Erika" not in written.body


def test_a_name_is_neither_template_nor_html_nor_a_line_of_its_own():
    url = "https://konto.kmz.example/link/gefälscht"
    hostile = f"{{{{ 7 * 7 }}}}<img src=x> Link zum Konto: {url}"
    written = email("case_question", facts={"text": hostile})
    assert hostile in written.body
    assert "{{ 7 * 7 }}&lt;img src=x&gt;" in written.html
    _, html = parts(written)
    assert urls(html) == [] and html.find(".//img") is None


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_no_value_can_add_a_header(end):
    injected = f"a@b.example{end}Bcc: dieb@example.org"
    for wrong in (
        {"MAIL_DEFAULT_SENDER": (injected, "a@b.example")},
        {"MAIL_DEFAULT_SENDER": ("", injected)},
        {"OFFICE_SUPPORT_EMAIL": injected},
    ):
        with pytest.raises(ValueError):
            email(office=OFFICE | wrong).as_bytes()
    for name in ("recipient", "message_id"):
        with pytest.raises(ValueError):
            email(**{name: injected}).as_bytes()


@pytest.mark.parametrize("name", [
    'Kreismedienzentrum für Schule, Bildung & "Medien" im Landkreis Musterhausen-Süd, Außenstelle West',
    "Kreismedienzentrum fuer Schule, Bildung & Medien im Landkreis Musterhausen-Sued und Aussenstelle West",
    "Göppingen Straße Süd",
])  # fmt: skip
def test_an_office_with_a_long_name_is_one_sender(name):
    mail = message_from_bytes(
        email(office=OFFICE | {"OFFICE_NAME": name, "MAIL_DEFAULT_SENDER": (name, SENDER)}).as_bytes(), policy=compat32
    )
    [(sender, address)] = getaddresses([mail["From"]])
    decoded = [str(make_header(decode_header(text))) for text in (sender, mail["Subject"])]
    assert (decoded, address) == ([name, f"Ihr Link zum Konto – {name}"], "support@kmz-cw.de")


def test_a_second_try_has_the_same_content_and_message_id_however_long():
    message_id = f"<{'0123456789abcdef' * 2}@medienzentrum.landkreis-musterhausen-sued.bw.schule.example>"
    mail = sample("desk_link", message_id=message_id, recipient="Erika.Muster@straße-müller.example")
    first, second = (compose(mail, KEYS, OFFICE, ASKED) for _ in range(2))
    assert (first.subject, first.body, first.html) == (second.subject, second.body, second.html)
    assert received(first)["Message-ID"] == received(second)["Message-ID"] == message_id
    assert message_id.encode() in first.as_bytes().replace(b"\r\n ", b"")
    assert received(first)["To"] == "Erika.Muster@xn--strae-mller-y6a49a.example"
