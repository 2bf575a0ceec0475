"""The worker's loops, turn by turn."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal import create_app
from kmzportal.cli import cli
from kmzportal.db import db
from kmzportal.models import KnownSource, OutgoingMail, RecoveryRequest
from kmzportal.server.worker import Loop, Requests, purge_if_due
from kmzportal.services import outbox, recovery
from tests import people


@pytest.fixture
def requests(app):
    return Loop(app, outbox.REQUESTS_LOOP, Requests().answer)


def test_a_request_that_cannot_be_answered_stops_no_other(app, backend, erika, max_, requests, caplog):
    with backend.transaction() as tx:
        tx.session.get(type(erika), erika.id).email = "keine adresse"
    backend.run(recovery.request_link, people.ERIKA["email"])
    backend.run(recovery.request_link, people.MAX["email"])
    requests.turn()
    outcomes = {request.email_canonical: request.outcome for request in backend.read(select(RecoveryRequest))}
    assert outcomes == {erika.email_canonical: None, max_.email_canonical: "sent"}
    assert "InvalidAddress" in caplog.text
    assert "keine adresse" not in caplog.text


def test_what_failed_is_left_alone_for_a_while(app, backend, erika, requests, caplog):
    with backend.transaction() as tx:
        tx.session.get(type(erika), erika.id).email = "keine adresse"
    backend.run(recovery.request_link, people.ERIKA["email"])
    requests.turn()
    requests.turn()
    assert caplog.text.count("Anfrage") == 1


def test_a_request_is_answered_once(backend, max_, requests):
    backend.run(recovery.request_link, people.MAX["email"])
    requests.turn()
    requests.turn()
    assert len(backend.read(select(OutgoingMail))) == 1


def test_a_flood_is_answered_in_one_turn_and_leaves_no_audit_records(app, backend, erika, requests):
    with backend.transaction("visitor", "203.0.113.7") as tx:
        for number in range(recovery.BATCH + 1):
            recovery.request_link(tx, f"{number}@nirgends.example")
    backend.run(recovery.request_link, erika.email, source="192.0.2.7")
    requests.turn()
    outcomes = [request.outcome for request in backend.read(select(RecoveryRequest).order_by(RecoveryRequest.id))]
    assert outcomes == ["unknown"] * (recovery.BATCH + 1) + ["sent"]
    assert backend.actions() == ["link.issued", "recovery.sent"]


def test_silence_of_either_loop_is_noticed(app, backend, clock, requests):
    def silent():
        with backend.transaction() as tx:
            return outbox.worker_silent(tx.session, tx.now)

    assert silent()
    requests.turn()
    assert silent()
    Loop(app, outbox.MAILS_LOOP, lambda: None).turn()
    assert not silent()
    clock.shift(59)
    assert not silent()
    clock.shift(2)
    assert silent()


def test_a_loop_that_fails_does_not_call_itself_alive(app, backend):
    def fail():
        raise ValueError

    Loop(app, outbox.REQUESTS_LOOP, fail).turn()
    assert not backend.read(select(outbox.Heartbeat))


def test_old_rows_go_once_an_hour(app, backend, clock):
    def purged_at():
        Loop(app, outbox.PURGE_LOOP, purge_if_due).turn()
        return backend.read(select(outbox.Heartbeat))[0].beat_at

    first = purged_at()
    clock.shift(3599)
    assert purged_at() == first
    clock.shift(1)
    assert purged_at() > first
    clock.shift(-7200)
    assert purged_at() < first, "one of the future is none"


@pytest.mark.parametrize("days", [800, -800])
@pytest.mark.parametrize("ran_before", [True, False])
def test_nothing_is_deleted_while_the_clock_is_days_away_from_all_that_is_known(
    app, backend, clock, caplog, days, ran_before
):
    def turn():
        Loop(app, outbox.PURGE_LOOP, purge_if_due).turn()
        return [beat.failure for beat in backend.read(select(outbox.Heartbeat))]

    def type_in(*words):
        return app.test_cli_runner().invoke(cli, words)

    if ran_before:
        turn()
    backend.run(lambda tx: tx.record("login.succeeded"))
    backend.add(KnownSource(source="a", logged_in_at=people.NOW - timedelta(days=89)))
    clock.shift(timedelta(days=days))
    (failure,) = turn()
    assert "Uhr dieses Rechners" in failure and "23.11.2026" in failure
    backend.run(lambda tx: tx.record("login.succeeded"))  # people use the portal while the clock is wrong
    turn(), turn()
    assert len(backend.read(select(KnownSource))) == 1
    assert caplog.text.count("Uhr dieses Rechners") == 1
    refused = type_in("purge")
    assert (refused.exit_code, "Uhr dieses Rechners" in refused.output) == (1, True)
    clock.move_to(people.NOW + timedelta(hours=2))
    assert turn() == [None], "the clock is right again, and the clean-up runs"
    clock.shift(timedelta(days=20))  # the portal was off: a person says that the clock is right
    assert turn() != [None]
    assert type_in("purge", "--clock-is-right").exit_code == 0
    assert turn() == [None]
    assert backend.read(select(KnownSource)) == []


def test_a_database_that_fails_is_asked_less_and_less_often_and_logged_once(tmp_path, caplog):
    app = create_app({"PUBLIC_URL": "https://konto.kmz.example"}, tmp_path)  # without a single table
    loop = Loop(app, outbox.REQUESTS_LOOP, Requests().answer)
    pauses = []
    for _ in range(8):
        loop.turn()
        pauses.append(loop.pause)
    assert pauses == [1, 2, 4, 8, 10, 10, 10, 10]
    assert caplog.text.count("antwortet nicht") <= 1
    with app.app_context():
        db.create_all()
    loop.turn()
    assert (loop.pause, caplog.text.count("läuft wieder")) == (0.5, 1)
    with app.app_context():
        db.engine.dispose()
