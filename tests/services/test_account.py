"""Konto anpassen: data, password and devices are changed, and one sees what happened."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.audit_event import AuditEvent
from kmzportal.services import accounts, audit, links
from kmzportal.services.links import LinkKind
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import ChangedMeanwhile
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


def test_erika_changes_what_is_hers_to_change(backend, erika):
    assert backend.run(accounts.change_data, erika, {"phone": "07051 4711", "town": erika.town})
    assert backend.read(erika).phone == "07051 4711"
    (event,) = backend.read(select(AuditEvent))
    assert (event.action, event.details) == ("data.changed", {"fields": ["phone"]})


def test_saving_without_a_change_leaves_no_trace(backend, erika):
    assert not backend.run(accounts.change_data, erika, erika.data())
    assert backend.actions() == []
    assert backend.read(erika).version == erika.version


def test_nothing_else_can_be_changed_with_the_data(backend, erika):
    backend.run(accounts.change_data, erika, {"number": "K-9", "email": "x@y.example", "locked_at": "1", "id": "7"})
    login_session = backend.read(erika)
    assert (login_session.number, login_session.email, login_session.locked_at) == (erika.number, erika.email, None)


@pytest.mark.both_databases
def test_of_two_who_save_at_once_one_is_told(backend, erika):
    """On SQLite one waits for the other and both changes count; on PostgreSQL the second is told."""
    phones = iter(["1", "2"])
    results = backend.run_concurrently(
        2, lambda tx, erika: accounts.change_data(tx, erika, {"phone": next(phones)}), erika
    )
    told = [result for result in results if isinstance(result, ChangedMeanwhile)]
    assert backend.read(erika).version == erika.version + 2 - len(told)
    assert len(told) == (backend.app.config["SQLALCHEMY_DATABASE_URI"].startswith("postgresql"))


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(backend, erika, login_session):
    there = backend.log_in(erika.email, people.password_of(erika))
    backend.run(
        accounts.save_account, erika, login_session, erika.version, {}, None, hash_password(people.NEW_PASSWORD)
    )
    assert backend.read(login_session).alive(people.NOW)
    assert not backend.session_of(there).alive(people.NOW)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    assert [mail.template for mail in backend.mails()] == ["password_changed"]


def test_data_password_and_address_are_saved_together(backend, erika, login_session):
    new = hash_password(people.NEW_PASSWORD)
    renewed = backend.run(
        accounts.save_account, erika, login_session, erika.version, {"phone": "4711"}, "erika@neue-schule.example", new
    )
    saved = backend.read(erika)
    assert (saved.phone, saved.password_hash) == ("4711", new)
    assert saved.pending_email == "erika@neue-schule.example"
    assert backend.session_of(renewed.token).id == login_session.id
    assert len(backend.mails("address_link")) == 1


def test_saving_data_alone_keeps_password_and_token(backend, erika, login_session):
    assert (
        backend.run(accounts.save_account, erika, login_session, erika.version, {"phone": "4711"}, None, None) is None
    )
    assert backend.read(erika).password_hash == erika.password_hash
    assert backend.read(login_session).token_hash == login_session.token_hash
    assert backend.mails() == []


def test_erika_ends_one_of_her_sessions_but_nobody_elses(backend, erika, max_, login_session):
    his = backend.session_of(backend.log_in(max_.email, people.password_of(max_)))
    assert backend.run(accounts.end_own_session, erika, login_session.id)
    assert not backend.run(accounts.end_own_session, erika, login_session.id)
    assert not backend.run(accounts.end_own_session, erika, his.id)
    assert not backend.run(accounts.end_own_session, erika, 10**6)
    assert backend.read(his).alive(people.NOW)


def test_erika_ends_all_other_sessions_and_is_told(backend, erika, login_session):
    for _ in range(2):
        backend.log_in(erika.email, people.password_of(erika))
    assert backend.run(accounts.end_other_sessions, erika, login_session) == 2
    with backend.transaction() as tx:
        assert [one.id for one in accounts.active_sessions(tx.session, erika, people.NOW)] == [login_session.id]
    assert [mail.template for mail in backend.mails()] == ["sessions_ended"]


def test_erika_sees_where_she_is_logged_in_and_only_that(backend, erika, max_, clock):
    backend.log_in(erika.email, people.password_of(erika))
    backend.log_in(max_.email, people.password_of(max_))
    clock.shift(timedelta(minutes=29))
    backend.log_in(erika.email, people.password_of(erika))
    with backend.transaction() as tx:
        seen = accounts.active_sessions(tx.session, erika, people.NOW + timedelta(minutes=29))
        assert [one.started_at for one in seen] == [people.NOW + timedelta(minutes=29), people.NOW]
        assert len(accounts.active_sessions(tx.session, erika, people.NOW + timedelta(minutes=31))) == 1


def test_history_tells_erika_what_happened_the_desks_acts_included_and_nothing_of_max(backend, erika, max_):
    backend.log_in(max_.email, people.password_of(max_))
    backend.log_in(erika.email, "falsches passwort")
    backend.run(links.issue, LinkKind.DESK, erika, None, "ro", actor="clerk:1")
    with backend.transaction() as tx:
        told = [(event.action, event.actor) for event in audit.history(tx.session, erika)]
    assert told == [("link.issued", "clerk:1"), ("login.refused", "visitor")]


def test_my_data_holds_all_of_erika_and_nothing_of_max(backend, erika, max_):
    backend.log_in(max_.email, people.password_of(max_))
    backend.run(accounts.request_address_change, erika, "erika@neue-schule.example")
    with backend.transaction() as tx:
        text = json.dumps(audit.all_data(tx.session, backend.read(erika)), default=str, ensure_ascii=False)
    assert all(value in text for value in (*erika.data().values(), erika.number, erika.email, "neue-schule"))
    assert "Max" not in text
    assert erika.password_hash not in text
