"""kmzportal support: read the support mailbox once, test it."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import current_app
from flask.cli import AppGroup

from kmzportal.cli.database import check
from kmzportal.cli.fault import Fault
from kmzportal.mail import inbox

support = AppGroup("support", help="Das Postfach für Anfragen.")


@support.command()
def fetch() -> None:
    """Liest das Postfach einmal; das tut sonst der Arbeitsprozess."""
    check()
    with mailbox():
        effects = inbox.fetch()
    each = ", ".join(f"{effect} {number}" for effect, number in effects.items())
    click.echo(f"Gelesene E-Mails: {effects.total()}{f' ({each})' if each else ''}.")


@support.command()
def test() -> None:
    """Meldet sich am Postfach an und sagt, was nicht stimmt; liest und ändert nichts."""
    with mailbox():
        number = inbox.count_mails()
    config = current_app.config
    server, folder = f"{config['IMAP_SERVER']}:{config['IMAP_PORT']}", config["IMAP_FOLDER"]
    click.echo(f"{server} nimmt die Anmeldung an. E-Mails im Ordner „{folder}“: {number}.")


@contextmanager
def mailbox() -> Iterator[None]:
    if not current_app.config["IMAP_SERVER"]:
        raise Fault("IMAP_SERVER ist leer. Tragen Sie den Server des Postfachs in instance/config.toml ein.")
    try:
        yield
    except inbox.InboxFault as fault:
        raise Fault(str(fault)) from None
