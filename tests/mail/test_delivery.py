"""Each due mail is sent once with the right content, and no mail keeps another from being sent."""

import logging
import re
import time
from types import SimpleNamespace

import pytest

from kmzportal.db import db
from kmzportal.mail import delivery
from kmzportal.models import MailState
from kmzportal.server import worker
from kmzportal.services import sessions, support


def test_a_mail_is_sent_once_with_its_link_from_the_public_name(deliver, server, link, backend, states):
    assert [deliver(), deliver()] == [1, 0]
    [message] = server.messages
    assert message.link == f"https://konto.kmz.example/link/{backend.keys.token(link)}"
    assert message.to == [link.email]
    assert message.mail["Message-ID"] == backend.mails()[0].message_id
    assert states() == [(MailState.SENT, 250)]
    assert server.client_names == ["konto.kmz.example"]  # not the name of the machine
    assert server.senders == ["support@kmz-cw.de"]


def test_without_a_configured_mail_server_mails_wait(deliver, configure, link, backend):
    configure(MAIL_SERVER="")
    assert deliver() == 0
    [mail] = backend.mails()
    assert (mail.state, mail.tries, mail.leased_until) == (MailState.QUEUED, 0, None)


@pytest.mark.parametrize(("broken", "state", "reason"), [
    ({"template": "gibt_es_nicht"}, MailState.DEFERRED, "TemplateNotFound"),
    ({"template": "recovery_link"}, MailState.DEFERRED, "UndefinedError"),
    ({"recipient": "keine adresse"}, MailState.REFUSED, "keine gültige E-Mail-Adresse"),
    ({"message_id": "<a@b>\r\nBcc: dieb@example.org"}, MailState.DEFERRED, "ValueError"),
])  # fmt: skip
def test_a_mail_that_cannot_be_composed_does_not_stop_the_next(
    deliver, server, queue, erika, max_, backend, broken, state, reason
):
    first, _ = queue(erika), queue(max_)
    backend.update(first, **broken)
    assert deliver() == 1
    assert [message.to for message in server.messages] == [[max_.email]]
    assert backend.read(first).state == state
    assert reason in backend.read(first).reason


def test_a_link_whose_key_is_not_configured_does_not_stop_the_next(
    deliver, server, link, queue, max_, states, app, monkeypatch
):
    queue(max_)
    monkeypatch.setitem(app.config, "LINK_KEY", "ein ganz anderer Schlüssel, lang genug")
    assert deliver() == 1
    assert states() == [(MailState.DEFERRED, None), (MailState.SENT, 250)]


@pytest.mark.parametrize(("where", "reply", "code", "reason"), [
    ("rcpt_replies", "550 No such user", 550, "Adresse unbekannt"),
    ("rcpt_replies", "550 5.1.1 <x> unknown", 550, "Adresse unbekannt"),
    ("rcpt_replies", "550 5.1.1 <x>: User unknown in relay recipient table", 550, "Adresse unbekannt"),
    ("rcpt_replies", "552 5.2.2 over quota", 552, "Postfach voll oder gesperrt"),
    ("rcpt_replies", "550 5.7.18 domain has another owner", 550, "Der Mailserver weist die E-Mail ab"),
    ("rcpt_replies", "554 no", 554, "Der Mailserver weist die E-Mail ab"),
    ("data_reply", "554 5.6.0 malformed", 554, "Der Mailserver weist die E-Mail ab"),
])  # fmt: skip
def test_a_refused_mail_is_not_tried_again_and_does_not_stop_the_next(
    deliver, server, queue, erika, max_, backend, states, where, reply, code, reason
):
    first = queue(erika)
    setattr(server, where, reply if where == "data_reply" else {erika.email: reply})
    assert deliver() == 0
    server.data_reply = ""
    queue(max_)
    assert [deliver(), deliver()] == [1, 0]
    assert [message.to for message in server.messages] == [[max_.email]]
    assert states() == [(MailState.REFUSED, code), (MailState.SENT, 250)]
    assert backend.read(first).reason == reason


def test_a_greylisted_mail_is_tried_again_with_the_same_message_id_and_link(deliver, server, link, erika, backend):
    server.rcpt_replies[erika.email] = "450 4.2.0 greylisted"
    assert deliver() == 0
    [mail] = backend.mails()
    assert (mail.state, mail.reply_code) == (MailState.DEFERRED, 450)
    server.reset()
    assert deliver() == 0
    backend.update(mail, next_try_at=mail.queued_at)
    assert deliver() == 1
    [message] = server.messages
    assert message.mail["Message-ID"] == mail.message_id
    assert backend.keys.token(link) in message.link


