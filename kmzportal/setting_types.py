"""What the text of a setting means: web address, sender, telephone number, database and so on.

Each function returns the value in the one form that the rest of the code uses, and raises ValueError with a German
sentence that contains the cure but not the name of the setting. No sentence repeats a password.
"""

import importlib.util
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import idna
from PIL import Image
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from kmzportal import mail_address
from kmzportal.plain_text import DASH, INVISIBLE, UNFIT, clean

MOST_DIGITS = 18  # of a telephone number: 15 (E.164) after 00 and with a (0)
LOGO_BYTES = 3000  # the login page with all that it loads has at most 80 kB
LOGO_SIDE = (40, 400)  # pixels; it is shown 40 high, on a telephone 320 wide at most 200 wide
OWN_PORTS = {"http": 80, "https": 443}
PHONE = re.compile(r"\+?[\d\s()/.–-]{3,40}")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
NAMED = re.compile(r'\s*"?(.*?)"?\s*<([^<>]*)>\s*', re.DOTALL)
WITHOUT_SPACES = re.compile(r"[^\s\x00-\x1f\x7f]+")


def text(value: str) -> str:
    if UNFIT.search(value) or INVISIBLE.search(value):
        raise ValueError("Umbrüche und unsichtbare Zeichen sind nicht möglich. Schreiben Sie den Text in eine Zeile.")
    return clean(value)


def host_name(value: str) -> str:
    """Return the name in ASCII and small letters (UTS 46), without the dot at its end; an IP address as it is."""
    name = clean(value).strip().removesuffix(".").lower()
    name = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    if re.fullmatch(r"[0-9a-f:]*:[0-9a-f:.]+", name):  # IPv6
        return name
    if "@" in name:
        raise ValueError("Das ist kein Rechnername. Schreiben Sie ihn ohne Benutzer, Passwort und „@“.")
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
    return clean(value).strip()


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
    value = clean(value).strip()
    if "@" in value:
        raise ValueError("Das ist keine Webadresse. Schreiben Sie sie ohne Benutzer, Passwort und „@“.")
    if "://" not in value:
        plain = re.sub(r"^(https?:)?/*", "", value)
        raise ValueError(f"„{value}“ ist ohne https:// geschrieben. Schreiben Sie zum Beispiel: https://{plain}")
    try:
        url = urlsplit(value)
        host, port = host_name(url.hostname or ""), url.port
        if WITHOUT_SPACES.fullmatch(value) and url.scheme in OWN_PORTS and port != 0:
            return url, host, port
    except ValueError:
        pass
    raise ValueError(f"„{value}“ ist keine Webadresse. Schreiben Sie sie so: https://konto.kmz.example")


def web_address_or_file(value: str) -> str:
    return web_address(value) if "://" in value else text(value)


def file_name(value: str) -> str:
    """Return the name of a file in the instance folder, without a path: no other file of the computer is ever sent."""
    name = text(value).strip()
    if "/" in name or "\\" in name or name.startswith("."):
        raise ValueError("Schreiben Sie nur den Namen einer Datei im Instanz-Ordner, zum Beispiel: logo.png")
    return name


@dataclass(frozen=True)
class Logo:
    content: bytes
    mimetype: str
    width: int  #: pixels
    height: int

    @property
    def fingerprint(self) -> str:
        return sha256(self.content).hexdigest()[:12]


