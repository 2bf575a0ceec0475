"""Passwort vergessen: the page writes a row, the worker answers it, and nobody learns who has an account."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import LinkKind
from kmzportal.models.recovery_request import RecoveryRequest
from kmzportal.services import accounts, recovery
from tests import people
from tests.services.links import links

pytestmark = pytest.mark.usefixtures("clock")


def test_erika_asks_and_gets_a_link(backend, ask, erika):
    assert ask(erika.email) == "sent"
    (mail,) = backend.mails()
    (link,) = links(backend)
    assert (mail.template, mail.recipient, mail.link_id) == ("recovery_link", erika.email, link.id)
    assert (link.kind, link.customer_id) == (LinkKind.RECOVERY, erika.id)
    assert link.expires_at == people.NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    "typed", ["ERIKA.Mustermann@GMS-Musterstadt.EXAMPLE", "ｅrika.mustermann@gms-musterstadt.example"]
)
def test_mail_goes_to_the_stored_address_not_to_the_typed_one(backend, ask, erika, typed):
    ask(typed)
    assert [mail.recipient for mail in backend.mails()] == [erika.email]


def test_the_page_writes_the_same_row_for_every_address(backend, erika, lieselotte):
    for typed in (erika.email, lieselotte.email, "niemand@schule.example"):
        backend.run(recovery.request_link, typed)
    rows = backend.read(select(RecoveryRequest))
    assert [(row.answered_at, row.outcome, row.customer_id) for row in rows] == [(None, None, None)] * 3
    assert len({len(row.reference) for row in rows}) == 1
    assert backend.mails() == backend.actions() == []


def test_an_unknown_address_changes_nothing(backend, ask, erika):
    assert ask("niemand@schule.example") == "unknown"
    assert backend.mails() == links(backend) == []


def test_asking_changes_nothing_on_the_account(backend, ask, erika):
    token = backend.log_in(erika.email, people.password_of(erika))
    ask(erika.email)
    assert backend.read(erika).version == erika.version
    assert backend.session_of(token).alive(people.NOW)
    assert backend.log_in(erika.email, people.password_of(erika))


def test_anneliese_who_never_had_a_password_gets_a_link(backend, ask, anneliese):
    assert ask(anneliese.email) == "sent"


def test_asking_again_within_ten_minutes_sends_the_same_link_and_lengthens_its_life(backend, ask, erika, clock):
    ask(erika.email)
    clock.shift(timedelta(minutes=10, seconds=-1))
    ask(erika.email)
    (link,) = links(backend)
    assert [mail.link_id for mail in backend.mails()] == [link.id, link.id]
    assert link.expires_at == people.NOW + timedelta(hours=2, minutes=10, seconds=-1)


def test_asking_later_sends_a_further_link_and_the_first_still_works(backend, ask, erika, clock):
    ask(erika.email)
    clock.shift(timedelta(minutes=10))
    ask(erika.email)
    first, further = links(backend)
    assert first.id != further.id
    backend.run(accounts.set_password_by_link, first, first.issued_at, "$argon2id$x")
    assert backend.read(further).ended_as == "replaced"


def test_a_used_link_is_not_sent_again(backend, ask, erika):
    ask(erika.email)
    (link,) = links(backend)
    backend.run(accounts.set_password_by_link, link, people.NOW, "$argon2id$x")
    ask(erika.email)
    assert len(links(backend)) == 2


def test_lieselotte_is_told_that_the_office_locked_her_account(backend, ask, lieselotte):
    assert ask(lieselotte.email) == "locked"
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [("account_locked", lieselotte.email)]
    assert links(backend) == []


@pytest.mark.both_databases
def test_a_request_is_answered_once_even_by_two_workers(backend, erika):
    backend.run(recovery.request_link, erika.email)
    (request,) = backend.read(select(RecoveryRequest))
    assert backend.run_concurrently(4, recovery.answer, request.id) == [None] * 4
    assert len(backend.mails()) == len(links(backend)) == 1
    assert backend.actions() == ["link.issued", "recovery.sent"]


@pytest.mark.both_databases
def test_two_requests_answered_at_once_share_one_link(backend, erika):
    for _ in range(2):
        backend.run(recovery.request_link, erika.email)
    waiting = iter([request.id for request in backend.read(select(RecoveryRequest))])
    backend.run_concurrently(2, lambda tx: recovery.answer(tx, next(waiting)))
    assert len(links(backend)) == 1
    assert len(backend.mails()) == 2


def test_a_mail_delayed_by_the_worker_counts_from_when_it_was_asked(backend, erika, clock):
    """Two requests ten minutes apart, answered together late, are still a link and a further one."""
    backend.run(recovery.request_link, erika.email)
    clock.shift(timedelta(hours=3))
    backend.run(recovery.request_link, erika.email)
    with backend.transaction("worker") as tx:
        waiting = recovery.unanswered(tx.session)
    for request_id in waiting:
        backend.run(recovery.answer, request_id, actor="worker")
    assert {link.expires_at for link in links(backend)} == {people.NOW + timedelta(hours=5)}
