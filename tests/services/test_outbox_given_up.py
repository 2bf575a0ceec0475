"""What would come too late, or with a dead link, is never mailed."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.models.outgoing_mail import MailState
from tests.answers import GREYLISTED
from tests.services.worker import wait


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
