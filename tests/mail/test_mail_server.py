"""Connections to the mail server: encrypted and verified, with login, and when it fails or does not answer."""

import pytest

from kmzportal.models import MailState
from tests.mail_server import PASSWORD, authenticate, listening
from tests.server.conftest import free_port

WAITING = [(MailState.DEFERRED, None)]


@pytest.mark.parametrize(("setting", "option"), [("MAIL_USE_TLS", "tls_context"), ("MAIL_USE_SSL", "ssl_context")])
@pytest.mark.parametrize("wrong", [None, "authority", "host"])
def test_mail_is_sent_encrypted_to_a_server_with_a_valid_certificate_only(
    deliver, server, configure, link, backend, states, certificate, setting, option, wrong
):
    authority, context = certificate("127.0.0.2" if wrong == "host" else "127.0.0.1")
    with listening(server, **{option: context}) as port:
        configure(MAIL_PORT=port, **{setting: True}, MAIL_CA_FILE="" if wrong == "authority" else authority)
        assert deliver() == (0 if wrong else 1)
    assert server.unencrypted == []
    if wrong:
        assert (server.senders, server.messages, states()) == ([], [], WAITING)
        assert "Zertifikat" in backend.mails()[0].reason


def test_nothing_is_sent_when_the_server_offers_no_encryption(deliver, server, configure, app, link, backend, states):
    configure(MAIL_PORT=app.config["MAIL_PORT"], MAIL_USE_TLS=True)
    assert deliver() == 0
    assert (server.unencrypted, states()) == ([], WAITING)
    assert "Verschlüsselung" in backend.mails()[0].reason


@pytest.mark.parametrize(("password", "sent"), [(PASSWORD, 1), ("vertippt", 0)])
def test_the_portal_logs_in_to_the_mail_server(
    deliver, server, configure, link, backend, states, certificate, password, sent
):
    authority, context = certificate()
    with listening(server, tls_context=context, authenticator=authenticate, auth_required=True) as port:
        encrypted = {"MAIL_PORT": port, "MAIL_USE_TLS": True, "MAIL_CA_FILE": authority}
        configure(**encrypted, MAIL_USERNAME="portal", MAIL_PASSWORD=password)
        assert deliver() == sent
    assert len(server.messages) == sent
    if not sent:
        assert states() == [(MailState.DEFERRED, 535)]
        assert backend.mails()[0].reason == "Der Mailserver nimmt unsere Anmeldung nicht an"


def test_a_server_that_hangs_is_left_after_the_timeout(deliver, server, configure, app, link, backend, states):
    configure(MAIL_PORT=app.config["MAIL_PORT"], MAIL_TIMEOUT=1)
    server.hangs_at_data = True
    assert deliver() == 0
    assert states() == WAITING
    assert backend.mails()[0].reason == "Der Mailserver ist nicht erreichbar"


def test_a_mail_at_which_the_server_disconnects_does_not_stop_the_next_which_is_sent_once(
    deliver, server, queue, erika, max_, states
):
    queue(erika), queue(max_)
    server.closed_at.add(erika.email)
    server.closes_at_quit = True
    assert deliver() + deliver() == 1
    assert [message.to for message in server.messages] == [[max_.email]]
    assert states() == [(MailState.DEFERRED, None), (MailState.SENT, 250)]


def test_an_outage_is_tried_with_one_mail_and_ends_with_the_first_that_is_sent(
    deliver, server, configure, app, queue, erika, max_, backend
):
    port = app.config["MAIL_PORT"]
    configure(MAIL_PORT=free_port())
    first, second = queue(erika), queue(max_)
    tries = []
    for _ in range(3):
        assert deliver() == 0
        tries.append([backend.read(mail).tries for mail in (first, second)])
    assert tries[:2] == [[1, 0], [1, 1]]
    assert None not in [mail.outage_since for mail in backend.mails()]
    configure(MAIL_PORT=port)
    queue(erika)
    assert [deliver(), deliver()] == [1, 2]
    assert [mail.outage_since for mail in backend.mails()] == [None] * 3
