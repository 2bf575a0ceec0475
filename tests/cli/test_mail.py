"""Trying the mail server, and posting what waits."""

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import select

from kmzportal.models import MailState, OutgoingMail
from tests import people
from tests.server.conftest import free_port


class MailServer:
    """Takes every mail but for one address, and keeps it."""

    def __init__(self):
        self.came = []

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802  the name is aiosmtpd's
        if address.startswith("gibtsnicht"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        self.came.append(envelope)
        return "250 OK"


@pytest.fixture
def mail_server(app, settings, monkeypatch):
    controller = Controller(MailServer(), hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.update(MAIL_SERVER="127.0.0.1", MAIL_PORT=controller.port)
    monkeypatch.setattr(app.extensions["mail"], "server", "127.0.0.1")
    monkeypatch.setattr(app.extensions["mail"], "port", controller.port)
    yield controller
    controller.stop()


def test_the_mail_server_is_tried_at_once(type_in, mail_server):
    result = type_in("mail", "test", "admin@kmz.example")
    assert result.output.startswith(
        f"127.0.0.1:{mail_server.port} hat die Probe an admin@kmz.example angenommen (250)."
    )
    assert mail_server.handler.came[0].rcpt_tos == ["admin@kmz.example"]


def test_what_the_mail_server_dislikes_is_told(type_in, mail_server):
    result = type_in("mail", "test", "gibtsnicht@kmz.example")
    assert result.exit_code == 1
    assert "hat die Probe nicht angenommen (550): Adresse unbekannt." in result.output
    assert "Antwort des Mailservers: „550 5.1.1 no such user“." in result.output


def test_without_a_mail_server_nothing_is_pretended(type_in):
    for words in (("mail", "test", "admin@kmz.example"), ("mail", "deliver")):
        result = type_in(*words)
        assert result.exit_code == 1
        assert result.output.startswith("MAIL_SERVER ist leer.")


def test_what_waits_is_posted_once(type_in, backend, erika, rosa, mail_server):
    type_in("links", "send", people.ERIKA["email"], "--by", "ro")
    said = [type_in("mail", "deliver").output for _ in range(2)]
    assert said == ["Verschickte E-Mails: 1.\n", "Verschickte E-Mails: 0.\n"]
    assert backend.read(select(OutgoingMail))[0].state == MailState.SENT
    assert len(mail_server.handler.came) == 1
