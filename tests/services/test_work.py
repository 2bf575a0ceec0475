"""One transaction a deed: all of it or nothing, a refusal stays on record."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.customer import Customer
from kmzportal.domain.refusals import ChangedMeanwhile, Refusal
from kmzportal.services import account
from kmzportal.unit_of_work import unit_of_work
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")


def test_what_is_done_is_committed(deeds, erika):
    with deeds.work("clerk:1") as work:
        work.session.get(Customer, erika.id).phone = "4711"
        work.record("data.changed", erika)
    assert deeds.read(erika).phone == "4711"
    assert deeds.history() == ["data.changed"]


def test_a_refusal_undoes_the_deed_and_stays_on_record(deeds, erika):
    with pytest.raises(Refusal), deeds.work("clerk:1", "192.0.2.7") as work:
        here = work.session.get(Customer, erika.id)
        here.phone = "4711"
        work.record("data.changed", here)
        work.send("password_changed", here)
        work.session.flush()
        raise Refusal("data.refused", here, why="Sonntag")
    assert deeds.read(erika).phone == erika.phone
    assert deeds.mails() == []
    (event,) = deeds.read(select(AuditEvent))
    assert (event.deed, event.actor, event.customer_id) == ("data.refused", "clerk:1", erika.id)
    assert (event.details, event.source) == ({"why": "Sonntag"}, "192.0.2.7")


def test_a_refusal_without_a_name_leaves_no_trace(deeds):
    with pytest.raises(Refusal), deeds.work():
        raise Refusal
    assert deeds.history() == []


def test_a_bug_undoes_everything(deeds, erika):
    with pytest.raises(ZeroDivisionError), deeds.work() as work:
        here = work.session.get(Customer, erika.id)
        here.phone = "4711"
        work.record("data.changed", here)
        work.send("password_changed", here)
        work.session.flush()
        assert 1 / 0
    assert deeds.read(erika).phone == erika.phone
    assert deeds.history() == deeds.mails() == []


def test_what_was_changed_outside_of_work_is_not_saved_with_it(deeds, app, erika):
    with app.app_context():
        db.session.get(Customer, erika.id).phone = "4711"
        with unit_of_work("visitor") as work:
            work.record("login.refused")
    assert deeds.read(erika).phone == erika.phone


def test_whoever_saves_what_another_has_saved_meanwhile_is_told(deeds, erika):
    with pytest.raises(ChangedMeanwhile), deeds.work() as work:
        here = work.session.get(Customer, erika.id)
        work.session.connection().exec_driver_sql(f"UPDATE customer SET version = 9 WHERE id = {erika.id}")  # noqa: S608
        here.phone = "4711"
    assert deeds.read(erika).phone == erika.phone


@pytest.mark.parametrize("the_read_is_over", [True, False])
def test_work_sees_what_another_committed_a_moment_ago(deeds, app, erika, the_read_is_over):
    """A page reads, somebody else writes, then the page's deed begins: it must not act on what was read."""
    with app.app_context():
        read_before = db.session.get(Customer, erika.id)
        assert read_before.phone == erika.phone
        if the_read_is_over:
            db.session.commit()
        deeds.do(account.change_data, erika, {"phone": "4711"})
        with unit_of_work("visitor"):
            assert read_before.phone == "4711"


def test_twelve_who_write_at_once_all_get_through(deeds):
    deeds.at_once(12, lambda work: work.record("login.refused"))
    assert len(deeds.history()) == 12


def test_work_happens_at_one_moment_in_utc(deeds, erika):
    with deeds.work() as work:
        assert work.now == cast.NOW
        work.record("login.refused", erika)
    (event,) = deeds.read(select(AuditEvent))
    assert event.at == cast.NOW
    assert event.at.utcoffset() == timedelta(0)


def test_a_moment_without_a_zone_is_not_stored(deeds, erika):
    with pytest.raises(Exception, match="zone"), deeds.work() as work:
        work.session.get(Customer, erika.id).locked_at = cast.NOW.replace(tzinfo=None)
