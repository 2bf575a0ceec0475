"""The outbox: claimed, settled, tried again, given up, sent again by a clerk; and whether mail leaves at all."""

import os
import subprocess
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import AuditEvent, LinkKind, LinkState, MailState, OutgoingMail
from kmzportal.services import clock as clock_service
from kmzportal.services import desk, links, outbox, processes
from kmzportal.services.outbox import NO_SERVER, RESUMES, WORKER_SILENT, DeliveryResult, RetryRefused, mail_outage
from tests.answers import DOWN, GREYLISTED, TAKEN, UNKNOWN
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")


class Worker:
    """The steps of the worker, each in a transaction of its own."""

    def __init__(self, backend):
        self.backend = backend

    def queue(self, person, kind=None):
        def send(tx, person):
            link = links.issue(tx, kind, person) if kind else None
            return tx.send(f"{kind}_link" if kind else "password_changed", person, link=link)

        return self.backend.run(send, person)

    def due(self):
        return self.backend.run(lambda tx: [mail.id for mail in outbox.due(tx.session, tx.now)])

    def claim(self, mail):
        return self.backend.run(outbox.claim, mail.id, actor="worker")

    def settle(self, claimed, result):
        return self.backend.run(outbox.settle, claimed.id, claimed.tries, result, actor="worker")

    def deliver(self, mail, result):
        """Claim the mail and settle it with this result; returns the mail as it is stored then."""
        self.settle(self.claim(mail), result)
        return self.backend.read(mail)


@pytest.fixture
def worker(backend):
    return Worker(backend)


@pytest.fixture
def mail(worker, erika):
    return worker.queue(erika)


# Claim and settle


def test_of_two_workers_who_claim_concurrently_one_gets_the_mail(backend, worker, mail):
    claimed = backend.run_concurrently(2, outbox.claim, mail.id)
    assert [one.id for one in claimed if one] == [mail.id]


def test_a_claimed_mail_is_due_again_within_90_seconds_of_its_last_renewal_and_the_slower_worker_settles_nothing(
    backend, worker, mail, clock
):
    assert worker.due() == [mail.id]
    slow = worker.claim(mail)
    for _ in range(3):
        clock.shift(80)
        backend.run(outbox.renew_lease, slow.id, slow.tries)
    clock.shift(80)
    assert worker.due() == []
    assert worker.claim(mail) is None
    clock.shift(9)
    quick = worker.claim(mail)
    assert quick.tries == 2
    backend.run(outbox.renew_lease, slow.id, slow.tries)
    assert backend.read(mail).leased_until == quick.leased_until
    assert not worker.settle(slow, UNKNOWN)
    assert backend.read(mail).state == MailState.QUEUED
    assert worker.settle(quick, TAKEN)
    assert not worker.settle(slow, UNKNOWN)
    assert backend.read(mail).state == MailState.SENT


@pytest.mark.parametrize(
    ("result", "state", "code", "reason"),
    [(TAKEN, MailState.SENT, 250, None), (UNKNOWN, MailState.REFUSED, 550, "Adresse unbekannt")],
)
def test_a_taken_or_refused_mail_is_settled_recorded_and_never_due_again(
    backend, worker, mail, erika, clock, result, state, code, reason
):
    settled = worker.deliver(mail, result)
    assert (settled.state, settled.reply_code, settled.reason) == (state, code, reason)
    assert (settled.leased_until, settled.settled_at) == (None, NOW)
    (event,) = backend.read(select(AuditEvent))
    assert (event.action, event.customer_id) == (f"mail.{state}", erika.id)
    assert event.details == {"template": "password_changed", "code": code}
    clock.shift(timedelta(days=1))
    assert worker.due() == []


def test_the_waits_of_a_deferred_mail_grow_from_a_minute_to_an_hour_and_are_not_recorded(
    backend, worker, mail, erika, max_, clock
):
    for minutes in (1, 5, 15, 30, 60, 60, 60):
        worker.deliver(mail, GREYLISTED)
        clock.shift(60 * minutes - 1)
        assert worker.due() == []
        clock.shift(6 * minutes + 1)
        assert worker.due() == [mail.id]
    assert backend.read(mail).reply_code == 450
    assert backend.actions() == []
    others = [worker.queue(erika) for _ in range(8)]
    assert worker.due() == [mail.id], "one to each recipient, the oldest first"
    first = worker.queue(max_)
    worker.deliver(others.pop(), TAKEN)
    assert worker.due() == [first.id, mail.id], "and first who got fewest today"
    assert len({worker.deliver(other, GREYLISTED).next_try_at for other in others}) > 1, "not all in the same second"


