"""Written requests at the desk: who it probably is, acts of clerks, the promised day, and the end by a used link."""

import time
from datetime import date, timedelta

import pytest
from sqlalchemy import event, select

from kmzportal.db import db
from kmzportal.models import CaseEntry, CaseState, Customer, LinkKind, SupportCase
from kmzportal.server.worker import Loop, purge_if_due
from kmzportal.services import accounts, deletion, desk, outbox, recovery, support
from kmzportal.services.passwords import hash_password
from tests.people import NEW_EMAIL, NEW_PASSWORD, NOW

pytestmark = pytest.mark.usefixtures("clock")
SENDER = "e.privat@web.example"


@pytest.fixture
def enter(backend):
    """Open a case and return it."""

    def enter(text="Benötige neue Zugangsdaten für edupool.", email=SENDER, **fields):
        with backend.transaction() as tx:
            return support.open_case(tx, "other", "mail", email, text, **fields)

    return enter


@pytest.fixture
def likely(app, max_, anneliese, juergen):
    """Return Kundennummer and certainty of the candidates for a case."""

    def likely(case):
        with app.app_context():
            session = db.session()
            case = session.get(SupportCase, case.id)
            return [(one.customer.number, one.certainty) for one in support.candidates(session, [case])[case.id]]

    return likely


# Who is it?


@pytest.mark.parametrize(
    ("case", "first"),
    [
        ({"email": "erika.mustermann@gms-musterstadt.example", "proven": True}, ("K-1001", "sehr wahrscheinlich")),
        ({"email": "erika.mustermann@gms-musterstadt.example"}, ("K-1001", "wahrscheinlich")),
        ({"old_email": "Max.Mustermann@GMS-Musterstadt.example"}, ("K-1002", "wahrscheinlich")),
        ({"text": "Bisher: a.mueller-luedenscheidt@kita-regenbogen.example."}, ("K-1003", "wahrscheinlich")),
        ({"name": "Erika Mustermann", "school": "GMS Musterstadt"}, ("K-1001", "wahrscheinlich")),
        (
            {"text": "Danke! Anneliese Mueller-Lüdenscheidt", "name": "Müller-Lüdenscheidt, A."},
            ("K-1003", "wahrscheinlich"),
        ),
        (
            {"text": "a..b@x.de, x@-y-.de oder Max.Mustermann@GMS-Musterstadt.example"},
            ("K-1002", "sehr wahrscheinlich"),
        ),
        ({"text": "Gruß\nMax MUSTERMANN, GMS Musterstadt"}, ("K-1002", "wahrscheinlich")),
        ({"email": "erika.mustermnan@gms-musterstadt.example"}, ("K-1001", "wahrscheinlich")),
        ({"email": "erika.mustermann@gmx.example"}, ("K-1001", "möglich")),
        ({"email": "juergen.gross@gms-musterstadt.example"}, ("K-1004", "wahrscheinlich")),  # pending
    ],
)
def test_the_customer_who_probably_wrote_is_named_first_but_not_assigned(backend, erika, enter, likely, case, first):
    case = enter(**case)
    assert likely(case)[0] == first
    assert backend.read(case).customer_id is None


def test_whoever_enters_the_new_address_of_a_namesake_is_not_named_before_the_real_one(
    backend, erika, max_, enter, likely
):
    """A case that is assigned to the impostor would give its writer his account, and leave hers as it is."""
    backend.update(max_, first_name=erika.first_name, last_name=erika.last_name, school=erika.school)
    backend.run(accounts.request_address_change, backend.read(max_), NEW_EMAIL)
    fields = {"name": erika.name, "school": erika.school, "old_email": erika.email, "new_email": NEW_EMAIL}
    assert [number for number, _ in likely(enter(email=NEW_EMAIL, proven=True, **fields))] == ["K-1001", "K-1002"]


def test_a_text_without_any_hint_names_nobody_and_a_long_one_does_not_break(erika, enter, likely):
    assert likely(enter()) == []
    assert likely(enter("Mustermann " * 20_000 + "a@b.example " * 5_000)) == []


