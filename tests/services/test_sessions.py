"""Logging in, the lifetime of a session, and the throttle of failed logins."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from kmzportal.db import db
from kmzportal.models import AuditEvent, Clerk, Customer, LoginSession, RequestCount, SourceFailure, Throttle
from kmzportal.services import accounts, devices, sessions
from kmzportal.services.passwords import PasswordCheck, check_password, hash_password
from tests import people, secret_scan
from tests.people import NEW_PASSWORD, NOW

pytestmark = pytest.mark.usefixtures("clock")
WRONG = "falsches passwort"
SCHOOL, OFFICE, ELSEWHERE = "192.0.2.7", "192.0.2.1", "203.0.113.9"

# Logging in


def test_a_login_starts_a_session_whose_token_is_not_stored_and_is_recorded_with_its_source(app, backend, erika):
    backend.log_in(erika.email, WRONG, SCHOOL)
    token = backend.log_in(f" {erika.email.upper()} ", people.password_of(erika), SCHOOL)
    login_session = backend.session_of(token)
    assert (login_session.customer.number, login_session.device) == (erika.number, "Firefox unter Windows")
    assert len(token) == 43
    secret_scan.check(app, token)
    refused, succeeded = backend.read(select(AuditEvent).order_by(AuditEvent.id))
    assert (refused.actor, refused.customer_id, refused.source) == ("visitor", erika.id, SCHOOL)
    assert (succeeded.action, succeeded.actor) == ("login.succeeded", f"customer:{erika.id}")


def test_every_failed_login_gets_the_same_answer(backend, erika, anneliese, lieselotte, juergen, tim):
    for address, password, table in (
        ("unbekannt@schule.example", people.password_of(erika), Customer),
        (erika.email, WRONG, Customer),
        (anneliese.email, "", Customer),  # never had a password
        (lieselotte.email, people.password_of(lieselotte), Customer),  # locked
        (juergen.pending_email, people.password_of(juergen), Customer),  # not confirmed yet
        (tim.email, people.password_of(tim), Customer),  # the other login page
        (erika.email, people.password_of(erika), Clerk),
    ):
        assert backend.log_in(address, password, table=table) is None
    known = 3  # the others are only counted: anyone can make up any number of addresses
    assert backend.actions() == ["login.refused"] * known
    assert [(one.counted, one.number) for one in backend.read(select(RequestCount))] == [("refused", 7)]
    assert backend.read(select(LoginSession)) == []


def test_an_outdated_hash_is_replaced_at_login(backend, erika):
    check = PasswordCheck(erika.password_hash, matches=True, new_hash=hash_password(people.password_of(erika)))
    backend.run(sessions.log_in, erika.email, check, "Firefox")
    saved = backend.read(erika)
    assert (saved.password_hash, saved.password_set_at) == (check.new_hash, erika.password_set_at)


@pytest.mark.parametrize("changer", range(4))
def test_a_login_concurrent_with_a_change_of_password_does_not_outlive_it(backend, erika, changer):
    """Whichever commits first: a session started with the old password is ended, or never starts."""
    early = check_password(people.password_of(erika), erika.password_hash)
    new_hash = hash_password(NEW_PASSWORD)
    turns = iter(range(4))

    def log_in_or_change(tx, customer):
        if next(turns) == changer:
            return accounts.set_password(tx, customer, new_hash)
        return sessions.log_in(tx, customer.email, early, "Firefox")

    assert not [got for got in backend.run_concurrently(4, log_in_or_change, erika) if isinstance(got, Exception)]
    assert [one for one in backend.read(select(LoginSession)) if one.ended_at is None] == []


# The session


@pytest.mark.parametrize(("who", "idle"), [("erika", 30), ("rosa", 15)])
def test_a_session_ends_when_idle_and_after_eight_hours_in_use(request, backend, clock, who, idle):
    person = request.getfixturevalue(who)
    token = backend.run(sessions.start_session, person, "Firefox").token
    idle_ends, day_ends = NOW + timedelta(minutes=idle), NOW + timedelta(hours=8)
    assert backend.session_of(token).alive(idle_ends - timedelta(seconds=1))
    assert not backend.session_of(token).alive(idle_ends)
    for _ in range(8 * 6 - 1):
        clock.shift(timedelta(minutes=10))
        backend.run(sessions.touch, LoginSession, backend.session_of(token).id)
    assert backend.session_of(token).alive(day_ends - timedelta(seconds=1))
    assert not backend.session_of(token).alive(day_ends)


def test_the_use_of_a_session_is_stored_at_most_once_a_minute(backend, login_session, clock):
    for seconds, stored in ((60, NOW), (61, NOW + timedelta(seconds=61))):
        clock.move_to(NOW + timedelta(seconds=seconds))
        backend.run(sessions.touch, LoginSession, login_session.id)
        assert backend.read(login_session).last_seen == stored


def test_logging_out_ends_this_session_only(backend, erika, log_in, login_session):
    other = log_in(erika)
    backend.run(sessions.log_out, login_session)
    assert not backend.read(login_session).alive(NOW)
    assert backend.session_of(other).alive(NOW)
    assert backend.actions()[-1] == "logout"


# The throttle


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(5, 0), (6, 30), (7, 60), (8, 120), (9, 240), (12, 1920), (13, 3600), (99, 3600), (10**6, 3600)],
)
def test_the_wait_doubles_from_thirty_seconds_to_an_hour(failures, seconds):
    throttle = Throttle(account="any", failures=failures, failed_at=NOW)
    limits = 5, 30, 3600
    assert not throttle.waiting(NOW + timedelta(seconds=seconds), *limits)
    assert seconds == 0 or throttle.waiting(NOW + timedelta(seconds=seconds - 1), *limits)


@pytest.fixture
def fail(log_in):
    def fail(person, times, source=None):
        for _ in range(times):
            assert log_in(person, WRONG, source) is None

    return fail


def test_after_six_failures_the_right_password_is_refused_for_the_wait(backend, erika, fail, log_in, clock):
    for _ in range(2):
        fail(erika, 5)
        assert log_in(erika), "five failures are free, and a login clears them"
    fail(erika, 6)
    clock.shift(29)
    assert log_in(erika) is None
    assert backend.actions()[-1] == "login.throttled"
    clock.shift(1)
    fail(erika, 1)
    fail(erika, 20)  # during the wait they are not counted
    clock.shift(59)
    assert log_in(erika) is None
    clock.shift(1)
    assert log_in(erika)


def test_throttled_logins_are_recorded_once_an_hour_and_those_at_unknown_addresses_only_counted(
    backend, erika, fail, clock
):
    for hour in (1, 2):
        fail(erika, 30)
        assert backend.actions().count("login.throttled") == hour
        clock.shift(timedelta(hours=1))
    for _ in range(30):
        backend.log_in("unbekannt@schule.example", WRONG)
    assert backend.actions().count("login.throttled") == 2
    counter = backend.read(select(RequestCount).where(RequestCount.counted == "throttled"))
    assert [row.number for row in counter] == [1]


def test_failures_at_a_customer_are_counted_together_from_all_sources_and_apart_from_a_clerk_of_the_same_address(
    backend, erika, rosa, fail, log_in
):
    backend.run(lambda tx, customer: customer.set_email(rosa.email), erika)
    erika = backend.read(erika)
    log_in(erika, None, OFFICE)
    for number in range(6):
        fail(erika, 1, f"198.51.100.{number}")
    assert log_in(erika, None, OFFICE) is None
    assert log_in(rosa)


@pytest.mark.parametrize(("who", "notice"), [("erika", "password_disabled"), ("rosa", "clerk_password_disabled")])
def test_after_a_hundred_failures_only_a_new_password_helps_and_one_mail_is_sent(
    request, backend, fail, log_in, clock, who, notice
):
    person = request.getfixturevalue(who)
    for _ in range(102):
        fail(person, 1)
        clock.shift(timedelta(hours=1))
    clock.shift(timedelta(days=30))
    assert log_in(person) is None
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [(notice, person.email)]
    backend.run(accounts.set_password, person, hash_password(NEW_PASSWORD))
    assert log_in(person, NEW_PASSWORD)


def test_six_concurrent_failures_are_counted_as_six_also_at_an_unknown_address_that_is_stored_unreadably(backend):
    wrong = check_password(WRONG, None)
    assert backend.run_concurrently(6, sessions.log_in, "unbekannt@schule.example", wrong, "Firefox") == [None] * 6
    backend.log_in("Unbekannt@SCHULE.example", WRONG)
    assert backend.read(select(RequestCount).where(RequestCount.counted == "refused"))[0].number == 6
    (throttle,) = backend.read(select(Throttle))
    assert throttle.failures == 6
    assert "unbekannt" not in throttle.account


def test_a_source_that_failed_at_thirty_accounts_is_slow_for_fifteen_minutes_except_on_known_devices(
    backend, erika, max_, log_in, fail, clock
):
    def slow(address, source=SCHOOL, device_token=""):
        return backend.run(sessions.attempt, address, source=source, device_token=device_token).slow

    token = backend.run(devices.remember, erika, "Firefox")
    for number in range(28):
        backend.log_in(f"unbekannt{number}@schule.example", WRONG, SCHOOL)
    fail(max_, 40, SCHOOL)
    assert not slow(erika.email), "accounts count, not tries"
    backend.log_in("noch@eine.example", WRONG, SCHOOL)
    assert [slow(address) for address in (erika.email, max_.email, "unbekannt@schule.example")] == [True] * 3
    assert not slow(erika.email, ELSEWHERE) and not slow(erika.email, device_token=token)
    assert slow(max_.email, device_token=token), "known to another account only"
    assert log_in(erika, None, SCHOOL), "slow, but not refused"
    clock.shift(timedelta(minutes=15))
    assert not slow(erika.email)


def test_failures_of_a_source_are_read_by_index(app, backend):
    """Without the index of both columns each login reads all failures that its source had in a week."""
    asked = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        backend.log_in("unbekannt@schule.example", WRONG, SCHOOL)
        queries = [each for each in asked if each[0].startswith("SELECT") and "source_failure.failed_at >" in each[0]]
        connection = db.session.connection()
        postgresql = connection.dialect.name == "postgresql"
        if postgresql:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN " if postgresql else "EXPLAIN QUERY PLAN "
        plans = [str(connection.exec_driver_sql(explain + sql, given).all()) for sql, given in queries]
    assert len(plans) >= 2 and all(re.search(r"ix_source_failure_\w+", plan) for plan in plans), plans


def test_a_throttled_login_executes_the_same_statements_whether_the_account_exists_or_not(app, backend, erika):
    """Such tries are not limited in number, so a lock of those who exist could be measured."""
    throttled = PasswordCheck(None, matches=False, throttled=True)
    found = []
    for address in (erika.email, "erika@nirgends.example") * 2:
        with app.app_context():
            executed = []

            def listener(*given, executed=executed):
                executed.append(given[2])

            event.listen(db.engine, "before_cursor_execute", listener)
            try:
                assert backend.run(sessions.log_in, address, throttled, "Firefox") is None
            finally:
                event.remove(db.engine, "before_cursor_execute", listener)
            found.append(executed)
    assert found[2] == found[3] != []


@pytest.mark.parametrize("throttled", [True, False])
def test_a_throttled_try_counts_for_its_source_as_a_compared_one_does(backend, erika, throttled):
    """The source's own delay would tell which addresses are throttled, and so when their owner came."""
    check = PasswordCheck(None, matches=False, throttled=throttled)
    for address in (erika.email, "erika@nirgends.example"):
        backend.run(sessions.log_in, address, check, "Firefox", source=ELSEWHERE)
    assert [row.source for row in backend.read(select(SourceFailure))] == [ELSEWHERE] * 2
