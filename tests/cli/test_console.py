"""The console script: its help, its settings, its refusals."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHOSEN = "glibc.malloc.hugetlb=0"


def test_config_shows_everything_and_hides_secrets(app, type_in, settings):
    settings["MAIL_PASSWORD"] = "geheim geheim geheim"
    settings["SQLALCHEMY_DATABASE_URI"] = "postgresql://kmz:geheim@db/kmz"
    output = type_in("config").output
    assert "PUBLIC_URL = https://konto.kmz.example\n" in output
    assert "    Vorgabe 7200 (seconds); a customer who asks is there" in output
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
    command = [sys.executable, "-c", "from kmzportal.cli.main import main; main()", *words]
    environment = {"KMZPORTAL_INSTANCE_PATH": str(tmp_path), **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_all_commands_are_explained_in_german(tmp_path):
    output = console(tmp_path, "--help").stdout
    explained = {line.split()[0] for line in output.partition("Commands:")[2].splitlines() if line.strip()}
    assert explained >= {"serve", "work", "demo", "customers", "clerks", "links", "mail", "config"}
    assert explained >= {"run", "shell", "routes", "db"}
    assert "Startet Webserver und Arbeitsprozess." in output


@pytest.mark.parametrize("words", [("--help",), ("config",), ("serve",), ("db", "current")])
def test_a_setting_that_cannot_be_meant_is_one_sentence(tmp_path, words):
    result = console(tmp_path, *words, KMZPORTAL_MAIL_PORT="fünf")
    assert result.returncode == 2
    assert result.stderr == "MAIL_PORT: „fünf“ ist keine ganze Zahl (port).\n"


def test_nobody_exists_after_installation(tmp_path):
    assert console(tmp_path, "db", "upgrade").returncode == 0
    connection = sqlite3.connect(tmp_path / "kmzportal.db")
    assert connection.execute("SELECT (SELECT count(*) FROM clerk) + (SELECT count(*) FROM customer)").fetchone() == (
        0,
    )
    connection.close()


def test_the_console_script_becomes_the_portal_with_memory_for_argon2_unless_the_operator_says_otherwise(tmp_path):
    begin = [sys.executable, "-c", "from kmzportal_start import main; main()", "shell"]
    environment = {"KMZPORTAL_INSTANCE_PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "GLIBC_TUNABLES": CHOSEN}
    told = "import os; print('tunables', os.environ['GLIBC_TUNABLES'])"
    shell = subprocess.run(begin, cwd=tmp_path, env=environment, input=told, capture_output=True, text=True, check=True)
    assert "tunables glibc.malloc.hugetlb=1:" in shell.stdout
    assert f"trim_threshold=134217728:{CHOSEN}\n" in shell.stdout  # the last one counts
