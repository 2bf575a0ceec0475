"""What commands check before they use the database: that this code and these keys are the ones it is used with."""

import fcntl
import os
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from kmzportal.cli.fault import Fault
from kmzportal.db import close, db, schema_version
from kmzportal.migrations import upgrade
from kmzportal.services import audit_chain, backup, keys, restore
from kmzportal.services.transaction import transaction

RUNS = "Das Portal läuft noch ({folder}). Beenden Sie es vorher, zum Beispiel mit: systemctl stop kmzportal"
BEING_RESTORED = "In {folder} wird gerade eine Sicherung eingespielt. Starten Sie das Portal danach."

HALF_RESTORED = (
    "Das Einspielen einer Sicherung wurde nicht beendet. Wiederholen Sie es: kmzportal restore DATEI. Erst danach "
    "startet das Portal, und erst danach wird wieder gesichert."
)


class DatabaseCommand(click.Command):
    """A command that checks the database before."""

    def invoke(self, ctx: click.Context) -> Any:
        with_appcontext(check)()
        return super().invoke(ctx)


class DatabaseGroup(AppGroup):
    command_class = DatabaseCommand


def check() -> None:
    """Refuse a half restored database, that of a newer version, and other keys than its own."""
    if restore.is_pending(Path(current_app.instance_path)):
        raise Fault(HALF_RESTORED)
    backup.refuse_newer(schema_version())
    keys.check(db.session(), current_app.config)


def prepare() -> None:
    """Migrate the database, and store the fingerprints of the keys at the first start or after a rotation."""
    instance = Path(current_app.instance_path)
    lock = hold(instance, fcntl.LOCK_SH, BEING_RESTORED)
    if restore.is_pending(instance):
        os.close(lock)
        raise Fault(HALF_RESTORED)
    upgrade(current_app)
    with transaction("console") as tx:
        keys.check(tx.session, tx.settings)
        keys.take(tx)
        audit_chain.begin(tx.session, tx.settings)
    audit_chain.mark_begun()
    close()


def hold(instance: Path, kind: int, refusal: str) -> int:
    """Lock the instance folder until the last process that inherits the lock has ended; raises Fault.

    `serve` and `work` share the lock, a restore needs it alone.
    """
    lock = os.open(instance / "portal.lock", os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Fault(refusal.format(folder=instance)) from None
    os.set_inheritable(lock, True)
    return lock
