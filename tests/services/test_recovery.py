"""Passwort vergessen: the page writes a row, the worker answers it, and nobody learns who has an account."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.recovery_request import RecoveryRequest
from kmzportal.services import account_link, address, password, recovery
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def ask(deeds):
    """Ask for a new password and let the worker answer; return what came of it."""

    def asked(typed, source="192.0.2.7"):
        reference = deeds.do(recovery.ask, typed, source=source)
        with deeds.app.app_context(), deeds.work("worker") as work:
            for request_id in recovery.unanswered(work.session):
                recovery.answer(work, request_id)
        (request,) = deeds.read(select(RecoveryRequest).where(RecoveryRequest.reference == reference))
        return request.outcome

    return asked


def links(deeds):
    return deeds.read(select(AccountLink).order_by(AccountLink.id))


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


def test_three_mails_an_hour_are_enough(deeds, ask, erika, clock):
    assert [ask(erika.email) for _ in range(4)] == ["sent", "sent", "sent", "capped"]
    clock.shift(timedelta(hours=1))
    assert ask(erika.email) == "sent"


def test_five_mails_a_day_are_enough(deeds, ask, erika, clock):
    outcomes = []
    for _ in range(6):
        outcomes.append(ask(erika.email))
        clock.shift(timedelta(hours=1))
    assert outcomes == ["sent"] * 5 + ["capped"]
    clock.shift(timedelta(hours=19))
    assert ask(erika.email) == "sent"


def test_requests_over_the_cap_do_not_lengthen_the_wait(deeds, ask, erika, clock):
    for _ in range(10):
        ask(erika.email)
    clock.shift(timedelta(hours=1))
    assert ask(erika.email) == "sent"


def test_a_source_may_ask_for_twenty_addresses_an_hour(deeds, ask, erika, clock):
    for number in range(20):
        ask(f"niemand{number}@schule.example")
    assert ask(erika.email) == "sent", "a pupil must not shut the teachers of a school out"
    assert ask(erika.email) == "capped"
    assert ask(erika.email, "203.0.113.9") == "sent"
    clock.shift(timedelta(hours=1, seconds=1))
    assert ask(erika.email) == "sent"


def test_lieselotte_is_told_that_the_office_locked_her_account(deeds, ask, lieselotte):
    assert ask(lieselotte.email) == "locked"
    assert [(mail.template, mail.recipient) for mail in deeds.mails()] == [("account_locked", lieselotte.email)]
    assert links(deeds) == []


def test_a_locked_account_gets_no_more_mails_than_others(deeds, ask, lieselotte):
    assert [ask(lieselotte.email) for _ in range(4)] == ["locked"] * 3 + ["capped"]
    assert len(deeds.mails()) == 3


def desk_link_for(deeds, juergen):
    link = deeds.do(account_link.issue, LinkKind.DESK, juergen, juergen.pending_email, "ro", actor="clerk:1")
    return deeds.do(account_link.send, link) or link


def test_juergen_who_types_his_new_address_gets_the_desks_link_again(deeds, ask, juergen):
    link = desk_link_for(deeds, juergen)
    assert ask(juergen.pending_email) == "sent"
    assert [(mail.recipient, mail.link_id) for mail in deeds.mails()] == [(juergen.pending_email, link.id)] * 2
    assert len(links(deeds)) == 1


@pytest.mark.parametrize("over", ["expired", "withdrawn"])
def test_without_an_open_link_his_new_address_is_still_nobodys(deeds, ask, juergen, clock, over):
    desk_link_for(deeds, juergen)
    if over == "expired":
        clock.shift(timedelta(hours=72))
    else:
        deeds.do(account_link.end, juergen, over, {LinkKind.DESK})
    assert ask(juergen.pending_email) == "unknown"
    assert len(deeds.mails()) == 1


def test_his_old_address_gets_a_link_of_its_own(deeds, ask, juergen):
    desk_link_for(deeds, juergen)
    assert ask(juergen.email) == "sent"
    assert deeds.mails("recovery_link")[0].recipient == juergen.email


def test_locked_he_gets_no_link_at_his_new_address_either(deeds, ask, juergen):
    desk_link_for(deeds, juergen)
    with deeds.work("clerk:1") as work:
        work.session.get(type(juergen), juergen.id).locked_at = work.now
    assert ask(juergen.pending_email) == "locked"
    assert len(deeds.mails("desk_link")) == 1


def test_an_address_that_somebody_else_only_wished_for_does_not_block_him(deeds, ask, juergen, erika):
    """Erika entered Jürgen's new address as hers; his open link from the desk still decides."""
    deeds.do(address.ask_to_change, erika, juergen.pending_email)
    link = desk_link_for(deeds, juergen)
    assert ask(juergen.pending_email) == "sent"
    assert deeds.mails()[-1].link_id == link.id


def test_the_stored_address_goes_before_a_pending_one(deeds, ask, erika, max_):
    deeds.do(address.ask_to_change, max_, erika.email)
    ask(erika.email)
    assert deeds.mails("recovery_link")[0].customer_id == erika.id


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
