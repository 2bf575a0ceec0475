"""The console script `kmzportal`: puts the app and the commands together."""

import sys

import click
from flask.cli import FlaskGroup, ScriptInfo

from kmzportal import create_app
from kmzportal.cli.demo import demo
from kmzportal.server.serve import BAD_SETTINGS
from kmzportal.settings import SettingsError

HELP = """kmzportal: das Portal für Kundenkonten eines Medienzentrums.

Einstellungen stehen in instance/config.toml oder in der Umgebung als KMZPORTAL_<NAME>; alle zeigt `kmzportal config`.
Zum Ausprobieren: `kmzportal demo`. Im Betrieb: `kmzportal serve`.
"""
#: Flask and Flask-Migrate explain theirs in English.
FOREIGN_HELP = {
    "run": "Startet einen Server zum Entwickeln.",
    "shell": "Öffnet Python mit der Anwendung.",
    "routes": "Zeigt alle Adressen der Anwendung.",
    "db": "Ändert den Aufbau der Datenbank.",
}


class Portal(FlaskGroup):
    """Flask's commands and ours; settings that cannot be meant end in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        ctx.ensure_object(ScriptInfo).load_app()  # Flask would print a traceback and go on
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command = super().get_command(ctx, name)
        if command and name in FOREIGN_HELP:
            command.short_help = FOREIGN_HELP[name]
        return command


cli = Portal(name="kmzportal", help=HELP, create_app=create_app, add_version_option=False, load_dotenv=False)
cli.params.clear()  # which app, and which environment, is no question here
cli.add_command(demo)


def main() -> None:
    try:
        cli.main(prog_name="kmzportal")
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_SETTINGS)
