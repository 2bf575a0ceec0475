"""kmzportal doctor: what is wrong with this portal, what follows, what to do."""

import json
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import asdict

import click

from kmzportal import create_app, settings
from kmzportal import doctor as checks
from kmzportal.db import close
from kmzportal.services import diagnosis
from kmzportal.services import instance as instance_folder
from kmzportal.settings import SettingsError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Gibt alle Ergebnisse als JSON aus, für Programme.")
@click.option("--report", is_flag=True, help="Gibt einen Bericht aus, ohne Schlüssel, Passwörter und E-Mail-Adressen.")
def doctor(as_json: bool, report: bool) -> None:
    """Prüft das Portal und nennt zu jedem Fehler Folge und Abhilfe.

    Fragt dazu PUBLIC_URL, den Mailserver, das Postfach und das DNS, ohne etwas zu verschicken. Der Code ist 1, wenn ein
    Fehler dabei ist.
    """
    instance, app = settings.instance_path(), None
    if not instance_folder.faults(instance):
        with suppress(SettingsError):  # the check settings_faults names them
            app = create_app(instance=instance, make_keys=False)
    results = diagnosis.worst_first(checks.examine(instance, app))
    if app:
        with app.app_context():
            close()  # leaves SQLite's database whole in one file
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results], ensure_ascii=False, indent=1))
    elif report:
        click.echo(diagnosis.report(results, app.config if app else settings.read(instance).values))
    else:
        _print(results)
    sys.exit(any(result.status == "fail" for result in results))


def _print(results: list[diagnosis.Result]) -> None:
    for result in results:
        if result.fault:
            click.echo(f"{diagnosis.LABELS[result.status]}: {result.group} – {result.name}\n  {result.fault}")
            click.echo(f"  Folge: {result.consequence}\n  Abhilfe: {result.cure}\n")
    numbers = Counter(result.status for result in results)
    click.echo(", ".join(f"{label}: {numbers[status]}" for status, label in diagnosis.LABELS.items()))
