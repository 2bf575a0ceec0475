"""The desk corrects an address: the new one waits, the old one can object, and history tells all of it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import AddressTaken, ChangedMeanwhile
from kmzportal.services import account, account_link, address, desk, history, recovery
from tests import cast
from tests.services.conftest import NEW
from tests.services.links import newest

pytestmark = pytest.mark.usefixtures("clock")


def test_the_new_address_waits_and_the_old_one_still_logs_in(deeds, erika, corrected):
    here = deeds.read(erika)
    assert (here.email, here.pending_email) == (erika.email, NEW)
    assert deeds.log_in(erika.email, cast.password_of(erika))
    assert deeds.log_in(NEW, cast.password_of(erika)) is None


def test_the_link_goes_to_the_new_address_and_a_notice_to_the_old(deeds, erika, corrected):
    mails = {mail.template: mail.recipient for mail in deeds.mails()}
    assert mails == {"desk_link": NEW, "address_corrected": erika.email}
    assert corrected.email == NEW
    assert corrected.initials == "ro"


def test_the_holder_of_the_link_registers_and_logs_in_with_the_new_address(deeds, erika, corrected):
    seen = deeds.read(erika).version
    deeds.do(account.register, corrected, cast.NOW, seen, {}, hash_password(cast.NEW_PASSWORD))
    assert deeds.log_in(NEW, cast.NEW_PASSWORD)
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD) is None


def test_links_that_were_open_die(deeds, rosas, erika, issue):
    for kind in (LinkKind.RECOVERY, LinkKind.DESK):
        issue(kind, erika)
    deeds.do(address.ask_to_change, erika, "anders@schule.example")
    rosas(desk.correct_address, erika, deeds.read(erika).version, NEW, "school", "")
    open_ = [link for link in deeds.read(select(AccountLink)) if link.state(cast.NOW) is LinkState.OPEN]
    assert sorted(link.kind for link in open_) == ["desk", "objection", "objection"]
    assert {link.email for link in open_ if link.kind == "desk"} == {NEW}


@pytest.mark.parametrize("when", [timedelta(0), timedelta(days=6)])
def test_the_old_address_objects_before_and_after_completion(deeds, erika, corrected, clock, when):
    objection = newest(deeds, LinkKind.OBJECTION)
    if when:
        seen = deeds.read(erika).version
        deeds.do(account.register, corrected, cast.NOW, seen, {}, hash_password(cast.NEW_PASSWORD))
    clock.shift(when)
    deeds.do(address.object_to, objection, cast.NOW + when)
    here = deeds.read(erika)
    assert here.locked_at
    assert here.pending_email is None
    assert deeds.log_in(here.email, cast.NEW_PASSWORD) is None
    assert newest(deeds, LinkKind.DESK).state(cast.NOW + when) is not LinkState.OPEN


def test_history_says_who_how_and_why(app, deeds, erika, corrected):
    with app.app_context(), deeds.work() as work:
        told = [(event.deed, event.actor_in_german, event.remark) for event in history.history(work.session, erika)]
    assert ("address.corrected", "Kundenservice (ro)", "Rückruf – Sekretariat") in told
    assert {by for deed, by, _ in told if deed.startswith(("address", "link"))} == {"Kundenservice (ro)"}


@pytest.mark.parametrize("taken", ["email", "pending_email"])
def test_an_address_that_is_somebody_elses_is_refused_and_nothing_happens(deeds, rosas, erika, juergen, taken):
    deeds.do(account_link.issue, LinkKind.DESK, juergen, juergen.pending_email)
    with pytest.raises(AddressTaken):
        rosas(desk.correct_address, erika, erika.version, getattr(juergen, taken).upper(), "callback", "")
    assert deeds.mails() == []
    assert deeds.read(erika).pending_email is None
    assert deeds.history()[1:] == ["address.refused"]


@pytest.mark.parametrize("over", [LinkState.EXPIRED, LinkState.WITHDRAWN])
def test_who_once_wanted_an_address_does_not_keep_its_owner_from_it(deeds, rosas, erika, max_, clock, over):
    deeds.do(address.ask_to_change, max_, NEW)
    if over is LinkState.WITHDRAWN:
        deeds.do(account_link.end, max_, over, {LinkKind.ADDRESS})
    clock.shift(timedelta(days=1 if over is LinkState.EXPIRED else 0))
    rosas(desk.correct_address, erika, erika.version, NEW, "callback", "")
    assert deeds.read(erika).pending_email == NEW


def test_the_same_address_is_no_correction(rosas, erika):
    with pytest.raises(desk.SameAddress):
        rosas(desk.correct_address, erika, erika.version, f" {erika.email.upper()} ", "callback", "")


def test_who_stole_an_account_keeps_nothing_once_the_desk_has_given_it_back(deeds, rosas, erika, corrected):
    """The desk was talked into a thief's address; the old mailbox objects; the desk corrects, unlocks and sends."""
    deeds.do(account.register, corrected, cast.NOW, deeds.read(erika).version, {}, hash_password(cast.NEW_PASSWORD))
    deeds.do(address.object_to, newest(deeds, LinkKind.OBJECTION), cast.NOW)
    rosas(desk.correct_address, erika, deeds.read(erika).version, erika.email, "in_person", "")
    rosas(desk.unlock, erika, "zurückgegeben")
    assert deeds.read(erika).email == erika.email
    assert deeds.log_in(NEW, cast.NEW_PASSWORD) is None
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD) is None
    deeds.do(recovery.ask, NEW)
    with deeds.work("worker") as work:
        for request in recovery.unanswered(work.session):
            recovery.answer(work, request)
    assert deeds.mails("recovery_link") == []
    rosas(desk.send_link, erika, "ro")
    assert deeds.mails("desk_link")[-1].recipient == erika.email


def test_two_clerks_at_one_customer_are_told(deeds, rosas, erika, corrected):
    with pytest.raises(ChangedMeanwhile):
        rosas(desk.correct_address, erika, erika.version, "anders@schule.example", "callback", "")
    with pytest.raises(ChangedMeanwhile):
        rosas(desk.correct_data, erika, erika.version, {"phone": "1"})
    assert deeds.read(erika).pending_email == NEW
    assert deeds.read(erika).phone == erika.phone


def test_of_four_corrections_at_once_one_is_made(deeds, erika):
    def correct(work, who):
        desk.correct_address(work, who, erika.version, NEW, "callback", "")

    got = deeds.at_once(4, correct, erika)
    assert sorted(type(one).__name__ for one in got) == ["ChangedMeanwhile"] * 3 + ["NoneType"]
    assert len(deeds.mails("desk_link")) == 1
