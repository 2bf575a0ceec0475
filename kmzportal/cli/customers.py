"""kmzportal customers: the office's list in, all customers out."""

import errno
import sys
from pathlib import Path
from typing import IO, Any

import click

from kmzportal.cli.fault import Fault, Group
from kmzportal.db import db
from kmzportal.services import customers_export, customers_import
from kmzportal.services.customers_check import CONTROL, Checked, Finding, check
from kmzportal.services.customers_file import FileRefused, read
from kmzportal.services.customers_import import RowsRefused
from kmzportal.services.customers_plan import Plan, compare
from kmzportal.services.refusals import ChangedMeanwhile
from kmzportal.services.transaction import transaction

SHOWN = 50  # rows of each kind

customers = Group("customers", help="Kundinnen und Kunden als CSV-Datei.")


@customers.command("import")
@click.argument("file", metavar="DATEI", type=Path)
@click.option("--dry-run", is_flag=True, help="Prüft und berichtet nur, ändert nichts.")
def import_(file: Path, dry_run: bool) -> None:
    """Übernimmt eine CSV-Datei: alle Zeilen oder keine. Was hier geändert wurde, bleibt."""
    try:
        table = read(file)
    except FileRefused as refusal:
        raise Fault(CONTROL.sub("�", refusal.message)) from None
    with _progress("Prüfen", len(table.lines)) as bar:
        checked = check(table, bar.update)
    plan = compare(db.session(), checked) if dry_run else _import(checked)
    for kind, findings in plan.report().items():
        _show(kind, findings)
    if plan.refused:
        raise Fault("Nichts wurde importiert. Berichtigen Sie die abgelehnten Zeilen und importieren Sie noch einmal.")
    click.echo("Nur geprüft, nichts wurde geändert." if dry_run else "Der Import ist fertig.")


@customers.command()
@click.argument("file", metavar="[DATEI|-]", default="-")
def export(file: str) -> None:
    """Schreibt alle als CSV, in eine Datei oder auf die Standardausgabe."""
    try:
        with click.open_file(file, "wb") as out:
            _export(out)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise Fault(f"{file} kann nicht geschrieben werden ({error.strerror}).") from None


def _export(out: IO[bytes]) -> None:
    with transaction("console") as tx:
        number = customers_export.announce(tx)
    with _progress("Schreiben", number) as bar:
        for line in customers_export.lines(db.session()):
            out.write(line.encode())
            bar.update(1)


def _import(checked: Checked) -> Plan:
    try:
        with transaction("console") as tx:
            plan = compare(tx.session, checked)
            with _progress("Schreiben", len(plan.touched) + len(plan.new)) as bar:
                customers_import.carry_out(tx, plan, bar.update)
    except RowsRefused:
        return plan
    except ChangedMeanwhile:
        raise Fault(
            "Jemand hat gerade Daten geändert. Nichts wurde importiert. Versuchen Sie es noch einmal."
        ) from None
    return plan


def _progress(label: str, length: int) -> Any:
    hidden = not sys.stderr.isatty() or length == 0
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden, update_min_steps=500)


def _show(kind: str, findings: list[Finding]) -> None:
    click.echo(f"{kind}: {len(findings)}")
    for line, number, text in findings[:SHOWN]:
        click.echo(CONTROL.sub("�", f"  Zeile {line}: Kundennummer {number or 'fehlt'}{text and f' – {text}'}"))
    if len(findings) > SHOWN:
        click.echo(f"  … und {len(findings) - SHOWN} weitere")
