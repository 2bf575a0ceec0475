"""Konto anpassen: data, password and devices are changed, and one sees what happened."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import ChangedMeanwhile
from kmzportal.services import account, account_link, address, history
from kmzportal.services.account_link import LinkKind
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")


def test_erika_changes_what_is_hers_to_change(deeds, erika):
    assert deeds.do(account.change_data, erika, {"phone": "07051 4711", "town": erika.town})
    assert deeds.read(erika).phone == "07051 4711"
    (event,) = deeds.read(select(AuditEvent))
    assert (event.deed, event.details) == ("data.changed", {"fields": ["phone"]})


def test_saving_without_a_change_leaves_no_trace(deeds, erika):
    assert not deeds.do(account.change_data, erika, erika.data())
    assert deeds.history() == []
    assert deeds.read(erika).version == erika.version


def test_nothing_else_can_be_changed_with_the_data(deeds, erika):
    deeds.do(account.change_data, erika, {"number": "K-9", "email": "x@y.example", "locked_at": "1", "id": "7"})
    here = deeds.read(erika)
    assert (here.number, here.email, here.locked_at) == (erika.number, erika.email, None)


def test_of_two_who_save_at_once_one_is_told(deeds, erika):
    """On SQLite one waits for the other and both changes count; on PostgreSQL the second is told."""
    phones = iter(["1", "2"])
    results = deeds.at_once(2, lambda work, erika: account.change_data(work, erika, {"phone": next(phones)}), erika)
    told = [result for result in results if isinstance(result, ChangedMeanwhile)]
    assert deeds.read(erika).version == erika.version + 2 - len(told)
    assert len(told) == (deeds.app.config["SQLALCHEMY_DATABASE_URI"].startswith("postgresql"))


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(deeds, erika, here):
    there = deeds.log_in(erika.email, cast.password_of(erika))
    deeds.do(account.change_password, erika, here, hash_password(cast.NEW_PASSWORD))
    assert deeds.read(here).alive(cast.NOW)
    assert not deeds.session_of(there).alive(cast.NOW)
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    assert [mail.template for mail in deeds.mails()] == ["password_changed"]


def test_data_password_and_address_are_saved_together(deeds, erika, here):
    new = hash_password(cast.NEW_PASSWORD)
    token = deeds.do(account.save, erika, here, erika.version, {"phone": "4711"}, "erika@neue-schule.example", new)
    saved = deeds.read(erika)
    assert (saved.phone, saved.password_hash) == ("4711", new)
    assert saved.pending_email == "erika@neue-schule.example"
    assert deeds.session_of(token).id == here.id
    assert len(deeds.mails("address_link")) == 1


def test_saving_data_alone_keeps_password_and_token(deeds, erika, here):
    assert deeds.do(account.save, erika, here, erika.version, {"phone": "4711"}, None, None) is None
    assert deeds.read(erika).password_hash == erika.password_hash
    assert deeds.read(here).token_hash == here.token_hash
    assert deeds.mails() == []


def test_erika_ends_one_of_her_sessions_but_nobody_elses(deeds, erika, max_, here):
    his = deeds.session_of(deeds.log_in(max_.email, cast.password_of(max_)))
    assert deeds.do(account.end_session, erika, here.id)
    assert not deeds.do(account.end_session, erika, here.id)
    assert not deeds.do(account.end_session, erika, his.id)
    assert not deeds.do(account.end_session, erika, 10**6)
    assert deeds.read(his).alive(cast.NOW)


def test_erika_ends_all_other_sessions_and_is_told(deeds, erika, here):
    for _ in range(2):
        deeds.log_in(erika.email, cast.password_of(erika))
    assert deeds.do(account.end_other_sessions, erika, here) == 2
    with deeds.work() as work:
        assert [one.id for one in account.sessions(work.session, erika, cast.NOW)] == [here.id]
    assert [mail.template for mail in deeds.mails()] == ["sessions_ended"]


def test_erika_sees_where_she_is_logged_in_and_only_that(deeds, erika, max_, clock):
    deeds.log_in(erika.email, cast.password_of(erika))
    deeds.log_in(max_.email, cast.password_of(max_))
    clock.shift(timedelta(minutes=29))
    deeds.log_in(erika.email, cast.password_of(erika))
    with deeds.work() as work:
        seen = account.sessions(work.session, erika, cast.NOW + timedelta(minutes=29))
        assert [one.started_at for one in seen] == [cast.NOW + timedelta(minutes=29), cast.NOW]
        assert len(account.sessions(work.session, erika, cast.NOW + timedelta(minutes=31))) == 1


def test_history_tells_erika_what_happened_the_desks_acts_included_and_nothing_of_max(deeds, erika, max_):
    deeds.log_in(max_.email, cast.password_of(max_))
    deeds.log_in(erika.email, "falsches passwort")
    deeds.do(account_link.issue, LinkKind.DESK, erika, None, "ro", actor="clerk:1")
    with deeds.work() as work:
        told = [(event.deed, event.actor) for event in history.history(work.session, erika)]
    assert told == [("link.issued", "clerk:1"), ("login.refused", "visitor")]


def test_my_data_holds_all_of_erika_and_nothing_of_max(deeds, erika, max_):
    deeds.log_in(max_.email, cast.password_of(max_))
    deeds.do(address.ask_to_change, erika, "erika@neue-schule.example")
    with deeds.work() as work:
        text = json.dumps(history.all_data(work.session, deeds.read(erika)), default=str, ensure_ascii=False)
    assert all(value in text for value in (*erika.data().values(), erika.number, erika.email, "neue-schule"))
    assert "Max" not in text
    assert erika.password_hash not in text