@pytest.mark.parametrize(("reply", "reason"), [
    ("550 not from you", "nimmt unseren Absender nicht an"),
    ("530 5.7.0 authenticate first", "verlangt eine Anmeldung"),
    ("530 5.7.0 Must issue a STARTTLS command first", "verlangt Verschlüsselung"),
    ("451 4.3.0 later", "nimmt gerade keine E-Mails an"),
])  # fmt: skip
def test_when_the_server_refuses_the_office_its_mails_wait_and_the_desk_reads_the_servers_own_words(
    deliver, server, link, backend, states, browser, rosa, reply, reason
):
    desk = browser.come_in(backend.run(sessions.start_session, rosa, "Firefox unter Linux").token)
    server.mail_reply = reply
    assert deliver() == 0
    assert states() == [(MailState.DEFERRED, int(reply[:3]))]
    [mail] = backend.mails()
    assert reason in mail.reason
    assert mail.outage_since
    assert f"Antwort des Mailservers: „{reply}“" in desk.open("/kundenservice/postausgang").text
    server.reset()
    backend.update(mail, next_try_at=mail.queued_at)
    assert deliver() == 1
    assert backend.mails()[0].reply_text is None


#: What a server says, after RCPT or after the text, that may mean us or this recipient.
ABOUT_US_OR_RECIPIENT = [
    ("rcpt", "554 5.7.1 Relay access denied"),
    ("rcpt", "550 relay not permitted"),
    ("rcpt", "553 sorry, that domain is not in my list (#5.7.1)"),
    ("data", "550 5.7.60 Client does not have permissions to send as this sender"),
    ("data", "554 5.7.26 unauthenticated mail"),
]


@pytest.mark.parametrize(("where", "reply"), ABOUT_US_OR_RECIPIENT)
def test_mails_to_two_domains_refused_without_one_sent_between_are_an_outage(
    deliver, server, queue, erika, max_, backend, where, reply
):
    backend.update(max_, email="max@other.example", email_canonical="max@other.example")
    for person in (erika, max_):
        queue(person)
    server.data_reply = reply if where == "data" else ""
    server.rcpt_replies = dict.fromkeys((erika.email, "max@other.example"), reply) if where == "rcpt" else {}
    assert deliver() == 0
    first, second = backend.mails()
    assert {first.state, second.state} == {MailState.DEFERRED}
    assert "nimmt von uns keine E-Mails an" in second.reason
    assert [bool(mail.outage_since) for mail in (first, second)] == [False, True]


@pytest.mark.parametrize("reply", ["550 5.7.1 destination blocked by policy", "421 4.7.0 not for this recipient"])
def test_a_recipient_that_the_server_refuses_is_no_outage_and_stops_no_other_mail(
    deliver, server, queue, erika, max_, browser, backend, reply
):
    """Otherwise one domain that the server blocks would delay the mails of all."""
    backend.update(max_, email="max@other.example", email_canonical="max@other.example")
    server.rcpt_replies = {erika.email: reply}
    for person in (erika, max_, erika):
        queue(person)
    assert deliver() == 1
    assert [message.to for message in server.messages] == [["max@other.example"]]
    assert {mail.outage_since for mail in backend.mails()} == {None}
    states = [mail.state for mail in backend.mails()]
    assert states == [MailState.DEFERRED, MailState.SENT, MailState.DEFERRED]


@pytest.mark.parametrize(
    "reply",
    [
        "554 5.7.1 <x@stranger.example>: Recipient address rejected: Access denied",
        "550 5.1.1 <x@stranger.example>: undeliverable address: host mx.stranger.example said: 550 5.7.1 no",
        "421 4.7.0 not for this recipient",
    ],
)
def test_a_refused_address_that_anyone_may_have_typed_is_no_outage(deliver, server, queue, erika, backend, reply):
    for number in range(3):
        email = f"x@stranger{number}.example"
        server.rcpt_replies[email] = reply
        backend.run(lambda tx, to: tx.send("case_code", None, to=to), email)
    queue(erika)
    assert deliver() == 1
    assert [message.to for message in server.messages] == [[erika.email]]
    assert {mail.outage_since for mail in backend.mails()} == {None}


def test_a_text_that_a_filter_refuses_waits_without_stopping_the_next(deliver, server, queue, erika, max_, states):
    queue(erika)
    server.data_reply = "554 5.7.1 looks like spam"
    assert deliver() == 0
    server.reset()
    queue(max_)
    assert deliver() == 1
    assert states() == [(MailState.DEFERRED, 554), (MailState.SENT, 250)]


