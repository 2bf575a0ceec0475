"""Whatever the mail server says to a mail, or does not say, it waits or is given up, and keeps no other."""

from datetime import timedelta

import pytest

from kmzportal.models.outgoing_mail import MailState
from kmzportal.services import outbox
from tests.mail.conftest import states
from tests.server.conftest import free_port


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
    deliver, open_office, link, erika, mails, change, backend
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
    assert backend.keys.token(link) in letter.get_body(("plain",)).get_content()


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


def test_a_refused_mail_goes_out_with_the_same_link_once_the_mailbox_exists(deliver, open_office, link, erika, backend):
    open_office.at_rcpt[erika.email] = "550 5.1.1 User unknown"
    assert deliver() == 0
    open_office.at_rcpt.clear()
    assert deliver() == 0
    backend.run(lambda tx: outbox.retry_all(tx))
    assert deliver() == 1
    [letter] = open_office.letters
    assert backend.keys.token(link) in letter.get_body(("plain",)).get_content()


def test_after_an_outage_all_that_waited_goes_out_with_the_first(
    deliver, open_office, relay, app, queue, erika, max_, mails
):
    port = app.config["MAIL_PORT"]
    relay(MAIL_PORT=free_port())
    queue(erika), queue(max_)
    assert [deliver(), deliver(), deliver()] == [0, 0, 0]
    assert [mail.outage_since is None for mail in mails()] == [False, False]
    relay(MAIL_PORT=port)
    queue(erika)
    assert deliver() == 1
    assert deliver() == 2
    assert [mail.outage_since for mail in mails()] == [None] * 3
