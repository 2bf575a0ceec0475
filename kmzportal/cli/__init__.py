"""The console script `kmzportal`. Its commands use the same services as the web pages."""

import os
import sys
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import FlaskGroup, ScriptInfo
from flask_migrate.cli import db as database_commands
from sqlalchemy import inspect, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from kmzportal import create_app, logs, settings
from kmzportal.cli.audit import audit
from kmzportal.cli.backup import backup, keys, restore
from kmzportal.cli.clerks import clerks, links
from kmzportal.cli.copy_from import copy_from
from kmzportal.cli.customers import customers
from kmzportal.cli.database import prepare
from kmzportal.cli.doctor import doctor
from kmzportal.cli.fault import BadSettings, Fault, PortTaken, database_fault
from kmzportal.cli.init import init
from kmzportal.cli.mail import mail
from kmzportal.cli.privacy import privacy
from kmzportal.cli.support import support
from kmzportal.dates import format_datetime
from kmzportal.db import NEWEST_VERSION, close, db, schema_version
from kmzportal.migrations import migrate
from kmzportal.server import become_gunicorn, port_fault, worker
from kmzportal.server import demo as demo_server
from kmzportal.services import instance as instance_folder
from kmzportal.services import office_pages, passkeys, support_mail
from kmzportal.services.backup import refuse_newer
from kmzportal.services.refusals import OperationRefused
from kmzportal.settings import SETTINGS, Setting, SettingsError

DEBUGGING = "FLASK_DEBUG ist gesetzt. Das ist nur für `kmzportal run` auf dem eigenen Rechner."
MAIL_WAITS = "MAIL_SERVER ist leer: E-Mails warten im Postausgang, bis ein Mailserver eingetragen ist."
NO_TABLES = "Die Tabellen der Datenbank fehlen oder sind alt. Abhilfe: kmzportal db upgrade."
OTHER_DATABASE = (
    "Die Datenbank enthält Tabellen eines anderen Programms. Nennen Sie in SQLALCHEMY_DATABASE_URI eine leere, "
    "oder die des Portals."
)
HELP = """kmzportal: das Portal für Kundenkonten eines Medienzentrums.

Einstellungen stehen in instance/config.toml oder in der Umgebung als KMZPORTAL_<NAME>; alle zeigt `kmzportal config`.
Zum Ausprobieren: `kmzportal demo`. Neu anlegen: `kmzportal init`. Im Betrieb: `kmzportal serve`.
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
        """Return all names without loading the application: help works without an instance, and changes nothing."""
        return sorted(self.commands)

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        if name not in self.commands:
            hint = settings.did_you_mean(name, self.commands)
            raise BadSettings(f"Den Befehl „{name}“ gibt es nicht.{hint} Alle zeigt: kmzportal --help")
        command = self.commands[name]
        command.short_help = GERMAN_HELP.get(name, command.short_help)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise BadSettings(str(error)) from None
        except IntegrityError:
            raise  # a bug
        except DBAPIError as error:
            raise _fault_of(ctx, error) from None
        except OperationRefused as refused:
            raise Fault(str(refused)) from None


def _fault_of(ctx: click.Context, error: DBAPIError) -> Fault:
    """Return what the operator can do; a statement may have failed only because its table does not exist yet."""
    with ctx.ensure_object(ScriptInfo).load_app().app_context():
        try:
            db.session.rollback()
            version = schema_version()
            refuse_newer(version)
            if version is None and inspect(db.session.connection()).get_table_names():
                return BadSettings(OTHER_DATABASE)
            if version != NEWEST_VERSION:
                return Fault(NO_TABLES)
        except OperationRefused as refused:
            return Fault(str(refused))
        except DBAPIError as another:
            error = another
    return BadSettings(database_fault(error))


def create_console_app() -> Flask:
    """Return the application for a command; raises BadSettings if the instance folder cannot be used."""
    command, instance = click.get_current_context().find_root().invoked_subcommand, settings.instance_path()
    if command == "serve" and not instance.exists():
        complete = settings.read(instance)
        if not (complete.faults or settings.faults(complete.values)):
            instance.mkdir(mode=0o700, parents=True)
    if command not in TOUCH_NOTHING and (faults := instance_folder.faults(instance)):
        raise BadSettings("\n".join(faults))
    click.echo(f"Ordner des Portals: {instance}", err=True)
    app = create_app(make_keys=command not in TOUCH_NOTHING)
    migrate.init_app(app)
    click.get_current_context().call_on_close(partial(_close_database, app))
    return app


def _close_database(app: Flask) -> None:
    """Leave SQLite's database whole in one file, unless another process uses it."""
    with app.app_context():
        close()


