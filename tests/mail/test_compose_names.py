"""Whatever people, offices and domains are called, a mail stays one mail: no template, no HTML, no header of theirs."""

from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import compat32
from email.utils import getaddresses

import pytest

from kmzportal.models.customer import Customer
from tests.mail.letters import OFFICE, Seen, letter, received


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
    assert Seen(written.html).pages == []


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
