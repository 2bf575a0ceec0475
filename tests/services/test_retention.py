"""How long each kind of row is kept."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from kmzportal.db import db
from kmzportal.models import (
    AccountLink,
    AddressProposal,
    AuditEvent,
    ClerkDay,
    CustomerAccess,
    DeletedCustomer,
    KeptEntry,
    KnownDevice,
    KnownSource,
    LinkVisit,
    LoginSession,
    OutgoingMail,
    ReceivedMail,
    RecoveryRequest,
    RequestCount,
    SourceFailure,
    Throttle,
    UsedPuzzle,
)
from kmzportal.services import desk, devices, kept_entries, recovery, retention, sessions, support, visits
from kmzportal.services.sessions import OF_LETTERS, OF_PASSKEYS
from tests import people
from tests.people import NOW
from tests.states import passkey

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


@pytest.fixture
def rows(backend, erika):
    """One row of each kind, all of NOW."""
    for _ in range(2):
        backend.run(sessions.start_session, erika, "Firefox unter Linux")
    first, _ = backend.read(select(LoginSession))
    backend.update(first, ended_at=NOW)
    backend.run(devices.remember, erika, "Firefox unter Linux")
    backend.run(lambda tx, person: tx.record("password.changed", person), erika)
    backend.run(recovery.request_link, erika.email)
    backend.run(desk.send_link, erika)
    backend.run(visits.start, backend.links()[0])
    backend.run(kept_entries.keep, {"address": erika.email})
    backend.update(backend.mails()[0], settled_at=NOW)
    backend.add(ReceivedMail(message_id="<1@web.de>", received_at=NOW))
    backend.add(UsedPuzzle(puzzle="p", expires_at=NOW + timedelta(days=1)))
    backend.add(SourceFailure(source=SOURCE, account="a", failed_at=NOW))
    backend.add(Throttle(account="typing errors", failures=99, failed_at=NOW))
    backend.add(Throttle(account=f"{OF_LETTERS}wrong code of a letter", failures=2, failed_at=NOW))
    backend.add(Throttle(account=f"{OF_PASSKEYS}made up", failures=2, failed_at=NOW))
    backend.add(Throttle(account="disabled until a new password is set", failures=100, failed_at=NOW))


@pytest.fixture
def scenario_rows(rows, backend, erika, max_, rosa):
    """At least one row of every table with personal data, all of which is finished."""
    case = backend.run(support.open_case, "other", "account", max_.email, "Hilfe")
    backend.update(case, state="closed", state_since=NOW)
    backend.add(CustomerAccess(customer_id=erika.id, clerk_id=rosa.id, day=NOW.date()))
    backend.add(ClerkDay(clerk_id=rosa.id, day=NOW.date(), act="seen", number=1))
    proposal = {"email": "erika@web.de", "check": "callback", "note": "", "proposed_at": NOW}
    backend.add(AddressProposal(customer_id=erika.id, clerk_id=rosa.id, **proposal))
    passkey(backend, rosa, "Schlüssel am Bund")
    backend.add(RequestCount(counted="a", hour=NOW, number=1))
    backend.add(KnownSource(source="a", logged_in_at=NOW))
    backend.add(DeletedCustomer(number_hash="a", deleted_at=NOW))
    backend.update(backend.read(select(Throttle).where(Throttle.account.startswith("disabled")))[0], failures=99)
    for mail in backend.mails():
        backend.update(mail, settled_at=NOW)
    for session in backend.read(select(LoginSession)):
        backend.update(session, ended_at=NOW)


@pytest.mark.parametrize(
    ("table", "kept", "before", "then"),
    [
        (SourceFailure, timedelta(minutes=15), 1, 0),  # no longer than they count: anyone can cause very many
        (ReceivedMail, timedelta(days=90), 1, 0),
        (RecoveryRequest, timedelta(days=7), 1, 0),
        (Throttle, timedelta(days=1), 4, 2),
        (Throttle, timedelta(days=30), 2, 1),
        (LoginSession, timedelta(days=7), 2, 1),
        (LoginSession, timedelta(days=7, hours=8), 1, 0),  # from the end of its lifetime
        (KnownDevice, timedelta(days=400), 1, 0),
        (UsedPuzzle, timedelta(days=1), 1, 0),
        (KeptEntry, timedelta(hours=1), 1, 0),
        (LinkVisit, timedelta(hours=3), 1, 0),  # one after the end of its lifetime, for a form that is sent too late
        (AuditEvent, timedelta(days=365), 3, 0),
        (OutgoingMail, timedelta(days=90), 1, 0),
        (AccountLink, timedelta(days=90, hours=72), 1, 0),  # from the end of its lifetime
    ],
)
def test_a_row_is_kept_so_long_and_deleted_then(backend, purge, rows, table, kept, before, then):
    for after, number in ((kept - MINUTE, before), (kept + MINUTE, then)):
        purge(after)
        assert len(backend.read(select(table))) == number


def test_of_every_table_with_personal_data_only_accounts_stay_for_years(scenario_rows, backend, purge):
    """The register names the tables; a new one must be purged, or be named here with its reason."""
    kept = {
        "customer",
        "clerk",
        "passkey",
        "deleted_customer",
    }  # until the account is deleted; the hash as long as the portal
    tables = {name: db.metadata.tables[name] for entry in retention.register()["entry"] for name in entry["columns"]}

    def filled():
        with backend.app.app_context():
            return {
                name for name, table in tables.items() if db.session.scalar(select(func.count()).select_from(table))
            }

    assert filled() == set(tables)
    for _ in range(3):  # rows that refer to others go after them
        purge(timedelta(days=3 * 366))
    assert filled() == kept


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
    backend.run(desk.send_link, erika)
    purge(timedelta(days=200))
    assert len(backend.links()) == len(backend.mails()) == 1


def test_rows_that_refer_to_each_other_can_be_purged_at_any_time(backend, purge, rows, ask, erika):
    ask(erika.email)
    for mail in backend.mails():
        backend.update(mail, settled_at=NOW)
    for day in (1, 8, 31, 91, 94, 366, 1000):
        purge(timedelta(days=day))
    for table in (AccountLink, OutgoingMail, LoginSession, RecoveryRequest, AuditEvent):
        assert backend.read(select(table)) == []
