"""Mails reach a real mail server, each once and with what it should say, and none is kept by another."""

import logging
import re

import pytest
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.mail import delivery
from kmzportal.models.account_link import AccountLink
from kmzportal.models.outgoing_mail import MailState, OutgoingMail
from tests.mail.conftest import states


def test_a_mail_arrives_with_the_link_that_opens_the_account(deliver, open_office, link, backend, mails):
    assert deliver() == 1
    [letter] = open_office.letters
    url = f"https://konto.kmz.example/link/{backend.keys.token(link)}"
    assert url in letter.get_body(("plain",)).get_content().splitlines()
    assert letter["To"] == link.email
    assert letter["Message-ID"] == mails()[0].message_id
    assert states(mails) == [(MailState.SENT, 250)]


def test_a_mail_is_delivered_once(deliver, open_office, link):
    assert [deliver(), deliver()] == [1, 0]
    assert len(open_office.letters) == 1


def test_the_portal_says_its_public_name_and_not_that_of_the_machine(deliver, open_office, link):
    deliver()
    assert open_office.names == ["konto.kmz.example"]
    assert open_office.senders == ["support@kmz-cw.de"]


def test_without_a_mail_server_mails_wait(deliver, relay, link, mails):
    relay(MAIL_SERVER="")
    assert deliver() == 0
    [mail] = mails()
    assert (mail.state, mail.tries, mail.leased_until) == (MailState.QUEUED, 0, None)


@pytest.mark.parametrize(
    ("broken", "state", "reason"),
    [
        ({"template": "gibt_es_nicht"}, MailState.DEFERRED, "TemplateNotFound"),
        ({"template": "recovery_link"}, MailState.DEFERRED, "UndefinedError"),
        ({"recipient": "keine adresse"}, MailState.REFUSED, "keine gültige E-Mail-Adresse"),
        ({"message_id": "<a@b>\r\nBcc: dieb@example.org"}, MailState.DEFERRED, "ValueError"),
    ],
)
def test_a_mail_that_cannot_be_written_keeps_no_other(
    deliver, open_office, queue, erika, max_, mails, change, broken, state, reason
):
    bad, _ = queue(erika), queue(max_)
    change(OutgoingMail.id == bad, **broken)
    assert deliver() == 1
    assert open_office.recipients == [max_.email]
    assert mails()[0].state == state
    assert reason in mails()[0].reason


def test_a_link_whose_key_is_gone_waits_and_keeps_no_other(
    deliver, open_office, link, queue, max_, mails, app, monkeypatch
):
    old, new = app.config["LINK_KEY"], "ein ganz anderer Schlüssel, lang genug"
    queue(max_)
    monkeypatch.setitem(app.config, "LINK_KEY", new)
    assert deliver() == 1
    assert states(mails) == [(MailState.DEFERRED, None), (MailState.SENT, 250)]
    monkeypatch.setitem(app.config, "LINK_KEY_FALLBACKS", [old])
    assert deliver() == 0  # not yet: it was deferred


def test_no_database_connection_waits_for_the_mail_server(deliver, open_office, link, app, monkeypatch):
    held = []
    connected = delivery.VerifiedConnection.configure_host

    def configure_host(connection):
        held.append(db.session().in_transaction())
        return connected(connection)

    monkeypatch.setattr(delivery.VerifiedConnection, "configure_host", configure_host)
    assert deliver() == 1
    assert held == [False]


def test_the_log_tells_of_each_mail_but_neither_to_whom_nor_what(
    deliver, open_office, queue, link, erika, max_, backend, change, caplog
):
    caplog.set_level(logging.DEBUG)
    queue(max_)
    broken = queue(erika)
    change(OutgoingMail.id == broken, template="recovery_link")
    open_office.at_rcpt[erika.email] = f"550 5.1.1 <{erika.email}> unknown"
    deliver()
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("kmzportal"))
    assert len(re.findall(r"^Mail \d+: (sent|refused|deferred)", ours, re.MULTILINE)) == 3
    assert "550 Adresse unbekannt" in ours
    for secret in (backend.keys.token(link), backend.keys.code(link), erika.email, max_.email, erika.last_name):
        assert secret not in ours


def test_links_never_come_from_a_strangers_host_header(deliver, open_office, link, app, backend):
    with app.test_request_context("/", headers={"Host": "boese.example"}):
        delivery.deliver_due()
    assert "https://konto.kmz.example/link/" in open_office.letters[0].get_body(("plain",)).get_content()
    assert "boese" not in open_office.letters[0].as_string()
    assert backend.read(select(AccountLink))
