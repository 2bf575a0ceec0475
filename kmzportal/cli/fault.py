"""Errors of commands: one German sentence on stderr instead of a traceback."""

import os
import re
from typing import IO, Any

import click
from sqlalchemy.exc import DBAPIError

from kmzportal.db import reason


class Fault(click.ClickException):
    """Ends the command with this German sentence."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file, err=file is None)


class BadSettings(Fault):
    exit_code = 2


class PortTaken(Fault):
    exit_code = os.EX_UNAVAILABLE


def agreed(question: str) -> bool:
    """Ask on the terminal; without one the answer is no."""
    try:
        answer = click.prompt(f"{question} [ja/nein]", default="nein", show_default=False)
    except click.Abort:
        return False
    return str(answer).strip().lower() in ("ja", "j")


#: By the driver's message, in English and German: PostgreSQL answers in the language of its server.
DATABASE_FAULTS = (
    ("file is not a database", "Die Datei ist keine SQLite-Datenbank. Abhilfe: kmzportal restore SICHERUNG."),
    ("malformed|disk I/O error", "Die Datei ist beschädigt. Abhilfe: kmzportal restore SICHERUNG."),
    ("readonly|read-only", "Sie ist nur lesbar. Prüfen Sie Besitzer und Rechte von Datei und Ordner."),
    ("disk is full|No space left", "Auf der Platte ist kein Platz mehr. Löschen Sie, was entbehrlich ist."),
    ("unable to open", "Die Datei lässt sich nicht öffnen. Prüfen Sie Pfad, Besitzer und Rechte."),
    ("is locked", "Ein anderer Befehl schreibt gerade. Versuchen Sie es gleich noch einmal."),
    (
        "extension|Erweiterung",
        "Der Benutzer darf die Erweiterung pg_trgm nicht anlegen. Ein Verwalter der Datenbank führt darin aus: "
        "CREATE EXTENSION pg_trgm;",
    ),
    (
        "permission denied|keine Berechtigung",
        "Der Benutzer darf hier keine Tabellen anlegen oder lesen. Ein Verwalter der Datenbank führt darin aus: "
        "GRANT CREATE, USAGE ON SCHEMA public TO <Benutzer>;",
    ),
    (
        "database .* does not exist|Datenbank .* existiert nicht",
        "Legen Sie die Datenbank an: createdb -O <Benutzer> <Name>",
    ),
    ("authentication failed|fehlgeschlagen", "Benutzer oder Passwort in SQLALCHEMY_DATABASE_URI stimmen nicht."),
    ("role .* does not exist|Rolle .* existiert nicht", "Legen Sie den Benutzer an: createuser -P <Benutzer>"),
    ("too many (clients|connections)|remaining connection slots", "Erhöhen Sie max_connections von PostgreSQL."),
    (
        "refused|timeout|timed out|resolve|No such file|not known|closed|terminating|starting up",
        "Läuft sie, und stimmen Rechner und Port in SQLALCHEMY_DATABASE_URI?",
    ),
)


def database_fault(error: DBAPIError) -> str:
    """Return in German what the database answered and what to do; never a statement or its parameters."""
    answer = reason(error)
    cures = (cure for pattern, cure in DATABASE_FAULTS if re.search(pattern, answer, re.IGNORECASE))
    cure = next(cures, "Prüfen Sie SQLALCHEMY_DATABASE_URI.")
    return f"Die Datenbank antwortet nicht wie erwartet ({answer}). {cure}"
