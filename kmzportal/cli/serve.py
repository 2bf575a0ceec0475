"""kmzportal serve, work: the processes of a portal in earnest."""

import sys

import click
from flask import current_app
from flask.cli import with_appcontext

from kmzportal.server import serve as server


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Adresse, unter der das Portal antwortet.")
@click.option("--port", default=8000, show_default=True, help="Port, unter dem das Portal antwortet.")
@click.option("--no-worker", is_flag=True, help="Ohne Arbeitsprozess; dann läuft anderswo `kmzportal work`.")
@with_appcontext
def serve(host: str, port: int, no_worker: bool) -> None:
    """Startet Webserver und Arbeitsprozess.

    Bringt vorher die Datenbank auf den neuesten Stand. Ohne PUBLIC_URL startet nichts.
    """
    sys.exit(server.serve(current_app._get_current_object(), host, port, not no_worker))  # type: ignore[attr-defined]


@click.command()
@with_appcontext
def work() -> None:
    """Startet nur den Arbeitsprozess.

    Er beantwortet „Passwort vergessen“, verschickt E-Mails und löscht, was alt ist.
    """
    sys.exit(server.work(current_app._get_current_object()))  # type: ignore[attr-defined]