def test_the_mail_of_a_process_of_this_machine_that_has_ended_is_due_at_once(backend, worker, mail, erika):
    other = worker.queue(erika)
    worker.claim(mail), worker.claim(other)
    with subprocess.Popen(["true"]) as ended:
        name = processes.own_name().replace(f" {os.getpid()}/", f" {ended.pid}/")
    backend.run(outbox.release_dead_leases)
    assert worker.due() == [], "this process runs"
    backend.update(mail, leased_by=name)
    backend.update(other, leased_by=name.replace("/", "/another boot "))
    backend.run(outbox.release_dead_leases)
    assert worker.due() == [mail.id], "only another machine knows whether its process runs"


# The clock


def test_no_mail_expires_or_waits_for_ever_because_the_clock_had_jumped(backend, worker, erika, max_, clock):
    backend.run(clock_service.record_purge)
    waiting = worker.queue(erika, LinkKind.DESK)
    clock.shift(timedelta(days=800))
    queued_since = worker.queue(max_)
    assert worker.due() == [queued_since.id]
    deferred = worker.deliver(queued_since, GREYLISTED)
    clock.move_to(NOW + timedelta(seconds=30))
    assert worker.due() == [waiting.id, deferred.id]


def test_a_lease_of_a_clock_that_had_jumped_ends_with_it(worker, mail, clock):
    clock.shift(timedelta(days=4))
    worker.claim(mail)
    clock.move_to(NOW)
    assert worker.claim(mail)


# Given up


@pytest.mark.parametrize(
    ("kind", "hours", "reason"),
    [
        (LinkKind.RECOVERY, 2, "abgelaufen"),
        (LinkKind.DESK, 24, "zu lange gewartet"),
        (LinkKind.ADDRESS, 24, "abgelaufen"),
        (LinkKind.CLERK_FIRST, 24, "zu lange gewartet"),
        (LinkKind.OBJECTION, 120, "zu lange gewartet"),
        (None, 120, "zu lange gewartet"),
    ],
)
def test_a_mail_that_waited_too_long_expires(backend, worker, erika, rosa, clock, kind, hours, reason):
    person = rosa if kind is LinkKind.CLERK_FIRST else erika
    late, in_time = worker.queue(person, kind), worker.queue(person)
    backend.update(in_time, link_id=late.link_id)
    clock.shift(timedelta(hours=hours, seconds=-1))
    assert worker.claim(in_time)
    clock.shift(1)
    assert worker.claim(late) is None
    expired = backend.read(late)
    assert expired.state == MailState.EXPIRED
    assert reason in expired.reason


def test_a_mail_whose_next_try_would_come_too_late_expires_with_the_last_reason(worker, erika, clock):
    mail = worker.queue(erika, LinkKind.RECOVERY)
    while worker.due() == [mail.id]:
        mail = worker.deliver(mail, GREYLISTED)
        clock.move_to(mail.next_try_at)
    assert (mail.state, mail.reason) == (MailState.EXPIRED, GREYLISTED.reason)
    assert timedelta(hours=0.8) < mail.settled_at - NOW <= timedelta(hours=2)


@pytest.mark.parametrize(
    ("ended_as", "reason"),
    [
        (LinkState.REDEEMED, "Der Link wurde schon benutzt."),
        (LinkState.WITHDRAWN, "Der Link wurde zurückgezogen."),
        (LinkState.REPLACED, "Der Link wurde durch einen neueren ersetzt."),
    ],
)
def test_the_mail_of_an_ended_link_is_cancelled_before_its_first_or_next_try(
    backend, worker, erika, clock, ended_as, reason
):
    tried = worker.deliver(worker.queue(erika, LinkKind.DESK), GREYLISTED)
    new = worker.queue(erika)
    backend.update(new, link_id=tried.link_id)
    clock.shift(timedelta(minutes=2))
    backend.run(links.end, erika, ended_as, [LinkKind.DESK])
    for mail in (tried, new):
        assert worker.claim(mail) is None
        assert (backend.read(mail).state, backend.read(mail).reason) == (MailState.CANCELLED, reason)
    assert worker.due() == []


