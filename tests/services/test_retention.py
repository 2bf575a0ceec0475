"""What is forgotten, and when."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.outgoing_mail import OutgoingMail
from kmzportal.domain.recovery_request import RecoveryRequest
from kmzportal.domain.throttle import SourceFailure, Throttle
from kmzportal.domain.used_puzzle import UsedPuzzle
from kmzportal.services import desk, login, recovery, retention
from tests import cast

A_MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _stopped(clock):
    """Nothing here happens by the clock on the wall."""


@pytest.fixture
def after(deeds, clock):
    """Purge when so many days have gone since the test began, less or more a minute."""

    def after(days, more=timedelta()):
        clock.move_to(cast.NOW + timedelta(days=days) + more)
        deeds.do(retention.purge, actor="worker")

    return after


def goes_after(days, table, deeds, after):
    """All rows of the table are there until a minute before, and gone a minute later."""
    there = len(deeds.read(select(table)))
    after(days, -A_MINUTE)
    kept = len(deeds.read(select(table)))
    after(days, A_MINUTE)
    return there, kept, len(deeds.read(select(table)))


def sources(deeds, table):
    return [row.source for row in deeds.read(select(table))]


def test_where_a_request_came_from_is_forgotten_after_seven_days(deeds, after, clock):
    deeds.do(recovery.ask, cast.ERIKA["email"], source="203.0.113.7")
    with deeds.work(source="203.0.113.7") as work:
        work.record("login.refused")
    after(7, -A_MINUTE)
    assert sources(deeds, AuditEvent) == sources(deeds, RecoveryRequest) == ["203.0.113.7"]
    after(7, A_MINUTE)
    assert sources(deeds, AuditEvent) == [None]


def test_source_failures_go_after_seven_days(deeds, after):
    deeds.enter(SourceFailure(source="203.0.113.7", account="a", failed_at=cast.NOW))
    assert goes_after(7, SourceFailure, deeds, after) == (1, 1, 0)


def test_requests_go_after_seven_days(deeds, after):
    deeds.do(recovery.ask, cast.ERIKA["email"])
    assert goes_after(7, RecoveryRequest, deeds, after) == (1, 1, 0)


def test_failures_are_forgiven_after_a_month_unless_the_password_is_disabled(deeds, after):
    deeds.enter(Throttle(account="typing errors", failures=99, failed_at=cast.NOW))
    deeds.enter(Throttle(account="attacked", failures=100, failed_at=cast.NOW))
    assert goes_after(30, Throttle, deeds, after) == (2, 2, 1)
    assert deeds.read(select(Throttle))[0].account == "attacked"


def test_an_expired_session_goes_after_a_week(deeds, after, erika):
    deeds.do(login.start_session, erika, "Firefox unter Linux")
    eight_hours = 8 / 24
    assert goes_after(7 + eight_hours, LoginSession, deeds, after) == (1, 1, 0)


def test_an_ended_session_goes_a_week_after_its_end(deeds, after, erika):
    deeds.do(login.start_session, erika, "Firefox unter Linux")
    deeds.do(login.end_sessions, erika)
    assert goes_after(7, LoginSession, deeds, after) == (1, 1, 0)


def test_an_answered_puzzle_goes_as_soon_as_it_is_too_old_to_be_answered(deeds, after):
    deeds.enter(UsedPuzzle(puzzle="p", expires_at=cast.NOW + timedelta(days=1)))
    assert goes_after(1, UsedPuzzle, deeds, after) == (1, 1, 0)


def test_history_goes_after_a_year(deeds, after, erika):
    with deeds.work() as work:
        work.record("password.changed", erika)
    assert goes_after(365, AuditEvent, deeds, after) == (1, 1, 0)


def test_a_dead_link_goes_ninety_days_later(deeds, after, erika, rosa):
    deeds.do(desk.send_link, erika, "ro")
    settle_mails(deeds)
    three_days = 3  # it was never used, so it died at the end of its life
    assert goes_after(90 + three_days, AccountLink, deeds, after) == (1, 1, 0)


def test_a_mail_goes_ninety_days_after_it_was_settled(deeds, after, erika, rosa):
    deeds.do(desk.send_link, erika, "ro")
    settle_mails(deeds)
    assert goes_after(90, OutgoingMail, deeds, after) == (1, 1, 0)


def test_a_link_stays_as_long_as_its_mail(deeds, after, erika, rosa):
    deeds.do(desk.send_link, erika, "ro")
    after(200)
    assert len(deeds.read(select(AccountLink))) == len(deeds.read(select(OutgoingMail))) == 1


def test_a_portal_with_everything_can_be_purged_at_any_time(deeds, after, erika, max_, juergen, lieselotte, rosa):
    for customer in (erika, max_, juergen):
        deeds.do(desk.send_link, customer, "ro")
        deeds.do(login.start_session, customer, "Firefox unter Linux")
        deeds.do(recovery.ask, customer.email)
    settle_mails(deeds)
    for day in (1, 8, 31, 91, 94, 366, 1000):
        after(day)
    left = [table.__tablename__ for table in (AccountLink, OutgoingMail, LoginSession, RecoveryRequest, AuditEvent)
            if deeds.read(select(table))]  # fmt: skip
    assert left == []


def settle_mails(deeds):
    with deeds.work("worker") as work:
        for mail in work.session.scalars(select(OutgoingMail)):
            mail.settled_at = work.now
