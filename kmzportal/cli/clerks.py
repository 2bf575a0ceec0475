"""kmzportal clerks: who works at the desk."""

from collections.abc import Callable

import click
from flask import current_app

from kmzportal.cli.fault import Fault, Group
from kmzportal.mail_address import InvalidAddress
from kmzportal.models.account_link import AccountLink
from kmzportal.services import clerks as clerk_service
from kmzportal.services import links
from kmzportal.services.refusals import AccountLocked, TooManyMails
from kmzportal.services.transaction import Transaction, transaction

clerks = Group("clerks", help="Menschen im Kundenservice.")


@clerks.command()
@click.argument("mail")
@click.option("--name", required=True, help="Vor- und Nachname.")
@click.option("--initials", required=True, metavar="XX", help="Kürzel, wie es in E-Mails steht („Bearbeiter: ro“).")
@click.option("--admin", is_flag=True, help="Verwaltet auch die Mitarbeitenden und sieht das Protokoll.")
@click.option("--print-link", is_flag=True, help="Gibt den ersten Link hier aus, statt ihn zu schicken.")
def add(mail: str, name: str, initials: str, admin: bool, print_link: bool) -> None:
    """Legt jemanden an und schickt den ersten Link, mit dem das Passwort gesetzt wird."""
    try:
        url = _issue(mail, print_link, lambda tx: clerk_service.add(tx, mail, name, initials, admin))
    except clerk_service.ClerkExists:
        raise Fault(f"Es gibt schon jemanden mit der Adresse {mail} oder dem Kürzel {initials}.") from None
    click.echo(url if print_link else f"{name} ist angelegt. Der erste Link geht an {mail}.")


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
        url = _issue(mail, print_link, first_link)
    except AccountLocked:
        raise Fault(f"Der Zugang von {mail} ist gesperrt. Im Kundenservice unter „Mitarbeitende“ entsperren.") from None
    click.echo(url if print_link else f"Der Link geht an {mail}.")


def _issue(mail: str, print_link: bool, issue: Callable[[Transaction], AccountLink]) -> str:
    """Issue a first link, mail it unless it is to be printed, and return its URL."""
    try:
        with transaction("console") as tx:
            issued = issue(tx)
            token = tx.keys.token(issued)
            if not print_link:
                links.send(tx, issued)
    except InvalidAddress:
        raise Fault(f"„{mail}“ ist keine E-Mail-Adresse.") from None
    except TooManyMails:
        raise Fault(f"An {mail} gingen heute schon zu viele E-Mails. Nehmen Sie --print-link.") from None
    return f"{current_app.config['PUBLIC_URL']}/link/{token}"
