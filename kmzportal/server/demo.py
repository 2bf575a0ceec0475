"""kmzportal demo: a portal with fictional people, in its own folder, recreated at every start, on loopback only."""

import fcntl
import os
import secrets
import tomllib
from datetime import date
from pathlib import Path
from typing import NoReturn

from kmzportal import create_app
from kmzportal.migrations import upgrade
from kmzportal.server import become_gunicorn, port_fault, sample_people
from kmzportal.services.transaction import transaction
from kmzportal.settings import KEYS, PREFIX

HOST = "127.0.0.1"
DATABASE = "demo.db"  # never the name of a production database
OFFICE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
FOREIGN = ("kmzportal.db", "config.toml")
INTRODUCTION = Path(__file__).with_suffix(".txt").read_text("utf-8")


class DemoRefused(Exception):
    """The demo cannot start in this folder or on this port; the message is German."""


def run(folder: Path, port: int) -> NoReturn:
    """Create the demo in the folder and replace this process by its gunicorn; raises DemoRefused."""
    if reason := port_fault(HOST, port):
        raise DemoRefused(reason)
    if folder.is_symlink() or any((folder / name).exists() for name in FOREIGN):
        raise DemoRefused(
            f"{folder} gehört nicht der Vorführung. Setzen Sie KMZPORTAL_INSTANCE_PATH auf einen anderen Ordner."
        )
    os.umask(0o077)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoRefused(f"In {folder} läuft schon eine Vorführung. Beenden Sie diese zuerst.") from None
    os.set_inheritable(lock, True)  # kept until the last process of this demo ends
    for suffix in ("", "-wal", "-shm"):
        (folder / f"{DATABASE}{suffix}").unlink(missing_ok=True)
    use_settings(folder, port)
    app = create_app({"DEMO": True})
    upgrade(app)
    with app.app_context(), transaction("console") as tx:
        sample_people.enter(tx)
    names = ("ERIKA", "MAX", "ANNELIESE", "JUERGEN", "LIESELOTTE", "ROSA", "TIM")
    people = {name.lower(): getattr(sample_people, name) for name in names}
    print(
        INTRODUCTION.format(
            url=app.config["PUBLIC_URL"], port=port, folder=folder, passwords=sample_people.PASSWORDS, **people
        ),
        flush=True,
    )
    become_gunicorn(HOST, port, app="kmzportal:create_app({'DEMO': True})")


def use_settings(folder: Path, port: int) -> None:
    """Override in the environment all settings that must differ from a production portal."""
    settings = {
        "INSTANCE_PATH": str(folder),
        "PUBLIC_URL": f"http://{HOST}:{port}",
        "PROXY_HOPS": "0",
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / DATABASE}",
        "MAIL_SERVER": "",
        "STAFF_SECOND_FACTOR": "offered",
        "ACCESSIBILITY_STATEMENT_DATE": date.today().isoformat(),
        **OFFICE,
        **{name: secrets.token_urlsafe(48) for name in KEYS},
        **dict.fromkeys((f"{name}_FALLBACKS" for name in KEYS), ""),
    }
    for name, value in settings.items():
        os.environ[f"{PREFIX}{name}"] = value
        os.environ.pop(f"{PREFIX}{name}_FILE", None)
