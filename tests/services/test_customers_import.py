"""What the office's list does to the customers, and what it leaves alone."""

import time

import pytest
from sqlalchemy import select

from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.customer import Customer
from kmzportal.services import customers_import
from kmzportal.services.customers_check import check
from kmzportal.services.customers_file import read
from kmzportal.services.customers_plan import compare
from kmzportal.services.passwords import check_password, hash_password
from kmzportal.services.refusals import ChangedMeanwhile
from tests import people
from tests.office import changes, counts, customer, number, row


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_anneliese_keeps_her_umlauts_however_excel_saved_them(office, encoding):
    office.sends(row(street="Straße des 3. Oktober", school="Grundschule „Am Öschle“ – 5 €"), encoding=encoding)
    assert customer(office).last_name == "Müller-Lüdenscheidt"
    assert customer(office).school == "Grundschule „Am Öschle“ – 5 €"


def test_columns_may_stand_in_any_order_and_spelling_and_between_commas(office):
    office.sends('a@schule.example,"Groß, geb. Klein",7', header="e - mail, NACHNAME ,kundennummer")
    assert customer(office, "7").last_name == "Groß, geb. Klein"
    assert customer(office, "7").town == ""


def test_a_new_customer_has_no_password_and_gets_none_from_the_file(office, known):
    assert known.password_hash is None
    assert known.version == 1
    for guess in ("", "changeme", "1001"):
        assert office.backend.log_in(known.email, guess) is None


def test_history_tells_that_the_console_brought_her_and_what_changed(office, known):
    office.sends(row(town="Nagold", phone="+49 7051 1"))
    events = office.backend.read(select(AuditEvent).order_by(AuditEvent.id))
    assert [(event.action, event.actor, event.customer_id) for event in events] == [
        ("customer.imported", "console", known.id),
        ("data.imported", "console", known.id),
    ]
    assert events[1].details == {"fields": ["town", "phone"]}


def test_the_same_list_again_changes_nothing(office, known):
    assert counts(office.sends(row())) == {"Unverändert": 1}
    assert customer(office).version == known.version


def test_blank_lines_and_empty_rows_of_excel_are_no_customers(office):
    assert counts(office.sends("", row(), ";;;;;;;;;", "")) == {"Neu": 1}


def test_a_row_says_what_changed(office, known):
    report = office.sends(number(2), row(town="Nagold", first_name="Anne"))
    assert [finding[:2] for finding in report["Neu"]] == [(2, "1002")]
    assert report["Geändert"] == [(3, "1001", "Vorname, Ort")]
    assert customer(office).town == "Nagold"


def test_names_that_look_like_code_are_names(office):
    names = ["=HYPERLINK(1)", "{{7*7}}", "<img src=x onerror=alert(1)>", "O'Brien", "Ş", "Nguyễn", "-", "@home"]
    assert counts(office.sends(*(number(n, last_name=name) for n, name in enumerate(names)))) == {"Neu": len(names)}
    assert [customer(office, str(1000 + n)).last_name for n in range(len(names))] == names


def test_her_password_stays_whatever_the_list_says(office, known):
    with office.backend.transaction() as tx:
        tx.session.get(Customer, known.id).set_password_hash(hash_password(people.NEW_PASSWORD), tx.now)
    office.sends(row(town="Nagold", email="neu@schule.example"))
    assert check_password(people.NEW_PASSWORD, customer(office).password_hash).matches
    assert office.backend.log_in("neu@schule.example", people.NEW_PASSWORD)


def test_what_she_changed_stays_when_the_list_has_not_changed(office, known):
    changes(office, known, town="Nagold")
    assert counts(office.sends(row())) == {"Unverändert": 1}
    assert customer(office).town == "Nagold"


def test_what_both_changed_is_a_konflikt_until_one_gives_in(office, known):
    changes(office, known, town="Nagold")
    for _ in range(2):
        report = office.sends(row(town="Wildberg", phone="1"))
        assert report["Konflikt"] == [(2, "1001", "Ort: hier „Nagold“, in der Datei „Wildberg“")]
    assert (customer(office).town, customer(office).phone) == ("Nagold", "1")
    assert counts(office.sends(row(town="Nagold", phone="1"))) == {"Unverändert": 1}
    assert counts(office.sends(row(town="Wildberg", phone="1"))) == {"Geändert": 1}


def test_a_customer_from_elsewhere_is_not_overwritten(office, erika):
    assert counts(office.sends(row(number=erika.number, email=erika.email))) == {"Konflikt": 1}
    assert customer(office, erika.number).last_name == "Mustermann"


def test_a_customer_from_elsewhere_gets_what_is_still_empty(office, max_):
    office.sends(f"{max_.number};Mustermann;{max_.email};07051 2", header="Kundennummer;Nachname;E-Mail;Telefon")
    assert customer(office, max_.number).phone == "07051 2"


def test_the_report_follows_the_file(office, erika):
    office.sends(number(1), number(2))
    report = office.sends(number(2), number(3, email=erika.email), number(1), number(4, email="nichts"))
    assert [finding.line for finding in report["Unverändert"]] == [2, 4]
    assert [finding.line for finding in report["Abgelehnt"]] == [3, 5]


def test_a_column_that_is_missing_leaves_its_field_alone(office, known):
    office.sends("1001;Müller;anneliese@schule.example", header="Kundennummer;Nachname;E-Mail")
    assert (customer(office).last_name, customer(office).town) == ("Müller", "Calw")


@pytest.mark.parametrize("lines", [[row(town="Nagold")], [number(5)]])
def test_who_saves_in_the_same_moment_is_not_overwritten(office, known, lines):
    office.writes(*lines)
    with office.backend.transaction() as tx:
        plan = compare(tx.session, check(read(office.file), lambda _: None))
    changes(office, known, phone="07051 1")
    office.sends(number(6), number(5, number="2005"))
    with pytest.raises(ChangedMeanwhile):
        office.backend.run(customers_import.carry_out, plan, lambda _: None, actor="console")
    assert (customer(office).town, customer(office).phone) == ("Calw", "07051 1")


def test_5000_customers_come_and_move_in_a_few_seconds(office):
    started = time.monotonic()
    assert counts(office.sends(*(number(n) for n in range(5000)))) == {"Neu": 5000}
    assert counts(office.sends(*(number(n, town=f"Ort {n}") for n in range(5000)))) == {"Geändert": 5000}
    assert customer(office, "5999").town == "Ort 4999"
    assert len(office.backend.actions()) == 10_000
    assert time.monotonic() - started < 15
