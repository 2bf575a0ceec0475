"""Deletion of an account: requested by its holder, done by a clerk, and nothing of the person stays."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import inspect, select

from kmzportal.db import db
from kmzportal.mail.delivery import SENT
from kmzportal.models import (
    AccountLink,
    AuditEvent,
    CaseEntry,
    CaseState,
    Customer,
    LinkKind,
    MailState,
    OutgoingMail,
    RecoveryRequest,
    SupportCase,
)
from kmzportal.services import deletion, desk, kept_entries, links, outbox, recovery, retention, support, visits
from kmzportal.services.refusals import ChangedMeanwhile
from kmzportal.services.transaction import transaction
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def delete(backend, as_clerk):
    def delete(customer, loans_open=False):
        version = backend.read(customer).version
        as_clerk(deletion.delete_customer, customer, version, "auf eigenen Wunsch", loans_open)

    return delete


@pytest.fixture
def well_used(backend, erika, issue, log_in, as_clerk):
    """Erika with a session, links, mails, a request for a new password, a pending address, cases and history."""
    log_in(erika, source="203.0.113.7")
    issue(LinkKind.RECOVERY, erika)
    as_clerk(desk.correct_address, erika, erika.version, people.NEW_EMAIL, "callback", "Rückruf bei Erika Mustermann")
    with backend.transaction() as tx:
        recovery.request_link(tx, erika.email)
        kept_entries.keep(tx, {"address": erika.email}, email=erika.email_canonical)
        kept_entries.keep(tx, {"path": "/", "fields": {"last_name": ["Mustermann"]}}, actor=f"customer:{erika.id}")
        [link, *_] = tx.session.scalars(select(AccountLink))
        kept_entries.keep(tx, {"path": "/", "fields": {"last_name": ["Mustermann"]}}, actor=f"link:{link.id}")
        visits.start(tx, link)
        case = support.open_case(tx, "other", "mail", people.NEW_EMAIL, "Erika Mustermann bittet.", name="Mustermann")
        double = support.open_case(tx, "other", "mail", "dritte@web.example", "Frau Mustermann noch einmal.")
        support.merge(tx, double, case.reference)
    as_clerk(support.assign, case, erika)
    backend.run(deletion.request, erika)
    return erika


def everything(app):
    """Return all values of all tables as one text."""
    with app.app_context():
        return str([list(map(str, db.session.execute(select(table)))) for table in db.metadata.sorted_tables])


def test_a_request_becomes_one_case_with_a_promised_day_and_a_mail(backend, erika):
    first, second = (backend.run(deletion.request, erika) for _ in range(2))
    assert first.id == second.id
    assert (first.branch, first.channel, first.state, first.customer_id) == ("deletion", "account", "open", erika.id)
    assert [mail.template for mail in backend.read(select(OutgoingMail))] == ["deletion_requested"]


def test_nothing_of_the_person_is_left_but_the_last_mail(app, backend, well_used, delete):
    delete(well_used)
    mails = backend.read(select(OutgoingMail))
    assert [(mail.template, mail.recipient, mail.customer_id) for mail in mails] == [
        ("account_deleted", well_used.email, None)
    ]
    with backend.transaction("worker") as tx:
        outbox.settle(tx, mails[0].id, outbox.claim(tx, mails[0].id).tries, SENT)
        retention.purge(tx)
    left = everything(app)
    for word in ("Erika", "Mustermann", well_used.number, well_used.email, people.NEW_EMAIL, "203.0.113.7", "dritte@"):
        assert word not in left, left[left.index(word) - 300 : left.index(word) + 100]
    assert backend.read(select(Customer)) == []


def test_history_and_cases_stay_without_the_person(backend, well_used, delete):
    delete(well_used)
    events = backend.read(select(AuditEvent))
    about = [event for event in events if event.action in ("login.succeeded", "address.corrected", "case.assigned")]
    assert len(about) == 3
    assert {event.customer_id for event in events} == {None}
    assert len({event.details["pseudonym"] for event in about}) == 1
    assert [event.details["why"] for event in events if event.action == "customer.deleted"] == ["auf eigenen Wunsch"]
    cases = backend.read(select(SupportCase))
    assert [(case.state, case.email) for case in cases] == [(CaseState.CLOSED, "")] * 3
    assert sorted(case.closed_as for case in cases) == ["deleted", "deleted", "duplicate"]


@pytest.mark.parametrize("domain", ["web.example", "grün-schule.example"])
def test_replies_of_the_person_in_a_case_of_somebody_else_are_deleted_and_no_others(
    backend, erika, max_, delete, domain
):
    """Such as in the one into which theirs was merged, or under whose number they wrote."""
    backend.run(lambda _, one: one.set_email(f"Erika@{domain}"), erika)
    erika = backend.read(erika)
    his = backend.run(support.open_case, "other", "mail", max_.email, "Von Max.")
    hers = backend.run(lambda tx, one: support.open_case(tx, "other", "mail", f"E@{domain}", "?", customer=one), erika)
    backend.run(support.merge, hers, his.reference)
    for sender in (f"ERIKA@{domain}", f"e@{domain}", "sekretariat@schule.example"):
        backend.run(support.add_reply, hers, sender, f"Von {sender}")
    delete(erika)
    left = [(entry.case_id, entry.author) for entry in backend.read(select(CaseEntry).order_by(CaseEntry.id))]
    assert left == [(his.id, max_.email), (his.id, "sekretariat@schule.example")]


def test_a_forgotten_case_is_not_opened_again_and_resembles_no_customer(backend, app, well_used, delete, max_):
    delete(well_used)
    with backend.transaction() as tx:
        cases = tx.session.scalars(select(SupportCase)).all()
        assert [found for found in support.candidates(tx.session, cases).values() if found] == []
        for case in cases:
            with pytest.raises(support.CaseForgotten):
                support.reopen(tx, case)


def test_an_unconfirmed_address_gives_no_power_over_the_data_of_its_owner(backend, erika, max_, delete, as_clerk):
    """Anyone may enter any new address: what belongs to another account, clerk or stranger stays."""
    backend.update(erika, pending_email=max_.email, pending_email_canonical=max_.email)
    with backend.transaction() as tx:
        his = support.open_case(tx, "other", "mail", erika.email, "Von der Schuladresse.")
        unassigned = support.open_case(tx, "other", "mail", max_.email, "Von Max.")
        recovery.request_link(tx, max_.email)
    as_clerk(support.assign, his, max_)
    backend.run(desk.send_link, max_)
    mails = [mail.id for mail in backend.read(select(OutgoingMail))]
    delete(erika)
    kept = backend.read(select(SupportCase).order_by(SupportCase.id))
    assert [(case.email, case.customer_id, case.closed) for case in kept] == [
        (erika.email, max_.id, False), (unassigned.email, None, False),
    ]  # fmt: skip
    assert [mail.id for mail in backend.read(select(OutgoingMail)) if mail.template != "account_deleted"] == mails
    assert len(backend.read(select(RecoveryRequest))) == 1


def test_ids_of_deleted_customers_and_links_are_not_used_again(backend, erika, issue, delete, clock):
    link = issue(LinkKind.DESK, erika)
    delete(erika)
    clock.shift(timedelta(milliseconds=1))
    other = backend.add(people.person(people.MAX))
    assert other.id > erika.id and issue(LinkKind.DESK, other).id != link.id


def test_what_was_deleted_since_the_page_was_loaded_is_a_conflict_and_no_bug(app, backend, erika, issue, delete):
    issue(LinkKind.DESK, erika)
    with app.app_context():
        customer, link = (db.session.scalars(select(table)).one() for table in (Customer, AccountLink))
        version = customer.version
        delete(erika)
        with pytest.raises(ChangedMeanwhile), transaction("clerk:1") as tx:
            deletion.delete_customer(tx, customer, version, "Wunsch", False)
        with pytest.raises(ChangedMeanwhile), transaction("visitor") as tx:
            links.redeem(tx, link, people.NOW, {LinkKind.DESK})


def test_open_loans_keep_the_account(backend, erika, delete):
    with pytest.raises(deletion.LoansOpen):
        delete(erika, loans_open=True)
    assert backend.read(erika).number == erika.number


def test_an_account_that_changed_meanwhile_is_not_deleted(backend, erika, as_clerk):
    backend.update(erika, phone="07051 4711")
    with pytest.raises(ChangedMeanwhile):
        as_clerk(deletion.delete_customer, erika, erika.version, "Grund", False)


def test_a_mail_that_is_being_sent_during_the_deletion_disturbs_nothing(backend, erika, delete):
    mail = backend.run(deletion.request, erika) and backend.read(select(OutgoingMail))[0]
    with backend.transaction("worker") as tx:
        claim = outbox.claim(tx, mail.id).tries
    delete(erika)
    with backend.transaction("worker") as tx:
        assert outbox.settle(tx, mail.id, claim, SENT) is False
    assert [one.state for one in backend.read(select(OutgoingMail))] == [MailState.QUEUED]


def test_the_deleted_number_is_known_until_the_desk_adds_it_again(backend, app, erika, delete, as_clerk):
    delete(erika)
    numbers = [erika.number, "K-9999"]
    with app.app_context():
        assert list(deletion.deleted_numbers(db.session(), backend.keys, numbers)) == [erika.number]
    as_clerk(desk.create_customer, erika.number, erika.email, {"last_name": "Mustermann"})
    with app.app_context():
        assert deletion.deleted_numbers(db.session(), backend.keys, numbers) == {}


def test_every_reference_to_a_customer_is_ended(app):
    """A new table that refers to customers must be considered by the deletion."""
    with app.app_context():
        found = inspect(db.engine)
        referring = {
            name
            for name in found.get_table_names()
            if any(key["referred_table"] == "customer" for key in found.get_foreign_keys(name))
        }
    known = {"account_link", "audit_event", "customer_access", "known_device", "login_session"}
    known |= {"outgoing_mail", "recovery_request", "support_case", "address_proposal", "passkey"}
    assert referring == known


def test_a_reply_that_is_written_at_the_moment_of_the_deletion_is_deleted(backend, erika, delete):
    case = backend.run(lambda tx, one: support.open_case(tx, "other", "mail", one.email, "Hallo", customer=one), erika)

    def reply(begun):
        with backend.transaction("worker") as tx:
            support.add_reply(tx, tx.session.get_one(SupportCase, case.id), erika.email, "Ich bin im Krankenhaus.")
            tx.session.flush()
            begun.set()
            time.sleep(0.5)  # the deletion arrives meanwhile

    backend.at_once(reply, lambda: delete(erika))
    assert backend.read(select(CaseEntry)) == []


def test_a_request_that_is_answered_at_the_moment_of_the_deletion_does_not_stop_it(backend, erika, delete, monkeypatch):
    """Two transactions that wait for each other: PostgreSQL ends one of them, which was a fault for the clerk."""
    with backend.transaction() as tx:
        recovery.request_link(tx, erika.email)
    (request,) = backend.read(select(RecoveryRequest))
    find = recovery._find_customer

    def answer(begun):
        def find_slowly(tx, address):
            customer = find(tx, address)
            begun.set()
            time.sleep(0.5)  # the deletion arrives meanwhile
            return customer

        monkeypatch.setattr(recovery, "_find_customer", find_slowly)
        try:
            with backend.transaction("worker") as tx:
                recovery.answer(tx, request.id)
        except ChangedMeanwhile:  # the customer is gone: the worker tries again and finds none
            pass

    backend.at_once(answer, lambda: delete(erika))
    assert backend.read(select(Customer)) == backend.read(select(RecoveryRequest)) == []
