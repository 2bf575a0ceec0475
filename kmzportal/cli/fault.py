"""How a command says no."""

from typing import IO, Any

import click
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy.exc import DBAPIError

from kmzportal.db import up_to_date


class Fault(click.ClickException):
    """The command cannot do what it was asked; prints one German sentence and ends with 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file, err=file is None)


class Group(AppGroup):
    """Commands that need the database; where its tables are not there yet they say how to make them."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DBAPIError:
            with ctx.ensure_object(ScriptInfo).load_app().app_context():
                if up_to_date():
                    raise
            raise Fault("Die Tabellen der Datenbank fehlen oder sind alt. Abhilfe: kmzportal db upgrade.") from None
