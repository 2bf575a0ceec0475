"""Each mail leaves once, and comes back after a while when it could not."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.outgoing_mail import MailState
from kmzportal.services import outbox
from tests import people, secret_scan
from tests.answers import GREYLISTED, TAKEN, UNKNOWN
from tests.services.worker import wait

pytestmark = pytest.mark.both_databases


def test_of_two_workers_who_claim_at_once_one_posts(box, backend):
    mail_id = box.queue()
    got = backend.run_concurrently(2, outbox.claim, mail_id)
    assert [mail.id for mail in got if mail] == [mail_id]


def test_a_mail_somebody_posts_is_due_for_nobody_else(box):
    mail_id = box.queue()
    assert box.due() == [mail_id]
    box.claim(mail_id)
    assert box.due() == []
    assert box.claim(mail_id) is None


def test_when_the_worker_dies_another_posts_after_ten_minutes(box, clock):
    mail_id = box.queue()
    box.claim(mail_id)
    wait(clock, minutes=9, seconds=59)
    assert box.due() == []
    wait(clock, seconds=1)
    assert box.claim(mail_id).tries == 2


def test_who_comes_back_after_the_lease_settles_nothing(box, clock):
    mail_id = box.queue()
    slow = box.claim(mail_id)
    wait(clock, minutes=10)
    quick = box.claim(mail_id)
    assert not box.settle(slow, UNKNOWN)
    assert box.mail(mail_id).state == MailState.QUEUED
    assert box.settle(quick, TAKEN)
    assert not box.settle(slow, UNKNOWN)
    assert box.mail(mail_id).state == MailState.SENT


def test_a_mail_that_was_taken_is_never_due_again(box, clock):
    mail_id = box.queue()
    box.try_(mail_id, TAKEN)
    wait(clock, days=1)
    assert box.due() == []
    mail = box.mail(mail_id)
    assert (mail.state, mail.reply_code, mail.leased_until) == (MailState.SENT, 250, None)
    assert mail.settled_at == people.NOW


def test_the_waits_grow_from_a_minute_to_an_hour(box, clock):
    mail_id = box.queue()
    for minutes in (1, 5, 15, 30, 60, 60, 60):
        box.try_(mail_id, GREYLISTED)
        wait(clock, seconds=60 * minutes - 1)
        assert box.due() == []
        wait(clock, seconds=6 * minutes + 1)
        assert box.due() == [mail_id]
    assert box.mail(mail_id).reply_code == 450


def test_not_all_mails_come_back_in_the_same_second(box):
    waits = set()
    for _ in range(8):
        mail_id = box.queue()
        box.try_(mail_id, GREYLISTED)
        waits.add(box.mail(mail_id).next_try_at)
    assert len(waits) > 1


def test_after_a_refusal_nobody_tries_again_and_the_desk_sees_why(box, clock):
    mail_id = box.queue()
    box.try_(mail_id, UNKNOWN)
    wait(clock, days=1)
    assert box.due() == []
    mail = box.mail(mail_id)
    assert (mail.state, mail.reply_code, mail.reason) == (MailState.REFUSED, 550, "Adresse unbekannt")


def test_the_customers_history_tells_what_became_of_the_mail(box, backend, erika):
    box.try_(box.queue(), TAKEN)
    box.try_(box.queue(), UNKNOWN)
    box.try_(box.queue(), GREYLISTED)
    told = backend.read(select(AuditEvent).where(AuditEvent.action.startswith("mail.")).order_by(AuditEvent.id))
    assert [(event.action, event.customer_id) for event in told] == [
        ("mail.sent", erika.id),
        ("mail.refused", erika.id),
    ]
    assert told[1].details == {"template": "password_changed", "code": 550}


def test_neither_link_nor_code_stands_in_the_outbox_at_any_time(box, backend, app):
    mail_id = box.queue(LinkKind.DESK)
    link = backend.read(select(AccountLink))[0]
    secrets = backend.keys.token(link), backend.keys.code(link)
    mail = box.claim(mail_id)
    secret_scan.check(app, *secrets)
    box.settle(mail, GREYLISTED)
    secret_scan.check(app, *secrets)


def test_the_oldest_mail_goes_first(box, clock):
    first = box.queue()
    wait(clock, seconds=5)
    second = box.queue()
    assert box.due() == [first, second]
