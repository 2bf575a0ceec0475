"""kmzportal clerks: who works at the desk."""

import click
from flask import current_app
from flask.cli import AppGroup

from kmzportal.cli.fault import Fault
from kmzportal.domain.mail_address import NotAnAddress
from kmzportal.domain.refusals import TooManyMails
from kmzportal.services import account_link
from kmzportal.services import clerks as deeds
from kmzportal.unit_of_work import unit_of_work

clerks = AppGroup("clerks", help="Menschen im Kundenservice.")


@clerks.command()
@click.argument("mail")
@click.option("--name", required=True, help="Vor- und Nachname.")
@click.option("--initials", required=True, metavar="XX", help="Kürzel, wie es in E-Mails steht („Bearbeiter: ro“).")
@click.option("--admin", is_flag=True, help="Darf auch das Protokoll sehen.")
@click.option("--print-link", is_flag=True, help="Gibt den ersten Link hier aus, statt ihn zu schicken.")
def add(mail: str, name: str, initials: str, admin: bool, print_link: bool) -> None:
    """Legt jemanden an und schickt den ersten Link, mit dem das Passwort gesetzt wird."""
    try:
        with unit_of_work("console") as work:
            link = deeds.add(work, mail, name, initials, admin)
            token = work.keys.token(link)
            if not print_link:
                account_link.send(work, link)
    except NotAnAddress:
        raise Fault(f"„{mail}“ ist keine E-Mail-Adresse.") from None
    except deeds.ClerkExists:
        raise Fault(f"Es gibt schon jemanden mit der Adresse {mail} oder dem Kürzel {initials}.") from None
    except TooManyMails:
        raise Fault(f"An {mail} gingen heute schon zu viele E-Mails. Nehmen Sie --print-link.") from None
    url = f"{current_app.config['PUBLIC_URL']}/link/{token}"
    click.echo(url if print_link else f"{name} ist angelegt. Der erste Link geht an {mail}.")
