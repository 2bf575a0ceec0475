"""What an operator at the command line sees of an import and an export."""

import pytest
from sqlalchemy import select

from kmzportal.cli import cli
from kmzportal.models import Customer
from kmzportal.services import deletion

HEADER = "Kundennummer;Nachname;E-Mail;Ort"
CALW, NAGOLD, NO_ADDRESS = "1;Müller;m@schule.example;Calw", "2;Groß;g@schule.example;Nagold", "3;Weiß;nichts;"


@pytest.fixture
def console(app):
    return lambda *words: app.test_cli_runner().invoke(cli, ["customers", *map(str, words)])


@pytest.fixture
def load(console, tmp_path):
    """Import these lines with `kmzportal customers import`."""

    def load(*lines, header=HEADER, options=()):
        (tmp_path / "kunden.csv").write_text("\n".join((header, *lines)))
        return console("import", tmp_path / "kunden.csv", *options)

    return load


@pytest.fixture
def numbers(backend):
    return lambda: backend.read(select(Customer.number).order_by(Customer.number))


def test_an_import_reports_every_row_and_a_konflikt_does_not_fail_it(load, numbers, erika):
    load(CALW, NAGOLD)
    hers = f"{erika.number};{erika.last_name};{erika.email};Nagold"
    done = load(CALW, NAGOLD.replace("Nagold", "Wildberg"), "3;Weiß;w@schule.example;", hers)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Unverändert: 1",
        "  Zeile 2: Kundennummer 1",
        "Neu: 1",
        "  Zeile 4: Kundennummer 3",
        "Geändert: 1",
        "  Zeile 3: Kundennummer 2 – Ort",
        "Konflikt: 1",
        f"  Zeile 5: Kundennummer {erika.number} – Ort: hier „Musterstadt“, in der Datei „Nagold“",
        "Abgelehnt: 0",
        "Der Import ist fertig.",
    ]
    assert numbers() == ["1", "2", "3", erika.number]


def test_a_dry_run_changes_nothing(load, numbers, backend):
    done = load(CALW, options=["--dry-run"])
    assert done.exit_code == 0
    assert "Neu: 1\n" in done.stdout
    assert done.stdout.endswith("Nur geprüft, nichts wurde geändert.\n")
    assert (numbers(), backend.actions()) == ([], [])


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_customer_who_was_deleted_here_is_named_and_not_added_again(load, numbers, backend, erika, options):
    backend.run(deletion.delete_customer, erika, erika.version, "Wunsch", False)
    done = load(CALW, f"{erika.number};Mustermann;{erika.email};", options=options)
    assert (done.exit_code, "Hier gelöscht, nicht wieder angelegt: 1" in done.stdout) == (0, True)
    assert f"  Kundennummer {erika.number} – gelöscht am " in done.stdout
    assert numbers() == ([] if options else ["1"])


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_refused_row_fails_the_whole_import(load, numbers, options):
    done = load(CALW, NO_ADDRESS, options=options)
    assert done.exit_code == 1
    assert "  Zeile 3: Kundennummer 3 – E-Mail: „nichts“ ist keine vollständige Adresse\n" in done.stdout
    assert done.stderr.startswith("Nichts wurde importiert.")
    assert numbers() == []


def test_control_characters_of_the_file_never_reach_the_terminal(load):
    done = load(header=HEADER.replace("Ort", "Wohn\x1b[2Jort"))
    assert done.exit_code == 1
    assert done.output == "Zeile 1: Die Spalte „Wohn�[2Jort“ ist unbekannt. Meinten Sie Ort?\n"
    done = load("1\x1b[2J;\x07;m@schule.example;")
    assert "Kundennummer 1�[2J – " in done.stdout
    assert not {"\x1b", "\x07"} & set(done.output)


def test_fifty_rows_of_a_kind_are_shown_and_the_rest_is_counted(load):
    done = load(*(f"{n};Weiß;nichts;" for n in range(53)))
    assert "Abgelehnt: 53\n" in done.stdout
    assert done.stdout.count("  Zeile ") == 50
    assert done.stdout.endswith("  … und 3 weitere\n")


def test_an_export_goes_to_a_file_or_to_the_next_command(load, console, backend, tmp_path):
    load(CALW)
    to_file, to_stdout = console("export", tmp_path / "alle.csv"), console("export")
    assert (to_file.exit_code, to_stdout.exit_code, to_file.output) == (0, 0, "")
    assert (tmp_path / "alle.csv").read_bytes() == to_stdout.stdout_bytes == console("export", "-").stdout_bytes
    assert "1;;;Müller;m@schule.example;;;;Calw;\r\n".encode() in to_stdout.stdout_bytes
    assert backend.actions().count("customers.exported") == 3
    assert console("import", tmp_path / "alle.csv").stdout.startswith("Unverändert: 1\n")


def test_an_export_that_cannot_be_written_is_not_recorded(console, backend, tmp_path):
    done = console("export", tmp_path / "nirgends" / "alle.csv")
    assert done.exit_code == 1
    assert "kann nicht geschrieben werden" in done.stderr
    assert backend.actions() == []
