"""Mails go encrypted, to a server that proves who it is, and the portal logs in where it asks for it."""

import pytest

from kmzportal.models.outgoing_mail import MailState
from tests.mail.conftest import states
from tests.mail.post_office import PASSWORD, Opened, accepts, certificate


def test_starttls_with_the_offices_own_authority(deliver, office, relay, link, tmp_path):
    authority, context = certificate(tmp_path)
    with Opened(office, tls_context=context) as opened:
        relay(MAIL_PORT=opened.port, MAIL_USE_TLS=True, MAIL_CA_FILE=authority)
        assert deliver() == 1
    assert office.in_clear == []


def test_tls_from_the_first_byte(deliver, office, relay, link, tmp_path):
    authority, context = certificate(tmp_path)
    with Opened(office, ssl_context=context) as opened:
        relay(MAIL_PORT=opened.port, MAIL_USE_SSL=True, MAIL_CA_FILE=authority)
        assert deliver() == 1
    assert len(office.letters) == 1


@pytest.mark.parametrize("way", ["MAIL_USE_TLS", "MAIL_USE_SSL"])
@pytest.mark.parametrize("name", ["127.0.0.1", "127.0.0.2"])
def test_nothing_goes_to_a_server_that_cannot_prove_who_it_is(deliver, office, relay, link, mails, tmp_path, way, name):
    authority, context = certificate(tmp_path, name)
    known = {"MAIL_CA_FILE": "" if name == "127.0.0.1" else authority}
    how = {"tls_context": context} if way == "MAIL_USE_TLS" else {"ssl_context": context}
    with Opened(office, **how) as opened:
        relay(MAIL_PORT=opened.port, **{way: True}, **known)
        assert deliver() == 0
    assert (office.senders, office.letters) == ([], [])
    assert states(mails) == [(MailState.DEFERRED, None)]
    assert "Zertifikat" in mails()[0].reason


def test_when_encryption_is_not_offered_nothing_is_sent_in_clear(deliver, open_office, relay, app, link, mails):
    relay(MAIL_PORT=app.config["MAIL_PORT"], MAIL_USE_TLS=True)
    assert deliver() == 0
    assert open_office.in_clear == []
    assert states(mails) == [(MailState.DEFERRED, None)]
    assert "Verschlüsselung" in mails()[0].reason


@pytest.mark.parametrize(("password", "taken"), [(PASSWORD, 1), ("vertippt", 0)])
def test_the_portal_logs_in_where_the_server_asks_for_it(
    deliver, office, relay, link, mails, tmp_path, password, taken
):
    authority, context = certificate(tmp_path)
    with Opened(office, tls_context=context, authenticator=accepts, auth_required=True) as opened:
        way = {"MAIL_PORT": opened.port, "MAIL_USE_TLS": True, "MAIL_CA_FILE": authority}
        relay(**way, MAIL_USERNAME="portal", MAIL_PASSWORD=password)
        assert deliver() == taken
    assert len(office.letters) == taken
    if not taken:
        assert states(mails) == [(MailState.DEFERRED, 535)]
        assert mails()[0].reason == "Der Mailserver nimmt unsere Anmeldung nicht an"
