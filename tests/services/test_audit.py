"""Das Protokoll finds deeds by kind, person and day, page by page, whoever did them."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from kmzportal.db import db
from kmzportal.services import audit
from kmzportal.services.audit import EVENTS_SHOWN, AuditQuery
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def read(app):
    """Return the deeds on one page, latest first."""

    def read(**wanted):
        with app.app_context():
            return [event.action for event in audit.events(db.session(), AuditQuery(**wanted))]

    return read


@pytest.fixture
def happen(backend, clock):
    """Something happens, a minute after the last."""

    def happen(deed, person=None, actor="worker"):
        clock.shift(timedelta(minutes=1))
        with backend.transaction(actor) as tx:
            tx.record(deed, tx.session.get(type(person), person.id) if person else None)

    return happen


def test_the_latest_stands_first(read, happen, erika):
    happen("logout", erika)
    happen("password.set", erika)
    assert read() == ["password.set", "logout"]


def test_one_kind_of_deed(read, happen, erika, max_):
    happen("logout", erika)
    happen("password.set", erika)
    happen("logout", max_)
    assert read(action="logout") == ["logout", "logout"]
    assert read(action="no.such_deed") == []


@pytest.mark.parametrize("said", ["K-1001", " ERIKA.mustermann@GMS-musterstadt.example "])
def test_all_that_somebody_did_or_that_was_done_to_them(read, happen, erika, max_, said):
    happen("password.set", erika, f"customer:{erika.id}")
    happen("data.changed", erika, "clerk:1")
    happen("logout", max_, f"customer:{erika.id}")
    happen("logout", max_)
    assert read(person=said) == ["logout", "data.changed", "password.set"]
    assert read(person=said, action="logout") == ["logout"]


def test_a_clerk_is_found_by_initials(read, happen, erika, rosa):
    happen("link.sent", erika, f"clerk:{rosa.id}")
    happen("clerk.added", rosa, "console")
    happen("link.sent", erika, "clerk:99")
    assert read(person="RO") == ["clerk.added", "link.sent"]


@pytest.mark.parametrize("said", ["K-9999", "nobody@schule.example", "%", "customer:1", "x" * 5000])
def test_nobody_of_that_name_did_nothing(read, happen, erika, said):
    happen("logout", erika)
    assert read(person=said) == []


def test_from_one_day_to_another(read, happen, clock, erika):
    happen("logout", erika)
    clock.shift(timedelta(days=1))
    happen("password.set", erika)
    clock.shift(timedelta(days=1))
    happen("login.succeeded", erika)
    assert read(since=NOW + timedelta(hours=1), until=NOW + timedelta(days=2)) == ["password.set"]


@pytest.mark.both_databases
def test_page_by_page_nothing_is_missing_or_double_also_within_one_moment(app, backend, erika):
    def much(tx, person):
        for _ in range(EVENTS_SHOWN * 2 + 10):
            tx.record("logout", person)

    backend.run(much, erika)
    seen, before = [], None
    with app.app_context():
        while page := audit.events(db.session(), AuditQuery(person="K-1001", before=before))[:EVENTS_SHOWN]:
            seen += [event.id for event in page]
            before = seen[-1]
    assert len(seen) == len(set(seen)) == EVENTS_SHOWN * 2 + 10
    assert seen == sorted(seen, reverse=True)


def test_whoever_stands_on_a_page_is_read_at_once(app, happen, erika, max_, rosa):
    for person in (erika, max_, rosa):
        happen("logout", person, f"clerk:{rosa.id}")
    asked = []
    with app.app_context():
        events = audit.events(db.session(), AuditQuery())
        event.listen(db.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        people = audit.people(db.session(), events)
    assert set(people) == {f"customer:{erika.id}", f"customer:{max_.id}", f"clerk:{rosa.id}"}
    assert len(asked) == 2


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "wanted",
    [{}, {"action": "logout"}, {"person": "K-1001"}, {"person": "ro"}, {"since": NOW, "until": NOW}, {"before": 1}],
)
def test_every_page_comes_from_an_index_in_its_order(app, happen, erika, rosa, wanted):
    """PostgreSQL would sort a table as small as this one, if it were let."""
    happen("logout", erika)
    asked = []
    with app.app_context():
        session = db.session()
        postgres = session.get_bind().dialect.name == "postgresql"
        if postgres:
            session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
        event.listen(db.engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        audit.events(session, AuditQuery(**wanted))
        explain = "EXPLAIN " if postgres else "EXPLAIN QUERY PLAN "
        for statement, parameters in [one for one in asked if "FROM audit_event" in one[0]]:
            rows = session.connection().exec_driver_sql(explain + statement, parameters).all()
            plan = "\n".join(str(tuple(row)) for row in rows)
            assert "ix_audit_event" in plan and "Seq Scan" not in plan, plan
