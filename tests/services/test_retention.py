"""How long each kind of row is kept."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, UsedPuzzle
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.login_session import LoginSession, SourceFailure, Throttle
from kmzportal.models.outgoing_mail import OutgoingMail
from kmzportal.models.recovery_request import RecoveryRequest
from kmzportal.services import desk, recovery, retention, sessions
from tests import people
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")
MINUTE = timedelta(minutes=1)
SOURCE = "203.0.113.7"


@pytest.fixture
def purge(backend, clock):
    """Purge so long after the test began."""

    def purge(after):
        clock.move_to(NOW + after)
        backend.run(retention.purge, actor="worker")

    return purge


def expired_session(backend, erika):
    backend.run(sessions.start_session, erika, "Firefox unter Linux")


def ended_session(backend, erika):
    expired_session(backend, erika)
    backend.run(sessions.end_all, erika)


def audit_event(backend, erika):
    backend.run(lambda tx, person: tx.record("password.changed", person), erika)


def recovery_request(backend, erika):
    backend.run(recovery.request_link, erika.email)


def settled_mail(backend, erika):
    backend.run(desk.send_link, erika, "ro")
    for mail in backend.mails():
        backend.update(mail, settled_at=NOW)


def used_puzzle(backend, erika):
    backend.add(UsedPuzzle(puzzle="p", expires_at=NOW + timedelta(days=1)))


def source_failure(backend, erika):
    backend.add(SourceFailure(source=SOURCE, account="a", failed_at=NOW))


def failures(backend, erika):
    backend.add(Throttle(account="typing errors", failures=99, failed_at=NOW))


@pytest.mark.parametrize(
    ("create", "table", "kept"),
    [
        (source_failure, SourceFailure, timedelta(days=7)),
        (recovery_request, RecoveryRequest, timedelta(days=7)),
        (failures, Throttle, timedelta(days=30)),
        (expired_session, LoginSession, timedelta(days=7, hours=8)),
        (ended_session, LoginSession, timedelta(days=7)),
        (used_puzzle, UsedPuzzle, timedelta(days=1)),
        (audit_event, AuditEvent, timedelta(days=365)),
        (settled_mail, OutgoingMail, timedelta(days=90)),
        (settled_mail, AccountLink, timedelta(days=90, hours=72)),  # from the end of its lifetime
    ],
)
def test_a_row_is_kept_so_long_and_deleted_then(backend, purge, erika, create, table, kept):
    create(backend, erika)
    for after, rows in ((kept - MINUTE, 1), (kept + MINUTE, 0)):
        purge(after)
        assert len(backend.read(select(table))) == rows


def test_failures_that_disabled_a_password_are_kept(backend, purge):
    backend.add(Throttle(account="attacked", failures=100, failed_at=NOW))
    purge(timedelta(days=31))
    assert len(backend.read(select(Throttle))) == 1


def test_sources_are_deleted_after_seven_days(backend, purge):
    def sources():
        rows = *backend.read(select(AuditEvent)), *backend.read(select(RecoveryRequest))
        return [row.source for row in rows]

    backend.run(recovery.request_link, people.ERIKA["email"], source=SOURCE)
    backend.run(lambda tx: tx.record("login.refused"), source=SOURCE)
    purge(timedelta(days=7) - MINUTE)
    assert sources() == [SOURCE, SOURCE]
    purge(timedelta(days=7) + MINUTE)
    assert sources() == [None]


def test_a_link_is_kept_as_long_as_its_mail(backend, purge, erika):
    backend.run(desk.send_link, erika, "ro")
    purge(timedelta(days=200))
    assert len(backend.links()) == len(backend.mails()) == 1


def test_rows_that_refer_to_each_other_can_be_purged_at_any_time(backend, purge, ask, erika, max_, juergen):
    for customer in (erika, max_, juergen):
        expired_session(backend, customer)
        ask(customer.email)
        settled_mail(backend, customer)
    for day in (1, 8, 31, 91, 94, 366, 1000):
        purge(timedelta(days=day))
    tables = AccountLink, OutgoingMail, LoginSession, RecoveryRequest, AuditEvent
    assert [table for table in tables if backend.read(select(table))] == []
