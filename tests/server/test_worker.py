"""The worker's loops, turn by turn."""

import pytest
from sqlalchemy import select

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.models import OutgoingMail, RecoveryRequest
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


def test_a_database_that_does_not_answer_ends_no_loop(tmp_path, caplog):
    app = create_app({"PUBLIC_URL": "https://konto.kmz.example"}, tmp_path)  # without a single table
    loop = Loop(app, outbox.REQUESTS_LOOP, Requests().answer)
    loop.turn()
    assert "Die Datenbank antwortet nicht (no such table: recovery_request)." in caplog.text
    with app.app_context():
        db.create_all()
    loop.turn()
    assert caplog.text.count("antwortet nicht") == 1
    with app.app_context():
        db.engine.dispose()


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
        purge = Loop(app, outbox.PURGE_LOOP, purge_if_due)
        purge.turn()
        return backend.read(select(outbox.Heartbeat))[0].beat_at

    first = purged_at()
    clock.shift(3599)
    assert purged_at() == first
    clock.shift(1)
    assert purged_at() > first
