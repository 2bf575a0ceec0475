"""One transaction a deed: all of it or nothing, a refusal stays on record."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.customer import Customer
from kmzportal.services import accounts
from kmzportal.services.refusals import ChangedMeanwhile, Refusal
from kmzportal.services.transaction import transaction
from tests import people

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.both_databases]


def test_what_is_done_is_committed(backend, erika):
    with backend.transaction("clerk:1") as tx:
        tx.session.get(Customer, erika.id).phone = "4711"
        tx.record("data.changed", erika)
    assert backend.read(erika).phone == "4711"
    assert backend.actions() == ["data.changed"]


def test_a_refusal_undoes_the_deed_and_stays_on_record(backend, erika):
    with pytest.raises(Refusal), backend.transaction("clerk:1", "192.0.2.7") as tx:
        login_session = tx.session.get(Customer, erika.id)
        login_session.phone = "4711"
        tx.record("data.changed", login_session)
        tx.send("password_changed", login_session)
        tx.session.flush()
        raise Refusal("data.refused", login_session, why="Sonntag")
    assert backend.read(erika).phone == erika.phone
    assert backend.mails() == []
    (event,) = backend.read(select(AuditEvent))
    assert (event.action, event.actor, event.customer_id) == ("data.refused", "clerk:1", erika.id)
    assert (event.details, event.source) == ({"why": "Sonntag"}, "192.0.2.7")


def test_a_refusal_without_a_name_leaves_no_trace(backend):
    with pytest.raises(Refusal), backend.transaction():
        raise Refusal
    assert backend.actions() == []


def test_a_bug_undoes_everything(backend, erika):
    with pytest.raises(ZeroDivisionError), backend.transaction() as tx:
        login_session = tx.session.get(Customer, erika.id)
        login_session.phone = "4711"
        tx.record("data.changed", login_session)
        tx.send("password_changed", login_session)
        tx.session.flush()
        assert 1 / 0
    assert backend.read(erika).phone == erika.phone
    assert backend.actions() == backend.mails() == []


def test_what_was_changed_outside_of_work_is_not_saved_with_it(backend, app, erika):
    with app.app_context():
        db.session.get(Customer, erika.id).phone = "4711"
        with transaction("visitor") as tx:
            tx.record("login.refused")
    assert backend.read(erika).phone == erika.phone


def test_whoever_saves_what_another_has_saved_meanwhile_is_told(backend, erika):
    with pytest.raises(ChangedMeanwhile), backend.transaction() as tx:
        login_session = tx.session.get(Customer, erika.id)
        tx.session.connection().exec_driver_sql(f"UPDATE customer SET version = 9 WHERE id = {erika.id}")  # noqa: S608
        login_session.phone = "4711"
    assert backend.read(erika).phone == erika.phone


@pytest.mark.parametrize("the_read_is_over", [True, False])
def test_work_sees_what_another_committed_a_moment_ago(backend, app, erika, the_read_is_over):
    """A page reads, somebody else writes, then the page's deed begins: it must not act on what was read."""
    with app.app_context():
        read_before = db.session.get(Customer, erika.id)
        assert read_before.phone == erika.phone
        if the_read_is_over:
            db.session.commit()
        backend.run(accounts.change_data, erika, {"phone": "4711"})
        with transaction("visitor"):
            assert read_before.phone == "4711"


def test_twelve_who_write_at_once_all_get_through(backend):
    backend.run_concurrently(12, lambda tx: tx.record("login.refused"))
    assert len(backend.actions()) == 12


def test_work_happens_at_one_moment_in_utc(backend, erika):
    with backend.transaction() as tx:
        assert tx.now == people.NOW
        tx.record("login.refused", erika)
    (event,) = backend.read(select(AuditEvent))
    assert event.at == people.NOW
    assert event.at.utcoffset() == timedelta(0)


def test_a_moment_without_a_zone_is_not_stored(backend, erika):
    with pytest.raises(Exception, match="zone"), backend.transaction() as tx:
        tx.session.get(Customer, erika.id).locked_at = people.NOW.replace(tzinfo=None)
