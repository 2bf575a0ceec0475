"""kmzportal customers: import the office's file, export all customers, delete one."""

import errno
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import func, select

from kmzportal import setting_types
from kmzportal.cli.database import DatabaseGroup
from kmzportal.cli.fault import Fault, agreed
from kmzportal.dates import format_datetime
from kmzportal.db import db
from kmzportal.models import Customer
from kmzportal.plain_text import INVISIBLE, UNFIT
from kmzportal.services import customer_file, customer_import, deletion, desk
from kmzportal.services.customer_file import Row
from kmzportal.services.refusals import ChangedMeanwhile
from kmzportal.services.transaction import link_keys, transaction

SHOWN = 50  # rows of each kind
MANY = 10  # percent of all customers
WHY_MISSING = "fehlt in der importierten Datei"
LOANS = "Ist alles zurück, was ausgeliehen war?"
NO_LOANS = "Bestätigt, dass nichts mehr ausgeliehen ist. Ohne die Angabe wird gefragt."

customers = DatabaseGroup("customers", help="Kundinnen und Kunden: aus einer Datei, in eine Datei, einzeln löschen.")


@customers.command("import")
@click.argument("file", metavar="DATEI", type=Path)
@click.option("--dry-run", is_flag=True, help="Prüft und berichtet nur, ändert nichts.")
@click.option("--ignore-extra", is_flag=True, help="Lässt Spalten weg, die das Portal nicht kennt.")
@click.option("--report-missing", "missing", flag_value="report", help="Nennt alle, die nicht in der Datei stehen.")
@click.option("--lock-missing", "missing", flag_value="lock", help="Nennt und sperrt sie, nach einer Rückfrage.")
@click.option("--delete-missing", "missing", flag_value="delete", help="Nennt und löscht sie, nach einer Rückfrage.")
@click.option("--no-loans", is_flag=True, help=NO_LOANS)
@click.option("--many", is_flag=True, help=f"Sperrt oder löscht auch mehr als {MANY} % aller Konten.")
@click.option("--yes", is_flag=True, help="Fragt nicht, ob gesperrt oder gelöscht werden soll.")
def import_(
    file: Path, dry_run: bool, ignore_extra: bool, missing: str | None, no_loans: bool, many: bool, yes: bool
) -> None:
    """Übernimmt eine CSV-, Excel- oder OpenDocument-Datei: alle Zeilen oder keine. Was hier geändert wurde, bleibt."""
    try:
        rows, ignored = customer_file.read_file(file, ignore_extra)
    except customer_file.FileRefused as refusal:
        raise Fault(_printable(str(refusal))) from None
    with _progress("Prüfen", len(rows), rows) as bar:
        customer_file.check(bar)
    customer_import.compare(db.session(), rows)
    deleted = deletion.deleted_numbers(db.session(), link_keys(), [row.number for row in rows if not row.stored])
    rows = [row for row in rows if row.number not in deleted]
    _show_report(rows, deleted, ignored)
    gone = _show_missing(rows) if missing else []
    if any(row.fault for row in rows):
        raise Fault("Nichts wurde importiert. Berichtigen Sie die abgelehnten Zeilen und importieren Sie noch einmal.")
    if dry_run:
        click.echo("Nur geprüft, nichts wurde geändert.")
        return
    if missing == "report":
        gone = []
    if gone:
        _review(len(gone), missing == "delete", no_loans, many, yes)
    _import(rows)
    _lock_or_delete(gone, missing == "delete")
    click.echo("Der Import ist fertig.")


def _import(rows: Sequence[Row]) -> None:
    staged = customer_import.prepare(rows)
    try:
        with transaction("console", lock_now=False) as tx:
            customer_import.write(tx, staged)
    except ChangedMeanwhile:
        raise Fault(
            "Jemand hat gerade Daten geändert. Nichts wurde importiert. Versuchen Sie es noch einmal."
        ) from None


def _show_missing(rows: Sequence[Row]) -> list[Any]:
    """Show and return the customers who are not in the file."""
    missing = customer_import.missing(db.session(), rows)
    click.echo(f"Nicht in der Datei: {len(missing)}")
    for customer in missing:
        click.echo(_printable(f"  Kundennummer {customer.number} – {customer.first_name} {customer.last_name}"))
    return missing