def test_a_notice_leaves_and_is_sent_again_whatever_became_of_its_link(backend, worker, as_clerk, erika, clock):
    """A second correction ends the objection to the first: the owner must learn of both."""
    as_clerk(desk.lock, erika, "Verdacht")
    for email in ("dieb@privat.example", "dieb2@privat.example"):
        as_clerk(desk.correct_address, erika, backend.read(erika).version, email, "callback", "")
    assert [bool(link.ended_at) for link in backend.links(LinkKind.OBJECTION)] == [True, False]
    first, second = backend.mails("address_changed_old")
    assert first.recipient == erika.email
    worker.deliver(second, UNKNOWN)
    worker.deliver(first, UNKNOWN)
    assert as_clerk(outbox.retry_all) == 2
    assert worker.claim(first) and worker.claim(second)


# Sent again by a clerk


def test_a_mail_that_waits_for_hours_counts_as_not_delivered_whatever_the_reply(backend, worker, mail, clock):
    """Many servers answer 452 where a mailbox is full; greylisting ends sooner."""

    def undelivered():
        return backend.run(lambda tx: outbox.undelivered_lately(tx.session, tx.now))

    worker.deliver(mail, GREYLISTED)
    assert undelivered() == 0
    clock.shift(timedelta(hours=5))
    assert undelivered() == 1
    worker.deliver(mail, UNKNOWN)
    assert undelivered() == 1
    backend.update(mail, template="case_receipt")
    assert undelivered() == 0, "a stranger could fill the line with mails to his own address"


@pytest.mark.parametrize("state", outbox.RETRYABLE)
def test_a_mail_that_did_not_arrive_is_sent_again_with_the_same_link_and_patience_begins_anew(
    backend, worker, as_clerk, erika, clock, state
):
    mail = worker.deliver(worker.queue(erika, LinkKind.DESK), GREYLISTED if state == MailState.DEFERRED else UNKNOWN)
    backend.update(mail, state=state)
    assert worker.due() == []
    clock.shift(timedelta(hours=25))
    as_clerk(outbox.retry, mail)
    assert worker.due() == [mail.id]
    queued = backend.read(mail)
    assert (queued.state, queued.reason, queued.reply_code, queued.settled_at) == (MailState.QUEUED, None, None, None)
    assert (queued.message_id, queued.link_id) == (mail.message_id, mail.link_id)
    (event,) = backend.read(select(AuditEvent).where(AuditEvent.action == "mail.retried"))
    assert (event.actor, event.customer_id, event.actor_label) == ("clerk:1", erika.id, "Kundenservice (ro)")
    assert worker.claim(mail), "a mail with this link expires after 24 hours"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ended_as": LinkState.REDEEMED, "ended_at": NOW}, "Der Link wurde schon benutzt. Senden Sie einen neuen."),
        ({"expires_at": NOW}, "Der Link ist abgelaufen. Senden Sie einen neuen."),
    ],
)
def test_a_mail_of_an_ended_link_is_not_sent_again(backend, worker, as_clerk, erika, fields, message):
    mail = worker.deliver(worker.queue(erika, LinkKind.DESK), UNKNOWN)
    (link,) = backend.links()
    backend.update(link, **fields)
    with pytest.raises(RetryRefused) as refusal:
        as_clerk(outbox.retry, mail)
    assert refusal.value.message == message
    assert as_clerk(outbox.retry_all) == 0
    assert backend.read(mail).state == MailState.REFUSED


def test_a_mail_that_waits_is_being_sent_or_was_taken_is_not_sent_again(worker, as_clerk, mail, clock):
    def refusal():
        with pytest.raises(RetryRefused) as refused:
            as_clerk(outbox.retry, mail)
        assert as_clerk(outbox.retry_all) == 0
        return refused.value.message

    assert refusal()
    worker.deliver(mail, GREYLISTED)
    clock.shift(timedelta(minutes=2))
    claimed = worker.claim(mail)
    assert refusal() == "Diese E-Mail wird gerade gesendet."
    worker.settle(claimed, TAKEN)
    assert refusal()


def test_of_two_clerks_who_send_one_mail_again_concurrently_one_succeeds(backend, worker, mail):
    refused = worker.deliver(mail, UNKNOWN)
    results = backend.run_concurrently(2, outbox.retry, refused)
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "RetryRefused"]
    assert backend.actions().count("mail.retried") == 1


def test_all_deferred_and_refused_mails_of_the_last_five_days_are_sent_again_together(
    backend, worker, as_clerk, erika, max_, anneliese, clock
):
    worker.deliver(worker.queue(erika), UNKNOWN)
    clock.shift(timedelta(days=5))
    refused = worker.deliver(worker.queue(erika), UNKNOWN)
    deferred = worker.deliver(worker.queue(max_), GREYLISTED)
    worker.deliver(worker.queue(anneliese), TAKEN)
    assert as_clerk(outbox.retry_all) == 2
    assert worker.due() == [refused.id, deferred.id]
    assert backend.actions().count("mail.retried") == 2


