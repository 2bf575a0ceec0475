"""kmzportal purge: delete what is old, as the worker does once an hour."""

from datetime import UTC, datetime

import click
from flask.cli import with_appcontext

from kmzportal.cli.fault import Fault
from kmzportal.db import db
from kmzportal.server import worker
from kmzportal.services import clock


@click.command()
@click.option("--clock-is-right", is_flag=True, help="Auch wenn die Uhr gesprungen zu sein scheint.")
@with_appcontext
def purge(clock_is_right: bool) -> None:
    """Löscht einmal, was alt ist; das tut sonst der Arbeitsprozess."""
    fault = clock.fault(db.session(), datetime.now(UTC))
    if fault and not clock_is_right:
        raise Fault(f"{fault}.")
    click.echo(f"Gelöschte oder geänderte Zeilen: {worker.purge()}.")
