"""Connections to the mail server: encrypted and verified, with login, and when it fails or does not answer."""

import socket

import pytest
from aiosmtpd.smtp import AuthResult
from sqlalchemy import select

from kmzportal.mail import delivery, smtp
from kmzportal.models import Heartbeat, MailState
from kmzportal.services import outbox
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
        assert "nimmt unsere Anmeldung nicht an" in backend.mails()[0].reason


@pytest.mark.parametrize("seconds", [1, 3])
def test_the_final_dot_may_take_longer_than_a_command_and_the_lease_is_renewed(
    deliver, server, configure, app, link, backend, states, monkeypatch, seconds
):
    """Who gives up at the final dot sends the mail twice (RFC 5321, 4.5.3.2.6)."""
    configure(MAIL_PORT=app.config["MAIL_PORT"], MAIL_TIMEOUT=1)
    monkeypatch.setattr(smtp, "FINAL_DOT_TIMEOUT", seconds)
    monkeypatch.setattr(delivery, "RENEW_EVERY", 0.5)
    server.data_takes = 2
    assert deliver() == (1 if seconds == 3 else 0)
    assert states() == ([(MailState.SENT, 250)] if seconds == 3 else WAITING)
    assert [beat.loop for beat in backend.read(select(Heartbeat))] == ["mails"], "the loop is alive while it waits"
    if seconds == 1:
        assert "nicht rechtzeitig geantwortet" in backend.mails()[0].reason


@pytest.mark.parametrize(("settings", "reason"), [
    ({"MAIL_SERVER": "gibt-es-nicht.invalid"}, "Den Namen gibt-es-nicht.invalid kennt das DNS nicht"),
    ({"MAIL_SERVER": "x" * 70 + ".example"}, "Die Verbindung zum Mailserver ist nicht möglich (UnicodeError)"),
    ({"MAIL_PORT": "closed"}, "nimmt auf Port"),
    ({"MAIL_PORT": "silent"}, "nicht rechtzeitig geantwortet"),
    ({"MAIL_USE_SSL": True}, "Die Verschlüsselung passt nicht zum Port"),
    ({"MAIL_CA_FILE": "/gibt/es/nicht"}, "MAIL_CA_FILE ist nicht lesbar"),
    ({"MAIL_USERNAME": "portal", "MAIL_PASSWORD": "x"}, "bietet keine Anmeldung an"),
])  # fmt: skip
def test_whatever_connecting_raises_is_an_outage_with_its_reason(
    deliver, server, configure, app, link, backend, states, settings, reason
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ports = {"closed": free_port(), "silent": silent.getsockname()[1]}
        settings = {"MAIL_PORT": app.config["MAIL_PORT"], "MAIL_TIMEOUT": 1} | settings
        configure(**settings | {"MAIL_PORT": ports.get(settings["MAIL_PORT"], settings["MAIL_PORT"])})
        assert deliver() == 0
    assert states() == WAITING
    assert reason in backend.mails()[0].reason
    assert backend.mails()[0].outage_since


@pytest.mark.parametrize(("mechanism", "reason"), [("PLAIN", None), ("LOGIN", "keine Umlaute und Sonderzeichen")])
def test_a_password_with_an_umlaut_works_where_the_server_allows_it(
    deliver, server, configure, link, backend, certificate, mechanism, reason
):
    authority, context = certificate()

    def check(_server, _session, _envelope, _mechanism, login):
        return AuthResult(success=login.password == "schlüssel§2026".encode(), handled=False)

    other = {"PLAIN": "LOGIN", "LOGIN": "PLAIN"}[mechanism]
    options = {"authenticator": check, "auth_required": True, "auth_exclude_mechanism": [other]}
    with listening(server, tls_context=context, **options) as port:
        login = {"MAIL_USERNAME": "portal", "MAIL_PASSWORD": "schlüssel§2026"}
        configure(MAIL_PORT=port, MAIL_USE_TLS=True, MAIL_CA_FILE=authority, **login)
        assert deliver() == (0 if reason else 1)
    if reason:
        assert reason in backend.mails()[0].reason


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
    deliver, server, configure, app, queue, erika, max_, juergen, backend
):
    port = app.config["MAIL_PORT"]
    configure(MAIL_PORT=free_port())
    mails = [queue(erika), queue(max_), queue(juergen)]
    tries = []
    for _ in range(3):
        assert deliver() == 0
        tries.append([backend.read(mail).tries for mail in mails])
    assert tries == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert None not in [mail.outage_since for mail in backend.mails()]
    configure(MAIL_PORT=port)
    queue(erika)
    assert deliver() == 4, "the others with the first that ends it"
    assert [mail.outage_since for mail in backend.mails()] == [None] * 4


def test_the_worker_looks_by_itself_each_minute_whether_the_server_takes_mails(app, server, configure, backend, clock):
    port, strangers = app.config["MAIL_PORT"], delivery.Deliveries(to_strangers=True, at_once=1)

    def disturbed():
        for loop in outbox.MAIL_LOOPS:
            backend.run(outbox.record_heartbeat, loop)
        with app.app_context():
            strangers.check_server_if_due()
        return backend.run(lambda tx: outbox.public_outage(tx.session, tx.now, app.config))

    assert not disturbed()
    configure(MAIL_PORT=free_port())
    clock.shift(59)
    assert not disturbed(), "it is not due yet"
    clock.shift(1)
    assert disturbed(), "nothing listens there"
    configure(MAIL_PORT=port)
    clock.shift(60)
    assert not disturbed()
    server.mail_reply = "550 5.7.60 not from you"
    clock.shift(60)
    assert disturbed(), "our sender is refused"
    assert server.messages == []
