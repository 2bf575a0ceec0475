"""What the GDPR asks of the office, at the command line: access, breach, deletion, clean-up, register."""

import csv
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.cli import cli
from kmzportal.models import AuditEvent, Customer, CustomerAccess, LinkKind
from kmzportal.services import deletion, desk, sessions
from kmzportal.services.customer_file import record_export
from tests import people
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def seen(backend, erika, rosa):
    """Rosa opened Erika's page."""
    return backend.add(CustomerAccess(customer_id=erika.id, clerk_id=rosa.id, day=NOW.date()))


@pytest.mark.parametrize("number", [people.ERIKA["number"], people.ERIKA["number"].lower().replace("-", "–")])
def test_accesses_names_who_saw_and_did_what(type_in, backend, erika, max_, rosa, seen, number):
    backend.run(desk.send_link, erika, "Anruf", actor=f"clerk:{rosa.id}", initials="ro")
    backend.run(desk.send_link, max_, "Anruf", actor=f"clerk:{rosa.id}", initials="ro")
    backend.run(sessions.start_session, erika, "Firefox")
    backend.run(record_export, actor="console")
    done = type_in("accesses", number)
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            "23.11.2026, 14:05 Uhr – Rosa Otto (ro): Link zum Konto erstellt",
            "23.11.2026, 14:05 Uhr – Rosa Otto (ro): Link zum Konto gesendet – Anruf",
            "23.11.2026, 14:05 Uhr – Verwaltung: Daten aller Kunden in eine Datei geschrieben",
            "23.11.2026 – Rosa Otto (ro): Daten angesehen",
        ],
    )
    assert backend.actions()[-1] == "accesses.reported"


def report(done):
    rows = list(csv.DictReader(done.stdout.splitlines(), delimiter=";"))
    return {row["Nummer"]: {name: int(row[name]) for name in list(row)[4:]} for row in rows}


NOTHING = {"Anmeldungen": 0, "Sitzungen": 0, "Links": 0, "Zugriffe": 0, "Exporte": 0}


def test_breach_report_lists_whom_it_may_concern(type_in, backend, clock, erika, max_, anneliese, rosa, seen, issue):
    clock.shift(timedelta(hours=-3))
    assert backend.log_in(erika.email, people.password_of(erika))
    issue(LinkKind.DESK, max_)
    clock.shift(timedelta(days=60))
    assert backend.log_in(anneliese.email, "falsch") is None
    done = type_in("breach-report", "22.11.2026", "2026-11-23 13:00")
    assert (done.exit_code, report(done)) == (
        0,
        {
            erika.number: NOTHING | {"Anmeldungen": 1, "Sitzungen": 1, "Zugriffe": 1},
            max_.number: NOTHING | {"Links": 1, "Zugriffe": 1},
        },
    )
    event = backend.read(select(AuditEvent).where(AuditEvent.action == "breach.reported"))[0]
    assert event.details == {"number": 2, "note": "22.11.2026 bis 2026-11-23 13:00"}
    assert report(type_in("breach-report", "01.12.2026", "02.12.2026")) == {}


def test_an_export_concerns_every_customer(type_in, backend, erika, anneliese, rosa):
    backend.run(record_export, actor="console")
    found = report(type_in("breach-report", "23.11.2026", "23.11.2026"))
    assert found == dict.fromkeys((erika.number, anneliese.number), NOTHING | {"Exporte": 1})


@pytest.mark.parametrize(
    ("times", "fault"),
    [
        (("gestern", "heute"), "„gestern“ ist keine Zeit."),
        (("01.01.0001", "31.12.9999"), "„01.01.0001“ ist keine Zeit."),
        (("24.11.2026", "23.11.2026 10:00"), "VON liegt nicht vor BIS"),
    ],
)
def test_a_wrong_time_is_one_sentence(type_in, times, fault):
    done = type_in("breach-report", *times)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(fault)


def test_a_customer_is_deleted_as_at_the_desk_in_any_spelling_of_the_number(type_in, backend, erika, rosa, seen):
    number = erika.number.lower()
    refused = type_in("customers", "delete", number, "--why", "Wunsch")  # the question ends without an answer
    assert refused.exit_code == 1 and backend.read(select(Customer))
    done = type_in("customers", "delete", number, "--why", "Wunsch", "--no-loans")
    assert (done.exit_code, done.stdout) == (0, f"Das Konto von {erika.name} ist gelöscht.\n")
    assert backend.read(select(Customer)) == backend.read(select(CustomerAccess)) == []
    event = backend.read(select(AuditEvent).where(AuditEvent.action == "customer.deleted"))[0]
    assert (event.details["why"], event.actor) == ("Wunsch", "console")
    assert type_in("customers", "delete", number, "--why", "Wunsch", "--no-loans").stderr.startswith("Die Kundennummer")


def test_open_loans_keep_the_account(app, backend, erika):
    done = app.test_cli_runner().invoke(cli, ["customers", "delete", erika.number, "--why", "x"], input="nein\n")
    assert (done.exit_code, "Es sind noch Medien ausgeliehen." in done.stderr) == (1, True)
    assert backend.read(select(Customer))


def test_a_hash_of_the_number_as_it_was_spelled_before_still_counts(backend, erika):
    with backend.transaction() as tx:
        old = next(iter(tx.keys.derive("deleted-customer", erika.number))).hex()
        tx.session.add(deletion.DeletedCustomer(number_hash=old, deleted_at=NOW))
    with backend.transaction() as tx:
        spellings = [erika.number, erika.number.lower(), "X-1"]
        assert list(deletion.deleted_numbers(tx.session, tx.keys, spellings)) == spellings[:2]


def test_the_register_of_processing_names_office_data_and_retention(type_in, app):
    text = type_in("register").stdout
    assert text.startswith("# Verzeichnis von Verarbeitungstätigkeiten")
    for part in (
        app.config["OFFICE_NAME"],
        "### Wer Ihre Daten angesehen hat",
        "- **Wie lange:** 365 Tage",
        "Artikel 30",
    ):
        assert part in text
    assert "{" not in text
