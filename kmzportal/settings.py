"""How settings are read and validated. settings.toml lists all with default, kind, reason and valid values.

A value comes from `instance/config.toml`, is overridden by `KMZPORTAL_<NAME>` in the environment, and that by the
file which `KMZPORTAL_<NAME>_FILE` names. Each is parsed once, at start; all faults are collected.
"""

import contextlib
import difflib
import ipaddress
import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import make_url

from kmzportal import setting_types

PREFIX = "KMZPORTAL_"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
MIN_KEY_LENGTH = 32
#: Each is made as a file of the instance unless it is set. FACTOR_KEY first: see _make_keys.
KEYS = ("FACTOR_KEY", "LINK_KEY", "AUDIT_KEY", "SECRET_KEY")
BOOLEANS = dict.fromkeys(("1", "true", "yes", "on", "ja"), True)
BOOLEANS |= dict.fromkeys(("0", "false", "no", "off", "nein"), False)
REQUIRED = {"OFFICE_NAME", "OFFICE_SUPPORT_EMAIL", "IMAP_FOLDER", "IMAP_DONE_FOLDER"}
SECRET_KINDS = {"Schlüssel", "Passwort"}


class SettingsError(ValueError):
    """At least one setting has an invalid value; the German text has a line for each, with its cure."""


@dataclass(frozen=True)
class Setting:
    name: str
    default: Any
    kind: str  #: in German: the unit of a number, or a key of setting_types.PARSERS
    why: str
    valid: Sequence[Any] = ()  #: smallest and largest number, or the valid words

    @property
    def secret(self) -> bool:
        return self.kind in SECRET_KINDS or self.name.endswith("_KEY_FALLBACKS")

    def parse(self, value: Any, from_text: bool = False) -> Any:
        """Return the value in the form that the code uses; raises SettingsError.

        `from_text`: it is the text of an environment variable, which also stands for numbers, lists, yes and no.
        """
        try:
            return self._parse(self._parse_text(value) if from_text and not isinstance(self.default, str) else value)
        except ValueError as error:
            raise SettingsError(f"{self.name}: {error}") from None

    def _parse(self, value: Any) -> Any:
        if self.kind == "Tag" and isinstance(value, date):
            value = value.isoformat()
        if type(value) is not type(self.default):
            hidden = self.secret or self.kind == "Datenbank"
            shown = "" if hidden else f", nicht {json.dumps(value, default=str, ensure_ascii=False)}"
            raise ValueError(f"Erwartet wird {self.expected}{shown}.")
        if isinstance(value, str):
            return self._check_text(value)
        if isinstance(value, list):
            return self._check_list(value)
        if self.valid and not self.valid[0] <= value <= self.valid[1]:
            raise ValueError(f"{value} geht nicht. Möglich sind {self.valid[0]} bis {self.valid[1]} ({self.kind}).")
        return value

    def _check_list(self, value: list[Any]) -> list[Any]:
        if self.kind == "Liste von Tagen":
            return [date.fromisoformat(setting_types.day(item)) for item in value]
        if not all(isinstance(key, str) and len(key) >= MIN_KEY_LENGTH for key in value):
            raise ValueError(f"Jeder Schlüssel der Liste ist ein Text von mindestens {MIN_KEY_LENGTH} Zeichen.")
        return value

    def _check_text(self, value: str) -> Any:
        if self.valid and value not in self.valid:
            raise ValueError(f"„{value}“ gibt es nicht. Möglich sind: {', '.join(self.valid)}.")
        if not value.strip() and self.name in REQUIRED:
            raise ValueError("Das darf nicht leer sein.")
        parser = setting_types.PARSERS.get(self.kind)
        if not parser:
            return value
        return parser(value) if value.strip() else ""

    @property
    def expected(self) -> str:
        """What a value looks like, in German."""
        words = {bool: "true oder false", int: f"eine ganze Zahl ({self.kind})", list: f"eine {self.kind}"}
        return words.get(type(self.default), "ein Text in Anführungszeichen")

    def _parse_text(self, text: str) -> Any:
        if isinstance(self.default, list):
            return [part.strip() for part in text.split(",") if part.strip()]
        if isinstance(self.default, bool):
            if text.strip().lower() not in BOOLEANS:
                raise ValueError(f"„{text}“ ist weder true noch false.")
            return BOOLEANS[text.strip().lower()]
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"„{text}“ ist keine ganze Zahl ({self.kind}).") from None


