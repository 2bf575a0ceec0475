"""kmzportal clerks and kmzportal links: add clerks, send links from the command line."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import click
from flask import current_app
from sqlalchemy import select

from kmzportal import mail_address, setting_types
from kmzportal.cli.database import DatabaseGroup
from kmzportal.cli.fault import Fault
from kmzportal.db import db
from kmzportal.mail_address import InvalidAddress
from kmzportal.models import AccountLink, Clerk, Customer
from kmzportal.services import clerks as clerk_service
from kmzportal.services import desk, outbox
from kmzportal.services import links as link_service
from kmzportal.services.refusals import AccountLocked, TooManyMails
from kmzportal.services.transaction import Transaction, transaction

clerks = DatabaseGroup("clerks", help="Menschen im Kundenservice.")
links = DatabaseGroup("links", help="Links zum Konto.")


def _full_name(value: str) -> str:
    name = setting_types.text(value)
    if not 0 < len(name) <= 100:
        raise ValueError("Nennen Sie Vor- und Nachnamen, höchstens 100 Zeichen.")
    return name


def _initials(value: str) -> str:
    if not re.fullmatch(clerk_service.INITIALS, value.strip()):
        raise ValueError("Ein Kürzel hat 2 bis 4 Buchstaben.")
    return value.strip()


#: Each returns the value of this option; raises ValueError with a German sentence.
PARSERS: dict[str, Callable[[str], str]] = {
    "mail": setting_types.address,
    "admin": setting_types.address,
    "name": _full_name,
    "initials": _initials,
}


@clerks.command()
@click.argument("mail")
@click.option("--name", required=True, help="Vor- und Nachname.")
@click.option("--initials", required=True, metavar="XX", help="Kürzel, wie es in E-Mails steht („Bearbeiter: ro“).")
@click.option("--admin", is_flag=True, help="Verwaltet auch die Mitarbeitenden und sieht das Protokoll.")
@click.option("--print-link", is_flag=True, help="Gibt den ersten Link hier aus, statt ihn zu schicken.")
def add(mail: str, name: str, initials: str, admin: bool, print_link: bool) -> None:
    """Legt jemanden an und schickt den ersten Link, mit dem das Passwort gesetzt wird."""
    faults, values = [], {"mail": mail, "name": name, "initials": initials}
    for option, value in values.items():
        try:
            values[option] = PARSERS[option](value)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise Fault("\n".join(faults))
    name = values["name"]
    try:
        url = issue_first_link(mail, print_link, lambda tx: clerk_service.add(tx, mail, name, initials.strip(), admin))
    except clerk_service.ClerkExists:
        raise Fault(f"Es gibt schon jemanden mit der Adresse {mail} oder dem Kürzel {initials}.") from None
    click.echo(url if print_link else f"{name} ist angelegt. {_way('Der erste Link', mail)}")


@clerks.command()
@click.argument("mail")
@click.option("--print-link", is_flag=True, help="Gibt den Link hier aus, statt ihn zu schicken.")
def link(mail: str, print_link: bool) -> None:
    """Schickt einen neuen ersten Link: für ein neues Passwort und einen neuen zweiten Faktor.

    Bis er benutzt ist, gelten die alten.
    """

    def first_link(tx: Transaction) -> AccountLink:
        clerk = clerk_service.find(tx.session, mail)
        if clerk is None:
            raise Fault(f"Niemand im Kundenservice hat die Adresse {mail}. Anlegen: kmzportal clerks add.")
        return clerk_service.first_link(tx, clerk)

    try:
        url = issue_first_link(mail, print_link, first_link)
    except AccountLocked as locked:
        if locked.about.left_at:
            raise Fault(f"{mail} ist ausgeschieden. Im Kundenservice unter „Mitarbeitende“ zurückholen.") from None
        raise Fault(f"Der Zugang von {mail} ist gesperrt. Im Kundenservice unter „Mitarbeitende“ entsperren.") from None
    click.echo(url if print_link else _way("Der Link", mail))


def issue_first_link(mail: str, print_link: bool, issue: Callable[[Transaction], AccountLink]) -> str:
    """Issue a first link, mail it unless it is to be printed, and return its URL."""
    try:
        with transaction("console") as tx:
            issued = issue(tx)
            token = tx.keys.token(issued)
            if not print_link:
                link_service.send(tx, issued)
    except InvalidAddress:
        raise Fault(f"„{mail}“ ist keine E-Mail-Adresse.") from None
    except TooManyMails:
        raise Fault(f"An {mail} gingen heute schon zu viele E-Mails. Nehmen Sie --print-link.") from None
    return f"{current_app.config['PUBLIC_URL']}/link/{token}"


def _way(what: str, mail: str) -> str:
    """Return in German that the link is sent, or why it waits."""
    outage = outbox.mail_outage(db.session(), datetime.now(UTC), current_app.config)
    return f"{what} an {mail} wartet: {outage.why}" if outage else f"{what} geht an {mail}."


@links.command()
@click.argument("mail")
@click.option("--by", metavar="XX", help="Kürzel der Person, die als Bearbeiter in der E-Mail steht.")
def send(mail: str, by: str | None) -> None:
    """Schickt den Link zum Konto an die hinterlegte Adresse."""
    try:
        customer, initials = _customer(mail), _clerk(by).initials if by else None
        with transaction("console", initials=initials) as tx:
            desk.send_link(tx, customer)
    except AccountLocked:
        raise Fault(f"Das Konto von {mail} ist gesperrt. Ein Link würde es nicht öffnen.") from None
    except TooManyMails:
        raise Fault(f"An {mail} gingen heute schon zu viele E-Mails. Versuchen Sie es morgen wieder.") from None
    click.echo(_way("Der Link zum Konto", mail))


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