def test_many_namesakes_are_not_all_read_and_hide_neither_the_likely_one_nor_those_of_other_cases(
    app, backend, erika, max_, enter
):

    def add_namesakes(tx):
        for number in range(150):
            other = Customer(
                number=f"N-{number}", first_name="Anna", last_name=f"Name{'abc'[number % 3]}", school="GMS"
            )
            other.set_email(f"n{number}@schule.example")
            other.created_at = tx.now
            tx.session.add(other)
        tx.session.flush()
        last = Customer(number="N-LAST", first_name="Frieda", last_name="Namec", school="", created_at=tx.now)
        last.set_email("f@schule.example")
        tx.session.add(last)

    backend.run(add_namesakes, actor="console")
    hostile = [enter("Namea Nameb Namec Frieda") for _ in range(3)]
    honest, long = enter("Gruß, Erika Mustermann"), enter("x " * 10_000 + "Erika Mustermann")
    with app.app_context():
        session = db.session()
        cases = [session.get(SupportCase, case.id) for case in (*hostile, honest, long)]
        read = []
        event.listen(session, "loaded_as_persistent", lambda _, row: read.append(row))
        found = support.candidates(session, cases)
    assert [one.customer.number for one in found[hostile[0].id]] == ["N-LAST"]
    assert [one.customer.number for one in found[honest.id]] == [erika.number]
    assert found[long.id] == []
    assert len([row for row in read if isinstance(row, Customer)]) == support.NAMESAKES_OF_A_CASE + 2


def test_a_reply_from_another_address_is_no_evidence(backend, erika, enter, likely):
    case = enter()
    backend.run(support.add_reply, case, "fremd@nirgends.example", f"Ich bin Erika Mustermann, {erika.email}.")
    assert likely(case) == []


def test_a_misspelt_name_is_found_when_nothing_else_fits(app, erika, enter, likely):
    case = enter(name="Erika Mustremann")
    assert likely(case) == []
    with app.app_context():
        found = support.similar_names(db.session(), case)
    assert [(one.customer.number, one.certainty) for one in found] == [("K-1001", "möglich")]


# Acts


def test_the_clock_stands_still_while_a_question_waits_for_its_reply(backend, as_clerk, clock, enter):
    case = enter()
    assert case.promised_on == date(2026, 11, 26)
    clock.shift(timedelta(days=1))  # Tuesday
    as_clerk(support.ask_back, case, "Wer sind Sie?")
    [mail] = backend.mails("case_question")
    assert (mail.recipient, backend.read(case).state) == (SENDER, CaseState.WAITING)
    clock.shift(timedelta(days=7))  # the next Tuesday, five working days later
    backend.run(support.add_reply, case, SENDER, "Erika Mustermann")
    assert (backend.read(case).state, backend.read(case).promised_on) == (CaseState.OPEN, date(2026, 12, 3))


def test_a_double_is_closed_and_its_replies_go_to_the_other_case(backend, as_clerk, enter):
    first, double = enter(), enter("Noch einmal!")
    as_clerk(support.merge, double, first.reference.lower())
    assert (backend.read(double).state, backend.read(double).closed_as) == (CaseState.CLOSED, "duplicate")
    backend.run(support.add_reply, double, SENDER, "Wie lange noch?")
    with backend.transaction() as tx:
        assert [entry.text for entry in tx.session.get(SupportCase, first.id).entries][-1] == "Wie lange noch?"
    for number in (first.reference, double.reference, "V-AAAA-AAAA", ""):
        with pytest.raises(support.SameCase):
            as_clerk(support.merge, first, number)


def test_cases_of_two_customers_are_not_merged(backend, as_clerk, enter, erika, max_):
    """The deletion of one account would delete what the other customer wrote."""
    case, other, unassigned = enter(), enter(), enter()
    as_clerk(support.assign, case, erika)
    as_clerk(support.assign, other, max_)
    with pytest.raises(support.CaseOfOther):
        as_clerk(support.merge, case, other.reference)
    assert backend.read(case).state == CaseState.OPEN
    as_clerk(support.merge, unassigned, other.reference)
    assert backend.read(unassigned).closed_as == "duplicate"


def test_a_case_into_which_one_of_another_customer_was_merged_is_not_assigned(backend, as_clerk, enter, erika, max_):
    first, between, last = enter(), enter(), enter()
    as_clerk(support.assign, first, erika)
    as_clerk(support.merge, first, between.reference)
    as_clerk(support.merge, between, last.reference)
    with pytest.raises(support.CaseOfOther):
        as_clerk(support.assign, last, max_)
    other = enter()
    as_clerk(support.assign, other, max_)
    with pytest.raises(support.CaseOfOther):
        as_clerk(support.merge, other, last.reference)
    as_clerk(support.assign, last, erika)
    assert backend.read(last).customer_id == erika.id