def test_the_servers_words_are_kept_in_one_printable_line_without_link_and_code(deliver, server, link, backend):
    token, code = backend.keys.token(link), backend.keys.code(link)
    server.rcpt_replies[link.email] = f"550-5.1.1 no\x07\r\n550 https://konto.kmz.example/link/{token} {token} {code}"
    deliver()
    assert backend.mails()[0].reply_text == "550 5.1.1 no https://konto.kmz.example(entfernt) (entfernt) (entfernt)"


def test_the_log_has_the_result_of_each_mail_without_recipient_or_content(
    deliver, server, queue, link, erika, max_, backend, caplog
):
    caplog.set_level(logging.DEBUG)
    queue(max_)
    backend.update(queue(erika), template="recovery_link")
    server.rcpt_replies[erika.email] = f"550 5.1.1 <{erika.email}> unknown"
    deliver()
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("kmzportal"))
    assert len(re.findall(r"^Mail \d+: (sent|refused|deferred)", ours, re.MULTILINE)) == 3
    assert "550 Adresse unbekannt" in ours
    for secret in (backend.keys.token(link), backend.keys.code(link), erika.email, max_.email, erika.last_name):
        assert secret not in ours


def test_no_transaction_is_open_while_the_mail_server_is_contacted(deliver, server, link, app, monkeypatch):
    open_transactions = []
    configure_host = delivery.VerifiedConnection.configure_host

    def note(connection):
        open_transactions.append(db.session().in_transaction())
        return configure_host(connection)

    monkeypatch.setattr(delivery.VerifiedConnection, "configure_host", note)
    assert deliver() == 1
    assert open_transactions == [False]


def test_a_mail_to_a_stranger_waits_for_none_to_a_customer(app, backend, server, queue, erika, max_, rosa, monkeypatch):
    monkeypatch.setattr(worker, "Checks", lambda: SimpleNamespace(check_if_due=lambda: None))
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.0)
    server.data_takes = 5
    with worker.run_loops(app):
        notices = queue(erika), queue(max_), queue(rosa)  # one more than connections to customers
        server.wait_for_number(2)
        backend.run(support.send_code, "fremd@anderswo.example")
        server.wait_for("fremd@anderswo.example", "Ihr Code")
        assert {backend.read(mail).state for mail in notices} == {MailState.QUEUED}, "they are still being sent"


def test_the_check_of_the_server_waits_for_the_connection_of_mails_to_strangers(app, backend, server, monkeypatch):
    """A further one is refused by a provider that accepts three, just while mails to customers fill the others."""
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.1)
    server.data_takes = 2
    backend.run(support.send_code, "fremd@anderswo.example")
    deliveries = delivery.Deliveries(to_strangers=True, at_once=1)
    with app.app_context():
        deliveries.start_due()
        server.wait_for("fremd@anderswo.example", "Ihr Code")
        deliveries.check_server_if_due()
    assert [mail.state for mail in backend.mails()] == [MailState.SENT], "it was over when the check began"
    assert len(server.client_names) == 2


def test_a_mail_to_a_customer_delays_none_to_another_one(app, backend, server, queue, erika, max_, monkeypatch):
    """Whoever asks for a link to his own address, hers and his again must not read from the times that she has one."""
    monkeypatch.setattr(worker, "Checks", lambda: SimpleNamespace(check_if_due=lambda: None))
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.5)
    server.data_takes = 4
    with worker.run_loops(app):
        his = queue(max_)
        server.wait_for(max_.email, "Ihr Passwort wurde geändert")
        queue(erika)
        server.wait_for(erika.email, "Ihr Passwort wurde geändert")
        assert backend.read(his).state == MailState.QUEUED, "it is still being sent"


def test_the_bounds_of_the_pause_before_a_mail_are_the_same_however_many_wait(app, server, queue, erika, monkeypatch):
    """When they grew, a long pause before his own mail told the requester that one more had been queued."""
    bounds = []
    monkeypatch.setattr(delivery.random, "uniform", lambda *pair: bounds.append(pair) or 0.0)
    for number, waiting in enumerate((0, 15), start=1):
        deliveries = delivery.Deliveries(to_strangers=False, at_once=2)
        others = {f"{other}@kmz.example" for other in range(waiting)}
        deliveries.in_flight |= others
        queue(erika)
        with app.app_context():
            deliveries.start_due()
        server.wait_for_number(number)
        deliveries.in_flight -= others
        deliveries.end(time.monotonic() + 10)
    assert len(set(bounds)) == 1 and len(bounds) == 2


def test_many_mails_to_one_customer_delay_none_to_another_one(app, backend, deliver, server, queue, erika, max_):
    with backend.transaction() as tx:
        for _ in range(120):
            tx.warn("sessions_ended", tx.session.get(type(max_), max_.id))
    queue(erika)
    deliver()
    first = [message.to[0] for message in server.messages][:3]
    assert erika.email in first and len(server.messages) == 121
