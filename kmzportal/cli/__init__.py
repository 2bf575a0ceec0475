"""The console script `kmzportal`. Its commands use the same services as the web pages."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import FlaskGroup, ScriptInfo
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from kmzportal import create_app, logs, settings
from kmzportal.cli.clerks import clerks, links
from kmzportal.cli.customers import customers
from kmzportal.cli.fault import BadSettings, Fault, PortTaken
from kmzportal.cli.mail import mail
from kmzportal.cli.support import support
from kmzportal.dates import format_datetime
from kmzportal.db import db, up_to_date
from kmzportal.migrations import migrate, upgrade
from kmzportal.server import become_gunicorn, port_fault, worker
from kmzportal.server import demo as demo_server
from kmzportal.services import office_pages, support_mail
from kmzportal.settings import SETTINGS, SettingsError

DEBUGGING = "FLASK_DEBUG ist gesetzt. Das ist nur für `kmzportal run` auf dem eigenen Rechner."
MAIL_WAITS = "MAIL_SERVER ist leer: E-Mails warten im Postausgang, bis ein Mailserver eingetragen ist."
NO_TABLES = "Die Tabellen der Datenbank fehlen oder sind alt. Abhilfe: kmzportal db upgrade."
SECRET_ENDINGS = ("_KEY", "_KEY_FALLBACKS", "_PASSWORD")
HELP = """kmzportal: das Portal für Kundenkonten eines Medienzentrums.

Einstellungen stehen in instance/config.toml oder in der Umgebung als KMZPORTAL_<NAME>; alle zeigt `kmzportal config`.
Zum Ausprobieren: `kmzportal demo`. Im Betrieb: `kmzportal serve`.
"""
#: Flask and Flask-Migrate explain these in English.
GERMAN_HELP = {
    "run": "Startet einen Server zum Entwickeln.",
    "shell": "Öffnet Python mit der Anwendung.",
    "routes": "Zeigt alle Adressen der Anwendung.",
    "db": "Ändert den Aufbau der Datenbank.",
}


class PortalGroup(FlaskGroup):
    """Flask's commands and those of the portal, with German help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        ctx.ensure_object(ScriptInfo).load_app()  # raises SettingsError; Flask would print a traceback and continue
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command = super().get_command(ctx, name)
        if command and name in GERMAN_HELP:
            command.short_help = GERMAN_HELP[name]
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DBAPIError as error:
            if fault := database_fault(ctx, error):
                raise Fault(fault) from None
            raise


def database_fault(ctx: click.Context, error: DBAPIError) -> str | None:
    """Return in German what is wrong with the database; None when it is fine, and the error is a bug."""
    with ctx.ensure_object(ScriptInfo).load_app().app_context():
        try:
            return None if up_to_date() else NO_TABLES
        except DBAPIError:
            return f"Die Datenbank antwortet nicht ({logs.reason(error)}). Prüfen Sie SQLALCHEMY_DATABASE_URI."


def create_console_app() -> Flask:
    app = create_app()
    migrate.init_app(app)
    return app


cli = PortalGroup(
    name="kmzportal", help=HELP, create_app=create_console_app, add_version_option=False, load_dotenv=False
)
cli.params.clear()  # Flask's options for another app or environment
for group in (customers, clerks, links, mail, support):
    cli.add_command(group)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Adresse, unter der das Portal antwortet.")
@click.option("--port", default=8000, show_default=True, help="Port, unter dem das Portal antwortet.")
@click.option("--no-worker", is_flag=True, help="Ohne Arbeitsprozess; dann läuft anderswo `kmzportal work`.")
def serve(host: str, port: int, no_worker: bool) -> None:
    """Startet Webserver und Arbeitsprozess.

    Bringt vorher die Datenbank auf den neuesten Stand. Ohne PUBLIC_URL startet nichts.
    """
    if faults := settings.faults(current_app.config) + ([DEBUGGING] if current_app.debug else []):
        raise BadSettings("\n".join(faults))
    if fault := port_fault(host, port):
        raise PortTaken(fault)
    prepare_database()
    if not current_app.config["MAIL_SERVER"]:
        click.echo(MAIL_WAITS, err=True)
    become_gunicorn(host, port, with_worker=not no_worker, log_format=current_app.config["LOG_FORMAT"])


@cli.command()
def work() -> None:
    """Startet nur den Arbeitsprozess.

    Er beantwortet „Passwort vergessen“, verschickt E-Mails und löscht, was alt ist.
    """
    logs.configure(current_app.config["LOG_FORMAT"])
    prepare_database()
    worker.work(current_app._get_current_object())  # type: ignore[attr-defined]


def prepare_database() -> None:
    os.umask(0o077)  # the database is readable by its owner alone
    upgrade(current_app)


@cli.command(with_appcontext=False)
@click.option("--port", default=5000, envvar="PORT", show_default=True, help="Port; auch aus der Umgebung: PORT.")
def demo(port: int) -> None:
    """Startet eine Vorführung mit erfundenen Menschen.

    Sie antwortet nur auf diesem Rechner, verschickt nichts und beginnt bei jedem Start von vorn.
    """
    try:
        demo_server.run(settings.instance_path() / "demo", port)
    except demo_server.DemoRefused as refused:
        raise Fault(str(refused)) from None


@cli.command()
def config() -> None:
    """Zeigt alle Einstellungen und ihre Fehler.

    Schlüssel und Passwörter bleiben verdeckt.
    """
    instance = Path(current_app.instance_path)
    for setting in SETTINGS:
        click.echo(f"{setting.name} = {shown(setting.name, current_app.config[setting.name])}")
        click.echo(f"    Vorgabe {shown(setting.name, setting.default)} ({setting.unit}); {setting.why}")
    click.echo(f"Texte der Seiten: {office_pages.SHIPPED}; eigene in {office_pages.own_folder(instance)}")
    _, warnings = settings.load(instance)
    lacking = office_pages.lacking(instance, current_app.config, datetime.now(UTC).date())
    for sentence in (*warnings, *settings.faults(current_app.config), *lacking, *mailbox_faults()):
        click.echo(f"Achtung: {sentence}", err=True)


def mailbox_faults() -> list[str]:
    """Return since when and why the support mailbox is not read; nothing when it is, or the database is missing."""
    try:
        outage = support_mail.inbox_outage(db.session(), current_app.config)
    except DBAPIError:
        return []
    return [f"Das Postfach wird seit {format_datetime(outage[0])} nicht gelesen: {outage[1]}"] if outage else []


def shown(name: str, value: Any) -> str:
    """Return the value of a setting as text, without secrets."""
    if name.endswith(SECRET_ENDINGS):
        return "(verdeckt)" if value else "(leer)"
    if name.endswith("_URI") and value:
        return make_url(value).render_as_string(hide_password=True)
    if isinstance(value, bool):
        return "ja" if value else "nein"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text or "(leer)"


def main() -> None:
    try:
        cli.main(prog_name="kmzportal")
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(BadSettings.exit_code)
