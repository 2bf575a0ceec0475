"""Anfragen at the desk: the list, the page of a case, and its answer on the page of the customer."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import CaseState, LinkKind, LinkState, SupportCase
from kmzportal.services import recovery, sessions, support
from kmzportal.services.desk import correct_address
from tests.browser import Browser, by_id, words
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")
LIST = "/kundenservice/anfragen"
NEW = "erika@neue-schule.example"
CORRECT = "Adresse berichtigen und Link senden"
HOSTILE = "<img src=x onerror=alert(1)> {{ 7*7 }}"


@pytest.fixture
def enter(backend):
    """Open a case and return it."""

    def enter(text="Benötige neue Zugangsdaten für edupool.", email="e.privat@web.example", **fields):
        with backend.transaction() as tx:
            return support.open_case(tx, "address_changed", "form", email, text, **fields)

    return enter


@pytest.fixture
def case(enter, erika):
    return enter(name="Erika Mustermann", school="GMS Musterstadt", new_email=NEW)


@pytest.fixture
def page(desk, case):
    return desk.open(f"{LIST}/{case.id}")


@pytest.fixture
def other_desk(app, backend, tim):
    """The browser of Tim, another clerk."""
    return Browser(app).come_in(backend.run(sessions.start_session, tim, "Firefox unter Linux").token)


@pytest.fixture
def as_rosa(backend, rosa):
    return lambda function, *arguments: backend.run(function, *arguments, actor=f"clerk:{rosa.id}", initials="ro")


def row(desk, case):
    return words(by_id(desk.page, f"case-{case.id}"))


def test_the_list_shows_who_probably_wrote_and_the_promised_day(desk, backend, case, enter):
    overdue = enter(email="niemand@nirgends.example", proven=True)
    backend.update(overdue, promised_on=NOW.date() - timedelta(days=3))
    desk.open(LIST)
    for part in (
        "Meine E-Mail-Adresse hat sich geändert Formular vom 23.11.2026, 14:05 Uhr",
        "Antwort bis Donnerstag, 26. November",
        "Erika Mustermann, GMS Musterstadt e.privat@web.example Postfach bestätigt: nein",
        "Wahrscheinlich: Erika Mustermann (K-1001) Name und Schule stehen in der Anfrage",
    ):
        assert part in row(desk, case)
    assert "Freitag, 20. November überfällig" in row(desk, overdue) and "noch niemand" in row(desk, overdue)
    assert "Postfach bestätigt: ja" in row(desk, overdue)
    assert desk.text.index(overdue.reference) < desk.text.index(case.reference)
    assert "Anfragen (2, 1 überfällig)" in words(next(desk.page.iter("nav")))
    assert "(2" not in words(next(desk.open("/hilfe").page.iter("nav")))


def test_the_list_is_filtered_by_state_and_paged(desk, as_rosa, enter, prove):
    cases = [enter() for _ in range(27)]
    as_rosa(support.close, cases[0], "spam")
    desk.open(LIST)
    assert "25 schriftliche Anfragen" in desk.text and cases[0].reference not in desk.text
    prove()
    desk.follow("Weitere schriftliche Anfragen")
    assert "1 schriftliche Anfrage" in desk.text and cases[26].reference in desk.text
    desk.choose("Stand", "abgeschlossen").press("Anzeigen")
    assert "abgeschlossen: Spam, ohne Antwort" in row(desk, cases[0]) and "1 schriftliche Anfrage" in desk.text
    for path in ("?ab=-1", "?ab=x", "?ab=99999999999999999999", "?stand=x", "?vor=x", "?quelle=%00"):
        assert desk.open(LIST + path).status == 200


def test_a_vorgangsnummer_is_found_in_the_search_of_customers(desk, backend, case):
    desk.open("/kundenservice/kunden").submit("Suchen", {"Kunden suchen": case.reference.lower()})
    assert desk.follow(f"Anfrage {case.reference}").heading == f"Anfrage {case.reference}"
    number = backend.run(recovery.request_link, "wer@nirgends.example")
    desk.open("/kundenservice/kunden").submit("Suchen", {"Kunden suchen": number})
    assert "wer@nirgends.example" in desk.follow(f"Passwort vergessen {number}").text


def test_requests_of_a_flood_take_one_line_that_leads_to_all(desk, backend):
    for number in range(5):
        backend.run(recovery.request_link, f"flut{number}@nirgends.example", source="203.0.113.7")
    desk.open(LIST)
    assert "flut4@nirgends.example" in desk.text and "flut3@nirgends.example" not in desk.text
    desk.follow("Die neueste von 5 Anfragen von 203.0.113.7: alle zeigen")
    assert "flut0@nirgends.example" in desk.text and "5 Anfragen" in desk.text


def test_from_the_case_to_the_link_and_back(desk, backend, erika, page, case, newest_link):
    page.press("Erika Mustermann (K-1001) zuordnen")
    assert (page.heading, page.value("Neue E-Mail-Adresse")) == ("Erika Mustermann", NEW)
    assert "Benötige neue Zugangsdaten für edupool." in page.text
    page.press(CORRECT)
    assert page.status == 422 and backend.read(case).state == CaseState.OPEN
    page.check("Rückruf").press(CORRECT)
    assert f"Der Link zum Konto ist unterwegs an {NEW}." in page.text
    assert (backend.read(case).state, newest_link(kind="desk").email) == (CaseState.ANSWERED, NEW)
    assert "Anfrage beantwortet" in page.text
    assert "beantwortet" in page.follow(f"Anfrage {case.reference}").text


def test_a_link_to_the_stored_address_answers_the_case_too(desk, backend, erika, enter):
    case = enter(email=erika.email, proven=True)
    desk.open(f"{LIST}/{case.id}").press("Erika Mustermann (K-1001) zuordnen")
    assert desk.value("Neue E-Mail-Adresse") == ""
    desk.press("Link senden")
    assert backend.read(case).state == CaseState.ANSWERED


def test_nothing_is_answered_on_the_page_of_a_customer_to_whom_the_case_is_not_assigned(desk, backend, max_, case):
    desk.open(f"/kundenservice/kunden?anfrage={case.id}").submit("Suchen", {"Kunden suchen": "max"})
    desk.follow("Mustermann, Max").press("Link senden")
    assert backend.read(case).state == CaseState.OPEN
    desk.press("Diesem Kunden zuordnen")
    assert backend.read(case).customer_id == max_.id
    desk.press("Link senden")
    assert backend.read(case).state == CaseState.ANSWERED


def test_every_act_on_a_customer_keeps_the_case_beside_it(page, case, prove):
    prove()
    page.press("Erika Mustermann (K-1001) zuordnen").press("Link senden").press("Erneut senden")
    assert f"Anfrage {case.reference}" in page.text
    page.press("Zurückziehen").submit("Konto sperren", {"Grund": "Test"}).submit("Konto entsperren", {"Grund": "Test"})
    assert f"Anfrage {case.reference}" in page.text
    page.follow("Daten berichtigen").press("Speichern")
    assert f"Anfrage {case.reference}" in page.text


def test_an_answer_to_a_case_that_changed_meanwhile_sends_nothing(desk, backend, erika, page, case):
    page.press("Erika Mustermann (K-1001) zuordnen")
    backend.run(support.add_reply, case, case.email, "Hat sich erledigt.")
    mails = len(backend.mails())
    page.check("Rückruf").press(CORRECT)
    assert page.status == 422 and "Inzwischen hat jemand anderes diese Anfrage bearbeitet" in page.text
    assert "Hat sich erledigt." in page.text
    assert (len(backend.mails()), backend.read(erika).pending_email) == (mails, None)
    page.check("Rückruf").press(CORRECT)
    assert backend.read(case).state == CaseState.ANSWERED


def test_of_two_clerks_the_second_reads_who_is_working_on_it(page, other_desk, backend, case):
    other_desk.open(f"{LIST}/{case.id}")
    page.press("In Bearbeitung nehmen")
    assert "In Bearbeitung von ro" in page.text
    other_desk.submit("Abschließen", {"Grund": "Beantwortet"})
    assert other_desk.status == 422 and "Inzwischen hat jemand anderes" in other_desk.text
    other_desk.submit("Abschließen", {"Grund": "Beantwortet"})
    assert "In Bearbeitung von ro. Sprechen Sie sich ab" in other_desk.text
    other_desk.press("Von ro übernehmen").submit("Abschließen", {"Grund": "Beantwortet"})
    assert (backend.read(case).state, backend.read(case).closed_as) == (CaseState.CLOSED, "answered")


def test_a_question_is_written_from_a_template_and_mailed(page, backend, case):
    page.follow("Wann können wir anrufen?")
    assert page.value("Text der Rückfrage").strip().startswith("Bevor wir eine neue Adresse eintragen")
    page.submit("Rückfrage senden", {"Text der Rückfrage": ""})
    assert page.status == 422 and "Schreiben Sie, was Sie wissen möchten." in page.text
    page.submit("Rückfrage senden", {"Text der Rückfrage": HOSTILE})
    [mail] = backend.mails("case_question")
    assert (mail.recipient, mail.facts["text"]) == (case.email, HOSTILE)
    assert "wartet auf Antwort, Frist ausgesetzt" in page.text and HOSTILE in page.text


def test_refused_acts_keep_the_input_and_change_nothing(page, backend, case):
    page.submit("Notiz speichern", {"Text der Notiz": "x" * 2001})
    assert page.status == 422 and page.value("Text der Notiz").strip() == "x" * 2001
    page.press("Abschließen")
    assert page.status == 422 and "Wählen Sie einen Grund." in page.text
    page.submit("Zusammenführen", {"Vorgangsnummer der anderen Anfrage": "V-AAAA-AAAA"})
    assert page.status == 422 and page.value("Vorgangsnummer der anderen Anfrage") == "V-AAAA-AAAA"
    for reason in ("deleted", "redeemed", "x"):
        page.post(f"{LIST}/{case.id}/abschliessen?stand={case.version}", reason=reason)
    assert backend.read(case).state == CaseState.OPEN


def test_a_double_leads_to_the_case_that_stays(desk, page, enter, case):
    double = enter(HOSTILE)
    desk.open(f"{LIST}/{double.id}").submit("Zusammenführen", {"Vorgangsnummer der anderen Anfrage": case.reference})
    assert desk.heading == f"Anfrage {case.reference}"
    desk.follow(double.reference)
    assert "abgeschlossen: Doppelt" in desk.text and HOSTILE in desk.text
    desk.press("Wieder öffnen")
    assert "Antwort bis" in desk.text


def test_a_reply_of_somebody_else_is_marked(desk, backend, case):
    backend.run(support.add_reply, case, "fremd@nirgends.example", "Senden Sie es lieber mir.")
    desk.open(f"{LIST}/{case.id}")
    assert "Antwort, Absender nicht geprüft von fremd@nirgends.example" in desk.text


def test_a_new_address_of_another_account_is_shown_with_its_owner(desk, erika, max_, enter):
    case = enter(name="Erika Mustermann", new_email=max_.email)
    desk.open(f"{LIST}/{case.id}")
    taken = "Diese Adresse gehört schon zu Max Mustermann, K-1002. Ist es dieselbe Person? Berichtigen"
    assert taken in desk.text
    desk.press("Erika Mustermann (K-1001) zuordnen").check("Rückruf").press(CORRECT)
    assert desk.status == 422 and taken in desk.text


def test_a_new_address_that_another_account_has_not_confirmed_is_freed_there(desk, backend, erika, max_, enter):
    case = enter(name="Erika Mustermann", new_email=NEW)
    backend.run(correct_address, max_, max_.version, NEW, "callback", "", actor="clerk:1", initials="ro")
    desk.open(f"{LIST}/{case.id}")
    assert "Diese Adresse ist bei Max Mustermann, K-1002 eingetragen, aber noch nicht bestätigt." in desk.text
    desk.follow("Max Mustermann, K-1002").press("Zurückziehen")
    assert "Die unbestätigte Adresse ist verworfen." in desk.text and NEW not in desk.value("Neue E-Mail-Adresse")
    assert "Neue E-Mail-Adresse zurückgenommen Kundenservice (ro)" in desk.text
    [link] = backend.links(LinkKind.DESK)
    assert (backend.read(max_).pending_email, link.ended_as) == (None, LinkState.WITHDRAWN)
    desk.follow(f"Anfrage {case.reference}")
    desk.press("Erika Mustermann (K-1001) zuordnen").check("Rückruf").press(CORRECT)
    assert backend.read(erika).pending_email == NEW


def test_every_act_works_with_htmx(app, backend, rosa, case):
    desk = Browser(app, htmx=True).come_in(backend.run(sessions.start_session, rosa, "Firefox unter Linux").token)
    desk.open(f"{LIST}/{case.id}").press("In Bearbeitung nehmen").press("Bearbeitung freigeben")
    desk.submit("Notiz speichern", {"Text der Notiz": "Angerufen."}).press("Abschließen")
    assert desk.status == 422 and "Angerufen." in desk.text
    desk.press("Erika Mustermann (K-1001) zuordnen").check("Rückruf").press(CORRECT)
    [stored] = backend.read(select(SupportCase))
    assert stored.state == CaseState.ANSWERED and "Der Link zum Konto ist unterwegs" in desk.text


@pytest.mark.parametrize("path", ["9999", "2147483648", "0", "9999/zuordnen", "1/zuordnen?kunde=99999999999"])
def test_an_unknown_case_or_customer_is_not_found(page, path):
    answer = page.post(f"{LIST}/{path}") if "/" in path else page.client.get(f"{LIST}/{path}", base_url=page.site)
    assert answer.status_code == 404


def test_of_a_long_request_the_first_and_newest_entries_are_shown_and_a_link_leads_to_all(desk, backend, erika, prove):
    case = backend.run(lambda tx, one: support.open_case(tx, "other", "mail", one.email, "Text 0", customer=one), erika)
    backend.run(support.add_note, case, "Es war nicht Erika.", initials="ro")
    for number in range(1, support.ENTRIES_SHOWN + 3):
        backend.run(support.add_reply, case, erika.email, f"Text {number}.")
    last = f"Text {support.ENTRIES_SHOWN + 2}."
    every = f"Alle {support.ENTRIES_SHOWN + 4} Nachrichten und Notizen"
    for page in (f"/kundenservice/anfragen/{case.id}", f"/kundenservice/kunden/{erika.id}?anfrage={case.id}"):
        text = desk.open(page).text
        assert "Text 2." not in text and all(one in text for one in ("Text 0", "Es war nicht Erika.", "Text 3.", last))
        assert desk.follow(every).path == "/kundenservice/bestaetigen", "as every list of the desk"
    prove()
    desk.open(page).follow(every)
    assert "Text 2." not in desk.text and "Es war nicht Erika." not in desk.text and last in desk.text
    desk.follow("Ältere Nachrichten und Notizen")
    assert "Text 0" in desk.text and "Es war nicht Erika." in desk.text and "Text 2." in desk.text
    assert last not in desk.text and "Ältere Nachrichten" not in desk.text
