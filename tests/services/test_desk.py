"""The desk: a corrected address, links, a new customer, lock and unlock."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.customer import Customer
from kmzportal.services import accounts, audit, desk
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import AddressTaken, ChangedMeanwhile, LinkUnusable
from tests.people import NEW_EMAIL, NEW_PASSWORD, NOW, password_of

pytestmark = pytest.mark.usefixtures("clock")


def register(backend, erika, link):
    version, new = backend.read(erika).version, hash_password(NEW_PASSWORD)
    backend.run(accounts.register, link, NOW, version, {}, new)


# A corrected address


def test_the_link_goes_to_the_new_address_and_a_notice_to_the_old_which_still_logs_in(
    backend, erika, corrected_link, log_in
):
    assert {mail.template: mail.recipient for mail in backend.mails()} == {
        "desk_link": NEW_EMAIL,
        "address_corrected": erika.email,
    }
    with backend.transaction() as tx:
        events = [(event.action, event.actor_label, event.remark) for event in audit.history(tx.session, erika)]
    assert ("address.corrected", "Kundenservice (ro)", "Rückruf – Sekretariat") in events
    assert (corrected_link.email, corrected_link.initials) == (NEW_EMAIL, "ro")
    assert log_in(erika)
    register(backend, erika, corrected_link)
    assert backend.log_in(NEW_EMAIL, NEW_PASSWORD) and log_in(erika, NEW_PASSWORD) is None


def test_open_links_end_but_objections_stay(backend, as_clerk, erika):
    backend.issue(LinkKind.RECOVERY, erika), backend.issue(LinkKind.DESK, erika)
    backend.run(accounts.request_address_change, erika, "anders@schule.example")
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "school", "")
    still_open = sorted((link.kind, link.email) for link in backend.links() if link.ended_at is None)
    assert still_open == [("desk", NEW_EMAIL), ("objection", erika.email), ("objection", erika.email)]


@pytest.mark.parametrize("taken", ["email", "pending_email"])
def test_an_address_of_another_customer_is_refused_and_nothing_changes(backend, as_clerk, erika, juergen, taken):
    backend.issue(LinkKind.DESK, juergen, juergen.pending_email)
    with pytest.raises(AddressTaken):
        as_clerk(desk.correct_address, erika, erika.version, getattr(juergen, taken).upper(), "callback", "")
    assert len(backend.mails()) == 1
    assert backend.read(erika).pending_email is None
    assert backend.actions()[1:] == ["address.refused"]


@pytest.mark.parametrize(
    "ended", [{"expires_at": NOW}, {"ended_at": NOW, "ended_as": LinkState.WITHDRAWN}], ids=["expired", "withdrawn"]
)
def test_a_pending_address_without_an_open_link_does_not_block_its_owner(backend, as_clerk, erika, max_, ended):
    backend.run(accounts.request_address_change, max_, NEW_EMAIL)
    backend.update(backend.links(LinkKind.ADDRESS)[0], **ended)
    as_clerk(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "")
    assert backend.read(erika).pending_email == NEW_EMAIL


def test_a_locked_account_gets_the_new_address_at_once_and_loses_its_password(backend, as_clerk, erika, log_in):
    as_clerk(desk.lock, erika, "gestohlen")
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "in_person", "")
    as_clerk(desk.unlock, erika, "zurückgegeben")
    saved = backend.read(erika)
    assert (saved.email, saved.pending_email) == (NEW_EMAIL, None)
    assert backend.log_in(NEW_EMAIL, password_of(erika)) is None
    assert backend.mails("desk_link") == []


def test_whoever_stole_an_account_cannot_use_it_after_the_desk_gave_it_back(
    backend, as_clerk, ask, erika, corrected_link, log_in
):
    """The desk was given the thief's address; the old mailbox objects; the desk corrects, unlocks and sends a link."""
    register(backend, erika, corrected_link)
    backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[-1], NOW)
    as_clerk(desk.correct_address, erika, backend.read(erika).version, erika.email, "in_person", "")
    as_clerk(desk.unlock, erika, "zurückgegeben")
    assert backend.read(erika).email == erika.email
    assert backend.log_in(NEW_EMAIL, NEW_PASSWORD) is None and log_in(erika, NEW_PASSWORD) is None
    assert ask(NEW_EMAIL) == "unknown"
    as_clerk(desk.send_link, erika, "ro")
    assert backend.mails("desk_link")[-1].recipient == erika.email


