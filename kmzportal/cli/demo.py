"""kmzportal demo. Only main knows it: it makes an app of its own, and looks at no other portal's settings."""

import sys

import click

from kmzportal import create_app
from kmzportal.configuration import instance_path
from kmzportal.server import demo as server


@click.command()
@click.option("--port", default=5000, envvar="PORT", show_default=True, help="Port; auch aus der Umgebung: PORT.")
def demo(port: int) -> None:
    """Startet eine Vorführung mit erfundenen Menschen.

    Sie antwortet nur auf diesem Rechner, verschickt nichts und beginnt bei jedem Start von vorn.
    """
    sys.exit(server.demo(create_app, instance_path(), port))
