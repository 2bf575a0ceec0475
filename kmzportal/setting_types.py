"""What the text of a setting means: web address, sender, telephone number, database and so on.

Each function returns the value in the one form that the rest of the code uses, and raises ValueError with a German
sentence that contains the cure but not the name of the setting. No sentence repeats a password.
"""

import importlib.util
import re
import ssl
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import idna
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kmzportal import mail_address

OWN_PORTS = {"http": 80, "https": 443}
PHONE = re.compile(r"\+?[\d\s()/.–-]{3,40}")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
NAMED = re.compile(r'\s*"?(.*?)"?\s*<([^<>]*)>\s*')
WITHOUT_SPACES = re.compile(r"[^\s\x00-\x1f\x7f]+")


def text(value: str) -> str:
    if not value.isprintable():
        raise ValueError("Umbrüche und unsichtbare Zeichen sind nicht möglich. Schreiben Sie den Text in eine Zeile.")
    return value.strip()


def host_name(value: str) -> str:
    """Return the name in ASCII and small letters (UTS 46), without the dot at its end; an IP address as it is."""
    name = value.strip().removesuffix(".").lower()
    if re.fullmatch(r"[0-9a-f:]*:[0-9a-f:.]+", name):  # IPv6
        return name
    if ":" in name or "/" in name:
        raise ValueError(f"„{value}“ ist kein Rechnername. Schreiben Sie nur den Namen, ohne Port und ohne „//“.")
    try:
        name = name if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        name = ""
    if not all(LABEL.fullmatch(label) for label in name.split(".")) or len(name) > 253:
        raise ValueError(f"„{value}“ ist kein Rechnername. Schreiben Sie ihn so: mail.kmz.example")
    return name


def web_address(value: str) -> str:
    split_web_address(value)
    return value.strip()


def public_url(value: str) -> str:
    """Return scheme, host in ASCII, and a port other than the scheme's own (RFC 9110, 4.2.3); no path, no slash."""
    url, host, port = split_web_address(value)
    if url.path.strip("/") or url.query or url.fragment:
        raise ValueError(
            f"„{value}“ enthält mehr als Rechner und Port. Das Portal braucht einen Rechnernamen für sich. "
            f"Schreiben Sie ihn so: {url.scheme}://{host}"
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{shown}" + (f":{port}" if port and port != OWN_PORTS[url.scheme] else "")


def split_web_address(value: str) -> tuple[SplitResult, str, int | None]:
    """Return the parts, the host in ASCII, and the port; raises ValueError."""
    value = value.strip()
    if "://" not in value:
        raise ValueError(f"„{value}“ ist ohne https:// geschrieben. Schreiben Sie zum Beispiel: https://{value}")
    try:
        url = urlsplit(value)
        host, port = host_name(url.hostname or ""), url.port
    except ValueError:
        host, port = "", None
    if not WITHOUT_SPACES.fullmatch(value) or url.scheme not in OWN_PORTS or not host or "@" in url.netloc or port == 0:
        raise ValueError(f"„{value}“ ist keine Webadresse. Schreiben Sie sie so: https://konto.kmz.example")
    return url, host, port


def web_address_or_file(value: str) -> str:
    return web_address(value) if "://" in value else text(value)


def address(value: str) -> str:
    try:
        return mail_address.parse(value)
    except mail_address.InvalidAddress:
        raise ValueError(f"„{value}“ ist keine E-Mail-Adresse. Schreiben Sie sie so: name@kmz.example") from None


def sender(value: str) -> tuple[str, str]:
    """Return name, empty if there is none, and address with the domain as A-label, the pair that Flask-Mail takes."""
    named = NAMED.fullmatch(value)
    name, plain = named.groups() if named else ("", value)
    try:
        return text(name), mail_address.mailable(plain)
    except mail_address.InvalidAddress:
        raise ValueError(
            f"„{value}“ ist kein Absender. Schreiben Sie ihn so: verleih@kmz.example, "
            "oder mit Namen: Medienzentrum <verleih@kmz.example>"
        ) from None


def phone_number(value: str) -> str:
    if not PHONE.fullmatch(value.strip()) or not any(char.isdigit() for char in value):
        raise ValueError(f"„{value}“ ist keine Telefonnummer. Schreiben Sie eine einzige, zum Beispiel: 07051 965 220")
    return value.strip()


def day(value: Any) -> str:
    try:
        return date.fromisoformat(str(value).strip()).isoformat()
    except ValueError:
        raise ValueError(f"„{value}“ ist kein Tag. Schreiben Sie ihn so: 2026-12-24") from None


def certificates(value: str) -> str:
    if not Path(value).is_file():
        raise ValueError(f"Die Datei {value} gibt es nicht. Nennen Sie den ganzen Pfad einer PEM-Datei.")
    try:
        ssl.create_default_context(cafile=value)
    except OSError as error:  # ssl.SSLError is one
        reason = "" if isinstance(error, ssl.SSLError) else f" ({error.strerror})"
        raise ValueError(f"{value} ist nicht als Zertifikat im PEM-Format lesbar{reason}.") from None
    return value


def database(value: str) -> str:
    """Return the URL of an SQLite or PostgreSQL database; the driver is installed."""
    scheme = value.partition(":")[0].casefold()
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        url = None
    if scheme == "postgres":
        raise ValueError("Schreiben Sie postgresql:// statt postgres://.")
    if url is None:
        raise ValueError(
            "Das ist keine Datenbankadresse. Schreiben Sie zum Beispiel: postgresql://kmz@localhost/kmzportal. "
            "Sonderzeichen im Passwort werden ersetzt: @ durch %40, / durch %2F."
        )
    if url.drivername not in ("sqlite", "postgresql", "postgresql+psycopg"):
        raise ValueError(f"{url.drivername} geht hier nicht. Möglich sind sqlite:///… und postgresql://…")
    if url.get_backend_name() == "postgresql" and not importlib.util.find_spec("psycopg"):
        raise ValueError("Für PostgreSQL fehlt das Paket psycopg. Abhilfe: pip install 'kmzportal[postgres]'")
    return value


#: By the kind in settings.toml. Keys and passwords are taken as they are.
PARSERS: dict[str, Callable[[str], Any]] = {
    "Text": text,
    "Rechnername": host_name,
    "Webadresse": web_address,
    "Webadresse ohne Pfad": public_url,
    "Webadresse oder Datei": web_address_or_file,
    "E-Mail-Adresse": address,
    "Absender": sender,
    "Telefonnummer": phone_number,
    "Tag": day,
    "Zertifikatsdatei": certificates,
    "Datenbank": database,
}