def test_the_same_address_and_a_form_of_an_older_version_are_refused(backend, as_clerk, erika):
    with pytest.raises(desk.SameAddress):
        as_clerk(desk.correct_address, erika, erika.version, f" {erika.email.upper()} ", "callback", "")
    as_clerk(desk.correct_data, erika, erika.version, {"phone": "4711"})
    with pytest.raises(ChangedMeanwhile):
        as_clerk(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "")
    with pytest.raises(ChangedMeanwhile):
        as_clerk(desk.correct_data, erika, erika.version, {"phone": "1"})
    saved = backend.read(erika)
    assert (saved.pending_email, saved.phone) == (None, "4711")


@pytest.mark.both_databases
def test_of_four_concurrent_corrections_one_is_made(backend, erika):
    def correct(tx, customer):
        desk.correct_address(tx, customer, erika.version, NEW_EMAIL, "callback", "")

    results = backend.run_concurrently(4, correct, erika)
    assert sorted(type(result).__name__ for result in results) == ["ChangedMeanwhile"] * 3 + ["NoneType"]
    assert len(backend.mails("desk_link")) == 1


# Links


def test_a_sent_link_goes_to_the_stored_address_and_the_one_that_the_customer_entered_stays_pending(
    backend, as_clerk, erika, address_link
):
    as_clerk(desk.send_link, erika, "ro", "Anruf")
    assert [mail.recipient for mail in backend.mails("desk_link")] == [erika.email]
    (sent,) = backend.read(select(AuditEvent).where(AuditEvent.action == "link.sent"))
    assert (sent.details["by"], sent.remark) == ("ro", "Anruf")
    assert backend.read(erika).pending_email == NEW_EMAIL
    assert backend.read(address_link).ended_at is None


def test_sending_again_mails_the_same_link_with_a_new_expiry(backend, as_clerk, corrected_link, clock):
    clock.shift(timedelta(hours=70))
    as_clerk(desk.send_again, corrected_link)
    mails = backend.mails("desk_link")
    assert [(mail.recipient, mail.link_id) for mail in mails] == [(NEW_EMAIL, corrected_link.id)] * 2
    assert backend.read(corrected_link).expires_at == NOW + timedelta(hours=142)


@pytest.mark.parametrize("act", [desk.send_again, desk.withdraw_link])
@pytest.mark.parametrize(
    "fields",
    [{"expires_at": NOW}, {"ended_at": NOW, "ended_as": LinkState.REDEEMED}, {"code_tries": 5}],
    ids=["expired", "redeemed", "code used up"],
)
def test_only_an_open_link_and_no_objection_is_sent_again_or_withdrawn(backend, as_clerk, corrected_link, act, fields):
    backend.update(corrected_link, **fields)
    (objection,) = backend.links(LinkKind.OBJECTION)
    for link in (corrected_link, objection):
        with pytest.raises(LinkUnusable):
            as_clerk(act, link)
    assert backend.read(objection).ended_at is None


# A new customer, lock and unlock


def test_a_new_customer_has_a_number_and_address_of_their_own_and_no_password(backend, as_clerk, erika):
    with pytest.raises(AddressTaken):
        as_clerk(desk.create_customer, "K-2001", erika.email.upper(), {"last_name": "Neumann"})
    with pytest.raises(desk.NumberTaken):
        as_clerk(desk.create_customer, erika.number, NEW_EMAIL, {"last_name": "Neumann"})
    as_clerk(desk.create_customer, "K-2001", "Neu@schule.example", {"last_name": "Neumann", "school": "GMS"})
    (new,) = backend.read(select(Customer).where(Customer.number == "K-2001"))
    assert (new.password_hash, new.email, new.school, new.town) == (None, "Neu@schule.example", "GMS", "")
    assert "customer.created" in backend.actions()


def test_an_unlocked_customer_keeps_the_password_and_the_history_names_both_reasons(backend, as_clerk, erika, log_in):
    as_clerk(desk.lock, erika, "Gerät gestohlen")
    assert log_in(erika) is None
    as_clerk(desk.unlock, erika, "Gerät gefunden")
    assert log_in(erika)
    events = backend.read(select(AuditEvent).where(AuditEvent.action.startswith("account.")).order_by(AuditEvent.id))
    assert [(event.label, event.remark) for event in events] == [
        ("Konto gesperrt", "Gerät gestohlen"),
        ("Konto entsperrt", "Gerät gefunden"),
    ]
