"""The console script: its help, its settings, its refusals."""

import codecs
import os
import pwd
import re
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, text

from kmzportal import cli, create_app
from kmzportal.services import instance
from tests.server.conftest import COMMAND, ROOT

ADMIN = ("--admin", "ro@kmz.example", "--name", "Rosa Otto", "--initials", "ro")
KIM = ("clerks", "add", "kim@kmz.example", "--name", "Kim Muster", "--initials", "km")

HEADER = "Kundennummer;Anrede;Vorname;Nachname;E-Mail;Schule;Straße;PLZ;Ort;Telefon"


def test_config_shows_everything_and_hides_secrets(tmp_path):
    (tmp_path / "secret_key").write_text("s" * 32)
    settings = {
        "KMZPORTAL_PUBLIC_URL": "https://konto.kmz.example", "KMZPORTAL_PROXY_HOPS": "1",
        "KMZPORTAL_MAIL_USERNAME": "kmz", "KMZPORTAL_MAIL_PASSWORD": "geheim geheim geheim",
        "KMZPORTAL_LINK_KEY": "l" * 32, "KMZPORTAL_SQLALCHEMY_DATABASE_URI": "postgresql://kmz:geheim@127.0.0.1:1/kmz",
    }  # fmt: skip
    shown = console(tmp_path, "config", **settings)
    assert shown.returncode == 0
    assert f"Ordner des Portals: {tmp_path}\n" in shown.stdout
    assert "PUBLIC_URL = https://konto.kmz.example\n" in shown.stdout
    assert "    Vorgabe 7200 (Sekunden); die Kundin wartet" in shown.stdout
    assert "SQLALCHEMY_DATABASE_URI = postgresql://kmz:***@127.0.0.1:1/kmz\n" in shown.stdout
    assert "MAIL_DEFAULT_SENDER = Kreismedienzentrum Calw <support@kmz-cw.de>\n" in shown.stdout
    assert "MAIL_USE_TLS = nein\n" in shown.stdout
    for secret in ("geheim", "s" * 32, "l" * 32):
        assert secret not in shown.stdout + shown.stderr


def test_config_names_all_faults_and_ends_with_1(tmp_path):
    shown = console(tmp_path, "config", KMZPORTAL_MAIL_PORT="fünf", KMZPORTAL_OFFICE_EMAIL="kein")
    assert shown.returncode == 1
    for sentence in ("MAIL_PORT: „fünf“ ist keine", "OFFICE_EMAIL: „kein“ ist keine", "PUBLIC_URL fehlt."):
        assert f"Achtung: {sentence}" in shown.stderr


def test_config_names_what_the_pages_of_the_office_lack(tmp_path):
    notes = console(tmp_path, "config", KMZPORTAL_PUBLIC_URL="http://localhost").stderr
    assert "Achtung: OFFICE_REPRESENTATIVE ist leer. Auf /impressum und /datenschutz steht dort" in notes
    assert "Achtung: ACCESSIBILITY_STATEMENT_DATE ist leer." in notes


def console(tmp_path, *words, **settings):
    """Run a command in this process, which saves a second; an exception that is no sentence fails the test."""
    runner = CliRunner(env={"KMZPORTAL_INSTANCE_PATH": str(tmp_path), **settings}, catch_exceptions=False)
    result = runner.invoke(cli.cli, words, prog_name="kmzportal")
    return SimpleNamespace(returncode=result.exit_code, stdout=result.stdout, stderr=result.stderr)


