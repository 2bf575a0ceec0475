"""What somebody at the console sees of the office's list."""

import pytest
from sqlalchemy import select

from kmzportal.cli import cli
from kmzportal.models.customer import Customer
from tests.office import HEADER, Office, number, row


@pytest.fixture
def office(backend, tmp_path):
    return Office(backend, tmp_path)


@pytest.fixture
def console(app):
    return lambda *words: app.test_cli_runner().invoke(cli, ["customers", *map(str, words)])


def customers(office):
    return [customer.number for customer in office.backend.read(select(Customer).order_by(Customer.number))]


def test_an_import_reports_every_row_and_ends_well(console, office):
    office.sends(row(), number(2))
    done = console("import", office.writes(row(), number(2, town="Nagold"), number(3)))
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "Unverändert: 1",
        "  Zeile 2: Kundennummer 1001",
        "Neu: 1",
        "  Zeile 4: Kundennummer 1003",
        "Geändert: 1",
        "  Zeile 3: Kundennummer 1002 – Ort",
        "Konflikt: 0",
        "Abgelehnt: 0",
        "Der Import ist fertig.",
    ]
    assert done.stderr == ""


def test_a_konflikt_does_not_fail_the_import(console, office, erika):
    done = console("import", office.writes(row(number=erika.number, email=erika.email, town="Nagold"), number(2)))
    assert done.exit_code == 0
    assert "Ort: hier „Musterstadt“, in der Datei „Nagold“" in done.stdout
    assert customers(office) == ["1002", erika.number]


def test_a_dry_run_changes_nothing(console, office):
    done = console("import", office.writes(row()), "--dry-run")
    assert done.exit_code == 0
    assert "Neu: 1\n" in done.stdout
    assert done.stdout.endswith("Nur geprüft, nichts wurde geändert.\n")
    assert customers(office) == []
    assert office.backend.actions() == []


@pytest.mark.parametrize("how", [[], ["--dry-run"]])
def test_a_refused_row_fails_the_whole_import(console, office, how):
    done = console("import", office.writes(row(), number(2, email="nichts")), *how)
    assert done.exit_code == 1
    assert "  Zeile 3: Kundennummer 1002 – E-Mail: „nichts“ ist keine vollständige Adresse\n" in done.stdout
    assert done.stderr.startswith("Nichts wurde importiert.")
    assert customers(office) == []


def test_a_refused_file_is_one_sentence(console, office):
    done = console("import", office.writes(header=HEADER.replace("Ort", "Wohn\x1b[2Jort")))
    assert done.exit_code == 1
    assert done.output == "Zeile 1: Die Spalte „Wohn�[2Jort“ ist unbekannt. Meinten Sie Ort?\n"


def test_control_characters_never_reach_the_terminal(console, office):
    done = console("import", office.writes(row(number="1\x1b[2J", last_name="\x07")))
    assert "Kundennummer 1�[2J – " in done.stdout
    assert not {"\x1b", "\x07"} & set(done.output)


def test_fifty_rows_of_a_kind_are_shown_and_the_rest_is_counted(console, office):
    done = console("import", office.writes(*(number(n, email="nichts") for n in range(53))))
    assert "Abgelehnt: 53\n" in done.stdout
    assert done.stdout.count("  Zeile ") == 50
    assert done.stdout.endswith("  … und 3 weitere\n")


def test_an_export_goes_to_a_file_or_to_the_next_command(console, office, tmp_path):
    office.sends(row())
    to_file, to_stdout = console("export", tmp_path / "alle.csv"), console("export")
    assert (to_file.exit_code, to_stdout.exit_code) == (0, 0)
    assert to_file.output == ""
    assert (tmp_path / "alle.csv").read_bytes() == to_stdout.stdout_bytes == console("export", "-").stdout_bytes
    assert "Müller-Lüdenscheidt".encode() in to_stdout.stdout_bytes
    assert office.backend.actions().count("customers.exported") == 3


def test_our_own_export_is_imported_as_unchanged(console, office, tmp_path, erika):
    office.sends(row(last_name="=1"), number(2))
    console("export", tmp_path / "alle.csv")
    assert console("import", tmp_path / "alle.csv").stdout.startswith("Unverändert: 3\n")


def test_an_export_that_cannot_be_written_says_so_and_is_not_on_record(console, office, tmp_path):
    done = console("export", tmp_path / "nirgends" / "alle.csv")
    assert done.exit_code == 1
    assert "kann nicht geschrieben werden" in done.stderr
    assert office.backend.actions() == []
