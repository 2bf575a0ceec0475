"""Clerks and links, from the command line."""

import pytest
from sqlalchemy import select

from kmzportal.models import AccountLink, AuditEvent, Clerk, MailState, OutgoingMail
from kmzportal.services import links, outbox
from kmzportal.services.outbox import NO_SERVER
from tests import people

ROBIN = ("clerks", "add", "robin@kmz.example", "--name", "Robin Ostermann", "--initials", "ob")


@pytest.fixture(autouse=True)
def sending(backend, settings):
    """A worker that runs, and a mail server."""
    settings["MAIL_SERVER"] = "mail.example"
    for loop in outbox.MAIL_LOOPS:
        backend.run(outbox.record_heartbeat, loop)


def test_a_new_clerk_is_mailed_the_first_link(type_in, backend):
    result = type_in(*ROBIN, "--admin")
    assert result.exit_code == 0
    assert result.output == "Robin Ostermann ist angelegt. Der erste Link geht an robin@kmz.example.\n"
    (robin,) = backend.read(select(Clerk))
    assert (robin.name, robin.initials, robin.admin, robin.password_hash) == ("Robin Ostermann", "ob", True, None)
    (mail,) = backend.read(select(OutgoingMail))
    assert (mail.template, mail.recipient, mail.clerk_id) == ("clerk_first_link", "robin@kmz.example", robin.id)


def test_the_first_link_can_be_printed_instead(type_in, backend):
    url = type_in(*ROBIN, "--print-link").output.strip()
    with backend.transaction() as tx:
        link = links.find(tx.session, tx.keys, url.rpartition("/")[2])
        assert (link.kind, link.clerk.initials) == ("clerk_first", "ob")
    assert url.startswith("https://konto.kmz.example/link/")
    assert not backend.read(select(OutgoingMail))


@pytest.mark.parametrize(("mail", "initials"), [("Robin@KMZ.example", "xx"), ("anders@kmz.example", "OB")])
def test_a_clerk_is_not_added_twice(type_in, backend, mail, initials):
    type_in(*ROBIN)
    again = type_in("clerks", "add", mail, "--name", "Jemand", "--initials", initials)
    assert again.exit_code == 1
    assert again.output == f"Es gibt schon jemanden mit der Adresse {mail} oder dem Kürzel {initials}.\n"
    assert len(backend.read(select(Clerk))) == 1
    assert "clerk.refused" in [event.action for event in backend.read(select(AuditEvent))]


def test_a_clerk_needs_a_mail_address(type_in, backend):
    result = type_in("clerks", "add", "robin", "--name", "Robin Ostermann", "--initials", "ob")
    assert (result.exit_code, result.output) == (
        1, "„robin“ ist keine E-Mail-Adresse. Schreiben Sie sie so: name@kmz.example\n"
    )  # fmt: skip
    result = type_in("clerks", "add", "robin@kmz.example", "--name", "", "--initials", "o\nb")
    assert (result.exit_code, result.output) == (
        1, "Nennen Sie Vor- und Nachnamen, höchstens 100 Zeichen.\nEin Kürzel hat 2 bis 4 Buchstaben.\n"
    )  # fmt: skip
    assert not backend.read(select(Clerk))


@pytest.mark.parametrize("address", ["tim.beispiel@kmz.example", "TIM.Beispiel@kmz.example"])
def test_a_clerk_who_is_locked_out_of_app_and_password_gets_a_new_link(type_in, backend, tim, address):
    factor = backend.add_second_factor(tim)
    result = type_in("clerks", "link", address)
    assert (result.exit_code, result.output) == (0, f"Der Link geht an {address}.\n")
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [("clerk_first_link", tim.email)]
    assert backend.read(tim).factor_nonce and factor.secret not in result.output


def test_the_new_link_can_be_printed_instead(type_in, backend, tim):
    url = type_in("clerks", "link", tim.email, "--print-link").output.strip()
    with backend.transaction() as tx:
        link = links.find(tx.session, tx.keys, url.rpartition("/")[2])
        assert (link.kind, link.clerk.initials) == ("clerk_first", "tb")
    assert backend.mails() == []