def installed(tmp_path, *words):
    """Run the console script as it is installed."""
    environment = {"KMZPORTAL_INSTANCE_PATH": str(tmp_path)}
    return subprocess.run(
        [*COMMAND, *words], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_all_commands_are_explained_in_german(tmp_path):
    output = installed(tmp_path, "--help").stdout
    explained = {line.split()[0] for line in output.partition("Commands:")[2].splitlines() if line.strip()}
    assert explained >= {"serve", "work", "demo", "customers", "clerks", "links", "mail", "config"}
    assert explained >= {"run", "shell", "routes", "db"}
    assert "Startet Webserver und Arbeitsprozess." in output


@pytest.mark.parametrize("words", [("serve",), ("customers", "export"), ("db", "upgrade")])
def test_settings_that_cannot_be_meant_are_a_sentence_each(tmp_path, words):
    result = console(tmp_path, *words, KMZPORTAL_MAIL_PORT="fünf", KMZPORTAL_PUBLIC_URL="konto.kmz.example")
    assert result.returncode == 2
    folder, port, url = result.stderr.splitlines()
    assert folder == f"Ordner des Portals: {tmp_path}"
    assert port == "MAIL_PORT: „fünf“ ist keine ganze Zahl (Port)."
    assert url.startswith("PUBLIC_URL: „konto.kmz.example“ ist ohne https://")


@pytest.mark.parametrize("words", [
    ("customers", "export"), ("work",), ("db", "upgrade"), ("clerks", "link", "ro@kmz.example"), ("mail", "deliver"),
])  # fmt: skip
def test_without_an_instance_a_command_makes_none_and_names_the_folder(tmp_path, words):
    result = console(tmp_path / "nirgends", *words)
    assert (result.returncode, (tmp_path / "nirgends").exists()) == (2, False)
    assert result.stderr.startswith(f"Den Ordner {tmp_path}/nirgends gibt es nicht. Ein neues Portal legt an: ")


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("customers", "--help"), ("config",), ("routes",)])
def test_help_config_and_routes_make_nothing(tmp_path, words):
    for folder in (tmp_path / "nirgends", tmp_path):
        assert console(folder, *words).returncode == (1 if words == ("config",) else 0)
    assert list(tmp_path.iterdir()) == []


def test_the_version_names_the_tables_too(tmp_path):
    assert re.fullmatch(r"kmzportal [\d.]+ \(Datenbank \d{4}\)\n", installed(tmp_path, "--version").stdout)


def test_a_mistyped_command_gets_its_nearest(tmp_path):
    result = console(tmp_path, "serv")
    assert result.stderr == "Den Befehl „serv“ gibt es nicht. Meinten Sie serve? Alle zeigt: kmzportal --help\n"


@contextmanager
def another_user():
    """Act as a user without rights, as far as this one may become another."""
    codecs.lookup("utf-8-sig")  # loaded now: that user may not read Python's own files
    before = os.geteuid()
    nobody = pwd.getpwnam("nobody") if before == 0 else pwd.getpwuid(before)
    os.seteuid(nobody.pw_uid)
    try:
        yield nobody
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("closed", ["", "config.toml", "secret_key", "kmzportal.db"])
def test_a_file_that_this_user_may_not_use_is_named_with_its_owner_and_the_cure(app, tmp_path, monkeypatch, closed):
    folder, owner = tmp_path / "instance", pwd.getpwuid(os.geteuid()).pw_name
    assert console(folder, "init", "--url", "https://konto.kmz.example", *ADMIN).returncode == 0
    with another_user() as me:
        pass
    for path in (folder, *folder.iterdir()):
        os.chown(path, me.pw_uid, me.pw_gid)
    os.chown(folder / closed, os.geteuid(), os.getegid())
    (folder / closed).chmod(0)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o711)
    monkeypatch.setenv("KMZPORTAL_INSTANCE_PATH", str(folder))
    named = f"{folder / closed} gehört {owner} und ist für {me.pw_name} nicht les- und schreibbar."
    with another_user():
        (fault,) = instance.faults(folder)
        shown = app.test_cli_runner().invoke(cli.cli, ["config"])
    assert fault.startswith(f"{named} Abhilfe: chown -R {me.pw_name}")
    assert (shown.exit_code, named in shown.stderr) == (1, True)


def test_root_writes_nothing_into_the_folder_of_another_user(tmp_path, monkeypatch):
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (fault,) = instance.faults(tmp_path)
    assert f"{tmp_path} gehört" in fault and "Rufen Sie den Befehl so auf: sudo -u" in fault


def test_whatever_a_command_makes_is_readable_by_its_owner_alone(tmp_path):
    tmp_path.chmod(0o755)
    assert installed(tmp_path, "db", "upgrade").returncode == 0
    made = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert {"kmzportal.db", "secret_key", "link_key"} <= set(made) and set(made.values()) == {0o600}
    (tmp_path / "kmzportal.db").chmod(0o644)
    told = console(tmp_path, "config").stderr
    for name, mode, cure in ((tmp_path, "0755", "700"), (tmp_path / "kmzportal.db", "0644", "600")):
        assert f"Achtung: {name} ist für andere Benutzer zugänglich ({mode}). Abhilfe: chmod {cure}" in told


