"""The console script: its help, its settings, its refusals."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from kmzportal import cli, create_app
from tests.server.conftest import COMMAND, ROOT

KIM = ("clerks", "add", "kim@kmz.example", "--name", "Kim Muster", "--initials", "km")

HEADER = "Kundennummer;Anrede;Vorname;Nachname;E-Mail;Schule;Straße;PLZ;Ort;Telefon"


def test_config_shows_everything_and_hides_secrets(app, type_in, settings):
    settings["MAIL_PASSWORD"] = "geheim geheim geheim"
    settings["SQLALCHEMY_DATABASE_URI"] = "postgresql://kmz:geheim@db/kmz"
    output = type_in("config").output
    assert "PUBLIC_URL = https://konto.kmz.example\n" in output
    assert "    Vorgabe 7200 (seconds); the customer is waiting" in output
    assert "SQLALCHEMY_DATABASE_URI = postgresql://kmz:***@db/kmz\n" in output
    assert "MAIL_USE_TLS = nein\n" in output
    for secret in ("geheim", settings["SECRET_KEY"], settings["LINK_KEY"]):
        assert secret not in output


def test_config_names_faults(type_in, settings):
    settings["PUBLIC_URL"] = ""
    assert "Achtung: PUBLIC_URL fehlt." in type_in("config").output


def test_config_names_what_the_pages_of_the_office_lack(type_in):
    output = type_in("config").output
    assert "Achtung: OFFICE_REPRESENTATIVE ist leer. Auf /impressum und /datenschutz steht dort" in output
    assert "Achtung: ACCESSIBILITY_STATEMENT_DATE ist leer." in output


def console(tmp_path, *words, **settings):
    """Run the console script as it is installed."""
    environment = {"KMZPORTAL_INSTANCE_PATH": str(tmp_path), **settings}
    return subprocess.run([*COMMAND, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_all_commands_are_explained_in_german(tmp_path):
    output = console(tmp_path, "--help").stdout
    explained = {line.split()[0] for line in output.partition("Commands:")[2].splitlines() if line.strip()}
    assert explained >= {"serve", "work", "demo", "customers", "clerks", "links", "mail", "config"}
    assert explained >= {"run", "shell", "routes", "db"}
    assert "Startet Webserver und Arbeitsprozess." in output


@pytest.mark.parametrize("words", [("--help",), ("serve",)])
def test_a_setting_that_cannot_be_meant_is_one_sentence(tmp_path, words):
    result = console(tmp_path, *words, KMZPORTAL_MAIL_PORT="fünf")
    assert result.returncode == 2
    assert result.stderr == "MAIL_PORT: „fünf“ ist keine ganze Zahl (port).\n"


def test_a_new_portal_has_nobody_and_a_command_says_how_to_make_its_tables(tmp_path):
    told = console(tmp_path, *KIM)
    assert (told.returncode, told.stdout, told.stderr) == (1, "", f"{cli.NO_TABLES}\n")
    assert console(tmp_path, "db", "upgrade").returncode == 0
    with closing(sqlite3.connect(tmp_path / "kmzportal.db")) as connection:
        people = connection.execute("SELECT id FROM clerk UNION ALL SELECT id FROM customer").fetchall()
    assert people == []
    assert console(tmp_path, *KIM).returncode == 0


@pytest.mark.parametrize("words", [
    ("customers", "import", "kunden.csv"),
    ("customers", "import", "kunden.csv", "--dry-run"),
    ("customers", "export"),
    ("clerks", "link", "kim@kmz.example"),
    ("links", "send", "erika@schule.example", "--by", "ro"),
    ("mail", "deliver"),
])  # fmt: skip
def test_every_command_without_tables_says_how_to_make_them(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    Path("kunden.csv").write_text(HEADER)
    told = create_app({"MAIL_SERVER": "localhost"}, tmp_path).test_cli_runner().invoke(cli.cli, words)
    assert (told.exit_code, told.stdout, told.stderr) == (1, "", f"{cli.NO_TABLES}\n")


def test_a_database_that_does_not_answer_is_one_sentence(tmp_path):
    result = console(tmp_path, "work", KMZPORTAL_SQLALCHEMY_DATABASE_URI="sqlite:////nirgends/kmzportal.db")
    sentence = "Die Datenbank antwortet nicht (unable to open database file). Prüfen Sie SQLALCHEMY_DATABASE_URI.\n"
    assert (result.returncode, result.stderr) == (1, sentence)
