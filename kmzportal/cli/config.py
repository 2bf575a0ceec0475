"""kmzportal config: every setting, its value, and what is wrong with it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import make_url

from kmzportal.configuration import faults, load
from kmzportal.services import office_pages
from kmzportal.settings import SETTINGS

SECRET_ENDINGS = ("_KEY", "_KEY_FALLBACKS", "_PASSWORD")


@click.command()
@with_appcontext
def config() -> None:
    """Zeigt alle Einstellungen und ihre Fehler.

    Schlüssel und Passwörter bleiben verdeckt.
    """
    instance = Path(current_app.instance_path)
    for setting in SETTINGS:
        value = _shown(setting.name, current_app.config[setting.name])
        click.echo(f"{setting.name} = {value}")
        click.echo(f"    Vorgabe {_shown(setting.name, setting.default)} ({setting.unit}); {setting.why}")
    click.echo(f"Texte der Seiten: {office_pages.SHIPPED}; eigene in {office_pages.own_folder(instance)}")
    _, warnings = load(instance)
    lacking = office_pages.lacking(instance, current_app.config, datetime.now(UTC).date())
    for sentence in (*warnings, *faults(current_app.config), *lacking):
        click.echo(f"Achtung: {sentence}", err=True)


def _shown(name: str, value: Any) -> str:
    if name.endswith(SECRET_ENDINGS):
        return "(verdeckt)" if value else "(leer)"
    if name.endswith("_URI") and value:
        return make_url(value).render_as_string(hide_password=True)
    words = {True: "ja", False: "nein"} if isinstance(value, bool) else {}
    return words.get(value) or str(value if value not in ("", []) else "(leer)")
