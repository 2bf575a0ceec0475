"""A received mail is a reply, a new case, a bounce or without effect; its sender learns nothing of another's case."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import CaseState, SupportCase
from kmzportal.services import outbox, support, support_mail
from kmzportal.services.support_mail import Bounce, Effect, IncomingMail

ERIKA, DIEB = "erika.privat@web.de", "dieb@web.de"
FIRST = IncomingMail("<1@web.de>", ERIKA, "Erika Mustermann", "Zugangsdaten", "Benötige neue Zugangsdaten")
REPLY = replace(FIRST, message_id="<2@web.de>", subject="Noch etwas", text="Ergänzung")


@pytest.fixture
def receive(backend):
    return lambda mail: backend.run(support_mail.receive, mail, actor="worker")


@pytest.fixture
def cases(backend):
    return lambda: backend.read(select(SupportCase).order_by(SupportCase.id))


@pytest.fixture
def entries(backend, cases):
    """Return kind and author of all entries of a case."""

    def entries(case):
        with backend.transaction() as tx:
            return [(entry.kind, entry.author) for entry in tx.session.get(SupportCase, case.id).entries]

    return entries


@pytest.fixture
def case(receive, cases, clock):
    receive(FIRST)
    return cases()[0]


@pytest.fixture
def as_clerk(backend):
    return lambda function, *arguments: backend.run(function, *arguments, actor="clerk:1", initials="ro")


def test_a_mail_has_its_effect_once(receive, cases, backend):
    assert [receive(FIRST), receive(FIRST)] == [Effect.CASE, Effect.KNOWN]
    assert (len(cases()), len(backend.mails("case_receipt"))) == (1, 1)


def test_a_flood_of_one_sender_ends_in_one_note_and_every_mail_has_its_effect(
    receive, cases, entries, backend, as_clerk, monkeypatch, clock
):
    monkeypatch.setattr(support, "CASES_PER_SENDER", 2)
    monkeypatch.setattr(support, "REPLIES_PER_CASE", 3)
    mails = [replace(FIRST, message_id=f"<{number}@web.de>") for number in range(8)]
    for mail in mails:
        assert receive(mail) == Effect.CASE
    first, newest = cases()
    assert entries(first) == [("received", ERIKA)]
    assert entries(newest) == [("received", ERIKA), *[("reply", ERIKA)] * 3, ("note", "")]
    as_clerk(support.close, newest, "spam")
    receive(replace(FIRST, message_id="<9@web.de>"))
    assert backend.read(newest).state == CaseState.OPEN and len(entries(newest)) == 5
    receive(replace(FIRST, message_id="<10@web.de>", sender=DIEB))
    receive(replace(FIRST, message_id="<11@web.de>", dmarc="pass"))
    assert len(cases()) == 4, "neither another sender nor a proven one is counted with these"
    clock.shift(timedelta(days=1))
    receive(replace(FIRST, message_id="<12@web.de>"))
    assert len(cases()) == 5


def test_replies_of_strangers_leave_room_for_those_of_the_customer(receive, case, entries, monkeypatch):
    monkeypatch.setattr(support, "REPLIES_PER_CASE", 2)
    for number in range(4):
        receive(replace(REPLY, message_id=f"<{number}@x.de>", subject=case.reference, sender=f"{number}@x.de"))
    receive(replace(REPLY, subject=case.reference))
    kinds = [kind for kind, _ in entries(case)]
    assert kinds == ["received", "foreign_reply", "foreign_reply", "note", "reply"]


def test_of_two_processes_that_receive_the_same_mail_one_opens_a_case(backend, cases):
    assert sorted(backend.run_concurrently(2, support_mail.receive, FIRST)) == [Effect.CASE, Effect.KNOWN]
    assert len(cases()) == 1


@pytest.mark.parametrize("way", ["receipt", "own mail", "number in the subject", "number in the text"])
def test_a_reply_belongs_to_its_case_and_opens_it_again(receive, cases, case, entries, backend, as_clerk, way):
    as_clerk(support.ask_back, case, "An welcher Schule sind Sie?")
    [receipt] = backend.mails("case_receipt")
    named = {
        "receipt": {"references": [receipt.message_id]},
        "own mail": {"references": [FIRST.message_id]},
        "number in the subject": {"subject": f"Re: Ihre Anfrage {case.reference.lower()}"},
        "number in the text": {"text": f"Zu {case.reference.replace('-', ' ')}: GMS"},
    }
    assert receive(replace(REPLY, **named[way])) == Effect.REPLY
    assert [found.state for found in cases()] == [CaseState.OPEN]
    assert entries(case)[-1] == ("reply", ERIKA)
    assert len(backend.mails("case_receipt")) == 1


@pytest.mark.parametrize("forged", [{"sender": DIEB}, {"dmarc": "fail"}])
def test_a_strangers_mail_with_the_number_changes_nothing_and_gets_no_answer(
    receive, cases, case, entries, backend, as_clerk, forged
):
    as_clerk(support.ask_back, case, "An welcher Schule sind Sie?")
    before = len(backend.mails())
    assert receive(replace(REPLY, subject=case.reference, **forged)) == Effect.REPLY
    assert [(found.state, found.email) for found in cases()] == [(CaseState.WAITING, ERIKA)]
    assert entries(case)[-1][0] == "foreign_reply"
    assert len(backend.mails()) == before


def test_a_strangers_mail_about_a_closed_case_is_a_case_of_its_own_without_a_receipt(
    receive, cases, case, backend, as_clerk
):
    as_clerk(support.close, case, "answered")
    assert receive(replace(REPLY, subject=case.reference, sender=DIEB)) == Effect.CASE
    assert [(found.email, found.state) for found in cases()] == [(ERIKA, CaseState.CLOSED), (DIEB, CaseState.OPEN)]
    assert [mail.recipient for mail in backend.mails("case_receipt")] == [ERIKA]


@pytest.mark.parametrize("state", ["waiting", "closed"])
def test_where_a_server_checks_senders_an_unproven_reply_opens_nothing_again_and_is_seen_as_a_case_of_its_own(
    receive, cases, case, entries, as_clerk, app, monkeypatch, state
):
    monkeypatch.setitem(app.config, "MAIL_AUTHSERV_ID", "mx.kmz.example")
    assert receive(replace(REPLY, subject=case.reference)) == Effect.REPLY
    assert entries(case)[-1][0] == "foreign_reply"
    as_clerk(support.ask_back, case, "Welche Schule?") if state == "waiting" else as_clerk(support.close, case, "spam")
    assert receive(replace(REPLY, message_id="<3@web.de>", subject=case.reference, dmarc="none")) == Effect.CASE
    assert [found.state for found in cases()] == [state, CaseState.OPEN]
    assert receive(replace(REPLY, message_id="<4@web.de>", subject=case.reference, dmarc="pass")) == Effect.REPLY
    assert [found.state for found in cases()] == [CaseState.OPEN, CaseState.OPEN]


def test_nor_does_an_unproven_mail_of_a_sender_who_wrote_often_today(
    receive, cases, entries, as_clerk, app, monkeypatch
):
    monkeypatch.setitem(app.config, "MAIL_AUTHSERV_ID", "mx.kmz.example")
    for number in range(support.CASES_PER_SENDER):
        receive(replace(FIRST, message_id=f"<{number}@web.de>"))
    as_clerk(support.ask_back, cases()[-1], "Welche Adresse gilt jetzt?")
    receive(replace(FIRST, message_id="<10@web.de>"))
    assert (cases()[-1].state, entries(cases()[-1])[-1][0]) == (CaseState.WAITING, "foreign_reply")


def test_a_reply_about_a_merged_case_goes_to_the_remaining_one(receive, cases, case, entries, as_clerk):
    receive(replace(REPLY, subject="Noch einmal"))
    as_clerk(support.merge, case, cases()[1].reference)
    receive(replace(REPLY, message_id="<3@web.de>", text=case.reference))
    assert entries(cases()[1])[-1] == ("reply", ERIKA)


def test_an_unknown_number_opens_a_new_case(receive, cases, case):
    assert receive(replace(REPLY, subject="V-AAAA-AAAA")) == Effect.CASE
    assert len(cases()) == 2


@pytest.mark.parametrize(("dmarc", "proven", "receipts"), [("pass", True, 1), ("", False, 1), ("fail", False, 0)])
def test_only_dmarc_proves_the_sender_and_where_it_failed_no_receipt_is_sent(
    receive, cases, backend, dmarc, proven, receipts
):
    receive(replace(FIRST, dmarc=dmarc))
    assert cases()[0].email_proven is proven
    assert len(backend.mails("case_receipt")) == receipts


def test_who_wants_no_automatic_answer_gets_a_case_without_a_receipt(receive, cases, backend):
    assert receive(replace(FIRST, no_receipt=True)) == Effect.CASE
    assert (len(cases()), backend.mails("case_receipt")) == (1, [])


@pytest.mark.parametrize("kind", [
    {"automatic": True}, {"sender": ""}, {"sender": "Support@kmz-cw.de"},
    {"bounce": Bounce(["<0@kmz-cw.de>"], 550, "Adresse unbekannt"), "automatic": True},
])  # fmt: skip
def test_automatic_mail_opens_no_case_stops_no_clock_and_gets_no_answer(receive, cases, case, backend, as_clerk, kind):
    as_clerk(support.ask_back, case, "An welcher Schule sind Sie?")
    before = len(backend.mails())
    assert receive(replace(REPLY, subject=case.reference, **kind)) == Effect.NONE
    assert [found.state for found in cases()] == [CaseState.WAITING]
    assert len(backend.mails()) == before


def test_a_mailbox_user_name_that_is_no_mail_address_stops_no_mail(receive, app, monkeypatch):
    monkeypatch.setitem(app.config, "IMAP_USERNAME", r"KMZ\u@kmz.de")
    assert receive(FIRST) == Effect.CASE
    assert receive(replace(REPLY, sender="support@kmz-cw.de")) == Effect.NONE


def test_who_forwards_the_report_of_a_mail_of_her_own_is_read(receive, cases):
    assert receive(replace(FIRST, bounce=Bounce(["<0@schule.example>"], 550, "Adresse unbekannt"))) == Effect.CASE
    assert len(cases()) == 1


@pytest.mark.parametrize("template", support.TO_STRANGERS)
def test_a_bounce_of_a_mail_that_anyone_can_cause_says_nothing_about_the_address(receive, case, backend, template):
    mail = backend.run(support.send_to_stranger, template, ERIKA, case)
    backend.update(mail, state="sent")
    assert receive(replace(REPLY, bounce=Bounce([mail.message_id], 550, "Adresse unbekannt"))) == Effect.BOUNCE
    assert backend.read(mail).state == "bounced"
    with backend.transaction() as tx:
        assert outbox.came_back(tx.session, ERIKA) is None


@pytest.mark.parametrize("state", ["sent", "queued", "deferred"])
def test_a_question_that_came_back_opens_its_case_again(receive, cases, case, entries, backend, as_clerk, state):
    as_clerk(support.ask_back, case, "An welcher Schule sind Sie?")
    [question] = backend.mails("case_question")
    backend.update(question, state=state, leased_until=question.queued_at)
    bounce = Bounce([question.message_id], 550, "Adresse unbekannt")
    assert receive(replace(REPLY, automatic=True, bounce=bounce)) == Effect.BOUNCE
    came_back = backend.read(question)
    assert (came_back.state, came_back.reply_code, came_back.leased_until) == ("bounced", 550, None)
    assert cases()[0].state == CaseState.OPEN
    assert entries(case)[-1][0] == "note"


def test_a_mail_that_was_withdrawn_does_not_become_a_bounced_one(receive, case, backend):
    [receipt] = backend.mails("case_receipt")
    backend.update(receipt, state="cancelled")
    bounce = Bounce([receipt.message_id], 550, "Adresse unbekannt")
    assert receive(replace(REPLY, automatic=True, bounce=bounce)) == Effect.NONE