def test_a_locked_clerk_gets_no_link(type_in, backend, tim):
    with backend.transaction("console") as tx:
        tx.session.get(Clerk, tim.id).locked_at = tx.now
    for words in ((), ("--print-link",)):
        result = type_in("clerks", "link", tim.email, *words)
        assert result.exit_code == 1
        assert f"Der Zugang von {tim.email} ist gesperrt." in result.output
    backend.update(tim, left_at=people.NOW)
    assert f"{tim.email} ist ausgeschieden." in type_in("clerks", "link", tim.email).output
    assert backend.read(select(AccountLink)) == []


@pytest.mark.parametrize(("mail", "sentence"), [
    ("niemand@kmz.example", "Niemand im Kundenservice hat die Adresse niemand@kmz.example."),
    ("niemand", "„niemand“ ist keine E-Mail-Adresse."),
    (people.ERIKA["email"], "Niemand im Kundenservice hat die Adresse"),
])  # fmt: skip
def test_who_is_no_clerk_gets_no_clerks_link(type_in, backend, erika, mail, sentence):
    result = type_in("clerks", "link", mail)
    assert (result.exit_code, sentence in result.output) == (1, True)
    assert backend.mails() == []


def test_a_link_goes_to_the_stored_address(type_in, backend, erika, rosa):
    result = type_in("links", "send", "ERIKA.Mustermann@gms-musterstadt.example", "--by", "ro")
    assert result.exit_code == 0
    (link,) = backend.read(select(AccountLink))
    assert (link.kind, link.email, link.initials, link.issued_by) == ("desk", people.ERIKA["email"], "ro", "console")
    (mail,) = backend.read(select(OutgoingMail))
    assert (mail.template, mail.recipient) == ("desk_link", people.ERIKA["email"])
    assert type_in("links", "send", people.ERIKA["email"]).exit_code == 0
    assert backend.read(select(AccountLink))[-1].initials is None


def test_a_link_that_waits_is_called_waiting_with_the_reason(type_in, backend, settings, erika, rosa, tim):
    settings["MAIL_SERVER"] = ""
    result = type_in(*ROBIN)
    assert result.output == f"Robin Ostermann ist angelegt. Der erste Link an robin@kmz.example wartet: {NO_SERVER}\n"
    assert type_in("clerks", "link", tim.email).output == f"Der Link an {tim.email} wartet: {NO_SERVER}\n"
    settings["MAIL_SERVER"] = "mail.example"
    backend.update(backend.mails()[0], outage_since=people.NOW, reason="Der Mailserver ist weg", reply_text="421 weg")
    result = type_in("links", "send", erika.email, "--by", "ro")
    waits = f"Der Link zum Konto an {erika.email} wartet: Der Mailserver ist weg. Antwort des Mailservers: „421 weg“."
    assert result.output.startswith(waits)


def test_a_newer_link_replaces_the_older(type_in, backend, erika, rosa):
    for _ in range(2):
        type_in("links", "send", people.ERIKA["email"], "--by", "ro")
    assert sorted(link.ended_as or "open" for link in backend.read(select(AccountLink))) == ["open", "replaced"]


@pytest.mark.parametrize(("mail", "by", "sentence"), [
    ("niemand@kmz.example", "ro", "Die Adresse niemand@kmz.example ist unbekannt."),
    ("niemand", "ro", "„niemand“ ist keine E-Mail-Adresse."),
    (people.ERIKA["email"], "xx", "Niemand im Kundenservice hat das Kürzel xx."),
    (people.LIESELOTTE["email"], "ro", "ist gesperrt."),
])  # fmt: skip
def test_no_link_is_sent_that_should_not_be(type_in, backend, erika, lieselotte, rosa, mail, by, sentence):
    result = type_in("links", "send", mail, "--by", by)
    assert result.exit_code == 1
    assert sentence in result.output
    assert not backend.read(select(OutgoingMail))


def test_a_customer_is_not_bombed_from_the_command_line(type_in, backend, erika, rosa):
    results = []
    for _ in range(11):
        results.append(type_in("links", "send", people.ERIKA["email"], "--by", "ro"))
        for mail in backend.mails():
            backend.update(mail, state=MailState.SENT)
    assert [result.exit_code for result in results] == [0] * 10 + [1]
    assert "heute schon zu viele E-Mails" in results[-1].output
