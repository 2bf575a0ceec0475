"""Passwort vergessen: the page writes a row, the worker answers it, and nobody learns who has an account."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.recovery_request import RecoveryRequest
from kmzportal.services import password, recovery
from tests import cast
from tests.services.links import links

pytestmark = pytest.mark.usefixtures("clock")


def test_erika_asks_and_gets_a_link(deeds, ask, erika):
    assert ask(erika.email) == "sent"
    (mail,) = deeds.mails()
    (link,) = links(deeds)
    assert (mail.template, mail.recipient, mail.link_id) == ("recovery_link", erika.email, link.id)
    assert (link.kind, link.customer_id) == (LinkKind.RECOVERY, erika.id)
    assert link.expires_at == cast.NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    "typed", ["ERIKA.Mustermann@GMS-Musterstadt.EXAMPLE", "ｅrika.mustermann@gms-musterstadt.example"]
)
def test_mail_goes_to_the_stored_address_not_to_the_typed_one(deeds, ask, erika, typed):
    ask(typed)
    assert [mail.recipient for mail in deeds.mails()] == [erika.email]


def test_the_page_writes_the_same_row_for_every_address(deeds, erika, lieselotte):
    for typed in (erika.email, lieselotte.email, "niemand@schule.example"):
        deeds.do(recovery.ask, typed)
    rows = deeds.read(select(RecoveryRequest))
    assert [(row.answered_at, row.outcome, row.customer_id) for row in rows] == [(None, None, None)] * 3
    assert len({len(row.reference) for row in rows}) == 1
    assert deeds.mails() == deeds.history() == []


def test_an_unknown_address_changes_nothing(deeds, ask, erika):
    assert ask("niemand@schule.example") == "unknown"
    assert deeds.mails() == links(deeds) == []


def test_asking_changes_nothing_on_the_account(deeds, ask, erika):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    ask(erika.email)
    assert deeds.read(erika).version == erika.version
    assert deeds.session_of(token).alive(cast.NOW)
    assert deeds.log_in(erika.email, cast.password_of(erika))


def test_anneliese_who_never_had_a_password_gets_a_link(deeds, ask, anneliese):
    assert ask(anneliese.email) == "sent"


def test_asking_again_within_ten_minutes_sends_the_same_link_and_lengthens_its_life(deeds, ask, erika, clock):
    ask(erika.email)
    clock.shift(timedelta(minutes=10, seconds=-1))
    ask(erika.email)
    (link,) = links(deeds)
    assert [mail.link_id for mail in deeds.mails()] == [link.id, link.id]
    assert link.expires_at == cast.NOW + timedelta(hours=2, minutes=10, seconds=-1)


def test_asking_later_sends_a_further_link_and_the_first_still_works(deeds, ask, erika, clock):
    ask(erika.email)
    clock.shift(timedelta(minutes=10))
    ask(erika.email)
    first, further = links(deeds)
    assert first.id != further.id
    deeds.do(password.set_by_link, first, first.issued_at, "$argon2id$x")
    assert deeds.read(further).ended_as == "replaced"


def test_a_used_link_is_not_sent_again(deeds, ask, erika):
    ask(erika.email)
    (link,) = links(deeds)
    deeds.do(password.set_by_link, link, cast.NOW, "$argon2id$x")
    ask(erika.email)
    assert len(links(deeds)) == 2


def test_lieselotte_is_told_that_the_office_locked_her_account(deeds, ask, lieselotte):
    assert ask(lieselotte.email) == "locked"
    assert [(mail.template, mail.recipient) for mail in deeds.mails()] == [("account_locked", lieselotte.email)]
    assert links(deeds) == []


def test_a_request_is_answered_once_even_by_two_workers(deeds, erika):
    deeds.do(recovery.ask, erika.email)
    (request,) = deeds.read(select(RecoveryRequest))
    assert deeds.at_once(4, recovery.answer, request.id) == [None] * 4
    assert len(deeds.mails()) == len(links(deeds)) == 1
    assert deeds.history() == ["link.issued", "recovery.sent"]


def test_two_requests_answered_at_once_share_one_link(deeds, erika):
    for _ in range(2):
        deeds.do(recovery.ask, erika.email)
    waiting = iter([request.id for request in deeds.read(select(RecoveryRequest))])
    deeds.at_once(2, lambda work: recovery.answer(work, next(waiting)))
    assert len(links(deeds)) == 1
    assert len(deeds.mails()) == 2


def test_a_mail_delayed_by_the_worker_counts_from_when_it_was_asked(deeds, erika, clock):
    """Two requests ten minutes apart, answered together late, are still a link and a further one."""
    deeds.do(recovery.ask, erika.email)
    clock.shift(timedelta(hours=3))
    deeds.do(recovery.ask, erika.email)
    with deeds.work("worker") as work:
        waiting = recovery.unanswered(work.session)
    for request_id in waiting:
        deeds.do(recovery.answer, request_id, actor="worker")
    assert {link.expires_at for link in links(deeds)} == {cast.NOW + timedelta(hours=5)}
