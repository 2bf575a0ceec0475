"""kmzportal accesses, breach-report, register, purge: what the GDPR asks of the office."""

import csv
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from flask import current_app

from kmzportal.cli.database import DatabaseGroup
from kmzportal.cli.fault import Fault
from kmzportal.dates import BERLIN
from kmzportal.db import db
from kmzportal.models import Clerk, Customer
from kmzportal.server import worker
from kmzportal.services import clock, office_pages
from kmzportal.services import privacy as facts
from kmzportal.services.customer_file import guard
from kmzportal.services.transaction import transaction

FORMATS = ("%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M", "%d.%m.%Y", "%Y-%m-%d")
HEADER = ("Art", "Nummer", "Name", "E-Mail", "Anmeldungen", "Sitzungen", "Links", "Zugriffe", "Exporte")


privacy = DatabaseGroup("privacy")  #: its commands stand beside the others


@privacy.command()
@click.argument("number", metavar="KUNDENNUMMER")
def accesses(number: str) -> None:
    """Zeigt, wer vom Kundenservice die Daten dieses Kontos wann gesehen und was getan hat."""
    with transaction("console") as tx:
        customer = tx.session.scalar(Customer.with_number(number))
        if customer is None:
            raise Fault("Diese Kundennummer gibt es nicht.")
        found = facts.accesses(tx.session, customer)
        tx.record("accesses.reported", customer, number=len(found))
    for when, who, what in found:
        click.echo(f"{when} – {who}: {what}")
    if not found:
        click.echo("Niemand hat die Daten gesehen oder etwas getan.")


@privacy.command("breach-report")
@click.argument("since", metavar="VON")
@click.argument("until", metavar="BIS")
def breach_report(since: str, until: str) -> None:
    """Schreibt als CSV, wen ein Datenleck zwischen zwei Zeiten betreffen kann.

    Zeiten wie 23.11.2026 oder "23.11.2026 14:05"; ein Tag allein zählt ganz.
    """
    start, end = _time(since, timedelta()), _time(until, timedelta(days=1))
    if start >= end:
        raise Fault("VON liegt nicht vor BIS.")
    with transaction("console") as tx:
        concerned = facts.concerned(tx.session, start, end)
        tx.record("breach.reported", number=len(concerned), note=" ".join(f"{since} bis {until}".split()))
    writer = csv.writer(sys.stdout, delimiter=";")
    writer.writerow(HEADER)
    for person, counts in concerned:
        kind = ("Mitarbeit", person.initials) if isinstance(person, Clerk) else ("Konto", person.number)
        writer.writerow([*map(guard, (*kind, person.name, person.email)), *counts])


def _time(text: str, day: timedelta) -> datetime:
    """Return the time in UTC; that of a day alone is its beginning plus `day`. Raises Fault."""
    for each in FORMATS:
        with suppress(ValueError, OverflowError):
            at = datetime.strptime(text, each) + (timedelta() if "%H" in each else day)
            return at.replace(tzinfo=BERLIN).astimezone(UTC)
    raise Fault(f'„{text}“ ist keine Zeit. Schreiben Sie 23.11.2026 oder "23.11.2026 14:05".')


@privacy.command()
def register() -> None:
    """Schreibt das Verzeichnis von Verarbeitungstätigkeiten (Artikel 30 DSGVO) als Text in Markdown."""
    name = office_pages.REGISTER
    click.echo(office_pages.read(Path(current_app.instance_path), current_app.config, [name])[name])


@privacy.command()
@click.option("--clock-is-right", is_flag=True, help="Auch wenn die Uhr gesprungen zu sein scheint.")
def purge(clock_is_right: bool) -> None:
    """Löscht einmal, was alt ist; das tut sonst der Arbeitsprozess."""
    fault = clock.fault(db.session(), datetime.now(UTC))
    if fault and not clock_is_right:
        raise Fault(f"{fault}.")
    click.echo(f"Gelöschte oder geänderte Zeilen: {worker.purge()}.")
