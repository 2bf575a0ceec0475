"""The audit trail as a chain: every change beside the portal shows, deletion and purging do not break it."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from kmzportal.db import db
from kmzportal.models import Alarm, AuditChain, AuditEvent, LinkKind
from kmzportal.server import worker
from kmzportal.services import audit_chain, deletion, keys, retention
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")
EVENTS = 8


@pytest.fixture
def record(backend, clock):
    """Record some events, a minute apart, and chain them."""

    def record(number=EVENTS, person=None, action="data.changed", **details):
        for _ in range(number):
            clock.shift(timedelta(minutes=1))
            with backend.transaction("console") as tx:
                tx.record(action, person and tx.session.get(type(person), person.id), **details)
        with backend.app.app_context():
            worker.chain_events()

    return record


@pytest.fixture
def verify(app):
    def verify(**options):
        with app.app_context():
            return audit_chain.verify(db.session(), app.config, **options)

    return verify


@pytest.fixture
def sql(app):
    """Write into the database beside the portal, as somebody with access to it."""

    def sql(*statements):
        with app.app_context(), db.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    return sql


@pytest.fixture
def ids(backend):
    return lambda: [event.id for event in backend.read(select(AuditEvent).order_by(AuditEvent.id))]


#: What somebody does to the events with the positions 1 to EVENTS, and the sentence that it leads to, where {n} stands
#: for the id of the n-th.
MANIPULATIONS = {
    "details": (["UPDATE audit_event SET details = '{}' WHERE position = 4"], "Eintrag {4} vom", "wurde verändert"),
    "time": (["UPDATE audit_event SET at = '2026-01-01 00:00:00' WHERE position = 4"], "{4}", "wurde verändert"),
    "action": (["UPDATE audit_event SET action = 'logout' WHERE position = 8"], "{8}", "wurde verändert"),
    "actor": (["UPDATE audit_event SET actor = 'worker' WHERE position = 1"], "{1}", "wurde verändert"),
    "customer": (["UPDATE audit_event SET customer_id = NULL WHERE position = 2"], "{2}", "wurde verändert"),
    "made to look erased": (
        ["UPDATE audit_event SET salt = NULL, erased = mac, details = '{}' WHERE position = 3"],
        "{3}",
        "wurde verändert",
    ),
    "one missing": (["DELETE FROM audit_event WHERE position = 4"], "Vor dem Eintrag {5}", "fehlen Einträge: 1"),
    "the first missing": (["DELETE FROM audit_event WHERE position < 4"], "Vor dem Eintrag {4}", "Einträge: 3"),
    "missing, and the gap closed": (
        [
            "DELETE FROM audit_event WHERE position = 4",
            "UPDATE audit_event SET position = -position WHERE position > 4",
            "UPDATE audit_event SET position = -position - 1 WHERE position < 0",
        ],
        "Eintrag {5} vom",
        "passt nicht in die Kette",
    ),
    "swapped": (
        [
            "UPDATE audit_event SET position = -4 WHERE position = 4",
            "UPDATE audit_event SET position = 4 WHERE position = 5",
            "UPDATE audit_event SET position = 5 WHERE position = -4",
        ],
        "Eintrag {5} vom",
        "passt nicht in die Kette",
    ),
    "ids swapped": (
        [
            "UPDATE audit_event SET id = 9999 WHERE position = 4",
            "UPDATE audit_event SET id = id - 1 WHERE position = 5",
            "UPDATE audit_event SET id = (SELECT id + 1 FROM audit_event WHERE position = 5) WHERE position = 4",
        ],
        "Eintrag {5} vom",
        "passt nicht in die Kette",
    ),
    "inserted at the end": (
        [
            "INSERT INTO audit_event (id, position, mac, at, action, actor, details, salt, digest)"
            " SELECT 9999, 9, mac, at, action, actor, details, salt, digest FROM audit_event WHERE position = 4"
        ],
        "Eintrag 9999 vom",
        "am Portal vorbei eingefügt",
    ),
    "a genuine one in place of another": (
        [
            "DELETE FROM audit_event WHERE position = 4",
            "INSERT INTO audit_event (id, position, mac, at, action, actor, customer_id, details, salt, digest)"
            " SELECT 9999, 4, mac, at, action, actor, customer_id, details, salt, digest"
            " FROM audit_event WHERE position = 3",
        ],
        "Eintrag 9999 vom",
        "passt nicht in die Kette",
    ),
    "the last missing": (
        ["DELETE FROM audit_event WHERE position > 6"],
        "Die letzten Einträge fehlen: 2. Der letzte, der noch da ist: {6} vom",
    ),
    "the last missing, and the end set back": (
        [
            "DELETE FROM audit_event WHERE position > 6",
            "UPDATE audit_chain SET position = 6, mac = (SELECT mac FROM audit_event WHERE position = 6)",
        ],
        "Ende der Kette wurde verändert",
    ),
    "all gone": (["DELETE FROM audit_event"], "Die letzten Einträge fehlen: 8"),
    "a start made up": (
        [
            "INSERT INTO audit_chain SELECT 'start', 3, mac, mac FROM audit_event WHERE position = 3",
            "DELETE FROM audit_event WHERE position < 4",
        ],
        "Der gespeicherte Anfang",
        "wurde verändert",
    ),
    "the end made away with": (["DELETE FROM audit_chain"], "Eintrag {1} vom", "am Portal vorbei eingefügt"),
}


@pytest.mark.parametrize("name", MANIPULATIONS)
def test_what_was_done_beside_the_portal_is_named_with_its_place(erika, record, verify, sql, ids, name):
    record(person=erika, fields=["phone"], note="angerufen")
    statements, *words = MANIPULATIONS[name]
    places = [0, *ids()]
    sql(*statements)
    fault = verify().fault
    assert fault and all(part.format(*places) in fault for part in words), fault


def test_an_untouched_trail_is_whole_wherever_verifying_begins(record, verify):
    record(note="„ünïcödé“", fields=["phone"], kind=LinkKind.DESK, admin=True, code=None)
    verdict = verify()
    assert (verdict.fault, verdict.number, verdict.waiting) == (None, EVENTS, 0)
    assert (verify(last=3).number, verify(last=3).fault, verify(last=99).number) == (3, None, EVENTS)


def test_an_empty_trail_is_whole(verify):
    assert (verify().fault, verify().end) == (None, "0:")


def test_only_the_end_is_verified_where_that_is_enough(record, verify, sql):
    record()
    sql("UPDATE audit_event SET actor = 'worker' WHERE position = 2")
    assert verify(last=5).fault is None
    assert verify(last=EVENTS).fault


def test_an_earlier_end_shows_that_the_whole_database_was_set_back(app, record, verify, sql, backend):
    record(4)
    earlier = verify().end
    kept = backend.read(select(AuditChain))
    record(4)
    later = verify().end
    assert [verify(known=end).fault for end in (earlier, later)] == [None, None]
    sql("DELETE FROM audit_event WHERE position > 4", "DELETE FROM audit_chain")
    for row in kept:
        backend.add(AuditChain(name=row.name, position=row.position, mac=row.mac, seal=row.seal))
    assert verify().fault is None
    assert "beim Glied 8" in verify(known=later).fault
    assert "beim Glied 4" in verify(known=f"4:{later.partition(':')[2]}").fault


FORGED = "INSERT INTO audit_event (at, action, actor, details) VALUES ('2026-11-22 08:00', 'logout', 'clerk:1', '{}')"


@pytest.mark.parametrize(("signature", "found"), [
    ((), "am Portal vorbei eingefügt"),
    (("UPDATE audit_event SET salt = 's', digest = 'made up' WHERE position IS NULL",), "wurde verändert"),
])  # fmt: skip
def test_an_event_that_the_portal_did_not_sign_is_found_after_the_worker_chained_it(
    record, verify, sql, signature, found
):
    record(2)
    sql(FORGED, *signature)
    assert verify().waiting == 1
    record(1)
    assert found in verify().fault


COPY = (
    "INSERT INTO audit_event (at, action, actor, details, salt, digest)"
    " SELECT {at}, action, actor, details, salt, digest FROM audit_event WHERE id = {id}"
)


@pytest.mark.parametrize("at", ["at", "replace(at, ' ', 'T')"])  # SQLite stores a time as text: another spelling of it
@pytest.mark.parametrize("chained", [True, False])
def test_a_copy_of_an_event_with_its_signature_is_found(backend, record, verify, sql, ids, at, chained):
    record(2)
    if not chained:
        with backend.transaction("console") as tx:
            tx.record("logout")
    as_text = not backend.app.config["SQLALCHEMY_DATABASE_URI"].startswith("postgresql")
    sql(COPY.format(at=at if as_text else "at", id=ids()[-1]))
    copy = ids()[-1]
    record(1)
    assert f"Eintrag {copy} vom" in verify().fault and "am Portal vorbei eingefügt" in verify().fault
    backend.run(lambda tx: audit_chain.begin_anew(tx.session, tx.settings))
    record(2)
    assert verify().fault is None


def test_a_changed_event_that_waited_to_be_chained_is_found(backend, record, verify, sql):
    with backend.transaction("console") as tx:
        tx.record("logout")
    sql("UPDATE audit_event SET actor = 'worker'")
    record(1)
    assert "wurde verändert" in verify().fault


def test_a_deleted_customer_leaves_nothing_of_the_details_and_no_gap(backend, erika, record, verify, sql):
    record(person=erika, note="Erika rief an")
    salts = [event.salt for event in backend.read(select(AuditEvent))]
    with backend.transaction("console") as tx:
        tx.record("logout", tx.session.get(type(erika), erika.id), note="not chained yet")
    backend.run(deletion.delete_customer, erika, erika.version, "Antrag", False)
    events = backend.read(select(AuditEvent).order_by(AuditEvent.id))
    assert {event.salt for event in events[:-1]} == {None}
    record(1)
    assert (verify().fault, verify().number) == (None, EVENTS + 3)
    assert not any(str(event.details).count("Erika") or event.salt in salts for event in events)
    sql("UPDATE audit_event SET details = '{}' WHERE position = 3")
    assert f"Eintrag {events[2].id} vom" in verify().fault


def test_purging_leaves_a_checkpoint_from_which_the_rest_is_whole(app, backend, clock, record, verify, ids):
    record(5)
    clock.shift(timedelta(days=app.config["AUDIT_RETENTION"]))
    record(4)
    backend.run(retention.purge)
    assert (verify().fault, verify().number, len(ids())) == (None, 4, 4)
    start = backend.read(select(AuditChain).where(AuditChain.name == "start"))[0]
    assert start.position == 5
    clock.shift(timedelta(days=app.config["AUDIT_RETENTION"] + 1))
    backend.run(retention.purge)
    assert (verify().fault, verify().number, ids()) == (None, 0, [])
    record(2)
    assert (verify().fault, verify().number, verify().end[:3]) == (None, 2, "11:")


def test_events_deleted_beside_the_purge_do_not_pass_as_purged(backend, app, clock, record, verify, sql):
    record(5)
    sql("DELETE FROM audit_event WHERE position = 5")
    clock.shift(timedelta(days=app.config["AUDIT_RETENTION"]))
    record(2)
    backend.run(retention.purge)
    assert verify().fault


BACKDATED = "UPDATE audit_event SET at = '2020-01-01 00:00:00+00:00' WHERE position <= 6"


@pytest.mark.parametrize("manipulation", [
    (BACKDATED,),
    (BACKDATED, "INSERT INTO audit_chain SELECT 'start', 8, mac, mac FROM audit_event WHERE position = 8"),
])  # fmt: skip
def test_the_purge_deletes_nothing_that_was_made_to_look_old_and_tells_the_admins(
    backend, record, verify, sql, ids, rosa, caplog, manipulation
):
    record()
    sql(*manipulation)
    backend.run(retention.purge)
    assert (len(ids()), bool(verify().fault)) == (EVENTS + 1, True)  # the alarm is one more
    assert [mail.recipient for mail in backend.mails("alarm_chain_broken")] == [rosa.email]
    assert "Das Protokoll wurde verändert." in caplog.text


def test_what_was_before_a_chain_that_began_anew_is_purged_by_its_time(backend, app, clock, record, verify, ids):
    record()
    backend.run(lambda tx: audit_chain.begin_anew(tx.session, tx.settings))
    backend.run(retention.purge)
    assert len(ids()) == EVENTS
    clock.shift(timedelta(days=app.config["AUDIT_RETENTION"] + 1))
    record(1)
    backend.run(retention.purge)
    assert (verify().fault, len(ids())) == (None, 1)


def test_an_event_from_the_future_does_not_keep_older_ones_from_being_purged(backend, app, clock, record, verify, ids):
    clock.shift(timedelta(days=400))
    record(1)
    clock.move_to(NOW)
    record(3)
    clock.shift(timedelta(days=app.config["AUDIT_RETENTION"] + 1))
    record(1)
    backend.run(retention.purge)
    assert (verify().fault, len(ids())) == (None, 1)


def test_events_of_many_at_once_are_all_chained_once(backend, verify):
    def record_and_chain(tx):
        for _ in range(20):
            tx.record("logout")
        audit_chain.chain(tx.session, tx.settings)

    assert backend.run_concurrently(6, record_and_chain) == [None] * 6
    with backend.app.app_context():
        worker.chain_events()
    assert (verify().fault, verify().number, verify().waiting) == (None, 120, 0)


def test_a_trail_of_before_the_chain_is_chained_at_the_first_start(backend, record, verify, sql):
    record()
    sql(
        "DELETE FROM audit_chain",
        "UPDATE audit_event SET salt = NULL, digest = NULL, position = NULL, mac = NULL",
    )
    backend.run(lambda tx: audit_chain.begin(tx.session, tx.settings))
    assert (verify().fault, verify().number) == (None, EVENTS)
    sql(FORGED)
    backend.run(lambda tx: audit_chain.begin(tx.session, tx.settings))  # the next start signs nothing
    record(1)
    assert "am Portal vorbei eingefügt" in verify().fault


@pytest.fixture
def start_portal(app, backend):
    """Do what each start of the portal does, on this host or, with `host`, on another with a folder of its own."""

    def start_portal(host=None):
        with app.app_context(), pytest.MonkeyPatch.context() as patch:
            if host:
                patch.setattr(app, "instance_path", str(host))
            backend.run(lambda tx: audit_chain.begin(tx.session, tx.settings))
            audit_chain.mark_begun()

    return start_portal


def test_a_start_does_not_adopt_a_trail_whose_chain_was_made_away_with_until_an_admin_accepts_it(
    backend, record, verify, sql, start_portal, tmp_path
):
    start_portal()
    record()
    start_portal(tmp_path)  # another host finds the chain
    assert (verify().fault, (tmp_path / audit_chain.MARKER).exists()) == (None, True)
    sql(
        "DELETE FROM audit_chain",
        "UPDATE audit_event SET actor = 'clerk:99', salt = NULL, digest = NULL, position = NULL, mac = NULL",
    )
    for host in (None, tmp_path):
        start_portal(host)
        record(1)
        assert verify().fault == audit_chain.BOUNDS
    backend.run(lambda tx: audit_chain.begin_anew(tx.session, tx.settings))
    record(2)
    assert (verify().fault, verify().number) == (None, 2)


def test_an_empty_portal_and_one_that_is_started_again_are_whole(record, verify, start_portal):
    for number in (0, 2):
        start_portal()
        assert (verify().fault, verify().number) == (None, number)
        record(2)


def test_the_worker_does_not_go_on_from_an_end_that_was_set_back(record, verify, sql):
    record()
    sql(
        "DELETE FROM audit_event WHERE position > 6",
        "UPDATE audit_chain SET position = 6, mac = (SELECT mac FROM audit_event WHERE position = 6)",
    )
    record(2)
    assert (verify().fault, verify().waiting) == (audit_chain.BOUNDS, 2)


def test_a_replaced_key_verifies_what_was_chained_before_and_a_lost_one_only_what_follows(
    app, backend, record, verify, monkeypatch
):
    backend.run(keys.take)
    record(3)
    former = app.config["AUDIT_KEY"]
    monkeypatch.setitem(app.config, "AUDIT_KEY", "another key " * 4)
    monkeypatch.setitem(app.config, "AUDIT_KEY_FALLBACKS", [former])
    record(3)
    assert (verify().fault, verify().number) == (None, 6)
    monkeypatch.setitem(app.config, "AUDIT_KEY_FALLBACKS", [])
    assert verify().fault
    backend.run(lambda tx: audit_chain.begin_anew(tx.session, tx.settings))
    record(2)
    assert (verify().fault, verify().number) == (None, 2)


def test_the_worker_mails_the_admins_a_broken_chain_once_a_day(app, backend, clock, record, sql, rosa, caplog):
    record(3)
    for broken in (False, True, True):
        if broken:
            sql("UPDATE audit_event SET actor = 'worker' WHERE position = 2")
        with app.app_context(), caplog.at_level("INFO"):
            worker.verify_audit()
        clock.shift(timedelta(hours=1))
    (mail,) = backend.mails("alarm_chain_broken")
    assert (mail.recipient, "wurde verändert" in mail.facts["why"]) == (rosa.email, True)
    assert "Protokoll: Die Kette endet bei 3:" in caplog.text


def test_a_fault_is_logged_though_somebody_planted_the_alarm(app, backend, clock, record, sql, rosa, caplog):
    record(3)
    sql("UPDATE audit_event SET actor = 'worker' WHERE position = 2")
    backend.add(Alarm(name="chain_broken", raised_at=NOW + timedelta(minutes=3), suppressed=0))
    with app.app_context():
        worker.verify_audit()
    assert backend.mails() == []
    (event,) = backend.read(select(AuditEvent).where(AuditEvent.position == 2))
    assert f"Der Eintrag {event.id} vom 23.11.2026" in caplog.text


@pytest.mark.postgresql
def test_nobody_waits_while_events_are_chained(backend, record, sql):
    record(2)
    with backend.transaction("console") as tx:
        tx.record("logout")
        assert audit_chain.chain(tx.session, tx.settings) == 1
        sql("SET LOCAL lock_timeout = 500", FORGED, "UPDATE audit_event SET details = '{}' WHERE position = 1")
        assert backend.run(lambda other: audit_chain.chain(other.session, other.settings)) == 0
