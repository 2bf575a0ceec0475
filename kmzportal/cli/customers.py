"""kmzportal customers: import the office's file, export all customers."""

import errno
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from kmzportal.cli.database import DatabaseGroup
from kmzportal.cli.fault import Fault
from kmzportal.dates import format_datetime
from kmzportal.db import db
from kmzportal.services import customer_csv, deletion
from kmzportal.services.refusals import ChangedMeanwhile
from kmzportal.services.transaction import link_keys, transaction

SHOWN = 50  # rows of each kind

customers = DatabaseGroup("customers", help="Kundinnen und Kunden als CSV-Datei.")


@customers.command("import")
@click.argument("file", metavar="DATEI", type=Path)
@click.option("--dry-run", is_flag=True, help="Prüft und berichtet nur, ändert nichts.")
def import_(file: Path, dry_run: bool) -> None:
    """Übernimmt eine CSV-Datei: alle Zeilen oder keine. Was hier geändert wurde, bleibt."""
    try:
        rows = customer_csv.read_file(file)
        with _progress("Prüfen", len(rows), rows) as bar:
            customer_csv.check(bar)
        deleted = deletion.deleted_numbers(db.session(), link_keys(), [row.number for row in rows])
        rows = [row for row in rows if row.number not in deleted]
        if dry_run:
            customer_csv.compare(db.session(), rows)
        else:
            with (
                suppress(customer_csv.RowsRefused),
                transaction("console") as tx,
                _progress("Schreiben", len(rows)) as bar,
            ):
                customer_csv.import_customers(tx, rows, bar.update)
    except customer_csv.FileRefused as refusal:
        raise Fault(_printable(str(refusal))) from None
    except ChangedMeanwhile:
        raise Fault(
            "Jemand hat gerade Daten geändert. Nichts wurde importiert. Versuchen Sie es noch einmal."
        ) from None
    _show_report(rows, deleted)
    if any(row.fault for row in rows):
        raise Fault("Nichts wurde importiert. Berichtigen Sie die abgelehnten Zeilen und importieren Sie noch einmal.")
    click.echo("Nur geprüft, nichts wurde geändert." if dry_run else "Der Import ist fertig.")


@customers.command()
@click.argument("file", metavar="[DATEI|-]", default="-")
def export(file: str) -> None:
    """Schreibt alle als CSV, in eine Datei oder auf die Standardausgabe."""
    try:
        with click.open_file(file, "wb") as out:
            with transaction("console") as tx:
                number = customer_csv.record_export(tx)
            with _progress("Schreiben", number) as bar:
                customer_csv.export_customers(db.session(), out, bar.update)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise Fault(f"{file} kann nicht geschrieben werden ({error.strerror}).") from None


def _progress(label: str, length: int, rows: list[customer_csv.Row] | None = None) -> Any:
    hidden = not sys.stderr.isatty() or length == 0
    return click.progressbar(rows, length, label=label, file=sys.stderr, hidden=hidden, update_min_steps=500)


def _show_report(rows: list[customer_csv.Row], deleted: dict[str, datetime]) -> None:
    for kind, found in customer_csv.report(rows).items():
        click.echo(f"{kind}: {len(found)}")
        for row, remark in found[:SHOWN]:
            text = f"  Zeile {row.line}: Kundennummer {row.number or 'fehlt'}{remark and f' – {remark}'}"
            click.echo(_printable(text))
        if len(found) > SHOWN:
            click.echo(f"  … und {len(found) - SHOWN} weitere")
    if deleted:
        click.echo(f"Hier gelöscht, nicht wieder angelegt: {len(deleted)}")
    for number, at in deleted.items():
        click.echo(f"  Kundennummer {number} – gelöscht am {format_datetime(at)}")


def _printable(text: str) -> str:
    return customer_csv.CONTROL.sub("�", text)
