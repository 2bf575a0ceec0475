"""kmzportal backup, restore and keys."""

import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from flask import current_app
from flask.cli import AppGroup, ScriptInfo, with_appcontext

from kmzportal import settings
from kmzportal.cli.database import HALF_RESTORED, RUNS, hold
from kmzportal.cli.fault import Fault, agreed
from kmzportal.dates import format_datetime
from kmzportal.db import close, db, schema_version
from kmzportal.migrations import upgrade
from kmzportal.models import Clerk
from kmzportal.services import backup as backups
from kmzportal.services import deletion
from kmzportal.services import keys as key_service
from kmzportal.services import restore as restoring
from kmzportal.services.transaction import link_keys, transaction

NEED_LINK = "Es brauchen einen neuen ersten Link (kmzportal clerks link ADRESSE):"
UNKNOWN = "Wer seit der Sicherung Zugang verlor, ist darin nicht zu lesen. Sperren Sie diese Personen danach selbst."
PASSWORDS = "Ein neues Passwort brauchen, weil es seit der Sicherung geändert wurde („Passwort vergessen?“): {}"
UNDONE = (
    "Datenbank und Schlüssel sind wieder wie vor dem unterbrochenen Einspielen. Das Portal kann starten. Die eigenen "
    "Seiten in {folder} können schon die der Sicherung sein: Prüfen Sie sie."
)

FORGOTTEN = (
    "Gelöschte Konten, die ohne den alten LINK_KEY nicht mehr zu erkennen sind: {}. Ein Import legt sie wieder an, "
    "wenn sie noch in der Datei stehen."
)

keys = AppGroup("keys", help="Die Schlüssel der Instanz.")


@click.command()
@click.argument("file", metavar="[DATEI]", type=Path, required=False)
@click.option("--keys", "keys_file", metavar="DATEI", type=Path, help="Schreibt auch die Schlüssel, in diese Datei.")
@with_appcontext
def backup(file: Path | None, keys_file: Path | None) -> None:
    """Sichert Datenbank, Einstellungen und eigene Seiten in eine Datei, auch während das Portal läuft.

    Die Sicherung enthält keine Schlüssel und keine Passwörter. Bewahren Sie die Datei mit den Schlüsseln an einem
    anderen Ort auf: Ohne sie brauchen nach einem Verlust alle im Kundenservice einen neuen zweiten Faktor.
    """
    instance, config = Path(current_app.instance_path), current_app.config
    if restoring.is_pending(instance):
        raise Fault(HALF_RESTORED)
    schema = schema_version()
    backups.refuse_newer(schema)
    if schema is None:
        raise Fault("Die Datenbank hat noch keine Tabellen. Es gibt nichts zu sichern.")
    click.echo(f"Gesichert und geprüft: {backups.create(instance, config, file)}")
    if keys_file:
        backups.write_keys(config, keys_file)
        click.echo(f"Schlüssel und Passwörter: {keys_file}")