TOUCH_NOTHING = {"routes"}
cli = PortalGroup(
    name="kmzportal", help=HELP, create_app=create_console_app, add_version_option=False, load_dotenv=False
)
cli.params.clear()  # Flask's options for another app or environment
click.version_option(version("kmzportal"), message=f"kmzportal %(version)s (Datenbank {NEWEST_VERSION})")(cli)
COMMANDS = (database_commands, init, doctor, customers, clerks, links, mail, support, backup, restore, keys, copy_from)
for command in (*COMMANDS, audit):
    cli.add_command(command)
for command in privacy.commands.values():
    cli.add_command(command)


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
    prepare()
    if not current_app.config["MAIL_SERVER"]:
        click.echo(MAIL_WAITS, err=True)
    become_gunicorn(host, port, with_worker=not no_worker, log_format=current_app.config["LOG_FORMAT"])


@cli.command()
def work() -> None:
    """Startet nur den Arbeitsprozess.

    Er beantwortet „Passwort vergessen“, verschickt E-Mails und löscht, was alt ist.
    """
    logs.configure(current_app.config["LOG_FORMAT"])
    prepare()
    worker.work(current_app._get_current_object())  # type: ignore[attr-defined]


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


PASSKEYS_OF_OTHER_HOST = (
    "{number} Passkeys gelten nur unter {host}. Mit PUBLIC_URL, wie sie jetzt ist, kann sich niemand mit ihnen "
    "anmelden: Nehmen Sie den früheren Namen wieder, oder lassen Sie neue Passkeys anlegen."
)


@cli.command(with_appcontext=False)
@click.pass_context
def config(ctx: click.Context) -> None:
    """Zeigt alle Einstellungen und ihre Fehler.

    Schlüssel und Passwörter bleiben verdeckt.
    """
    instance = settings.instance_path()
    loaded = settings.read(instance)
    click.echo(f"Ordner des Portals: {instance}")
    for setting in SETTINGS:
        click.echo(f"{setting.name} = {shown(setting, loaded.values[setting.name])}")
        click.echo(f"    Vorgabe {shown(setting, setting.default)} ({setting.kind}); {setting.why}")
    click.echo(f"Texte der Seiten: {office_pages.SHIPPED}; eigene in {office_pages.own_folder(instance)}")
    loaded.add_faults(settings.faults(loaded.values))
    folder_faults = instance_folder.faults(instance)
    faults = [*folder_faults, *loaded.faults]
    notes = loaded.warnings + ([] if folder_faults else instance_folder.open_to_others(instance))
    if not faults:
        notes += [*office_pages.lacking(instance, loaded.values, datetime.now(UTC).date()), *_database_notes(ctx)]
    for sentence in (*faults, *notes):
        click.echo(f"Achtung: {sentence}", err=True)
    if faults:
        sys.exit(1)


def _database_notes(ctx: click.Context) -> list[str]:
    """Return what is wrong in the database: a support mailbox that is not read, passkeys of another host name."""
    try:
        with ctx.ensure_object(ScriptInfo).load_app().app_context():
            outage = support_mail.inbox_outage(db.session(), current_app.config)
            others = passkeys.of_other_hosts(db.session(), current_app.config)
    except DBAPIError:
        return []
    notes = [f"Das Postfach wird seit {format_datetime(outage[0])} nicht gelesen: {outage[1]}"] if outage else []
    return notes + [PASSKEYS_OF_OTHER_HOST.format(number=number, host=host) for host, number in others.items()]


def shown(setting: Setting, value: Any) -> str:
    """Return the value of a setting as text, without secrets."""
    if setting.secret:
        return "(verdeckt)" if value else "(leer)"
    if setting.kind == "Datenbank" and value:
        return make_url(value).render_as_string(hide_password=True)
    if isinstance(value, bool):
        return "ja" if value else "nein"
    if isinstance(value, tuple):
        return f"{value[0]} <{value[1]}>"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text or "(leer)"


def main() -> None:
    os.umask(0o077)  # settings, keys, database and backups are readable by their owner alone
    cli.main(prog_name="kmzportal")