SETTINGS = tuple(
    Setting(name, *row) for name, row in tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")).items()
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


def instance_path(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get(f"{PREFIX}INSTANCE_PATH") or "instance").absolute()


@dataclass
class Loaded:
    values: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  #: in German, each with its cure
    unknown: set[str] = field(default_factory=set)  #: settings whose value is not known, as it cannot be read
    warnings: list[str] = field(default_factory=list)

    def take(self, name: str, value: Any, from_text: bool = False) -> None:
        """Store a value, or the content of a file that holds it."""
        if name not in BY_NAME and isinstance(value, dict):
            self.faults.append(f"[{name}]: Abschnitte gibt es in config.toml nicht. Löschen Sie diese Zeile.")
            return
        if name not in BY_NAME:
            self.warnings.append(f"Unbekannte Einstellung {name}.{did_you_mean(name.upper(), BY_NAME)}")
            return
        try:
            if isinstance(value, Path):
                value = _read_text(value, name).strip()
            self.values[name] = BY_NAME[name].parse(value, from_text)
            self.unknown.discard(name)
        except SettingsError as error:
            self.faults.append(str(error))
            self.unknown.add(name)

    def add_faults(self, sentences: Iterable[str]) -> None:
        """Add those that follow from values that are known: the cause of the others has its own sentence."""
        self.faults += (text for text in sentences if self.unknown.isdisjoint(re.findall(r"[A-Z_]{5,}", text)))

    def take_all(self, values: Iterable[tuple[str, Any]], from_text: bool = False) -> None:
        for name, value in values:
            self.take(name, value, from_text)


def load(
    instance: Path,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
    make_keys: bool = True,
) -> tuple[dict[str, Any], list[str]]:
    """Return all settings, and a German warning for each unknown name.

    Makes missing keys in an instance folder that exists; elsewhere they last as long as this process. Raises
    SettingsError, which names all faults.
    """
    loaded = read(instance, environ, overrides)
    if loaded.faults:
        loaded.add_faults(faults(loaded.values))
        raise SettingsError("\n".join(loaded.faults))
    if make_keys and instance.is_dir():
        _make_keys(loaded.values, instance)
    for name in KEYS if make_keys else ():
        loaded.values[name] = loaded.values[name] or secrets.token_urlsafe(48)
    return loaded.values, loaded.warnings


def read(instance: Path, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] | None = None) -> Loaded:
    """Return all settings with their faults; makes nothing and raises nothing."""
    loaded = Loaded({setting.name: setting.default for setting in SETTINGS})
    try:
        loaded.take_all(_read_file(instance / "config.toml").items())
    except SettingsError as error:
        loaded.faults.append(str(error))
        loaded.unknown |= BY_NAME.keys()
    loaded.take_all(_read_environment(environ), from_text=True)
    loaded.take_all((name, value) for name, value in (overrides or {}).items() if name in BY_NAME)
    key_files = ((name, instance / name.lower()) for name in KEYS if not loaded.values[name])
    loaded.take_all((name, path) for name, path in key_files if _exists(path))
    values = loaded.values
    values["SQLALCHEMY_DATABASE_URI"] = values["SQLALCHEMY_DATABASE_URI"] or f"sqlite:///{instance / 'kmzportal.db'}"
    name, address = values["MAIL_DEFAULT_SENDER"] or ("", setting_types.sender(values["OFFICE_SUPPORT_EMAIL"])[1])
    values["MAIL_DEFAULT_SENDER"] = (name or values["OFFICE_NAME"], address)
    for check in (_mail_contradictions, _imap_contradictions, _short_keys, _missing_folder, _logo):
        loaded.add_faults(check(values, instance))
    return loaded


# Settings beside each other. Each function yields German sentences with the cure.


def _mail_contradictions(values: Mapping[str, Any], _instance: Path) -> Iterator[str]:
    if values["MAIL_USE_TLS"] and values["MAIL_USE_SSL"]:
        yield "MAIL_USE_TLS und MAIL_USE_SSL schließen sich aus. Lassen Sie eines weg: TLS für Port 587, SSL für 465."
    yield from _half_a_login(values, "MAIL")


