"""kmzportal mail: test the mail server, send waiting mails."""

from datetime import UTC, datetime
from email.utils import make_msgid

import click
from flask import current_app
from flask.cli import AppGroup

from kmzportal import mail_address
from kmzportal.cli.database import check
from kmzportal.cli.fault import Fault
from kmzportal.mail.compose import Email, compose
from kmzportal.mail.delivery import deliver_due, post
from kmzportal.mail_address import InvalidAddress
from kmzportal.models import MailState, OutgoingMail
from kmzportal.services.transaction import link_keys

mail = AppGroup("mail", help="E-Mails und der Mailserver.")


@mail.command()
@click.argument("address")
def test(address: str) -> None:
    """Schickt sofort eine Probe an ADDRESS und sagt, was der Mailserver geantwortet hat."""
    server = _server()
    result = post(_test_mail(address))
    code = f" ({result.code})" if result.code else ""
    if result.state is not MailState.SENT:
        words = f" Antwort des Mailservers: „{result.reply}“." if result.reply else ""
        raise Fault(f"{server} hat die Probe nicht angenommen{code}: {result.reason}.{words}")
    click.echo(f"{server} hat die Probe an {address} angenommen{code}. Sehen Sie nach, ob sie ankommt.")


@mail.command()
def deliver() -> None:
    """Verschickt einmal, was wartet; das tut sonst der Arbeitsprozess."""
    check()
    _server()
    click.echo(f"Verschickte E-Mails: {deliver_due()}.")


def _server() -> str:
    config = current_app.config
    if not config["MAIL_SERVER"]:
        raise Fault("MAIL_SERVER ist leer. Tragen Sie den Mailserver in instance/config.toml ein.")
    return f"{config['MAIL_SERVER']}:{config['MAIL_PORT']}"


def _test_mail(address: str) -> Email:
    """Return a mail that is not in the outbox."""
    config, now = current_app.config, datetime.now(UTC)
    try:
        recipient = mail_address.parse(address)
    except InvalidAddress:
        raise Fault(f"„{address}“ ist keine E-Mail-Adresse.") from None
    message_id = make_msgid(domain=config["MAIL_DEFAULT_SENDER"][1].rpartition("@")[2])
    mail = OutgoingMail(template="test", recipient=recipient, facts={}, message_id=message_id, queued_at=now)
    try:
        return compose(mail, link_keys(), config, now)
    except LookupError:
        raise Fault("PUBLIC_URL fehlt. Ohne sie entsteht keine E-Mail.") from None
