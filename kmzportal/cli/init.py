"""kmzportal init: a new instance with settings, keys, tables and the first admin."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from sqlalchemy import func, select

from kmzportal import create_app, settings
from kmzportal.cli.clerks import PARSERS, issue_first_link
from kmzportal.cli.database import prepare
from kmzportal.cli.fault import BadSettings, Fault
from kmzportal.db import close, db
from kmzportal.models import Clerk
from kmzportal.server import deploy
from kmzportal.services import clerks
from kmzportal.services import instance as instance_folder
from kmzportal.services.backup import toml
from kmzportal.settings import BY_NAME

#: Setting, question, and the default without a terminal; None: an option is required.
QUESTIONS: dict[str, tuple[str | None, str, str | None]] = {
    "url": ("PUBLIC_URL", "Adresse des Portals, zum Beispiel https://konto.kmz.example", None),
    "office": ("OFFICE_NAME", "Name der Stelle", BY_NAME["OFFICE_NAME"].default),
    "support": (
        "OFFICE_SUPPORT_EMAIL",
        "E-Mail-Adresse für Hilfe; von ihr kommen alle E-Mails",
        BY_NAME["OFFICE_SUPPORT_EMAIL"].default,
    ),
    "phone": ("OFFICE_PHONE", "Telefon", BY_NAME["OFFICE_PHONE"].default),
    "mail_server": ("MAIL_SERVER", "Rechnername des Mailservers; ohne ihn warten E-Mails", ""),
    "proxy": (None, "Proxy davor: nginx oder caddy", "nginx"),
    "admin": (None, "E-Mail-Adresse der ersten Person, die verwaltet", None),
    "name": (None, "Ihr Vor- und Nachname", None),
    "initials": (None, "Ihr Kürzel, wie es in E-Mails steht", None),
}
#: File of each proxy, and where it reads it.
PROXIES = {
    "nginx": ("nginx.conf", "/etc/nginx/sites-enabled/kmzportal"),
    "caddy": ("Caddyfile", "/etc/caddy/Caddyfile"),
}
UNITS = ("kmzportal.service", "kmzportal-backup.service", "kmzportal-backup.timer")
START = (
    "cp {folder}/*.service {folder}/*.timer /etc/systemd/system && cp {folder}/{file} {place} && "
    "systemctl daemon-reload && systemctl enable --now kmzportal kmzportal-backup.timer && systemctl reload {proxy}"
)
HEAD = "# Einstellungen des Portals. Alle mit Wert und Grund zeigt: kmzportal config\n"


@click.command()
@click.option("--url", help="Adresse des Portals, wie https://konto.kmz.example.")
@click.option("--office", help="Name der Stelle.")
@click.option("--support", help="E-Mail-Adresse für Hilfe; von ihr kommen alle E-Mails.")
@click.option("--phone", help="Telefon der Stelle.")
@click.option("--mail-server", help="Rechnername des Mailservers.")
@click.option("--proxy", help="nginx oder caddy; ohne Angabe und Terminal: nginx.")
@click.option("--proxy-hops", default=1, show_default=True, help="So viele Proxys stehen davor.")
@click.option("--admin", help="E-Mail-Adresse der ersten Person, die verwaltet.")
@click.option("--name", help="Ihr Vor- und Nachname.")
@click.option("--initials", metavar="XX", help="Ihr Kürzel, wie es in E-Mails steht.")
def init(proxy_hops: int, **given: str | None) -> None:
    """Legt ein Portal an: Einstellungen, Schlüssel, Tabellen und den ersten Zugang.

    Fragt nach allem, was nicht als Option angegeben ist.
    """
    instance = settings.instance_path()
    _check_folder(instance)
    answers = _ask_all(given)
    file, place = PROXIES[answers["proxy"]]
    chosen = {name: answers[option] for option, (name, *_) in QUESTIONS.items() if name}
    chosen |= {"PROXY_HOPS": proxy_hops}
    loaded = settings.read(instance, overrides=chosen)
    if faults := [*loaded.faults, *settings.faults(loaded.values)]:
        raise BadSettings("\n".join(faults))
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = _create(chosen, answers["admin"], answers["name"], answers["initials"])
    written = {name: value for name, value in chosen.items() if value != ""}
    (instance / "config.toml").write_text(HEAD + toml(written), "utf-8")
    for name, text in _deploy_files(instance, loaded.values["PUBLIC_URL"]):
        if name in (UNITS[0], file):
            click.echo(f"# {instance / 'deploy' / name}\n{text}")
    click.echo(f"Das Portal ist angelegt. Einstellungen, Schlüssel und Datenbank liegen in {instance},")
    click.echo(f"die Dateien für systemd und den Proxy in {instance / 'deploy'}. Als root starten Sie es so:\n")
    click.echo(START.format(folder=instance / "deploy", file=file, place=place, proxy=answers["proxy"]))
    click.echo(f"\nDer erste Link für {answers['name']}. Er gilt einmal, sobald das Portal läuft:\n{link}")


def _check_folder(instance: Path) -> None:
    if instance.exists() and (faults := instance_folder.faults(instance)):
        raise BadSettings("\n".join(faults))
    if (instance / "config.toml").exists():
        raise Fault(f"In {instance} gibt es schon ein Portal. Ändern Sie dort config.toml.")


def _deploy_files(instance: Path, public_url: str) -> Iterator[tuple[str, str]]:
    """Write and yield the files for systemd and the proxies, with the names and folders of this portal."""
    folder = instance / "deploy"
    folder.mkdir(exist_ok=True)
    for name in (*UNITS, *(file for file, _ in PROXIES.values())):
        text = deploy.filled(name, urlsplit(public_url).hostname or "", instance)
        (folder / name).write_text(text, "utf-8")
        yield name, text


def _ask_all(given: Mapping[str, str | None]) -> dict[str, Any]:
    """Return an answer to each question; raises BadSettings, which names all that are missing or wrong."""
    answers, faults = {}, []
    for option in QUESTIONS:
        try:
            answers[option] = _ask(option, given[option])
        except BadSettings as fault:
            if sys.stdin.isatty() and given[option] is None:  # Ctrl+C
                raise
            faults.append(fault.message)
    if faults:
        raise BadSettings("\n".join(faults))
    return answers


def _proxy(value: str) -> str:
    if value not in PROXIES:
        raise ValueError(f"„{value}“ gibt es nicht. Möglich sind: nginx, caddy.")
    return value


def _ask(option: str, given: str | None) -> Any:
    """Return the valid answer to a question; raises BadSettings for a wrong or missing option."""
    name, question, default = QUESTIONS[option]
    while True:
        try:
            text = click.prompt(question, default=default) if given is None else given
            return BY_NAME[name].parse(text) if name else (PARSERS | {"proxy": _proxy})[option](text)
        except click.Abort:  # no terminal
            if default is None:
                raise BadSettings(f"Es fehlt --{option}: {question}.") from None
            return default
        except ValueError as error:
            if given is not None:
                raise BadSettings(f"--{option}: {error}") from None
            click.echo(str(error), err=True)


def _create(chosen: dict[str, Any], address: str, name: str, initials: str) -> str:
    """Make keys, tables and the first admin; return the admin's first link."""
    app = create_app(chosen)
    with app.app_context():
        prepare()
        if db.session.scalar(select(func.count(Clerk.id))):
            raise Fault("In der Datenbank gibt es schon Mitarbeitende. Ein neuer Link: kmzportal clerks link.")
        link = issue_first_link(address, True, lambda tx: clerks.add(tx, address, name, initials, admin=True))
        close()
        return link