def logo(path: Path) -> Logo:
    """Read a picture that any browser shows and that contains no script, so no SVG; its header is checked."""
    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content), formats=("PNG", "WEBP", "JPEG")) as picture:
            picture.verify()
            found = Logo(content, picture.get_format_mimetype() or "", *picture.size)
    except FileNotFoundError:
        raise ValueError(f"Die Datei {path} gibt es nicht. Legen Sie das Logo dorthin.") from None
    except PermissionError:
        raise ValueError(f"Die Datei {path} ist nicht lesbar. Prüfen Sie Besitzer und Rechte der Datei.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow raises for broken pictures
        raise ValueError(f"{path} ist kein Bild in PNG, WebP oder JPEG. Speichern Sie es in einem davon.") from None
    if len(content) > LOGO_BYTES:
        raise ValueError(f"{path} hat {len(content)} Byte, möglich sind {LOGO_BYTES}. Speichern Sie das Logo kleiner.")
    if not (LOGO_SIDE[0] <= min(picture.size) and max(picture.size) <= LOGO_SIDE[1]):
        raise ValueError(
            f"{path} ist {found.width} x {found.height} Pixel groß. Beide Seiten brauchen {LOGO_SIDE[0]} bis "
            f"{LOGO_SIDE[1]} Pixel."
        )
    return found


def address(value: str) -> str:
    try:
        return mail_address.parse(value)
    except mail_address.InvalidAddress as invalid:
        cure = invalid.hint or "Schreiben Sie sie so: name@kmz.example"
        raise ValueError(f"„{value}“ ist keine E-Mail-Adresse. {cure}") from None


def sender(value: str) -> tuple[str, str]:
    """Return name, empty if there is none, and address with the domain as A-label, the pair that Flask-Mail takes."""
    named = NAMED.fullmatch(value)
    name, plain = named.groups() if named else ("", value)
    try:
        return text(name), mail_address.mailable(plain)
    except mail_address.InvalidAddress as invalid:
        cure = invalid.hint or (
            "Schreiben Sie ihn so: verleih@kmz.example, oder mit Namen: Medienzentrum <verleih@kmz.example>"
        )
        raise ValueError(f"„{value}“ ist kein Absender. {cure}") from None


def phone_number(value: str) -> str:
    number = DASH.sub("-", clean(value)).strip()
    if not PHONE.fullmatch(number) or not 0 < sum(char.isdigit() for char in number) <= MOST_DIGITS:
        raise ValueError(f"„{value}“ ist keine Telefonnummer. Schreiben Sie eine einzige, zum Beispiel: 07051 965 220")
    return number


def day(value: Any) -> str:
    try:
        return date.fromisoformat(str(value).strip()).isoformat()
    except ValueError:
        raise ValueError(f"„{value}“ ist kein Tag. Schreiben Sie ihn so: 2026-12-24") from None


def certificates(value: str) -> str:
    try:
        ssl.create_default_context(cafile=value)
    except FileNotFoundError:
        raise ValueError(f"Die Datei {value} gibt es nicht. Nennen Sie den ganzen Pfad einer PEM-Datei.") from None
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = f" ({error.strerror})" if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else ""
        raise ValueError(f"{value} ist nicht als Zertifikat im PEM-Format lesbar{reason}.") from None
    return value


def database(value: str) -> str:
    """Return the URL of an SQLite or PostgreSQL database; the driver is installed."""
    scheme, colon, rest = value.strip().partition(":")
    scheme = scheme.casefold()
    try:
        url = make_url(scheme + colon + rest)
    except (ArgumentError, ValueError):
        url = None
    if scheme == "postgres":
        raise ValueError("Schreiben Sie postgresql:// statt postgres://.")
    if url is None or "@" in (url.host or ""):
        raise ValueError(
            "Das ist keine Datenbankadresse. Schreiben Sie zum Beispiel: postgresql://kmz@localhost/kmzportal. "
            "Sonderzeichen im Passwort werden ersetzt: @ durch %40, / durch %2F."
        )
    if url.drivername not in ("sqlite", "postgresql", "postgresql+psycopg"):
        raise ValueError(f"{url.drivername} geht hier nicht. Möglich sind sqlite:///… und postgresql://…")
    _check_parts(url)
    if url.get_backend_name() == "postgresql" and not importlib.util.find_spec("psycopg"):
        raise ValueError(
            "Für PostgreSQL fehlt das Paket psycopg. Abhilfe: pip install --require-hashes -r requirements.txt"
        )
    return url.render_as_string(hide_password=False)


def _check_parts(url: URL) -> None:
    if url.drivername == "sqlite" and (
        url.host or url.query or url.database in (None, "", ":memory:") or "\0" in url.database
    ):
        raise ValueError(
            "Das ist keine Datei. Schreiben Sie zum Beispiel sqlite:////var/lib/kmzportal/kmzportal.db, ohne „?“."
        )
    if secret := next((name for name in url.query if is_secret(name)), None):
        raise ValueError(
            f"{secret} steht hinter dem „?“. Ein Passwort für die Datenbank schreiben Sie so: "
            "postgresql://Benutzer:Passwort@Rechner/Name. Alles andere Geheime gehört in eine Datei, die nur das "
            "Portal lesen darf (pg_service.conf)."
        )


def is_secret(parameter: str) -> bool:
    """Return whether this parameter of a database URL holds a secret, as `sslpassword` does (libpq)."""
    return any(word in parameter.casefold() for word in ("password", "secret"))


#: By the kind in settings.toml. Keys and passwords are taken as they are.
PARSERS: dict[str, Callable[[str], Any]] = {
    "Text": text,
    "Rechnername": host_name,
    "Webadresse": web_address,
    "Webadresse ohne Pfad": public_url,
    "Webadresse oder Datei": web_address_or_file,
    "Dateiname": file_name,
    "E-Mail-Adresse": address,
    "Absender": sender,
    "Telefonnummer": phone_number,
    "Tag": day,
    "Zertifikatsdatei": certificates,
    "Datenbank": database,
}