def test_the_list_of_mails_is_paged_latest_first_and_filtered(backend, erika, max_):
    with backend.transaction() as tx:
        for _ in range(outbox.MAILS_SHOWN + 5):
            tx.send("password_changed", erika, always=True)
        tx.send("password_set", max_)
        tx.session.flush()
        first = outbox.list_mails(tx.session)
        assert [mail.template for mail in first[:2]] == ["password_set", "password_changed"]
        assert len(first) == outbox.MAILS_SHOWN + 1
        rest = outbox.list_mails(tx.session, before=first[-2].id)
        assert len(rest) == 6 and rest[0].id == first[-1].id
        assert outbox.list_mails(tx.session, customer=max_) == first[:1]
        assert outbox.list_mails(tx.session, MailState.SENT) == []


# An outage


@pytest.mark.parametrize("answer", [TAKEN, GREYLISTED])
def test_the_first_answer_after_an_outage_makes_the_others_due(backend, worker, erika, max_, anneliese, clock, answer):
    greylisted = worker.deliver(worker.queue(anneliese), GREYLISTED)
    answered, waiting = (worker.deliver(worker.queue(person), DOWN) for person in (erika, max_))
    assert answered.outage_since == waiting.outage_since == NOW
    clock.shift(70)
    assert worker.deliver(answered, answer).id not in worker.due(), "a greylisted mail waits for its own next try"
    assert backend.read(waiting).next_try_at == NOW + timedelta(seconds=70)
    assert backend.read(greylisted).next_try_at == greylisted.next_try_at
    assert [mail.outage_since for mail in backend.read(select(OutgoingMail))] == [None, None, None]


@pytest.fixture
def heartbeat(backend):
    def beat():
        for loop in outbox.MAIL_LOOPS:
            backend.run(outbox.record_heartbeat, loop)

    beat()
    return beat


@pytest.fixture
def outage(backend):
    """Since when and why no mail leaves; None if mail leaves."""

    def outage(**settings):
        settings = {"MAIL_SERVER": "localhost"} | settings
        found = backend.run(lambda tx: mail_outage(tx.session, tx.now, settings))
        return found and (found.since, found.why)

    return outage


@pytest.mark.parametrize("loop", outbox.MAIL_LOOPS)
def test_a_worker_is_an_outage_while_one_of_its_mail_loops_has_no_heartbeat_for_a_minute(
    backend, outage, mail, clock, loop
):
    clock.shift(60)
    assert outage() == (NOW, WORKER_SILENT), "it never ran, and the first mail waits since then"
    started = NOW + timedelta(seconds=60)
    for one in outbox.MAIL_LOOPS:
        backend.run(outbox.record_heartbeat, one)
    clock.shift(60)
    assert outage() is None
    clock.shift(1)
    assert outage() == outage(MAIL_SERVER="") == (started, WORKER_SILENT)
    clock.shift(-timedelta(days=800))
    assert outage()[1] == WORKER_SILENT, "a heartbeat of the future is none"
    clock.shift(timedelta(days=800))
    backend.run(outbox.record_heartbeat, loop)
    assert outage() == (started, WORKER_SILENT)


def test_a_missing_mail_server_is_an_outage_but_not_in_the_demo(outage, heartbeat, worker, erika):
    assert outage(MAIL_SERVER="") == (None, NO_SERVER), "no mail waits"
    worker.queue(erika)
    assert outage(MAIL_SERVER="") == (NOW, NO_SERVER)
    assert outage(MAIL_SERVER="", DEMO=True) is None


@pytest.mark.parametrize("reply", [UNKNOWN, GREYLISTED])
def test_a_failing_server_is_an_outage_from_the_first_failure_until_it_replies(
    outage, heartbeat, worker, mail, max_, clock, reply
):
    """A mail that was greylisted, or not composed, is a problem of that mail alone."""
    not_composed = DeliveryResult(MailState.DEFERRED, reason="LookupError")
    worker.deliver(worker.queue(max_), GREYLISTED), worker.deliver(worker.queue(max_), not_composed)
    assert outage() is None
    worker.deliver(mail, DOWN)
    worker.deliver(worker.queue(max_), not_composed)
    clock.shift(timedelta(minutes=2))
    heartbeat()
    worker.deliver(mail, DOWN)
    assert outage() == (NOW, f"Der Mailserver ist nicht erreichbar. {RESUMES}")
    clock.shift(timedelta(minutes=10))
    heartbeat()
    worker.deliver(mail, reply)
    assert outage() is None