def test_a_new_portal_has_nobody_and_a_command_says_how_to_make_its_tables(tmp_path):
    told = installed(tmp_path, *KIM)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"Ordner des Portals: {tmp_path}\n{cli.NO_TABLES}\n"
    assert installed(tmp_path, "db", "upgrade").returncode == 0
    with closing(sqlite3.connect(tmp_path / "kmzportal.db")) as connection:
        people = connection.execute("SELECT id FROM clerk UNION ALL SELECT id FROM customer").fetchall()
    assert people == []
    assert installed(tmp_path, *KIM).returncode == 0


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


@pytest.mark.parametrize(("make", "uri", "sentence"), [
    (lambda folder: (folder / "kmzportal.db").write_bytes(b"x" * 5000), "", "Die Datei ist keine SQLite-Datenbank"),
    (lambda folder: (folder / "kmzportal.db").mkdir(), "", "Die Datei lässt sich nicht öffnen"),
    (lambda folder: None, "postgresql://kmz:geheim@127.0.0.1:1/kmz", "Läuft sie, und stimmen Rechner und Port"),
    (lambda folder: None, "postgresql://kmz:geheim@nirgends.invalid/kmz", "Läuft sie, und stimmen Rechner und Port"),
])  # fmt: skip
@pytest.mark.parametrize("words", [("work",), ("db", "upgrade"), ("customers", "export"), KIM])
def test_a_database_that_does_not_answer_is_one_sentence_with_its_cure(tmp_path, make, uri, sentence, words):
    make(tmp_path)
    result = console(tmp_path, *words, KMZPORTAL_SQLALCHEMY_DATABASE_URI=uri)
    _, said = result.stderr.splitlines()
    assert result.returncode == 2
    assert said.startswith("Die Datenbank antwortet nicht wie erwartet (") and sentence in said
    assert "geheim" not in said


@pytest.mark.postgresql
def test_what_postgresql_refuses_is_one_sentence_with_its_cure(tmp_path, postgres_uri):
    engine = create_engine(postgres_uri, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in ("CREATE USER guest", "CREATE DATABASE empty", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"):
            connection.execute(text(statement))
    url = engine.url.set(username="guest")
    cases = {
        url.set(database="missing"): "Legen Sie",
        url.set(username="missing"): "Legen Sie den Benutzer an",
        url.set(database="empty"): "führt darin aus",
    }
    for wrong, sentence in cases.items():
        result = console(tmp_path, "db", "upgrade", KMZPORTAL_SQLALCHEMY_DATABASE_URI=wrong.render_as_string(False))
        assert result.returncode == 2 and sentence in result.stderr.splitlines()[-1], result.stderr


@pytest.mark.parametrize(("words", "version", "code", "sentence"), [
    (("db", "upgrade"), None, 2, "Die Datenbank enthält Tabellen eines anderen Programms."),
    (("purge",), None, 2, "Die Datenbank enthält Tabellen eines anderen Programms."),
    (("purge",), "0099", 1, "Die Datenbank hat den Stand 0099, dieses Programm kennt nur "),
])  # fmt: skip
def test_a_database_that_is_not_ours_is_not_advised_to_be_upgraded(tmp_path, words, version, code, sentence):
    with closing(sqlite3.connect(tmp_path / "kmzportal.db")) as database, database:
        database.execute("CREATE TABLE customer (x)")
        if version:
            database.execute("CREATE TABLE alembic_version (version_num)")
            database.execute("INSERT INTO alembic_version VALUES (?)", (version,))
    result = console(tmp_path, *words)
    assert (result.returncode, result.stderr.splitlines()[-1].startswith(sentence)) == (code, True), result.stderr


@pytest.mark.parametrize("words", [("--host", "a..b"), ("--port", "0")])
def test_an_address_where_no_server_can_listen_is_refused(tmp_path, words):
    result = console(tmp_path, "serve", *words, KMZPORTAL_PUBLIC_URL="http://localhost")
    assert (result.returncode, "Ändern Sie --port oder --host." in result.stderr) == (os.EX_UNAVAILABLE, True)