@click.command()
@click.argument("file", metavar="DATEI", type=Path)
@click.option("--keys", "keys_file", metavar="DATEI", type=Path, help="Die Schlüssel zu dieser Sicherung.")
@click.option("--yes", is_flag=True, help="Fragt nicht.")
@click.pass_context
def restore(ctx: click.Context, file: Path, keys_file: Path | None, yes: bool) -> None:
    """Spielt eine Sicherung ein; das Portal darf dabei nicht laufen.

    Alle Anmeldungen und offenen Links enden. Wer seit der Sicherung gelöscht oder gesperrt wurde, wird es wieder.
    Passwörter und zweite Faktoren, die seitdem ersetzt wurden, gelten nicht mehr. Was ersetzt wird, ist vorher
    gesichert.
    """
    script, instance = ctx.ensure_object(ScriptInfo), settings.instance_path()
    secrets = restoring.read_keys(keys_file) if keys_file else {}
    if not file.is_file():
        raise Fault(f"{file} gibt es nicht.")
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        os.fdopen(hold(instance, fcntl.LOCK_EX, RUNS)),
        TemporaryDirectory(prefix=".restore-", dir=instance) as folder,
    ):
        content = Path(folder, "content")
        manifest = backups.unpack(file, content)
        restoring.bring_back_keys(instance)
        if restoring.add_missing_files(instance, content, secrets):
            click.echo(f"Einstellungen aus der Sicherung: {instance}/config.toml. Ohne --keys fehlen darin Passwörter.")
        with script.load_app().app_context():
            undone = restoring.bring_back_database(instance, Path(folder, "before"))
            present = restoring.look(manifest)
            _show(file, manifest, present)
            if not (yes or present is None or agreed("Ersetzen?")):
                raise Fault(_decline(instance, undone))
            kept = restoring.keep(instance, current_app.config, present) if present else None
            if kept:
                click.echo(f"Was ersetzt wird, ist gesichert in {kept}")
            old_keys = link_keys()
            if undone or not restoring.is_pending(instance):  # else `kept` is what the interrupted restore left
                restoring.begin(instance, kept)
            restoring.replace_files(instance, content, secrets)
            restoring.replace_database(content)
            close()
        app = script.create_app() if script.create_app else script.load_app()  # with the keys of the backup
        upgrade(app)
        with app.app_context():
            with transaction("console") as tx:
                replaced = present or restoring.Present()
                settled = restoring.settle(tx, manifest, replaced, old_keys, with_keys=bool(secrets))
            restoring.end(instance)
            click.echo("Die Sicherung ist eingespielt. Alle Anmeldungen und offenen Links sind beendet.")
            _report(settled)
            key_service.check(db.session(), current_app.config)
            close()


@keys.command()
def accept() -> None:
    """Nimmt die Schlüssel dieser Instanz an, wenn die alten verloren sind.

    Offene Links gelten dann nicht mehr.
    """
    backups.refuse_newer(schema_version())
    with transaction("console") as tx:
        names = key_service.differing(tx.session, tx.settings)
        clerks = key_service.take(tx)
        if names:
            tx.record("keys.accepted", why=", ".join(names))
        forgotten = deletion.number_of_deleted(tx.session) if "LINK_KEY" in names else 0
    click.echo(f"Angenommen: {', '.join(names)}." if names else "Die Schlüssel passen zur Datenbank.")
    if forgotten:
        click.echo(FORGOTTEN.format(forgotten))
    _name(clerks)


def _show(file: Path, manifest: backups.Manifest, present: restoring.Present | None) -> None:
    """Show what is replaced by what."""
    made_at = format_datetime(datetime.fromisoformat(manifest.made_at))
    number = manifest.rows.get("customer", 0)
    click.echo(f"{file}: vom {made_at}, Konten: {number}, Zugänge: {manifest.rows.get('clerk', 0)}")
    if present is None:
        click.echo("Die Datenbank ist noch leer.")
        return
    if present.customers is None:
        click.echo("Ersetzt wird eine beschädigte Datenbank.")
    else:
        latest = format_datetime(present.latest) if present.latest else "–"
        click.echo(f"Ersetzt wird: letzter Eintrag vom {latest}, Konten: {len(present.customers)}")
    if not present.complete:
        click.echo(UNKNOWN)


def _decline(instance: Path, undone: bool) -> str:
    """Return what is in the database now that nothing is restored; an interrupted restore that is undone is over."""
    if undone:
        restoring.end(instance)
        return UNDONE.format(folder=instance / "pages")
    return HALF_RESTORED if restoring.is_pending(instance) else "Nichts wurde ersetzt. Ohne Frage: --yes."


def _report(settled: restoring.Settled) -> None:
    if settled.deleted:
        click.echo(f"Wieder gelöscht, weil seit der Sicherung gelöscht: {settled.deleted}")
    if settled.limited:
        click.echo(f"Wieder gesperrt oder ohne Rechte, weil das seit der Sicherung so war: {settled.limited}")
    if settled.passwords:
        click.echo(PASSWORDS.format(settled.passwords))
    _name(settled.need_link)


def _name(clerks: Sequence[Clerk]) -> None:
    if clerks:
        click.echo(NEED_LINK)
    for clerk in clerks:
        click.echo(f"  {clerk.name} <{clerk.email}>")
