"""The desk: a clerk corrects an address, sends links, and each deed stands in the customer's own history."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.customer import Customer
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import AccountLocked, AddressTaken, ChangedMeanwhile, LinkUnusable, TooManyMails
from kmzportal.services import account, account_link, address, desk, history, recovery
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")
NEW = "erika@neue-schule.example"


@pytest.fixture
def rosas(deeds):
    """Let Rosa do a deed, as the web does it on her behalf."""

    def do(deed, *what, now=None):
        with deeds.work("clerk:1") as work:
            work.initials = "ro"
            return deed(work, *(work.session.get(type(one), one.id) if hasattr(one, "id") else one for one in what))

    return do


@pytest.fixture
def corrected(rosas, deeds, erika):
    """Rosa corrected Erika's address; the link that was mailed to the new one."""
    rosas(desk.correct_address, erika, erika.version, NEW, "callback", "Sekretariat")
    return newest(deeds, LinkKind.DESK)


def newest(deeds, kind):
    return deeds.read(select(AccountLink).where(AccountLink.kind == kind).order_by(AccountLink.id))[-1]


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


def test_a_locked_account_gets_no_link(deeds, rosas, lieselotte):
    with pytest.raises(AccountLocked):
        rosas(desk.send_link, lieselotte, "ro")
    assert deeds.mails() == []


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


def test_the_stored_address_gets_a_link_and_the_older_one_dies(deeds, rosas, erika, issue):
    first = issue(LinkKind.DESK, erika)
    rosas(desk.send_link, erika, "ro", "Anruf")
    assert deeds.read(first).ended_as == LinkState.REPLACED
    assert deeds.mails("desk_link")[-1].recipient == erika.email
    sent = deeds.read(select(AuditEvent).where(AuditEvent.deed == "link.sent"))[0]
    assert (sent.details["by"], sent.remark) == ("ro", "Anruf")


def test_a_link_to_the_stored_address_ends_the_desks_own_correction(deeds, rosas, erika, corrected):
    rosas(desk.send_link, erika, "ro")
    assert deeds.read(erika).pending_email is None
    assert deeds.read(corrected).ended_as == LinkState.WITHDRAWN


def test_but_not_a_change_that_the_customer_asked_for(deeds, rosas, erika):
    deeds.do(address.ask_to_change, erika, NEW)
    rosas(desk.send_link, erika, "ro")
    assert deeds.read(erika).pending_email == NEW


def test_sent_again_it_is_the_same_link_and_lives_anew(deeds, rosas, erika, corrected, clock):
    clock.shift(timedelta(hours=70))
    rosas(desk.send_again, corrected)
    mails = deeds.mails("desk_link")
    assert [mail.recipient for mail in mails] == [NEW, NEW]
    assert {mail.link_id for mail in mails} == {corrected.id}
    assert deeds.read(corrected).expires_at == cast.NOW + timedelta(hours=142)


def test_a_dead_link_is_not_sent_again(rosas, corrected, clock):
    clock.shift(timedelta(hours=73))
    with pytest.raises(LinkUnusable):
        rosas(desk.send_again, corrected)


def test_a_used_up_code_needs_a_new_link(deeds, rosas, corrected):
    with deeds.work() as work:
        work.session.get(AccountLink, corrected.id).code_tries = 5
    with pytest.raises(LinkUnusable):
        rosas(desk.send_again, corrected)


def test_withdrawn_it_opens_nothing_and_the_address_waits_no_longer(deeds, rosas, erika, corrected):
    rosas(desk.withdraw, corrected)
    assert deeds.read(corrected).ended_as == LinkState.WITHDRAWN
    assert deeds.read(erika).pending_email is None
    with pytest.raises(LinkUnusable):
        deeds.do(account.register, corrected, cast.NOW, deeds.read(erika).version, {}, "hash")


def test_the_desk_cannot_take_away_an_objection(deeds, rosas, corrected):
    with pytest.raises(LinkUnusable):
        rosas(desk.withdraw, newest(deeds, LinkKind.OBJECTION))


def test_ten_mails_a_day_are_enough_for_anybody(deeds, rosas, erika):
    for _ in range(10):
        rosas(desk.send_link, erika, "ro")
    with pytest.raises(TooManyMails):
        rosas(desk.send_link, erika, "ro")
    assert len(deeds.mails("desk_link")) == 10


def test_a_new_customer_has_no_password_and_can_be_sent_a_link(deeds, rosas):
    rosas(desk.create, "K-2001", "Neu@schule.example", {"last_name": "Neumann", "school": "GMS"})
    (neu,) = deeds.read(select(Customer).where(Customer.number == "K-2001"))
    assert (neu.password_hash, neu.email, neu.school, neu.town) == (None, "Neu@schule.example", "GMS", "")
    rosas(desk.send_link, neu, "ro")
    assert deeds.history()[0] == "customer.created"


def test_nobody_gets_what_somebody_has(rosas, erika):
    with pytest.raises(AddressTaken):
        rosas(desk.create, "K-2001", erika.email.upper(), {"last_name": "Neumann"})
    with pytest.raises(desk.NumberTaken):
        rosas(desk.create, erika.number, NEW, {"last_name": "Neumann"})


def test_a_lock_ends_all_and_stands_in_history_with_its_reason(deeds, rosas, erika, corrected):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    rosas(desk.lock, erika, "Gerät gestohlen")
    assert deeds.session_of(token).ended_at
    assert deeds.read(corrected).ended_as == LinkState.WITHDRAWN
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    rosas(desk.unlock, erika, "Gerät gefunden")
    assert deeds.log_in(erika.email, cast.password_of(erika))
    events = deeds.read(select(AuditEvent).where(AuditEvent.deed.startswith("account.")).order_by(AuditEvent.id))
    assert [(event.in_german, event.remark) for event in events] == [
        ("Konto gesperrt", "Gerät gestohlen"),
        ("Konto entsperrt", "Gerät gefunden"),
    ]
