"""kmzportal support: read the support mailbox once, test it."""

import click
from flask import current_app
from flask.cli import AppGroup

from kmzportal.cli.fault import Fault
from kmzportal.mail import inbox
from kmzportal.mail.inbox import InboxFault

support = AppGroup("support", help="Das Postfach für Anfragen.")


@support.command()
def fetch() -> None:
    """Liest das Postfach einmal; das tut sonst der Arbeitsprozess."""
    _server()
    try:
        effects = inbox.fetch()
    except InboxFault as fault:
        raise Fault(str(fault)) from None
    each = ", ".join(f"{effect} {number}" for effect, number in effects.items())
    click.echo(f"Gelesene E-Mails: {effects.total()}{f' ({each})' if each else ''}.")


@support.command()
def test() -> None:
    """Meldet sich am Postfach an und sagt, was nicht stimmt; liest und ändert nichts."""
    server = _server()
    try:
        number = inbox.count_mails()
    except InboxFault as fault:
        raise Fault(str(fault)) from None
    folder = current_app.config["IMAP_FOLDER"]
    click.echo(f"{server} nimmt die Anmeldung an. E-Mails im Ordner „{folder}“: {number}.")


def _server() -> str:
    config = current_app.config
    if not config["IMAP_SERVER"]:
        raise Fault("IMAP_SERVER ist leer. Tragen Sie den Server des Postfachs in instance/config.toml ein.")
    return f"{config['IMAP_SERVER']}:{config['IMAP_PORT']}"