def test_the_deletion_of_an_account_keeps_what_another_customer_wrote(backend, as_clerk, enter, erika, max_):
    """Cases of two customers may have been merged before that was refused."""
    hers, his = enter("Von Erika"), enter("Von Max")
    as_clerk(support.assign, hers, erika)
    as_clerk(support.assign, his, max_)
    backend.update(hers, merged_into_id=his.id)
    as_clerk(desk.delete_customer, max_, backend.read(max_).version, "Auf Wunsch", False)
    assert [entry.text for entry in backend.read(select(CaseEntry))] == ["Von Erika"]


def test_a_closed_case_refuses_acts_until_it_is_opened_again_with_a_new_day(backend, as_clerk, clock, erika, enter):
    case = enter()
    as_clerk(support.close, case, "spam")
    for function, argument in (
        (support.close, "answered"), (support.ask_back, "?"), (support.assign, erika), (support.merge, "x"),
    ):  # fmt: skip
        with pytest.raises(support.CaseClosed):
            as_clerk(function, case, argument)
    assert backend.mails() == []
    clock.shift(timedelta(days=7))
    as_clerk(support.reopen, case)
    assert (backend.read(case).state, backend.read(case).promised_on) == (CaseState.OPEN, date(2026, 12, 3))
    with pytest.raises(support.CaseOpen):
        as_clerk(support.reopen, case)


def test_a_case_from_an_account_stays_with_it(backend, as_clerk, erika, max_):
    """Otherwise the page of another customer says that she asked for the deletion of her account."""
    backend.run(deletion.request, max_)
    backend.run(accounts.object_to_change, backend.issue(LinkKind.OBJECTION, max_), NOW)
    for case in backend.read(select(SupportCase)):
        with pytest.raises(support.CaseOfAccount):
            as_clerk(support.assign, case, erika)
        as_clerk(support.assign, case, max_)
        assert backend.read(case).customer_id == max_.id


def test_of_two_clerks_the_second_is_refused(backend, as_clerk, enter, rosa, tim):
    case = enter()
    seen = case.version
    as_clerk(support.take, case, rosa)
    with pytest.raises(support.CaseChanged):
        as_clerk(support.lock, case, seen, tim)
    with pytest.raises(support.CaseTaken) as refused:
        as_clerk(support.lock, case, backend.run(lambda tx, case: case.version, case), tim)
    assert refused.value.message.startswith("In Bearbeitung von ro.")
    as_clerk(support.lock, case, backend.run(lambda tx, case: case.version, case), rosa)


def test_of_two_clerks_who_act_at_the_same_time_one_is_refused(backend, enter):
    case = enter()

    def close(tx, case, seen):
        support.lock(tx, case, seen)
        support.close(tx, case, "answered")

    results = backend.run_concurrently(3, close, case, case.version)
    assert sorted(type(result).__name__ for result in results) == ["CaseChanged", "CaseChanged", "NoneType"]
    assert backend.actions().count("case.closed") == 1


def test_two_cases_merged_into_each_other_at_the_same_time_do_not_both_close(backend, enter):
    first, second = enter(), enter()
    pairs = iter([(first, second.reference), (second, first.reference)])

    def merge(tx):
        case, reference = next(pairs)
        case = tx.session.get(SupportCase, case.id)
        support.lock(tx, case, case.version)
        support.merge(tx, case, reference)

    results = backend.run_concurrently(2, merge)
    assert "SameCase" in [type(result).__name__ for result in results]
    assert any(case.state == CaseState.OPEN for case in backend.read(select(SupportCase)))


def test_the_case_closes_itself_when_its_link_is_used(backend, as_clerk, erika, enter):
    case, other = enter(), enter()
    as_clerk(support.assign, case, erika)
    as_clerk(desk.correct_address, erika, backend.read(erika).version, NEW_EMAIL, "callback", "")
    as_clerk(support.answer_with_link, case, erika)
    with pytest.raises(support.CaseChanged):
        as_clerk(support.answer_with_link, other, erika)
    assert (backend.read(case).state, backend.read(case).answered_at) == (CaseState.ANSWERED, NOW)
    link = backend.links(LinkKind.DESK)[-1]
    backend.run(accounts.register, link, NOW, backend.read(erika).version, {}, hash_password(NEW_PASSWORD))
    assert (backend.read(case).state, backend.read(case).closed_as) == (CaseState.CLOSED, "redeemed")
    assert backend.read(other).state == CaseState.OPEN
    [closed] = backend.read(select(SupportCase).where(SupportCase.state == CaseState.CLOSED))
    assert closed.customer_id == erika.id and backend.log_in(NEW_EMAIL, NEW_PASSWORD)


