"""kmzportal clerks: who works at the desk."""

from collections.abc import Callable

import click
from flask import current_app

from kmzportal.cli.fault import Fault, Group
from kmzportal.domain.account_link import AccountLink
from kmzportal.domain.mail_address import NotAnAddress
from kmzportal.domain.refusals import AccountLocked, TooManyMails
from kmzportal.services import account_link
from kmzportal.services import clerks as deeds
from kmzportal.services.work import UnitOfWork
from kmzportal.unit_of_work import unit_of_work

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
        url = _issue(mail, print_link, lambda work: deeds.add(work, mail, name, initials, admin))
    except deeds.ClerkExists:
        raise Fault(f"Es gibt schon jemanden mit der Adresse {mail} oder dem Kürzel {initials}.") from None
    click.echo(url if print_link else f"{name} ist angelegt. Der erste Link geht an {mail}.")


@clerks.command()
@click.argument("mail")
@click.option("--print-link", is_flag=True, help="Gibt den Link hier aus, statt ihn zu schicken.")
def link(mail: str, print_link: bool) -> None:
    """Schickt einen neuen ersten Link: für ein neues Passwort und einen neuen zweiten Faktor.

    Bis er benutzt ist, gelten die alten.
    """

    def first_link(work: UnitOfWork) -> AccountLink:
        clerk = deeds.find(work.session, mail)
        if clerk is None:
            raise Fault(f"Niemand im Kundenservice hat die Adresse {mail}. Anlegen: kmzportal clerks add.")
        return deeds.first_link(work, clerk)

    try:
        url = _issue(mail, print_link, first_link)
    except AccountLocked:
        raise Fault(f"Der Zugang von {mail} ist gesperrt. Im Kundenservice unter „Mitarbeitende“ entsperren.") from None
    click.echo(url if print_link else f"Der Link geht an {mail}.")


def _issue(mail: str, print_link: bool, issue: Callable[[UnitOfWork], AccountLink]) -> str:
    """Issue a first link, mail it unless it is to be printed, and return its URL."""
    try:
        with unit_of_work("console") as work:
            issued = issue(work)
            token = work.keys.token(issued)
            if not print_link:
                account_link.send(work, issued)
    except NotAnAddress:
        raise Fault(f"„{mail}“ ist keine E-Mail-Adresse.") from None
    except TooManyMails:
        raise Fault(f"An {mail} gingen heute schon zu viele E-Mails. Nehmen Sie --print-link.") from None
    return f"{current_app.config['PUBLIC_URL']}/link/{token}"
