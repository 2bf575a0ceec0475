"""The instance folder: settings, keys and SQLite database. Checked before a command uses it."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from kmzportal import settings

DATABASE_SUFFIXES = ("", "-wal", "-shm")


def faults(instance: Path) -> list[str]:
    """Return in German why this user cannot work with the folder, and what to do."""
    try:
        if not instance.exists():
            return [
                f"Den Ordner {instance} gibt es nicht. Ein neues Portal legt an: kmzportal init. Liegt es anderswo, "
                "wechseln Sie dorthin oder setzen Sie KMZPORTAL_INSTANCE_PATH."
            ]
        if not instance.is_dir():
            return [f"{instance} ist kein Ordner. Setzen Sie KMZPORTAL_INSTANCE_PATH auf den Ordner des Portals."]
        if not os.access(instance, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            return [_inaccessible(instance, instance)]
        owner = instance.stat().st_uid
    except OSError:  # a folder above it is closed
        return [_inaccessible(instance, instance)]
    if os.geteuid() == 0 and owner:
        return [
            f"{instance} gehört {user_name(owner)}. Als root entstünden Dateien, die dieser Benutzer nicht lesen darf. "
            f"Rufen Sie den Befehl so auf: sudo -u {user_name(owner)} kmzportal …"
        ]
    return [_inaccessible(path, instance) for path in files(instance) if not _usable(path)]


def open_to_others(instance: Path) -> list[str]:
    """Return in German which files others on this machine can read, and the cure."""
    paths = [path for path in (instance, *files(instance)) if path.exists() and path.stat().st_mode & 0o077]
    return [
        f"{path} ist für andere Benutzer zugänglich ({path.stat().st_mode & 0o777:04o}). "
        f"Abhilfe: chmod {'700' if path.is_dir() else '600'} {path}"
        for path in paths
    ]


def files(instance: Path) -> Iterator[Path]:
    """Yield the existing files that hold secrets or personal data, the database wherever it is."""
    database = make_url(settings.read(instance).values["SQLALCHEMY_DATABASE_URI"])
    names = ["config.toml", *(name.lower() for name in settings.KEYS)]
    if database.get_backend_name() == "sqlite" and database.database:
        names += [database.database + suffix for suffix in DATABASE_SUFFIXES]
    return (instance / name for name in names if (instance / name).exists())


def _usable(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK, effective_ids=True)


def _inaccessible(path: Path, instance: Path) -> str:
    me = user_name(os.geteuid())
    try:
        owner = user_name(path.stat().st_uid)
    except OSError:
        owner = "einem anderen Benutzer"
    return (
        f"{path} gehört {owner} und ist für {me} nicht les- und schreibbar. "
        f"Abhilfe: chown -R {me} {instance} && chmod -R u+rwX {instance}"
    )


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
