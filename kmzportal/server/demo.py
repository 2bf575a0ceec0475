"""demo: a portal to try out, in its own folder, made anew at every start, for this machine only."""

import fcntl
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from flask import Flask

from kmzportal.server import process, sample_people
from kmzportal.server.serve import prepare, serve, taken_by_another
from kmzportal.services.transaction import transaction

HOST = "127.0.0.1"
DATABASE = "demo.db"  # never the name of a portal in earnest
FOREIGN = ("kmzportal.db", "config.toml")
MakeApp = Callable[[dict[str, Any], Path], Flask]

WELCOME = """
Das ist eine Vorführung: {url}
Alle Menschen sind erfunden, keine E-Mail verlässt diesen Rechner. Jeder Start beginnt von vorn.

Anmelden können sich unter {url}/anmelden
  {erika[email]}   Passwort: {passwords[K-1001]}
  {max[email]}     Passwort: {passwords[K-1002]}
und im Kundenservice unter {url}/kundenservice
  {rosa[email]}      Passwort: {passwords[ro]}   (verwaltet auch die Mitarbeitenden)
  {tim[email]}   Passwort: {passwords[tb]}

Alle E-Mails lesen Sie unter {url}/demo/postfach

Zum Ausprobieren
  Passwort vergessen: {url}/passwort-vergessen, zum Beispiel mit {anneliese[email]}.
     Sie hat noch kein Passwort. Der Link liegt nach zwei Sekunden im Postfach.
  Link zum Konto: Im Postfach liegt schon einer an {juergen[pending_email]}.
     Der Kundenservice hat seine Adresse berichtigt; sie gilt, sobald er den Link benutzt hat.
  Gesperrt: {lieselotte[email]} kommt auch mit dem richtigen Passwort nicht hinein ({passwords[K-1005]}).
  Kundenservice: als Rosa anmelden, unter Kunden „mueller“ suchen, Adresse berichtigen und Link senden.
     Unter Anfragen steht, wen drei unbekannte Adressen vermutlich meinen.
  Konto anpassen: als Erika anmelden, dann Einstellungen, Konto anpassen.

Beenden mit Strg+C.
"""


def demo(make_app: MakeApp, instance: Path, port: int) -> int:
    """Build the demo in its own folder and serve it; return the exit status."""
    folder = instance / "demo"
    if reason := taken_by_another(HOST, port) or not_ours(folder):
        print(reason, file=sys.stderr)
        return 1
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        if not _held(lock):
            print(f"In {folder} läuft schon eine Vorführung. Beenden Sie diese zuerst.", file=sys.stderr)
            return 1
        clear(folder)
        app = make_app(settings(folder, port), folder)
        if status := process.wait(process.start("kmz-demo", lambda: build(app))):
            return status
        print(welcome(app.config["PUBLIC_URL"]), flush=True)
        return serve(app, HOST, port)


def settings(folder: Path, port: int) -> dict[str, Any]:
    """All that must not come from anywhere else, such as an environment made for a portal in earnest."""
    return {
        "DEMO": True,
        "PUBLIC_URL": f"http://{HOST}:{port}",
        "PROXY_HOPS": 0,
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / DATABASE}",
        "MAIL_SERVER": "",
        "STAFF_SECOND_FACTOR": "offered",
        **{name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "LINK_KEY")},
        **{name: [] for name in ("SECRET_KEY_FALLBACKS", "LINK_KEY_FALLBACKS")},
    }


def not_ours(folder: Path) -> str | None:
    """Say in German why this folder is not the demo's."""
    if folder.is_symlink() or any((folder / name).exists() for name in FOREIGN):
        return f"{folder} gehört nicht der Vorführung. Setzen Sie KMZPORTAL_INSTANCE_PATH auf einen anderen Ordner."
    return None


def clear(folder: Path) -> None:
    """Remove the database of the last demo and nothing else."""
    for suffix in ("", "-wal", "-shm"):
        (folder / f"{DATABASE}{suffix}").unlink(missing_ok=True)


def build(app: Flask) -> int:
    """Fill the database; in a process of its own, as threads that hash do not survive a fork."""
    prepare(app)
    with app.app_context(), transaction("console") as tx:
        sample_people.enter(tx)
    return 0


def welcome(url: str) -> str:
    names = ("ERIKA", "MAX", "ANNELIESE", "JUERGEN", "LIESELOTTE", "ROSA", "TIM")
    people = {name.lower(): getattr(sample_people, name) for name in names}
    return WELCOME.format(url=url, passwords=sample_people.PASSWORDS, **people)


def _held(lock: IO[str]) -> bool:
    """Whether the lock is ours now; it is let go when the last process of this demo ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
