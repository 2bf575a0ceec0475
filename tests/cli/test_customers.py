"""What an operator at the command line sees of an import and an export."""

import pytest
from sqlalchemy import select

from kmzportal.cli import cli
from kmzportal.models import Customer, LinkKind
from kmzportal.services import accounts, deletion, desk, search

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
def desk_search(backend):
    """Return the Kundennummern that the desk finds."""
    return lambda query: [hit.number for hit in backend.run(lambda tx: search.search(tx.session, query)).hits]


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
        "  Zeile 3: Kundennummer 2 – Ort: „Nagold“ → „Wildberg“",
        "Konflikt: 1",
        f"  Zeile 5: Kundennummer {erika.number} – Ort: hier „Musterstadt“, in der Datei „Nagold“",
        "Achtung: 0",
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
    assert done.output == "Zeile 1: Die Spalte „Wohn�[2Jort“ ist unbekannt. Mit --ignore-extra bleibt sie weg.\n"
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


def many(number, first=1):
    return [f"K-{n};Weiß;w{n}@schule.example;Calw" for n in range(first, first + number)]


def test_who_is_not_in_the_file_is_listed(load, numbers):
    load(*many(3))
    done = load(*many(2), options=["--report-missing"])
    assert done.exit_code == 0
    assert "Nicht in der Datei: 1\n  Kundennummer K-3 –  Weiß\n" in done.stdout
    assert len(numbers()) == 3


@pytest.mark.parametrize(
    ("options", "answers", "left", "locked"),
    [
        (["--lock-missing"], "ja\n", 20, 1),
        (["--lock-missing"], "nein\n", 20, 0),
        (["--lock-missing", "--yes"], "", 20, 1),
        (["--lock-missing", "--yes", "--dry-run"], "", 20, 0),
        (["--delete-missing"], "ja\nJa\n", 19, 0),
        (["--delete-missing"], "j\nnein\n", 20, 0),
        (["--delete-missing", "--yes"], "", 20, 0),  # nobody says that nothing is lent
        (["--delete-missing", "--yes", "--no-loans"], "", 19, 0),
    ],
)
def test_who_is_not_in_the_file_is_locked_or_deleted_after_a_question(
    load, app, backend, numbers, options, answers, left, locked, tmp_path
):
    load(*many(20))
    load(*many(19), header=HEADER)  # writes the file
    words = ["customers", "import", str(tmp_path / "kunden.csv"), *options]
    done = app.test_cli_runner().invoke(cli, words, input=answers)
    assert len(numbers()) == left
    found = backend.read(select(Customer).where(Customer.locked_at.is_not(None)))
    assert [customer.number for customer in found] == ["K-20"] * locked
    assert done.exit_code == (1 if left == 20 and not locked and "--dry-run" not in options else 0)
    assert "Nicht in der Datei: 1\n  Kundennummer K-20 –  Weiß\n" in done.stdout


def test_more_than_a_tenth_is_neither_locked_nor_imported_without_a_confirmation(load, numbers, backend):
    load(*many(20))
    options = ["--lock-missing", "--yes"]
    done = load(*many(18, first=3), "neu;Groß;g@schule.example;", options=options)
    assert done.exit_code == 0  # two of twenty are a tenth
    load(*many(20))
    done = load(*many(17, first=4), "neu2;Groß;g2@schule.example;", options=options)
    assert done.exit_code == 1
    assert done.stderr.startswith("4 von 21 Konten stehen nicht in der Datei, mehr als 10 %. Nichts wurde geändert.")
    assert "neu2" not in numbers()
    done = load(*many(17, first=4), "neu2;Groß;g2@schule.example;", options=[*options, "--many"])
    assert (done.exit_code, "Gesperrt: 2\n" in done.stdout) == (0, True)  # two are locked already


def test_an_unknown_column_is_left_out_on_demand_and_a_lost_zero_is_a_warning(load):
    lines, header = ["1;Müller;m@schule.example;Calw;1067;x"], f"{HEADER};PLZ;Bemerkung"
    assert load(*lines, header=header).exit_code == 1
    done = load(*lines, header=header, options=["--ignore-extra"])
    assert (done.exit_code, "Nicht gelesen: Spalte „Bemerkung“\n" in done.stdout) == (0, True)
    assert "Achtung: 1\n  Zeile 2: Kundennummer 1 – PLZ „1067“ hat vier Ziffern. Fehlt vorn eine 0?\n" in done.stdout


@pytest.mark.parametrize("spelling", ["k-1", "K\u20111", "K–1", "K-1\u200b", "\u00a0K-1"])
def test_a_customer_is_the_same_in_every_spelling_of_the_number(load, numbers, backend, desk_search, spelling):
    load("K-1;Weiß;w@schule.example;Calw")
    done = load(f"{spelling};Weiß;w@schule.example;Nagold")
    assert "Geändert: 1\n" in done.stdout
    assert (numbers(), desk_search(spelling)) == (["K-1"], ["K-1"])
    with pytest.raises(desk.NumberTaken):
        backend.run(desk.create_customer, spelling, "neu@schule.example", {"last_name": "Neu"})


def test_who_moved_the_address_lately_is_deleted_only_on_demand(load, console, numbers, backend, erika):
    """As at the desk: the earlier address can still object, and an intruder may have asked for the deletion."""
    backend.run(accounts.request_address_change, erika, "neu@schule.example")
    (link,) = backend.links(LinkKind.ADDRESS)
    backend.run(accounts.confirm_address, link, link.issued_at)
    refused = console("delete", erika.number, "--why", "Wunsch", "--no-loans")
    assert (refused.exit_code, "Sofort: --anyway." in refused.stderr) == (1, True)
    load(*many(20))
    done = load(*many(20), options=["--delete-missing", "--yes", "--no-loans"])
    assert f"Kundennummer {erika.number} bleibt: Die E-Mail-Adresse ist neu." in done.stdout
    assert erika.number in numbers()
    assert console("delete", erika.number, "--why", "Wunsch", "--no-loans", "--anyway").exit_code == 0
    assert erika.number not in numbers()
