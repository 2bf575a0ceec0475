"""Mails reach a real mail server, and whatever that does, none is lost, doubled, leaked or kept by another."""

import logging
import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from kmzportal.db import db
from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail
from kmzportal.mail import delivery
from kmzportal.services import account_link, outbox_desk
from tests.mail.post_office import PASSWORD, Opened, accepts, certificate
from tests.server.conftest import free_port


@pytest.fixture
def deliver(app):
    def _deliver():
        with app.app_context():
            return delivery.deliver_due()

    return _deliver


@pytest.fixture
def queue(deeds):
    """Queue a notice to somebody."""
    return lambda person: deeds.do(lambda work, one: work.send("password_changed", one), person).id


@pytest.fixture
def link(deeds, erika):
    """The open desk link that waits in the outbox for Erika."""

    def deed(work, person):
        sent = account_link.issue(work, LinkKind.DESK, person, initials="ro")
        account_link.send(work, sent)
        return sent

    return deeds.do(deed, erika)


@pytest.fixture
def mails(deeds):
    return lambda: deeds.read(select(OutgoingMail).order_by(OutgoingMail.id))


@pytest.fixture
def change(app):
    """Change mails in the database behind the portal's back."""

    def _change(*which, **values):
        with app.app_context():
            db.session.execute(update(OutgoingMail).where(*which).values(**values))
            db.session.commit()

    return _change


def states(mails):
    return [(mail.state, mail.reply_code) for mail in mails()]


def test_a_mail_arrives_with_the_link_that_opens_the_account(deliver, open_office, link, deeds, mails):
    assert deliver() == 1
    [letter] = open_office.letters
    url = f"https://konto.kmz.example/link/{deeds.keys.token(link)}"
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
    ("answer", "code", "reason"),
    [
        ("550 No such user", 550, "Adresse unbekannt"),
        ("550 5.1.1 <x> unknown", 550, "Adresse unbekannt"),
        ("552 5.2.2 over quota", 552, "Postfach voll oder gesperrt"),
        ("550 5.7.1 see https://konto.kmz.example/link/geheim", 550, "Der Mailserver weist die E-Mail ab"),
        ("554 no", 554, "Der Mailserver weist die E-Mail ab"),
    ],
)
def test_a_refused_mail_is_not_tried_again_and_others_go_on(
    deliver, open_office, queue, erika, max_, mails, answer, code, reason
):
    queue(erika), queue(max_)
    open_office.at_rcpt[erika.email] = answer
    assert deliver() == 1
    assert open_office.recipients == [max_.email]
    assert states(mails) == [(MailState.REFUSED, code), (MailState.SENT, 250)]
    assert mails()[0].reason == reason
    assert deliver() == 0


def test_a_greylisted_mail_comes_again_with_the_same_message_id_and_link(
    deliver, open_office, link, erika, mails, change, deeds
):
    open_office.at_rcpt[erika.email] = "450 4.2.0 greylisted"
    assert deliver() == 0
    [mail] = mails()
    assert (mail.state, mail.reply_code) == (MailState.DEFERRED, 450)
    assert timedelta(seconds=59) < mail.next_try_at - mail.queued_at < timedelta(seconds=90)
    open_office.at_rcpt.clear()
    assert deliver() == 0
    change(next_try_at=mail.queued_at)
    assert deliver() == 1
    [letter] = open_office.letters
    assert letter["Message-ID"] == mail.message_id
    assert deeds.keys.token(link) in letter.get_body(("plain",)).get_content()


def test_a_mail_refused_after_its_text_is_refused_all_the_same(deliver, open_office, link, mails):
    open_office.at_data = "554 5.7.1 looks like spam"
    assert deliver() == 0
    assert states(mails) == [(MailState.REFUSED, 554)]


def test_a_mail_server_that_hangs_is_left_in_time_and_the_mail_waits(deliver, open_office, relay, app, link, mails):
    relay(MAIL_PORT=app.config["MAIL_PORT"], MAIL_TIMEOUT=1)
    open_office.hangs_at_data = True
    assert deliver() == 0
    assert states(mails) == [(MailState.DEFERRED, None)]
    assert mails()[0].reason == "Der Mailserver ist nicht erreichbar"


def test_when_nobody_answers_one_try_is_enough_for_now(deliver, relay, queue, erika, max_, mails):
    queue(erika), queue(max_)
    relay(MAIL_PORT=free_port())
    assert deliver() == 0
    assert [mail.tries for mail in mails()] == [1, 0]
    assert deliver() == 0
    assert [mail.tries for mail in mails()] == [1, 1]


def test_a_mail_at_which_the_server_hangs_up_keeps_no_other(deliver, open_office, queue, erika, max_, mails):
    queue(erika), queue(max_)
    open_office.drops.add(erika.email)
    assert deliver() + deliver() == 1
    assert open_office.recipients == [max_.email]
    assert states(mails) == [(MailState.DEFERRED, None), (MailState.SENT, 250)]


def test_a_server_that_never_says_goodbye_gets_the_mail_only_once(deliver, open_office, link, mails):
    open_office.hangs_up_instead_of_bye = True
    assert deliver() == 1
    assert states(mails) == [(MailState.SENT, 250)]
    assert deliver() == 0
    assert len(open_office.letters) == 1


@pytest.mark.parametrize("answer", ["550 not from you", "530 5.7.0 authenticate first", "451 later"])
def test_when_the_server_refuses_the_office_the_mail_waits_for_the_admin(deliver, open_office, link, mails, answer):
    open_office.at_mail = answer
    assert deliver() == 0
    assert states(mails) == [(MailState.DEFERRED, int(answer[:3]))]
    assert mails()[0].reason == "Der Mailserver nimmt unseren Absender nicht an"


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
    deliver, open_office, queue, link, erika, max_, deeds, change, caplog
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
    for secret in (deeds.keys.token(link), deeds.keys.code(link), erika.email, max_.email, erika.last_name):
        assert secret not in ours


def test_links_never_come_from_a_strangers_host_header(deliver, open_office, link, app, deeds):
    with app.test_request_context("/", headers={"Host": "boese.example"}):
        delivery.deliver_due()
    assert "https://konto.kmz.example/link/" in open_office.letters[0].get_body(("plain",)).get_content()
    assert "boese" not in open_office.letters[0].as_string()
    assert deeds.read(select(AccountLink))


def test_a_refused_mail_goes_out_with_the_same_link_once_the_mailbox_exists(deliver, open_office, link, erika, deeds):
    open_office.at_rcpt[erika.email] = "550 5.1.1 User unknown"
    assert deliver() == 0
    open_office.at_rcpt.clear()
    assert deliver() == 0
    deeds.do(lambda work: outbox_desk.retry_all(work))
    assert deliver() == 1
    [letter] = open_office.letters
    assert deeds.keys.token(link) in letter.get_body(("plain",)).get_content()


def test_after_an_outage_all_that_waited_goes_out_with_the_first(
    deliver, open_office, relay, app, queue, erika, max_, mails
):
    port = app.config["MAIL_PORT"]
    relay(MAIL_PORT=free_port())
    queue(erika), queue(max_)
    assert [deliver(), deliver(), deliver()] == [0, 0, 0]
    assert [mail.disturbed_at is None for mail in mails()] == [False, False]
    relay(MAIL_PORT=port)
    queue(erika)
    assert deliver() == 1
    assert deliver() == 2
    assert [mail.disturbed_at for mail in mails()] == [None] * 3
