"""The mails with a link: where it stands, what it is called, how long it works, and the code beside it."""

import pytest
from jinja2 import UndefinedError

from kmzportal.mail.compose import compose
from kmzportal.mail.previews import ASKED, KEYS, MAILS, sample
from tests.mail.letters import OFFICE, Seen, letter, parts, received

WITH_LINK = [name for name, kind in MAILS.items() if kind]
EVERY_LINK = pytest.mark.parametrize("template", WITH_LINK)


@EVERY_LINK
def test_the_link_stands_alone_on_its_line_and_nothing_breaks_it(template):
    mail = sample(template)
    url = f"https://konto.kmz.example/link/{KEYS.token(mail.link)}"
    written = compose(mail, KEYS, OFFICE, ASKED)
    assert written.body.splitlines().count(url) == 1
    assert f"\r\n{url}\r\n".encode() in written.as_bytes()
    html = parts(written)[1]
    assert Seen(html).pages == [url]
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


def test_without_a_public_url_no_mail_is_written():
    with pytest.raises(LookupError, match="PUBLIC_URL"):
        letter(office=OFFICE | {"PUBLIC_URL": ""})


def test_a_link_mail_without_its_link_is_no_mail():
    with pytest.raises(UndefinedError):
        letter("recovery_link", link=None)
