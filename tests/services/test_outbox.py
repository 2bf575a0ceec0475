"""Each mail leaves once, comes back after a while when it could not, and never carries a dead link."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail
from kmzportal.services import account_link, outbox
from kmzportal.services.outbox import Answer
from tests import canary, cast

TAKEN = Answer(MailState.SENT, 250)
GREYLISTED = Answer(MailState.DEFERRED, 450, "Der Mailserver nimmt die E-Mail gerade nicht an")
UNKNOWN = Answer(MailState.REFUSED, 550, "Adresse unbekannt")
TEMPLATES = {LinkKind.OBJECTION: "address_changed_old", None: "password_changed"}


class Outbox:
    """The outbox as the worker uses it, each step in a transaction of its own."""

    def __init__(self, deeds, person):
        self.deeds = deeds
        self.person = person

    def queue(self, kind=None):
        def deed(work, person):
            link = account_link.issue(work, kind, person) if kind else None
            return work.send(TEMPLATES.get(kind, f"{kind}_link"), person, link=link)

        return self.deeds.do(deed, self.person).id

    def due(self):
        return self.deeds.do(lambda work: list(outbox.due(work.session, work.now)))

    def claim(self, mail_id):
        return self.deeds.do(outbox.claim, mail_id, actor="worker")

    def settle(self, mail, answer):
        return self.deeds.do(outbox.settle, mail.id, mail.leased_until, answer, actor="worker")

    def try_(self, mail_id, answer):
        return self.settle(self.claim(mail_id), answer)

    def mail(self, mail_id):
        return self.deeds.read(select(OutgoingMail).where(OutgoingMail.id == mail_id))[0]

    def end_links(self, as_):
        self.deeds.do(account_link.end, self.person, as_, set(LinkKind))


@pytest.fixture
def box(deeds, clock, erika):
    return Outbox(deeds, erika)


def wait(clock, **how_long):
    clock.shift(timedelta(**how_long))


def test_of_two_workers_who_claim_at_once_one_posts(box, deeds):
    mail_id = box.queue()
    got = deeds.at_once(2, outbox.claim, mail_id)
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
    assert mail.settled_at == cast.NOW


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


@pytest.mark.parametrize(
    ("kind", "longest"),
    [
        (LinkKind.RECOVERY, timedelta(hours=2)),
        (LinkKind.DESK, timedelta(hours=24)),
        (LinkKind.OBJECTION, timedelta(days=5)),
        (None, timedelta(days=5)),
    ],
)
def test_it_is_given_up_when_it_would_come_too_late(box, clock, kind, longest):
    mail_id = box.queue(kind)
    started = box.mail(mail_id).queued_at
    while box.due() == [mail_id]:
        box.try_(mail_id, GREYLISTED)
        clock.move_to(box.mail(mail_id).next_try_at)
    mail = box.mail(mail_id)
    assert mail.state == MailState.EXPIRED
    assert mail.reason == GREYLISTED.reason
    assert longest - timedelta(hours=2, minutes=20) < mail.settled_at - started <= longest


@pytest.mark.parametrize(
    ("ended_as", "state", "reason"),
    [
        (LinkState.REDEEMED, MailState.CANCELLED, "Der Link wurde schon benutzt."),
        (LinkState.WITHDRAWN, MailState.CANCELLED, "Der Link wurde zurückgezogen."),
        (LinkState.REPLACED, MailState.CANCELLED, "Der Link wurde durch einen neueren ersetzt."),
    ],
)
def test_a_dead_link_is_never_mailed(box, ended_as, state, reason):
    mail_id = box.queue(LinkKind.DESK)
    box.end_links(ended_as)
    assert box.claim(mail_id) is None
    mail = box.mail(mail_id)
    assert (mail.state, mail.reason) == (state, reason)
    assert box.due() == []


def test_a_link_that_ran_out_in_the_outbox_is_never_mailed(box, clock):
    mail_id = box.queue(LinkKind.RECOVERY)
    wait(clock, hours=2)
    assert box.claim(mail_id) is None
    assert box.mail(mail_id).state == MailState.EXPIRED
    assert "abgelaufen" in box.mail(mail_id).reason


@pytest.mark.parametrize(("kind", "hours"), [(LinkKind.DESK, 24), (None, 120)])
def test_what_waited_too_long_for_a_mail_server_is_not_mailed_any_more(box, clock, kind, hours):
    early = box.queue(kind)
    wait(clock, seconds=1)
    in_time = box.queue(None)
    wait(clock, hours=hours, seconds=-1)
    assert box.claim(early) is None
    assert box.mail(early).state == MailState.EXPIRED
    assert "zu lange gewartet" in box.mail(early).reason
    assert box.claim(in_time).id == in_time


def test_a_link_that_dies_between_two_tries_is_not_mailed_the_second_time(box, clock):
    mail_id = box.queue(LinkKind.DESK)
    box.try_(mail_id, GREYLISTED)
    box.end_links(LinkState.WITHDRAWN)
    wait(clock, minutes=2)
    assert box.claim(mail_id) is None
    assert box.mail(mail_id).state == MailState.CANCELLED


def test_after_a_refusal_nobody_tries_again_and_the_desk_sees_why(box, clock):
    mail_id = box.queue()
    box.try_(mail_id, UNKNOWN)
    wait(clock, days=1)
    assert box.due() == []
    mail = box.mail(mail_id)
    assert (mail.state, mail.reply_code, mail.reason) == (MailState.REFUSED, 550, "Adresse unbekannt")


def test_the_customers_history_tells_what_became_of_the_mail(box, deeds, erika):
    box.try_(box.queue(), TAKEN)
    box.try_(box.queue(), UNKNOWN)
    box.try_(box.queue(), GREYLISTED)
    told = deeds.read(select(AuditEvent).where(AuditEvent.deed.startswith("mail.")).order_by(AuditEvent.id))
    assert [(event.deed, event.customer_id) for event in told] == [("mail.sent", erika.id), ("mail.refused", erika.id)]
    assert told[1].details == {"template": "password_changed", "code": 550}


def test_neither_link_nor_code_stands_in_the_outbox_at_any_time(box, deeds, app):
    mail_id = box.queue(LinkKind.DESK)
    link = deeds.read(select(AccountLink))[0]
    secrets = deeds.keys.token(link), deeds.keys.code(link)
    mail = box.claim(mail_id)
    canary.check(app, *secrets)
    box.settle(mail, GREYLISTED)
    canary.check(app, *secrets)


def test_the_oldest_mail_goes_first(box, clock):
    first = box.queue()
    wait(clock, seconds=5)
    second = box.queue()
    assert box.due() == [first, second]
