"""kmzportal links: the link to the account, sent from the command line."""

import click
from sqlalchemy import select

from kmzportal import mail_address
from kmzportal.cli.fault import Fault, Group
from kmzportal.db import db
from kmzportal.mail_address import InvalidAddress
from kmzportal.models.clerk import Clerk
from kmzportal.models.customer import Customer
from kmzportal.services import desk
from kmzportal.services.refusals import AccountLocked, TooManyMails
from kmzportal.services.transaction import transaction

links = Group("links", help="Links zum Konto.")


@links.command()
@click.argument("mail")
@click.option("--by", required=True, metavar="XX", help="Kürzel der Person, die als Bearbeiter in der E-Mail steht.")
def send(mail: str, by: str) -> None:
    """Schickt den Link zum Konto an die hinterlegte Adresse."""
    try:
        with transaction("console") as tx:
            desk.send_link(tx, _customer(mail), _clerk(by).initials)
    except AccountLocked:
        raise Fault(f"Das Konto von {mail} ist gesperrt. Ein Link würde es nicht öffnen.") from None
    except TooManyMails:
        raise Fault(f"An {mail} gingen heute schon zu viele E-Mails. Versuchen Sie es morgen wieder.") from None
    click.echo(f"Der Link zum Konto geht an {mail}.")


def _customer(mail: str) -> Customer:
    try:
        canonical = mail_address.canonical(mail)
    except InvalidAddress:
        raise Fault(f"„{mail}“ ist keine E-Mail-Adresse.") from None
    customer = db.session.scalar(select(Customer).where(Customer.email_canonical == canonical))
    if customer is None:
        raise Fault(f"Die Adresse {mail} ist unbekannt. Es wurde nichts verschickt.")
    return customer


def _clerk(initials: str) -> Clerk:
    clerk = db.session.scalar(select(Clerk).where(Clerk.initials == initials, Clerk.locked_at.is_(None)))
    if clerk is None:
        raise Fault(f"Niemand im Kundenservice hat das Kürzel {initials}. Anlegen: kmzportal clerks add.")
    return clerk