def test_a_case_whose_link_was_not_used_is_open_again_and_keeps_its_day(app, backend, as_clerk, clock, erika, enter):
    case = enter()
    as_clerk(support.assign, case, erika)
    as_clerk(desk.send_link, erika, "Anruf")
    as_clerk(support.answer_with_link, case, erika)
    clock.shift(timedelta(seconds=app.config["DESK_LINK_LIFETIME"] - 1))
    backend.issue(LinkKind.RECOVERY, erika)  # anyone can ask for one, again and again
    backend.run(support.reopen_unused, actor="worker")
    assert backend.read(case).state == CaseState.ANSWERED
    clock.shift(timedelta(hours=-1))
    backend.run(outbox.record_heartbeat, outbox.PURGE_LOOP)  # it ran until now, so that the clock is believed
    clock.shift(timedelta(hours=1, seconds=1))
    Loop(app, outbox.PURGE_LOOP, purge_if_due).turn()
    with backend.transaction() as tx:
        case = tx.session.get(SupportCase, case.id)
        assert (case.state, case.entries[-1].text) == (CaseState.OPEN, support.LINK_UNUSED)
        assert (case.promised_on, support.counts(tx.session, tx.now)) == (date(2026, 11, 26), (1, 0))


# Lists


def test_overdue_cases_come_first_and_only_open_ones_count(app, backend, as_clerk, enter):
    later, overdue, waiting = enter(), enter(), enter()
    as_clerk(support.ask_back, waiting, "Wer sind Sie?")
    for case in (overdue, waiting):
        backend.update(case, promised_on=date(2026, 11, 20))
    with app.app_context():
        listed = [case.id for case in support.list_cases(db.session(), support.UNFINISHED)]
        assert support.counts(db.session(), NOW) == (2, 1)
    assert listed == [overdue.id, later.id, waiting.id]


def test_a_flood_from_one_source_hides_no_other_requests(app, backend):
    backend.run(recovery.request_link, "erste@schule.example", source="192.0.2.1")
    for number in range(60):
        backend.run(recovery.request_link, f"flut{number}@nirgends.example", source="203.0.113.7")
    backend.run(recovery.request_link, "ohne@schule.example")
    with app.app_context():
        session = db.session()
        shown = [request.email_canonical for request in recovery.recent_requests(session, NOW)]
        assert recovery.floods(session, NOW) == {"203.0.113.7": 60}
        of_source = recovery.recent_requests(session, NOW, source="203.0.113.7")
    assert shown == ["ohne@schule.example", "flut59@nirgends.example", "erste@schule.example"]
    assert len(of_source) == recovery.REQUESTS_SHOWN + 1


def test_a_flood_from_many_sources_hides_no_known_customer_and_says_how_much_was_dropped(
    app, backend, ask, erika, rosa
):
    ask(erika.email)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(app.config, "RECOVERY_IN_ALL", 31)
        for number in range(40):
            ask(f"flut{number}@nirgends.example", f"2001:db8:{number:x}::/64")
    with app.app_context():
        shown = recovery.recent_requests(db.session(), NOW)
        assert [request.email_canonical for request in shown] == [erika.email]
        assert recovery.dropped(db.session(), NOW) == {NOW.replace(minute=0): 10}
        (hidden,) = recovery.recent_requests(db.session(), NOW, source="2001:db8:0::/64")
        assert recovery.find_by_reference(db.session(), NOW, hidden.reference) == [hidden]


def test_what_a_source_asked_beyond_its_limit_is_in_its_number(app, backend, ask, monkeypatch):
    monkeypatch.setitem(app.config, "RECOVERY_PER_SOURCE", 4)
    for number in range(9):
        ask(f"{number}@nirgends.example")
    with app.app_context():
        assert recovery.floods(db.session(), NOW) == {"192.0.2.7": 9}


def test_a_hostile_text_is_searched_for_addresses_in_bounded_time():
    """Stepping back, 25 such requests took half a second of each view of Anfragen."""
    hostile = f"{'a' * 64}@{'b' * 63}@" * 30_000
    started = time.process_time()
    assert support.ADDRESS.findall(f"{hostile} erika@gms.example") == ["erika@gms.example"]
    assert time.process_time() - started < 1
