"""What is forgotten, and when."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.login_session import LoginSession
from kmzportal.models.outgoing_mail import OutgoingMail
from kmzportal.models.recovery_request import RecoveryRequest
from kmzportal.models.throttle import SourceFailure, Throttle
from kmzportal.models.used_puzzle import UsedPuzzle
from kmzportal.services import desk, recovery, retention, sessions
from tests import people

A_MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _stopped(clock):
    """Nothing here happens by the clock on the wall."""


@pytest.fixture
def after(backend, clock):
    """Purge when so many days have gone since the test began, less or more a minute."""

    def after(days, more=timedelta()):
        clock.move_to(people.NOW + timedelta(days=days) + more)
        backend.run(retention.purge, actor="worker")

    return after


def goes_after(days, table, backend, after):
    """All rows of the table are there until a minute before, and gone a minute later."""
    there = len(backend.read(select(table)))
    after(days, -A_MINUTE)
    kept = len(backend.read(select(table)))
    after(days, A_MINUTE)
    return there, kept, len(backend.read(select(table)))


def sources(backend, table):
    return [row.source for row in backend.read(select(table))]


def test_where_a_request_came_from_is_forgotten_after_seven_days(backend, after, clock):
    backend.run(recovery.request_link, people.ERIKA["email"], source="203.0.113.7")
    with backend.transaction(source="203.0.113.7") as tx:
        tx.record("login.refused")
    after(7, -A_MINUTE)
    assert sources(backend, AuditEvent) == sources(backend, RecoveryRequest) == ["203.0.113.7"]
    after(7, A_MINUTE)
    assert sources(backend, AuditEvent) == [None]


def test_source_failures_go_after_seven_days(backend, after):
    backend.add(SourceFailure(source="203.0.113.7", account="a", failed_at=people.NOW))
    assert goes_after(7, SourceFailure, backend, after) == (1, 1, 0)


def test_requests_go_after_seven_days(backend, after):
    backend.run(recovery.request_link, people.ERIKA["email"])
    assert goes_after(7, RecoveryRequest, backend, after) == (1, 1, 0)


def test_failures_are_forgiven_after_a_month_unless_the_password_is_disabled(backend, after):
    backend.add(Throttle(account="typing errors", failures=99, failed_at=people.NOW))
    backend.add(Throttle(account="attacked", failures=100, failed_at=people.NOW))
    assert goes_after(30, Throttle, backend, after) == (2, 2, 1)
    assert backend.read(select(Throttle))[0].account == "attacked"


def test_an_expired_session_goes_after_a_week(backend, after, erika):
    backend.run(sessions.start_session, erika, "Firefox unter Linux")
    eight_hours = 8 / 24
    assert goes_after(7 + eight_hours, LoginSession, backend, after) == (1, 1, 0)


def test_an_ended_session_goes_a_week_after_its_end(backend, after, erika):
    backend.run(sessions.start_session, erika, "Firefox unter Linux")
    backend.run(sessions.end_all, erika)
    assert goes_after(7, LoginSession, backend, after) == (1, 1, 0)


def test_an_answered_puzzle_goes_as_soon_as_it_is_too_old_to_be_answered(backend, after):
    backend.add(UsedPuzzle(puzzle="p", expires_at=people.NOW + timedelta(days=1)))
    assert goes_after(1, UsedPuzzle, backend, after) == (1, 1, 0)


def test_history_goes_after_a_year(backend, after, erika):
    with backend.transaction() as tx:
        tx.record("password.changed", erika)
    assert goes_after(365, AuditEvent, backend, after) == (1, 1, 0)


def test_a_dead_link_goes_ninety_days_later(backend, after, erika, rosa):
    backend.run(desk.send_link, erika, "ro")
    settle_mails(backend)
    three_days = 3  # it was never used, so it died at the end of its life
    assert goes_after(90 + three_days, AccountLink, backend, after) == (1, 1, 0)


def test_a_mail_goes_ninety_days_after_it_was_settled(backend, after, erika, rosa):
    backend.run(desk.send_link, erika, "ro")
    settle_mails(backend)
    assert goes_after(90, OutgoingMail, backend, after) == (1, 1, 0)


def test_a_link_stays_as_long_as_its_mail(backend, after, erika, rosa):
    backend.run(desk.send_link, erika, "ro")
    after(200)
    assert len(backend.read(select(AccountLink))) == len(backend.read(select(OutgoingMail))) == 1


def test_a_portal_with_everything_can_be_purged_at_any_time(backend, after, erika, max_, juergen, lieselotte, rosa):
    for customer in (erika, max_, juergen):
        backend.run(desk.send_link, customer, "ro")
        backend.run(sessions.start_session, customer, "Firefox unter Linux")
        backend.run(recovery.request_link, customer.email)
    settle_mails(backend)
    for day in (1, 8, 31, 91, 94, 366, 1000):
        after(day)
    left = [table.__tablename__ for table in (AccountLink, OutgoingMail, LoginSession, RecoveryRequest, AuditEvent)
            if backend.read(select(table))]  # fmt: skip
    assert left == []


def settle_mails(backend):
    with backend.transaction("worker") as tx:
        for mail in tx.session.scalars(select(OutgoingMail)):
            mail.settled_at = tx.now
