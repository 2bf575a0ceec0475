"""The desk corrects an address: the new one waits, the old one can object, and history tells all of it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.services import accounts, audit, desk, links, recovery
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import AddressTaken, ChangedMeanwhile
from tests import people
from tests.services.conftest import NEW
from tests.services.links import newest

pytestmark = pytest.mark.usefixtures("clock")


def test_the_new_address_waits_and_the_old_one_still_logs_in(backend, erika, corrected):
    login_session = backend.read(erika)
    assert (login_session.email, login_session.pending_email) == (erika.email, NEW)
    assert backend.log_in(erika.email, people.password_of(erika))
    assert backend.log_in(NEW, people.password_of(erika)) is None


def test_the_link_goes_to_the_new_address_and_a_notice_to_the_old(backend, erika, corrected):
    mails = {mail.template: mail.recipient for mail in backend.mails()}
    assert mails == {"desk_link": NEW, "address_corrected": erika.email}
    assert corrected.email == NEW
    assert corrected.initials == "ro"


def test_the_holder_of_the_link_registers_and_logs_in_with_the_new_address(backend, erika, corrected):
    seen = backend.read(erika).version
    backend.run(accounts.register, corrected, people.NOW, seen, {}, hash_password(people.NEW_PASSWORD))
    assert backend.log_in(NEW, people.NEW_PASSWORD)
    assert backend.log_in(erika.email, people.NEW_PASSWORD) is None


def test_links_that_were_open_die(backend, rosas, erika, issue):
    for kind in (LinkKind.RECOVERY, LinkKind.DESK):
        issue(kind, erika)
    backend.run(accounts.request_address_change, erika, "anders@schule.example")
    rosas(desk.correct_address, erika, backend.read(erika).version, NEW, "school", "")
    open_ = [link for link in backend.read(select(AccountLink)) if link.state(people.NOW) is LinkState.OPEN]
    assert sorted(link.kind for link in open_) == ["desk", "objection", "objection"]
    assert {link.email for link in open_ if link.kind == "desk"} == {NEW}


@pytest.mark.parametrize("when", [timedelta(0), timedelta(days=6)])
def test_the_old_address_objects_before_and_after_completion(backend, erika, corrected, clock, when):
    objection = newest(backend, LinkKind.OBJECTION)
    if when:
        seen = backend.read(erika).version
        backend.run(accounts.register, corrected, people.NOW, seen, {}, hash_password(people.NEW_PASSWORD))
    clock.shift(when)
    backend.run(accounts.object_to_change, objection, people.NOW + when)
    login_session = backend.read(erika)
    assert login_session.locked_at
    assert login_session.pending_email is None
    assert backend.log_in(login_session.email, people.NEW_PASSWORD) is None
    assert newest(backend, LinkKind.DESK).state(people.NOW + when) is not LinkState.OPEN


def test_history_says_who_how_and_why(app, backend, erika, corrected):
    with app.app_context(), backend.transaction() as tx:
        told = [(event.action, event.actor_label, event.remark) for event in audit.history(tx.session, erika)]
    assert ("address.corrected", "Kundenservice (ro)", "Rückruf – Sekretariat") in told
    assert {by for deed, by, _ in told if deed.startswith(("address", "link"))} == {"Kundenservice (ro)"}


@pytest.mark.parametrize("taken", ["email", "pending_email"])
def test_an_address_that_is_somebody_elses_is_refused_and_nothing_happens(backend, rosas, erika, juergen, taken):
    backend.run(links.issue, LinkKind.DESK, juergen, juergen.pending_email)
    with pytest.raises(AddressTaken):
        rosas(desk.correct_address, erika, erika.version, getattr(juergen, taken).upper(), "callback", "")
    assert backend.mails() == []
    assert backend.read(erika).pending_email is None
    assert backend.actions()[1:] == ["address.refused"]


@pytest.mark.parametrize("over", [LinkState.EXPIRED, LinkState.WITHDRAWN])
def test_who_once_wanted_an_address_does_not_keep_its_owner_from_it(backend, rosas, erika, max_, clock, over):
    backend.run(accounts.request_address_change, max_, NEW)
    if over is LinkState.WITHDRAWN:
        backend.run(links.end, max_, over, {LinkKind.ADDRESS})
    clock.shift(timedelta(days=1 if over is LinkState.EXPIRED else 0))
    rosas(desk.correct_address, erika, erika.version, NEW, "callback", "")
    assert backend.read(erika).pending_email == NEW


def test_the_same_address_is_no_correction(rosas, erika):
    with pytest.raises(desk.SameAddress):
        rosas(desk.correct_address, erika, erika.version, f" {erika.email.upper()} ", "callback", "")


def test_who_stole_an_account_keeps_nothing_once_the_desk_has_given_it_back(backend, rosas, erika, corrected):
    """The desk was talked into a thief's address; the old mailbox objects; the desk corrects, unlocks and sends."""
    backend.run(
        accounts.register, corrected, people.NOW, backend.read(erika).version, {}, hash_password(people.NEW_PASSWORD)
    )
    backend.run(accounts.object_to_change, newest(backend, LinkKind.OBJECTION), people.NOW)
    rosas(desk.correct_address, erika, backend.read(erika).version, erika.email, "in_person", "")
    rosas(desk.unlock, erika, "zurückgegeben")
    assert backend.read(erika).email == erika.email
    assert backend.log_in(NEW, people.NEW_PASSWORD) is None
    assert backend.log_in(erika.email, people.NEW_PASSWORD) is None
    backend.run(recovery.request_link, NEW)
    with backend.transaction("worker") as tx:
        for request in recovery.unanswered(tx.session):
            recovery.answer(tx, request)
    assert backend.mails("recovery_link") == []
    rosas(desk.send_link, erika, "ro")
    assert backend.mails("desk_link")[-1].recipient == erika.email


def test_two_clerks_at_one_customer_are_told(backend, rosas, erika, corrected):
    with pytest.raises(ChangedMeanwhile):
        rosas(desk.correct_address, erika, erika.version, "anders@schule.example", "callback", "")
    with pytest.raises(ChangedMeanwhile):
        rosas(desk.correct_data, erika, erika.version, {"phone": "1"})
    assert backend.read(erika).pending_email == NEW
    assert backend.read(erika).phone == erika.phone


@pytest.mark.both_databases
def test_of_four_corrections_at_once_one_is_made(backend, erika):
    def correct(tx, who):
        desk.correct_address(tx, who, erika.version, NEW, "callback", "")

    got = backend.run_concurrently(4, correct, erika)
    assert sorted(type(one).__name__ for one in got) == ["ChangedMeanwhile"] * 3 + ["NoneType"]
    assert len(backend.mails("desk_link")) == 1
