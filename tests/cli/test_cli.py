"""Clerks and links, from the command line."""

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.outgoing_mail import OutgoingMail
from kmzportal.services import account_link
from tests import cast

ROBIN = ("clerks", "add", "robin@kmz.example", "--name", "Robin Ostermann", "--initials", "ob")


def test_a_new_clerk_is_mailed_the_first_link(type_in, deeds):
    result = type_in(*ROBIN, "--admin")
    assert result.exit_code == 0
    assert result.output == "Robin Ostermann ist angelegt. Der erste Link geht an robin@kmz.example.\n"
    (robin,) = deeds.read(select(Clerk))
    assert (robin.name, robin.initials, robin.admin, robin.password_hash) == ("Robin Ostermann", "ob", True, None)
    (mail,) = deeds.read(select(OutgoingMail))
    assert (mail.template, mail.recipient, mail.clerk_id) == ("clerk_first_link", "robin@kmz.example", robin.id)


def test_the_first_link_can_be_printed_instead(type_in, deeds):
    url = type_in(*ROBIN, "--print-link").output.strip()
    with deeds.work() as work:
        link = account_link.find(work.session, url.rpartition("/")[2])
        assert (link.kind, link.clerk.initials) == ("clerk_first", "ob")
    assert url.startswith("https://konto.kmz.example/link/")
    assert not deeds.read(select(OutgoingMail))


@pytest.mark.parametrize(("mail", "initials"), [("Robin@KMZ.example", "xx"), ("anders@kmz.example", "OB")])
def test_a_clerk_is_not_added_twice(type_in, deeds, mail, initials):
    type_in(*ROBIN)
    again = type_in("clerks", "add", mail, "--name", "Jemand", "--initials", initials)
    assert again.exit_code == 1
    assert again.output == f"Es gibt schon jemanden mit der Adresse {mail} oder dem Kürzel {initials}.\n"
    assert len(deeds.read(select(Clerk))) == 1
    assert "clerk.refused" in [event.deed for event in deeds.read(select(AuditEvent))]


def test_a_clerk_needs_a_mail_address(type_in, deeds):
    result = type_in("clerks", "add", "robin", "--name", "Robin Ostermann", "--initials", "ob")
    assert (result.exit_code, result.output) == (1, "„robin“ ist keine E-Mail-Adresse.\n")
    assert not deeds.read(select(Clerk))


@pytest.mark.parametrize("address", ["tim.beispiel@kmz.example", "TIM.Beispiel@kmz.example"])
def test_a_clerk_who_is_locked_out_of_app_and_password_gets_a_new_link(type_in, deeds, tim, address):
    factor = deeds.give_factor(tim)
    result = type_in("clerks", "link", address)
    assert (result.exit_code, result.output) == (0, f"Der Link geht an {address}.\n")
    assert [(mail.template, mail.recipient) for mail in deeds.mails()] == [("clerk_first_link", tim.email)]
    assert deeds.read(tim).factor_nonce and factor.secret not in result.output


def test_the_new_link_can_be_printed_instead(type_in, deeds, tim):
    url = type_in("clerks", "link", tim.email, "--print-link").output.strip()
    with deeds.work() as work:
        link = account_link.find(work.session, url.rpartition("/")[2])
        assert (link.kind, link.clerk.initials) == ("clerk_first", "tb")
    assert deeds.mails() == []


def test_a_locked_clerk_gets_no_link(type_in, deeds, tim):
    with deeds.work("console") as work:
        work.session.get(Clerk, tim.id).locked_at = work.now
    for words in ((), ("--print-link",)):
        result = type_in("clerks", "link", tim.email, *words)
        assert result.exit_code == 1
        assert f"Der Zugang von {tim.email} ist gesperrt." in result.output
    assert deeds.read(select(AccountLink)) == []


@pytest.mark.parametrize(("mail", "sentence"), [
    ("niemand@kmz.example", "Niemand im Kundenservice hat die Adresse niemand@kmz.example."),
    ("niemand", "„niemand“ ist keine E-Mail-Adresse."),
    (cast.ERIKA["email"], "Niemand im Kundenservice hat die Adresse"),
])  # fmt: skip
def test_who_is_no_clerk_gets_no_clerks_link(type_in, deeds, erika, mail, sentence):
    result = type_in("clerks", "link", mail)
    assert (result.exit_code, sentence in result.output) == (1, True)
    assert deeds.mails() == []


def test_a_link_goes_to_the_stored_address(type_in, deeds, erika, rosa):
    result = type_in("links", "send", "ERIKA.Mustermann@gms-musterstadt.example", "--by", "ro")
    assert result.exit_code == 0
    (link,) = deeds.read(select(AccountLink))
    assert (link.kind, link.email, link.initials, link.issued_by) == ("desk", cast.ERIKA["email"], "ro", "console")
    (mail,) = deeds.read(select(OutgoingMail))
    assert (mail.template, mail.recipient) == ("desk_link", cast.ERIKA["email"])


def test_a_newer_link_replaces_the_older(type_in, deeds, erika, rosa):
    for _ in range(2):
        type_in("links", "send", cast.ERIKA["email"], "--by", "ro")
    assert sorted(link.ended_as or "open" for link in deeds.read(select(AccountLink))) == ["open", "replaced"]


@pytest.mark.parametrize(("mail", "by", "sentence"), [
    ("niemand@kmz.example", "ro", "Die Adresse niemand@kmz.example ist unbekannt."),
    ("niemand", "ro", "„niemand“ ist keine E-Mail-Adresse."),
    (cast.ERIKA["email"], "xx", "Niemand im Kundenservice hat das Kürzel xx."),
    (cast.LIESELOTTE["email"], "ro", "ist gesperrt."),
])  # fmt: skip
def test_no_link_is_sent_that_should_not_be(type_in, deeds, erika, lieselotte, rosa, mail, by, sentence):
    result = type_in("links", "send", mail, "--by", by)
    assert result.exit_code == 1
    assert sentence in result.output
    assert not deeds.read(select(OutgoingMail))


def test_a_customer_is_not_bombed_from_the_command_line(type_in, deeds, erika, rosa):
    results = [type_in("links", "send", cast.ERIKA["email"], "--by", "ro") for _ in range(11)]
    assert [result.exit_code for result in results] == [0] * 10 + [1]
    assert "heute schon zu viele E-Mails" in results[-1].output
