"""Passwort vergessen: the web request writes a row, the worker answers it; caps and pending addresses."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import LinkKind, LinkState, RecoveryRequest
from kmzportal.services import accounts, recovery, sessions
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")


def test_the_web_request_writes_the_same_row_for_every_address(backend, erika, lieselotte):
    for typed in (erika.email, lieselotte.email, "unbekannt@schule.example"):
        backend.run(recovery.request_link, typed)
    rows = backend.read(select(RecoveryRequest))
    assert [(row.answered_at, row.outcome, row.customer_id) for row in rows] == [(None, None, None)] * 3
    assert len({len(row.reference) for row in rows}) == 1
    assert backend.mails() == backend.actions() == []


@pytest.mark.parametrize("who", ["erika", "anneliese"])
def test_the_link_is_mailed_to_the_stored_address_and_nothing_else_changes(request, backend, ask, who):
    """Also where a password was never set."""
    person = request.getfixturevalue(who)
    token = backend.run(sessions.start_session, person, "Firefox").token
    assert ask(person.email.upper()) == "sent"
    (mail,), (link,) = backend.mails(), backend.links()
    assert (mail.template, mail.recipient, mail.link_id) == ("recovery_link", person.email, link.id)
    assert (link.kind, link.customer_id) == (LinkKind.RECOVERY, person.id)
    assert link.expires_at == NOW + timedelta(hours=2)
    assert backend.read(person).version == person.version
    assert backend.session_of(token).alive(NOW)


def test_a_locked_customer_is_mailed_so_and_neither_an_unknown_address_nor_a_clerk_gets_a_link(
    backend, ask, lieselotte, rosa
):
    assert [ask("unbekannt@schule.example"), ask(rosa.email)] == ["unknown", "unknown"]
    assert backend.actions() == ["recovery.unknown"] * 2
    assert [ask(lieselotte.email) for _ in range(4)] == ["locked"] * 3 + ["capped"]
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [("account_locked", lieselotte.email)] * 3
    assert backend.links() == []


def test_a_second_request_within_ten_minutes_mails_the_same_link_and_a_later_one_a_further_link(
    backend, ask, erika, clock
):
    ask(erika.email)
    clock.shift(timedelta(minutes=10, seconds=-1))
    ask(erika.email)
    (first,) = backend.links()
    assert [mail.link_id for mail in backend.mails()] == [first.id, first.id]
    assert first.expires_at == NOW + timedelta(hours=2, minutes=10, seconds=-1)
    clock.shift(1)
    ask(erika.email)
    _, further = backend.links()
    backend.run(accounts.set_password_by_link, first, NOW, "hash")  # the first still works
    assert backend.read(further).ended_as == LinkState.REPLACED
    clock.shift(timedelta(hours=1))
    ask(erika.email)
    backend.run(accounts.set_password_by_link, backend.links()[-1], NOW, "hash")
    ask(erika.email)
    assert len(backend.links()) == 4, "a used link is not mailed again"


def test_two_requests_answered_late_count_from_when_they_were_made(backend, ask, erika, clock):
    backend.run(recovery.request_link, erika.email)
    clock.shift(timedelta(hours=3))
    ask(erika.email)
    assert {link.expires_at for link in backend.links()} == {NOW + timedelta(hours=5)}


def test_four_concurrent_workers_answer_a_request_once_and_two_requests_share_one_link(backend, erika):
    for _ in range(2):
        backend.run(recovery.request_link, erika.email)
    first, second = backend.read(select(RecoveryRequest.id))
    turns = iter([first, first, second, second])
    assert backend.run_concurrently(4, lambda tx: recovery.answer(tx, next(turns))) == [None] * 4
    assert len(backend.links()) == 1
    assert len(backend.mails()) == 2
    assert backend.actions().count("recovery.sent") == 2


# Caps


def test_three_mails_an_hour_and_five_a_day_and_requests_over_the_cap_do_not_lengthen_the_wait(ask, erika, clock):
    assert [ask(erika.email) for _ in range(6)] == ["sent"] * 3 + ["capped"] * 3
    clock.shift(timedelta(hours=1))
    assert [ask(erika.email) for _ in range(3)] == ["sent"] * 2 + ["capped"]
    clock.shift(timedelta(hours=22, minutes=59))
    assert ask(erika.email) == "capped"
    clock.shift(timedelta(minutes=1))
    assert ask(erika.email) == "sent"


def test_a_source_that_asked_for_twenty_addresses_gets_one_mail_a_day_for_any_other(ask, erika, clock):
    for number in range(20):
        ask(f"unbekannt{number}@schule.example")
    assert ask(erika.email) == "sent", "one pupil must not keep the teachers of a school from their links"
    assert ask(erika.email) == "capped"
    assert ask(erika.email, "203.0.113.9") == "sent"
    clock.shift(timedelta(hours=1, seconds=1))
    assert ask(erika.email) == "sent"


# A pending address


@pytest.fixture
def desk_link(backend, juergen):
    return backend.issue(LinkKind.DESK, juergen, juergen.pending_email)


def test_a_request_for_a_pending_address_mails_the_desks_open_link_again(
    backend, ask, juergen, erika, desk_link, clock
):
    """Also where another customer entered this address as a new one later."""
    clock.shift(1)
    backend.run(accounts.request_address_change, erika, juergen.pending_email)
    assert ask(juergen.pending_email) == "sent"
    mails = backend.mails("desk_link")
    assert [(mail.recipient, mail.link_id) for mail in mails] == [(juergen.pending_email, desk_link.id)] * 2
    assert ask(juergen.email) == "sent"
    assert [mail.recipient for mail in backend.mails("recovery_link")] == [juergen.email]


@pytest.mark.parametrize("ended", [{"expires_at": NOW}, {"ended_at": NOW, "ended_as": LinkState.WITHDRAWN}])
def test_no_link_goes_to_a_pending_address_without_an_open_desk_link_or_while_locked(
    backend, ask, juergen, desk_link, ended
):
    backend.update(juergen, locked_at=NOW)
    assert ask(juergen.pending_email) == "locked"
    backend.update(juergen, locked_at=None)
    backend.update(desk_link, **ended)
    assert ask(juergen.pending_email) == "unknown"
    assert len(backend.mails("desk_link")) == 1


def test_a_stored_address_goes_before_a_pending_one(backend, ask, erika, max_):
    backend.run(accounts.request_address_change, max_, erika.email)
    ask(erika.email)
    assert backend.mails("recovery_link")[0].customer_id == erika.id