def _imap_contradictions(values: Mapping[str, Any], _instance: Path) -> Iterator[str]:
    yield from _half_a_login(values, "IMAP")
    if values["IMAP_SERVER"] and not (values["IMAP_USERNAME"] or values["IMAP_PASSWORD"]):
        yield "IMAP_SERVER steht ohne IMAP_USERNAME und IMAP_PASSWORD da. Tragen Sie alle drei ein."
    if values["IMAP_FOLDER"] == values["IMAP_DONE_FOLDER"]:
        yield "IMAP_FOLDER und IMAP_DONE_FOLDER sind derselbe Ordner. Nehmen Sie für Gelesenes einen anderen."


def _half_a_login(values: Mapping[str, Any], server: str) -> Iterator[str]:
    for given, missing in (("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME")):
        if values[f"{server}_{given}"] and not values[f"{server}_{missing}"]:
            yield f"{server}_{given} steht ohne {server}_{missing} da. Tragen Sie beides ein oder keines."


def _short_keys(values: Mapping[str, Any], instance: Path) -> Iterator[str]:
    for name in KEYS:
        if len(values[name]) < MIN_KEY_LENGTH and (values[name] or _exists(instance / name.lower())):
            yield f"{name} ist kürzer als {MIN_KEY_LENGTH} Zeichen. Löschen Sie ihn, dann entsteht ein neuer."


def _missing_folder(values: Mapping[str, Any], instance: Path) -> Iterator[str]:
    url = make_url(values["SQLALCHEMY_DATABASE_URI"])
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        folder = (instance / url.database).parent
        if folder != instance and not folder.is_dir():
            yield f"SQLALCHEMY_DATABASE_URI: Den Ordner {folder} gibt es nicht. Legen Sie ihn an: mkdir -p {folder}"


def _logo(values: Mapping[str, Any], instance: Path) -> Iterator[str]:
    if values["OFFICE_LOGO"]:
        try:
            setting_types.logo(instance / values["OFFICE_LOGO"])
        except ValueError as error:
            yield f"OFFICE_LOGO: {error}"


def did_you_mean(word: str, known: Iterable[str], template: str = "{}") -> str:
    """Return a German sentence with the known word that is most similar; empty if none is similar."""
    similar = difflib.get_close_matches(word, list(known), n=1)
    return f" Meinten Sie {template.format(similar[0])}?" if similar else ""


def office(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the office for templates, such as `phone` for OFFICE_PHONE."""
    return {name.removeprefix("OFFICE_").lower(): settings[name] for name in settings if name.startswith("OFFICE_")}


def catalogue(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return name, url and same_login of the catalogue that the accounts are for; None if pages must not name it."""
    if not settings["CATALOGUE_NAME"]:
        return None
    return {
        "name": settings["CATALOGUE_NAME"],
        "url": settings["CATALOGUE_URL"] or settings["OFFICE_SITE"],
        "same_login": settings["CATALOGUE_SAME_LOGIN"],
    }


class RelyingParty(NamedTuple):
    """The portal as browsers know it for passkeys (WebAuthn, 5.1.2)."""

    host: str  #: the RP ID, to which each passkey is bound
    origin: str  #: of the only pages that may ask


def relying_party(settings: Mapping[str, Any]) -> RelyingParty | None:
    """Return host and origin of PUBLIC_URL, or None without it and for an IP address, for which no passkeys exist.

    This machine is `localhost`, whatever name of it PUBLIC_URL has.
    """
    url = urlsplit(settings["PUBLIC_URL"])
    host = "localhost" if url.hostname in LOOPBACK else url.hostname or ""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return None
    port = f":{url.port}" if url.port and url.port != {"http": 80, "https": 443}.get(url.scheme) else ""
    return RelyingParty(host, f"{url.scheme}://{host}{port}") if host else None


def faults(settings: Mapping[str, Any]) -> list[str]:
    """Return in German the settings that make a public server unsafe or impossible, and how to correct them."""
    url = urlsplit(settings["PUBLIC_URL"])
    found = []
    if not url.hostname:
        found.append(
            "PUBLIC_URL fehlt. Tragen Sie die Adresse ein, unter der das Portal erreichbar ist, zum "
            'Beispiel PUBLIC_URL = "https://konto.kmz.example" in instance/config.toml.'
        )
    elif url.scheme != "https" and url.hostname not in LOOPBACK:
        found.append(
            f"PUBLIC_URL ist {settings['PUBLIC_URL']}. Links zum Konto dürfen nur über https laufen. "
            "Schreiben Sie https:// und stellen Sie einen Proxy mit Zertifikat davor."
        )
    elif url.scheme == "https" and not settings["PROXY_HOPS"]:
        found.append(
            "PROXY_HOPS ist 0, aber https kommt von einem Proxy. Ohne die Zahl halten die Bremsen gegen "
            "Angriffe alle Menschen für einen einzigen. Tragen Sie ein: PROXY_HOPS = 1"
        )
    if url.hostname and settings.get("STAFF_SECOND_FACTOR") == "passkey" and relying_party(settings) is None:
        found.append(
            "STAFF_SECOND_FACTOR verlangt Passkeys, aber für eine IP-Adresse wie in PUBLIC_URL gibt es keine. "
            'Nehmen Sie dort einen Namen, oder tragen Sie ein: STAFF_SECOND_FACTOR = "required"'
        )
    return found


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read_text(path) if _exists(path) else "")
    except (ValueError, RecursionError) as error:  # of tomllib; SettingsError is a ValueError too
        if isinstance(error, SettingsError):
            raise
        line = re.search(r"line (\d+)", str(error))
        raise SettingsError(
            f"{path}{f', Zeile {line[1]}' if line else ''}: Das ist kein gültiges TOML. Jede Einstellung steht einmal "
            'da, Texte in Anführungszeichen, zum Beispiel OFFICE_NAME = "Kreismedienzentrum".'
        ) from None


