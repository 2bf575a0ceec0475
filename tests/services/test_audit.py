"""The audit: found by action, person and day, page by page; a customer's history and data."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from kmzportal.db import db
from kmzportal.models import AuditEvent, LinkKind, SupportCase
from kmzportal.services import accounts, audit, deletion, desk, support
from kmzportal.services.audit import EVENTS_SHOWN, AuditQuery
from kmzportal.services.refusals import Refusal
from tests.people import NEW_EMAIL, NOW

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def record(backend, clock):
    """Record an action, a minute after the last one."""

    def record(action, person=None, actor="worker"):
        clock.shift(timedelta(minutes=1))
        backend.run(lambda tx, person: tx.record(action, person), person, actor=actor)

    return record


@pytest.mark.parametrize(("wanted", "found"), [
    ({}, "clerk.added logout logout data.changed password.set"),
    ({"action": "logout"}, "logout logout"),
    ({"person": " K-1001 "}, "logout data.changed password.set"),
    ({"person": " ERIKA.mustermann@GMS-musterstadt.example "}, "logout data.changed password.set"),
    ({"person": "K-1001", "action": "logout"}, "logout"),
    ({"person": "RO"}, "clerk.added data.changed"),
    *(({"person": typed}, "") for typed in ("K-9999", "unbekannt@schule.example", "%", "customer:1")),
    ({"since": NOW + timedelta(minutes=2), "until": NOW + timedelta(minutes=4)}, "logout data.changed"),
])  # fmt: skip
def test_events_are_found_by_person_action_and_time_latest_first(app, record, erika, max_, rosa, wanted, found):
    record("password.set", erika, f"customer:{erika.id}")
    record("data.changed", erika, f"clerk:{rosa.id}")
    record("logout", max_, f"customer:{erika.id}")
    record("logout", max_, "clerk:99")
    record("clerk.added", rosa, "console")
    with app.app_context():
        assert " ".join(event.action for event in audit.events(db.session(), AuditQuery(**wanted))) == found


def test_pages_neither_repeat_nor_skip_events_of_the_same_second(app, backend, erika):
    def record_many(tx, person):
        for _ in range(EVENTS_SHOWN * 2 + 10):
            tx.record("logout", person)

    backend.run(record_many, erika)
    seen, before = [], None
    with app.app_context():
        while page := audit.events(db.session(), AuditQuery(person="K-1001", before=before))[:EVENTS_SHOWN]:
            seen += [event.id for event in page]
            before = seen[-1]
    assert len(seen) == len(set(seen)) == EVENTS_SHOWN * 2 + 10
    assert seen == sorted(seen, reverse=True)


def test_the_people_of_a_page_are_read_by_two_queries(app, record, erika, max_, rosa):
    for person in (erika, max_, rosa):
        record("logout", person, f"clerk:{rosa.id}")
    queries = []
    with app.app_context():
        events = audit.events(db.session(), AuditQuery())
        event.listen(db.engine, "before_cursor_execute", lambda *given: queries.append(given[2]))
        people = audit.people(db.session(), events)
    assert set(people) == {f"customer:{erika.id}", f"customer:{max_.id}", f"clerk:{rosa.id}"}
    assert len(queries) == 2


@pytest.mark.parametrize(
    "wanted",
    [{}, {"action": "logout"}, {"person": "K-1001"}, {"person": "ro"}, {"since": NOW, "until": NOW}, {"before": 1}],
)
def test_every_page_is_read_from_an_index(app, record, erika, rosa, wanted):
    """PostgreSQL would scan a table as small as this one, so that is switched off."""
    record("logout", erika)
    queries = []
    with app.app_context():
        session = db.session()
        postgresql = session.get_bind().dialect.name == "postgresql"
        if postgresql:
            session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
        event.listen(db.engine, "before_cursor_execute", lambda *given: queries.append(given[2:4]))
        audit.events(session, AuditQuery(**wanted))
        explain = "EXPLAIN " if postgresql else "EXPLAIN QUERY PLAN "
        for statement, parameters in [one for one in queries if "FROM audit_event" in one[0]]:
            rows = session.connection().exec_driver_sql(explain + statement, parameters).all()
            plan = "\n".join(str(tuple(row)) for row in rows)
            assert "ix_audit_event" in plan and "Seq Scan" not in plan, plan


@pytest.mark.parametrize(("actor", "details", "for_the_customer", "for_the_desk"), [
    ("customer:12", {}, "Sie selbst", "Kundin oder Kunde"),
    ("clerk:3", {"by": "ro"}, "Kundenservice (ro)", "Kundenservice (ro)"),
    ("link:5", {"kind": "desk"}, "mit dem Link aus der E-Mail", "mit dem Link aus der E-Mail"),
    ("link:5", {"kind": "letter"}, "mit dem Zugangsbrief", "mit dem Zugangsbrief"),
    ("visitor", {}, "nicht angemeldet", "nicht angemeldet"),
    ("worker", {}, "automatisch", "automatisch"),
])  # fmt: skip
def test_an_actor_is_named_for_the_customer_and_for_the_desk(actor, details, for_the_customer, for_the_desk):
    event = AuditEvent(action="data.changed", actor=actor, details=details)
    assert (event.actor_label, event.actor_label_for_desk) == (for_the_customer, for_the_desk)


@pytest.mark.parametrize("caused", ["login.refused", "letter.refused"])
def test_the_history_holds_nothing_of_others_and_not_only_what_strangers_cause(backend, erika, max_, caused):
    def record_many(tx, erika, max_):
        tx.record("link.issued", erika)
        tx.record("logout", max_)
        for _ in range(150):
            tx.record(caused, erika)

    backend.run(record_many, erika, max_, actor="clerk:1")
    with backend.transaction() as tx:
        events = [(event.action, event.actor) for event in audit.history(tx.session, erika)]
    assert events == [(caused, "clerk:1")] * 20 + [("link.issued", "clerk:1")]


def test_the_history_holds_what_the_customer_did_and_what_others_did_to_the_account_once_each(backend, erika, rosa):
    backend.run(lambda tx, one: tx.record("data.changed", one), erika, actor=f"customer:{erika.id}")
    backend.run(lambda tx: tx.record("logout"), actor=f"customer:{erika.id}")
    backend.run(lambda tx, one: tx.record("account.locked", one), erika, actor=f"clerk:{rosa.id}")
    with backend.transaction() as tx:
        found = [event.action for event in audit.history(tx.session, erika)]
        assert found == ["account.locked", "logout", "data.changed"]
        assert [event.action for event in audit.history(tx.session, erika, limit=2)] == found[:2]


def test_the_history_of_many_events_is_read_by_index_and_not_sorted(app, backend, erika):
    """Whoever makes thousands of events could keep the processors busy with their page."""
    queries = []
    with app.app_context():
        session = db.session()
        if session.get_bind().dialect.name == "postgresql":
            session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        event.listen(db.engine, "before_cursor_execute", lambda *given: queries.append(given[2:4]))
        audit.history(session, erika)
        statement, parameters = next(one for one in queries if "FROM audit_event" in one[0])
        explain = "EXPLAIN " if session.get_bind().dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        plan = str(session.connection().exec_driver_sql(explain + statement, parameters).all())
    assert "ix_audit_event_customer_id_at" in plan and "TEMP B-TREE FOR ORDER BY" not in plan, plan


def test_all_data_holds_everything_about_the_customer_and_nothing_of_others(backend, erika, max_, log_in):
    log_in(max_)
    backend.run(accounts.request_address_change, erika, NEW_EMAIL)
    with backend.transaction() as tx:
        text = json.dumps(audit.all_data(tx.session, backend.read(erika)), default=str, ensure_ascii=False)
    assert all(value in text for value in (*erika.data().values(), erika.number, erika.email, NEW_EMAIL))
    assert "Max" not in text
    assert erika.password_hash not in text


def test_of_a_reply_whose_sender_is_not_checked_all_data_says_only_that_it_came(backend, erika, max_):
    """It may be somebody else's (GDPR 15 (4))."""
    case = backend.run(lambda tx, one: support.open_case(tx, "other", "mail", one.email, "Hallo", customer=one), erika)
    backend.run(support.add_reply, case, max_.email, "Ich war krank.")
    with backend.transaction() as tx:
        reply, received = audit.all_data(tx.session, backend.read(erika))["Anfragen"]
    assert reply == {"Zeit": NOW, "Vorgangsnummer": case.reference, "Art": "Antwort, Absender nicht geprüft"}
    assert (received["Von"], received["Text"]) == (erika.email, "Hallo")