def _review(number: int, delete: bool, no_loans: bool, many: bool, yes: bool) -> None:
    """Ask before the customers who are missing are locked or deleted; raises Fault unless that is confirmed."""
    total = db.session.scalar(select(func.count(Customer.id))) or 0
    if number * 100 > total * MANY and not many:
        raise Fault(
            f"{number} von {total} Konten stehen nicht in der Datei, mehr als {MANY} %. Nichts wurde geändert. Ist die "
            "Datei vollständig? Dann wiederholen Sie den Befehl mit --many."
        )
    sure = yes or agreed(f"{number} Konten {'löschen' if delete else 'sperren'}?")
    if not sure or (delete and not no_loans and not agreed(LOANS)):
        raise Fault("Abgebrochen, nichts wurde geändert.")


def _lock_or_delete(missing: Sequence[Any], delete: bool) -> None:
    """Do it to one customer after another, as the desk does, so that no login waits for all of them."""
    done = 0
    for each in missing:
        with transaction("console") as tx:
            customer = tx.session.get(Customer, each.id)
            if customer and delete:
                try:
                    desk.delete_customer(tx, customer, customer.version, WHY_MISSING, loans_open=False)
                except desk.ObjectionOpen as refusal:
                    click.echo(_printable(f"  Kundennummer {customer.number} bleibt: {refusal.message}"))
                    continue
            elif customer and not customer.locked_at:
                desk.lock(tx, customer, WHY_MISSING)
            else:
                continue
            done += 1
    if missing:
        click.echo(f"{'Gelöscht' if delete else 'Gesperrt'}: {done}")


@customers.command()
@click.argument("number", metavar="KUNDENNUMMER")
@click.option("--why", metavar="GRUND", required=True, help="Der Grund, für das Protokoll.")
@click.option("--no-loans", is_flag=True, help=NO_LOANS)
@click.option("--anyway", is_flag=True, help="Löscht auch, solange eine frühere E-Mail-Adresse widersprechen kann.")
def delete(number: str, why: str, no_loans: bool, anyway: bool) -> None:
    """Löscht ein Konto wie der Kundenservice: alle Daten, der Verlauf bleibt ohne Namen."""
    try:
        why = setting_types.text(why)
    except ValueError as error:
        raise Fault(f"--why: {error}") from None
    customer = db.session.scalar(Customer.with_number(number))
    if customer is None:
        raise Fault(f"Die Kundennummer {_printable(number)} gibt es nicht.")
    name, version = customer.name, customer.version
    loans_open = not no_loans and not agreed(f"{_printable(name)}: {LOANS}")
    try:
        with transaction("console") as tx:
            (deletion if anyway else desk).delete_customer(tx, customer, version, why, loans_open)
    except deletion.LoansOpen as refusal:
        raise Fault(refusal.message) from None
    except desk.ObjectionOpen as refusal:
        raise Fault(f"{refusal.message} Sofort: --anyway.") from None
    except ChangedMeanwhile:
        raise Fault(
            "Jemand hat das Konto gerade geändert. Nichts wurde gelöscht. Versuchen Sie es noch einmal."
        ) from None
    click.echo(f"Das Konto von {_printable(name)} ist gelöscht.")


@customers.command()
@click.argument("file", metavar="[DATEI|-]", default="-")
def export(file: str) -> None:
    """Schreibt alle als CSV, in eine Datei oder auf die Standardausgabe."""
    try:
        with click.open_file(file, "wb") as out:
            with transaction("console") as tx:
                number = customer_file.record_export(tx)
            with _progress("Schreiben", number) as bar:
                customer_file.export_customers(db.session(), out, bar.update)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise Fault(f"{file} kann nicht geschrieben werden ({error.strerror}).") from None


def _progress(label: str, length: int, rows: list[Row] | None = None) -> Any:
    hidden = not sys.stderr.isatty() or length == 0
    return click.progressbar(rows, length, label=label, file=sys.stderr, hidden=hidden, update_min_steps=500)


def _show_report(rows: list[Row], deleted: dict[str, datetime], ignored: Sequence[str]) -> None:
    for kind, found in customer_import.report(rows).items():
        click.echo(f"{kind}: {len(found)}")
        for row, remark in found[:SHOWN]:
            text = f"  Zeile {row.line}: Kundennummer {row.number or 'fehlt'}{remark and f' – {remark}'}"
            click.echo(_printable(text))
        if len(found) > SHOWN:
            click.echo(f"  … und {len(found) - SHOWN} weitere")
    gone = [f"  Kundennummer {number} – gelöscht am {format_datetime(at)}" for number, at in deleted.items()]
    for text in (f"Hier gelöscht, nicht wieder angelegt: {len(gone)}", *gone) if gone else ():
        click.echo(_printable(text))
    for name in ignored:
        click.echo(_printable(f"Nicht gelesen: {name}"))


def _printable(text: str) -> str:
    return UNFIT.sub("�", INVISIBLE.sub("", text))