def _read_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str | Path]]:
    """Yield the variables with our prefix. Those of files come last, MAIL_CA_FILE is a setting of its own."""
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if not variable.startswith(PREFIX) or name == "INSTANCE_PATH":
            continue
        setting = name.removesuffix("_FILE")
        if name in BY_NAME or setting not in BY_NAME:
            yield name, environ[variable]
        else:
            yield setting, Path(environ[variable])


def _exists(path: Path) -> bool:
    """Return whether there is such a file, or one that this user may not see; reading that one names the reason."""
    try:
        return path.is_symlink() or path.exists()
    except PermissionError:
        return True


def _read_text(path: Path, named_by: str = "") -> str:
    """Return the text of a file, a byte order mark left out; raises SettingsError."""
    where = f"{named_by}: {path}" if named_by else str(path)
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{where} ist nicht in UTF-8 gespeichert. Speichern Sie die Datei neu als UTF-8.") from None
    except OSError as error:
        reasons = {FileNotFoundError: "gibt es nicht", IsADirectoryError: "ist ein Ordner"}
        reason = reasons.get(type(error), f"ist nicht lesbar ({error.strerror})")
        raise SettingsError(f"{where} {reason}. Prüfen Sie Namen, Besitzer und Rechte der Datei.") from None


def _make_keys(values: dict[str, Any], instance: Path) -> None:
    """Make the missing keys.

    Second factors once derived from LINK_KEY. A portal of that time takes its value over as the first FACTOR_KEY, and
    older link keys count for second factors as long as they are set; so no clerk needs a new one. FACTOR_KEY is made
    first: another process that finds the link key of a new instance must find this one too.
    """
    # Otherwise a FACTOR_KEY that was stolen is being replaced, and the thief may have the LINK_KEY as well.
    is_older = not values["AUDIT_KEY"] and not _exists(instance / "audit_chain_begun")
    first = {"FACTOR_KEY": values["LINK_KEY"]} if is_older else {}
    for name in KEYS:
        values[name] = values[name] or _make_key(instance / name.lower(), first.get(name))
    link_keys = [values["LINK_KEY"], *values["LINK_KEY_FALLBACKS"]]
    if values["FACTOR_KEY"] in link_keys:
        values["FACTOR_KEY_FALLBACKS"] = [*values["FACTOR_KEY_FALLBACKS"], *link_keys]


def _make_key(path: Path, key: str | None = None) -> str:
    """Create a key readable only by its owner; the first of several processes wins. Return what the file holds."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(key or secrets.token_urlsafe(48), "utf-8")
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(temporary)
    temporary.unlink()
    return path.read_text("utf-8").strip()
