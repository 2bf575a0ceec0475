"""Passwort vergessen: the web request writes a row, the worker answers it; caps and pending addresses."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select

from kmzportal.db import db
from kmzportal.models import LinkKind, LinkState, MailState, RecoveryRequest, RequestCount
from kmzportal.services import accounts, recovery, sessions
from kmzportal.services.passwords import hash_password
from tests import people
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")
STRANGER, SCHOOL = "203.0.113.7", "192.0.2.10"


def test_the_web_request_writes_the_same_row_for_every_address(backend, erika, lieselotte):
    for typed in (erika.email, lieselotte.email, "unbekannt@schule.example"):
        backend.run(recovery.request_link, typed)
    rows = backend.read(select(RecoveryRequest))
    assert [(row.answered_at, row.outcome, row.customer_id) for row in rows] == [(None, None, None)] * 3
    assert len({len(row.reference) for row in rows}) == 1
    assert backend.mails() == backend.actions() == []


@pytest.mark.parametrize("who", ["erika", "anneliese"])
def test_the_link_is_mailed_to_the_stored_address_and_nothing_else_changes(request, backend, ask, who):
    """Also where a password was never set."""
    person = request.getfixturevalue(who)
    token = backend.run(sessions.start_session, person, "Firefox").token
    assert ask(person.email.upper()) == "sent"
    (mail,), (link,) = backend.mails(), backend.links()
    assert (mail.template, mail.recipient, mail.link_id) == ("recovery_link", person.email, link.id)
    assert (link.kind, link.customer_id) == (LinkKind.RECOVERY, person.id)
    assert link.expires_at == NOW + timedelta(hours=2)
    assert backend.read(person).version == person.version
    assert backend.session_of(token).alive(NOW)


def test_a_locked_customer_is_mailed_so_and_neither_an_unknown_address_nor_a_clerk_gets_a_link(
    backend, ask, lieselotte, rosa
):
    assert [ask("unbekannt@schule.example"), ask(rosa.email)] == ["unknown", "unknown"]
    assert backend.actions() == [], "anyone could fill the audit trail"
    assert [ask(lieselotte.email) for _ in range(4)] == ["locked"] * 3 + ["capped"]
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [("account_locked", lieselotte.email)] * 3
    assert backend.links() == []


def test_a_second_request_within_ten_minutes_mails_the_same_link_and_a_later_one_a_further_link(
    backend, ask, erika, clock
):
    ask(erika.email)
    clock.shift(timedelta(minutes=10, seconds=-1))
    ask(erika.email)
    (first,) = backend.links()
    assert [mail.link_id for mail in backend.mails()] == [first.id, first.id]
    assert first.expires_at == NOW + timedelta(hours=2, minutes=10, seconds=-1)
    clock.shift(1)
    ask(erika.email)
    _, further = backend.links()
    backend.run(accounts.set_password_by_link, first, NOW, "hash")  # the first still works
    assert backend.read(further).ended_as == LinkState.REPLACED
    clock.shift(timedelta(hours=1))
    ask(erika.email)
    backend.run(accounts.set_password_by_link, backend.links()[-1], NOW, "hash")
    ask(erika.email)
    assert len(backend.links()) == 4, "a used link is not mailed again"


def test_two_requests_answered_late_count_from_when_they_were_made(backend, ask, erika, clock):
    backend.run(recovery.request_link, erika.email)
    clock.shift(timedelta(hours=3))
    ask(erika.email)
    assert {link.expires_at for link in backend.links()} == {NOW + timedelta(hours=5)}


def test_four_concurrent_workers_answer_a_request_once_and_two_requests_share_one_link(backend, erika):
    for _ in range(2):
        backend.run(recovery.request_link, erika.email)
    first, second = backend.read(select(RecoveryRequest.id))
    turns = iter([first, first, second, second])
    assert backend.run_concurrently(4, lambda tx: recovery.answer(tx, next(turns))) == [None] * 4
    assert len(backend.links()) == 1
    assert len(backend.mails()) == 2
    assert backend.actions().count("recovery.sent") == 2


# Caps


def test_a_source_gets_three_mails_an_hour_and_five_a_day_for_an_address(ask, erika, clock):
    """Requests over the limit do not lengthen the wait."""
    assert [ask(erika.email) for _ in range(6)] == ["sent"] * 3 + ["capped"] * 3
    clock.shift(timedelta(hours=1))
    assert [ask(erika.email) for _ in range(3)] == ["sent"] * 2 + ["capped"]
    clock.shift(timedelta(hours=23))
    assert ask(erika.email) == "sent"


def test_what_a_stranger_asks_for_does_not_use_up_the_mails_of_the_owner(ask, erika):
    assert [ask(erika.email, STRANGER) for _ in range(4)] == ["sent"] * 3 + ["capped"]
    assert ask(erika.email) == "sent"


def test_over_the_limit_the_link_in_the_mailbox_lives_longer_but_for_a_day_at_most(backend, ask, erika, clock):
    for hours in (0, 1):
        clock.move_to(NOW + timedelta(hours=hours))
        assert "capped" in [ask(erika.email, STRANGER) for _ in range(4)]
    asked = NOW + timedelta(hours=1)
    for hours in range(2, 24):
        clock.move_to(NOW + timedelta(hours=hours, minutes=30))
        assert ask(erika.email, STRANGER) == "capped"
        assert backend.links()[-1].expires_at == min(NOW + timedelta(hours=hours + 2.5), asked + timedelta(hours=24))
    assert backend.links()[-1].issued_at == asked
    assert len(backend.mails()) == 5
    backend.run(accounts.set_password_by_link, backend.links()[-1], NOW + timedelta(hours=23, minutes=30), "hash")


@pytest.mark.parametrize("ended", [{"expires_at": NOW}, {"ended_at": NOW, "ended_as": LinkState.REDEEMED}])
def test_over_the_limit_one_more_mail_a_day_is_sent_where_no_link_is_open(app, backend, ask, erika, clock, ended):
    """Also where other mails used up MAILS_PER_DAY."""
    with backend.transaction() as tx:
        for _ in range(app.config["MAILS_PER_DAY"]):
            tx.send("password_changed", tx.session.get(type(erika), erika.id))
    assert [ask(erika.email), ask(erika.email)] == ["extra", "capped"]
    backend.update(backend.links()[-1], **ended)
    assert ask(erika.email) == "capped"
    assert backend.actions().count("recovery.capped") == 1, "the history does not grow with every request"
    assert [mail.link_id for mail in backend.mails("recovery_link")] == [link.id for link in backend.links()]
    clock.shift(timedelta(days=1))
    assert ask(erika.email) == "sent"


def test_after_each_new_password_that_ended_it_the_last_mail_of_a_day_is_sent_again(backend, ask, erika, clock):
    """Whoever knows the password, and lets strangers use up the mails, must not keep its owner without a link."""
    session = backend.session_of(backend.log_in(erika.email, people.password_of(erika)))
    for number in range(4):
        while ask(erika.email, f"203.0.113.{number}") != "capped":
            pass
    for mail in backend.mails():
        backend.update(mail, state=MailState.SENT)
    for turn in range(3):
        seen, new = backend.read(erika).version, hash_password(f"des Eindringlings {turn}")
        backend.run(accounts.save_account, erika, session, seen, {}, None, new)
        assert ask(erika.email) == "extra" and backend.links()[-1].ended_at is None
    assert ask(erika.email) == "capped" and backend.links()[-1].ended_at is None


def test_strangers_who_used_up_the_mails_of_a_day_leave_a_link_that_lives_as_long(backend, ask, erika, clock):
    """After they stop, the owner always has a link in her mailbox that works."""
    for number in range(4):
        while ask(erika.email, f"203.0.113.{number}") != "capped":
            pass
    for mail in backend.mails():
        backend.update(mail, state=MailState.SENT)
    clock.shift(timedelta(hours=3))
    assert ask(erika.email, STRANGER) == "extra"
    for hours in (1, 8, 11.5):
        clock.shift(timedelta(hours=hours))
        assert ask(erika.email) == "capped" and backend.links()[-1].expires_at > datetime.now(UTC)
    clock.shift(timedelta(hours=1))
    assert ask(erika.email) == "sent"


# Floods


@pytest.fixture
def limits(app, monkeypatch):
    return lambda **numbers: [monkeypatch.setitem(app.config, name, number) for name, number in numbers.items()]


@pytest.fixture
def stored(backend):
    return lambda: [
        request.email_canonical for request in backend.read(select(RecoveryRequest).order_by(RecoveryRequest.id))
    ]


@pytest.fixture
def counters(backend):
    return lambda: {one.counted: one.number for one in backend.read(select(RequestCount))}


def test_a_source_that_asked_for_too_many_addresses_is_only_counted(ask, erika, limits, stored, counters, clock):
    limits(RECOVERY_PER_SOURCE=3)
    addresses = [f"{number}@nirgends.example" for number in range(3)]
    for address in (*addresses, *addresses, "vierte@nirgends.example", erika.email):
        ask(address, STRANGER)
    assert stored() == addresses * 2, "twice as many requests as addresses"
    assert counters() == {"recovery": 6, f"recovery:{STRANGER}": 2}
    assert ask(erika.email) == "sent", "from elsewhere"
    clock.shift(timedelta(hours=1))
    assert ask(erika.email, STRANGER) == "sent"


@pytest.mark.parametrize("source", [STRANGER, None], ids=["source", "this machine"])
def test_one_address_is_stored_six_times_an_hour_for_a_source(ask, stored, source):
    """This machine, which may be all who come through an untrusted proxy, has no other limit of its own."""
    for _ in range(8):
        ask("gibt-es-nicht@schule.example", source)
    assert len(stored()) == recovery.REPEATS
    assert ask("andere@schule.example", source) == "unknown"


def test_this_machine_has_no_limit_of_addresses_but_that_in_all(ask, stored, limits):
    limits(RECOVERY_PER_SOURCE=1, RECOVERY_IN_ALL=3)
    for number in range(5):
        ask(f"{number}@schule.example", None)
    assert len(stored()) == 3


def test_over_the_limit_in_all_known_sources_and_devices_get_their_mail_and_admins_are_told_once(
    backend, ask, erika, max_, rosa, log_in, limits, stored, counters, clock
):
    limits(RECOVERY_IN_ALL=20)
    log_in(max_, source=SCHOOL)
    flood = [f"2001:db8:{number:x}::/64" for number in range(40)]
    for number, source in enumerate(flood):
        ask(f"{number}@nirgends.example", source)
    assert len(stored()) == 20
    assert counters() == {"recovery": 20, "recovery-dropped": 20}, "no counter for each of the sources"
    assert [mail.recipient for mail in backend.mails("alarm_recovery_flood")] == [rosa.email]
    assert ask(erika.email, "192.0.2.99") is None
    assert ask(erika.email, SCHOOL) == "sent"
    assert ask(max_.email, "192.0.2.99", device="7") == "sent"
    clock.shift(timedelta(days=90))
    for number, source in enumerate(flood):
        ask(f"{number}@nirgends.example", source)
    assert ask(erika.email, SCHOOL) is None, "nobody logged in from there for 90 days"


def test_a_known_device_has_a_limit_of_its_own(ask, erika, max_, limits, stored):
    limits(RECOVERY_PER_SOURCE=1)
    ask("a@nirgends.example")
    assert ask(erika.email) is None
    assert ask(erika.email, device="7") == "sent"
    for number in range(20):
        ask(f"{number}@nirgends.example", device="7")
    assert len(stored()) == 1 + recovery.PER_KNOWN_DEVICE
    assert ask(max_.email, device="8") == "sent"


def test_sources_take_turns(backend):
    for source, number in (("203.0.113.7", 5), ("203.0.113.8", 2), (None, 1)):
        for each in range(number):
            backend.run(recovery.request_link, f"{each}@schule.example", source=source)
    with backend.transaction() as tx:
        waiting = recovery.unanswered(tx.session)
        turns = [tx.session.get(RecoveryRequest, one).source for one in waiting]
    assert turns == ["203.0.113.7", "203.0.113.8", None, "203.0.113.7", "203.0.113.8", *["203.0.113.7"] * 3]


def test_what_strangers_cause_is_read_by_index(app, backend, ask, erika, juergen, lieselotte):
    """Every query of the transactions that store and answer requests; PostgreSQL would scan such small tables."""
    backend.issue(LinkKind.DESK, juergen, juergen.pending_email)
    asked = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        for address in (erika.email, lieselotte.email, juergen.pending_email, "unbekannt@schule.example"):
            for _ in range(5):
                ask(address)
        queries = [each for each in asked if each[0].startswith(("SELECT", "UPDATE"))]
        connection = db.session.connection()
        postgresql = connection.dialect.name == "postgresql"
        if postgresql:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN " if postgresql else "EXPLAIN QUERY PLAN "
        plans = {str(connection.exec_driver_sql(explain + sql, given).all()): sql for sql, given in queries}
    scans = [
        sql
        for plan, sql in plans.items()
        if re.search(r"Seq Scan on|SCAN (?!CONSTANT|\(|json)(?!.* USING INDEX)", plan)
    ]
    assert len(plans) > 10 and scans == []


# A pending address


@pytest.fixture
def desk_link(backend, juergen):
    return backend.issue(LinkKind.DESK, juergen, juergen.pending_email)


def test_a_request_for_a_pending_address_mails_the_desks_open_link_again(
    backend, ask, juergen, erika, desk_link, clock
):
    """Also where another customer entered this address as a new one later."""
    clock.shift(1)
    backend.run(accounts.request_address_change, erika, juergen.pending_email)
    assert ask(juergen.pending_email) == "sent"
    mails = backend.mails("desk_link")
    assert [(mail.recipient, mail.link_id) for mail in mails] == [(juergen.pending_email, desk_link.id)] * 2
    assert ask(juergen.email) == "sent"
    assert [mail.recipient for mail in backend.mails("recovery_link")] == [juergen.email]


@pytest.mark.parametrize("ended", [{"expires_at": NOW}, {"ended_at": NOW, "ended_as": LinkState.WITHDRAWN}])
def test_no_link_goes_to_a_pending_address_without_an_open_desk_link_or_while_locked(
    backend, ask, juergen, desk_link, ended
):
    backend.update(juergen, locked_at=NOW)
    assert ask(juergen.pending_email) == "locked"
    backend.update(juergen, locked_at=None)
    backend.update(desk_link, **ended)
    assert ask(juergen.pending_email) == "unknown"
    assert len(backend.mails("desk_link")) == 1


def test_a_stored_address_goes_before_a_pending_one(backend, ask, erika, max_):
    backend.run(accounts.request_address_change, max_, erika.email)
    ask(erika.email)
    assert backend.mails("recovery_link")[0].customer_id == erika.id
