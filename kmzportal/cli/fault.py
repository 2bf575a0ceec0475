"""Errors of commands: one German sentence on stderr instead of a traceback."""

import os
from typing import IO, Any

import click


class Fault(click.ClickException):
    """Ends the command with this German sentence."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file, err=file is None)


class BadSettings(Fault):
    exit_code = 2


class PortTaken(Fault):
    exit_code = os.EX_UNAVAILABLE
