"""How a command says no."""

from typing import IO, Any

import click


class Fault(click.ClickException):
    """The command cannot do what it was asked; prints one German sentence and ends with 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file, err=file is None)