def test_of_a_request_from_an_address_not_of_the_account_all_data_says_only_that_it_came(backend, erika):
    """A clerk may have assigned it by mistake (GDPR 15 (4)). Once the address is the account's, it is shown."""
    case = backend.run(lambda tx: support.open_case(tx, "other", "mail", NEW_EMAIL, "Ich war krank."))
    backend.run(support.assign, case, erika)
    backend.run(support.ask_back, case, "Noch krank?")

    def shown():
        with backend.transaction() as tx:
            return audit.all_data(tx.session, backend.read(erika))["Anfragen"]

    assert [set(one) for one in shown()] == [{"Zeit", "Vorgangsnummer", "Art"}] * 2
    backend.update(erika, email=NEW_EMAIL, email_canonical=NEW_EMAIL.lower())
    assert [one["Text"] for one in shown()] == ["Noch krank?", "Ich war krank."]


def test_of_an_objection_from_an_earlier_mailbox_all_data_says_only_that_it_came(backend, erika):
    """Another person may read that mailbox by now."""
    old = erika.email
    objection = backend.issue(LinkKind.OBJECTION, erika)
    backend.update(erika, email=NEW_EMAIL, email_canonical=NEW_EMAIL.lower())
    backend.run(accounts.object_to_change, objection, NOW)
    [case] = backend.read(select(SupportCase))
    backend.run(support.add_reply, case, old, "Ich bin jetzt an diesem Postfach und war krank.")
    with backend.transaction() as tx:
        entries = audit.all_data(tx.session, backend.read(erika))["Anfragen"]
    assert len(entries) == 2 and not any("Text" in one for one in entries)


def test_of_a_reply_to_a_request_for_deletion_after_a_move_all_data_says_only_that_it_came(backend, erika):
    """Whoever asked may be a thief, who reads what the owner answers to the mail about it."""
    old, case = erika.email, backend.run(deletion.request, erika)
    backend.update(erika, email=NEW_EMAIL, email_canonical=NEW_EMAIL.lower())
    backend.run(support.add_reply, case, old, "Das war ich nicht.")
    backend.run(support.ask_back, case, "Wer sind Sie?")
    with backend.transaction() as tx:
        entries = audit.all_data(tx.session, backend.read(erika))["Anfragen"]
    assert ["Text" in one for one in entries] == [False, False, True]


def test_the_history_does_not_tell_that_the_desk_could_not_enter_an_address(backend, as_clerk, erika, max_, rosa):
    """Whoever writes "my new address is …" must not read in his account whose it is."""
    for taken in (max_.email, rosa.email):
        with pytest.raises(Refusal):
            as_clerk(desk.correct_address, erika, erika.version, taken, "callback", "")
    assert backend.actions().count("address.refused") == 2, "the Protokoll has it"
    with backend.transaction() as tx:
        assert audit.history(tx.session, erika) == []
