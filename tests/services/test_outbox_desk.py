"""A clerk lets mails go out again: the same mail with the same link, and never a dead one."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.outgoing_mail import MailState, OutgoingMail
from kmzportal.services import links, outbox
from kmzportal.services.outbox import DeliveryResult, RetryRefused
from kmzportal.services.transaction import transaction
from tests.answers import DOWN, GREYLISTED, TAKEN, UNKNOWN
from tests.people import NOW

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.both_databases]


@pytest.fixture
def queue(backend):
    """Queue a mail to somebody, with a link or without, and let the mail server answer."""

    def queue(person, answer=None, kind=LinkKind.DESK):
        def deed(tx, person):
            link = links.issue(tx, kind, person) if kind else None
            return tx.send(f"{kind}_link" if kind else "password_changed", person, link=link)

        mail = backend.run(deed, person)
        return post(mail, answer) if answer else mail

    def post(mail, answer):
        claimed = backend.run(outbox.claim, mail.id)
        backend.run(outbox.settle, mail.id, claimed.leased_until, answer)
        return backend.read(mail)

    queue.post = post
    return queue


@pytest.fixture
def again(app, rosa):
    """Rosa presses "Erneut senden"."""

    def again(mail=None):
        with app.app_context(), transaction(f"clerk:{rosa.id}", initials="ro") as tx:
            if mail is None:
                return outbox.retry_all(tx)
            return outbox.retry(tx, outbox.find_mail(tx.session, mail.id))

    return again


def due(backend):
    return backend.run(lambda tx: list(outbox.due(tx.session, tx.now)))


@pytest.mark.parametrize(
    "answer", [UNKNOWN, GREYLISTED, DeliveryResult(MailState.BOUNCED), DeliveryResult(MailState.EXPIRED)]
)
def test_what_did_not_arrive_goes_out_again_at_once(backend, queue, again, erika, answer):
    mail = queue(erika, answer)
    assert due(backend) == []
    again(mail)
    assert due(backend) == [mail.id]
    fresh = backend.read(mail)
    assert (fresh.state, fresh.reason, fresh.reply_code, fresh.settled_at) == (MailState.QUEUED, None, None, None)
    assert (fresh.message_id, fresh.link_id) == (mail.message_id, mail.link_id)


def test_the_history_says_who_let_it_go(backend, queue, again, erika, rosa):
    again(queue(erika, UNKNOWN))
    [event] = backend.read(select(AuditEvent).where(AuditEvent.action == "mail.retried"))
    assert (event.actor, event.customer_id) == (f"clerk:{rosa.id}", erika.id)
    assert event.actor_label == "Kundenservice (ro)"
    assert event.details == {"template": "desk_link", "by": "ro"}


@pytest.mark.parametrize(
    ("ended_as", "why"),
    [
        (LinkState.REDEEMED, "Der Link wurde schon benutzt. Senden Sie einen neuen."),
        (LinkState.WITHDRAWN, "Der Link wurde zurückgezogen. Senden Sie einen neuen."),
        (LinkState.REPLACED, "Der Link wurde durch einen neueren ersetzt. Senden Sie einen neuen."),
    ],
)
def test_a_dead_link_does_not_go_out_again_and_the_clerk_hears_why(backend, queue, again, erika, ended_as, why):
    mail = queue(erika, UNKNOWN)
    backend.run(links.end, erika, ended_as, set(LinkKind))
    with pytest.raises(RetryRefused) as refusal:
        again(mail)
    assert refusal.value.message == why
    assert again() == 0
    assert backend.read(mail).state == MailState.REFUSED


def test_a_link_that_ran_out_does_not_go_out_again(queue, again, erika, clock):
    mail = queue(erika, UNKNOWN)
    clock.shift(timedelta(hours=72))
    with pytest.raises(RetryRefused) as refusal:
        again(mail)
    assert refusal.value.message == "Der Link ist abgelaufen. Senden Sie einen neuen."


@pytest.mark.parametrize("answer", [None, TAKEN])
def test_what_waits_or_arrived_cannot_go_out_twice(queue, again, erika, answer):
    mail = queue(erika, answer)
    with pytest.raises(RetryRefused):
        again(mail)


def test_of_two_clerks_who_press_at_once_one_lets_it_go(backend, queue, erika):
    mail = queue(erika, UNKNOWN)

    def press(tx, mail):
        return outbox.retry(tx, mail)

    got = backend.run_concurrently(2, press, mail)
    assert sorted(isinstance(one, RetryRefused) for one in got) == [False, True]
    assert backend.actions().count("mail.retried") == 1


def test_what_is_being_posted_at_this_moment_is_left_alone(backend, queue, again, erika, clock):
    mail = queue(erika, GREYLISTED)
    clock.shift(timedelta(minutes=2))
    backend.run(outbox.claim, mail.id)
    with pytest.raises(RetryRefused) as refusal:
        again(mail)
    assert refusal.value.message == "Diese E-Mail wird gerade gesendet."
    assert again() == 0


def test_patience_begins_anew_when_a_clerk_lets_it_go(backend, queue, again, erika, clock):
    mail = queue(erika, UNKNOWN)
    clock.shift(timedelta(hours=25))
    again(mail)
    assert backend.run(outbox.claim, mail.id)
    assert backend.read(mail).queued_at < backend.read(mail).retried_at


def test_all_that_wait_for_a_later_try_or_were_refused_go_out_together(backend, queue, again, erika, max_, anneliese):
    refused, late = queue(erika, UNKNOWN), queue(max_, GREYLISTED)
    queue(anneliese, TAKEN)
    assert again() == 2
    assert due(backend) == [refused.id, late.id]
    assert backend.actions().count("mail.retried") == 2


def test_what_nobody_expects_any_more_does_not_go_out_with_the_rest(queue, again, erika, clock):
    queue(erika, UNKNOWN, kind=None)
    clock.shift(timedelta(days=5))
    assert again() == 0


def test_the_list_shows_the_latest_first_and_goes_on_by_key(backend, app, erika, max_):
    def many(tx, person):
        for _ in range(outbox.MAILS_SHOWN + 5):
            tx.send("password_changed", person, always=True)

    backend.run(many, erika)
    backend.run(lambda tx, one: tx.send("password_set", one), max_)
    with app.app_context(), transaction("console") as tx:
        first = outbox.list_mails(tx.session)
        assert [mail.template for mail in first[:2]] == ["password_set", "password_changed"]
        assert len(first) == outbox.MAILS_SHOWN + 1
        rest = outbox.list_mails(tx.session, before=first[-2].id)
        assert len(rest) == 6 and rest[0].id == first[-1].id
        assert len(outbox.list_mails(tx.session, customer=max_)) == 1
        assert outbox.list_mails(tx.session, MailState.SENT) == []


def test_after_an_outage_the_first_mail_that_is_taken_frees_all_others(backend, queue, erika, max_, anneliese, clock):
    greylisted = queue(anneliese, GREYLISTED)
    kept = [queue(one, DOWN) for one in (erika, max_)]
    assert [mail.outage_since for mail in kept] == [mail.queued_at for mail in kept]
    clock.shift(timedelta(seconds=70))
    queue.post(kept[0], TAKEN)
    assert backend.read(kept[1]).next_try_at == NOW + timedelta(seconds=70)
    assert backend.read(greylisted).next_try_at == greylisted.next_try_at
    assert [mail.outage_since for mail in backend.read(select(OutgoingMail))] == [None, None, None]


def test_a_greylisted_mail_waits_its_own_time_whatever_the_server_was(backend, queue, erika, clock):
    mail = queue(erika, DOWN)
    clock.shift(timedelta(seconds=70))
    greylisted = queue.post(mail, GREYLISTED)
    assert greylisted.outage_since is None
    assert due(backend) == []
