"""How settings are read and validated. settings.toml lists all with default, unit and reason.

A value comes from `instance/config.toml`, is overridden by `KMZPORTAL_<NAME>` in the environment, and that by the
file which `KMZPORTAL_<NAME>_FILE` names.
"""

import contextlib
import difflib
import os
import secrets
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PREFIX = "KMZPORTAL_"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
MIN_KEY_LENGTH = 32
BOOLEANS = dict.fromkeys(("1", "true", "yes", "on", "ja"), True)
BOOLEANS |= dict.fromkeys(("0", "false", "no", "off", "nein"), False)


class SettingsError(ValueError):
    """A setting has an invalid value; the German text names the setting and the valid values."""


@dataclass(frozen=True)
class Setting:
    name: str
    default: Any
    unit: str
    why: str
    choices: Sequence[str] = ()

    def parse(self, value: Any) -> Any:
        """Return a value from TOML, or the text of an environment variable, as the type of the default.

        Raises SettingsError.
        """
        if isinstance(value, str) and not isinstance(self.default, str):
            value = self._parse_text(value)
        if type(value) is not type(self.default):
            raise SettingsError(f"{self.name}: erwartet wird {self.unit}, nicht {value!r}.")
        if self.choices and value not in self.choices:
            raise SettingsError(f"{self.name}: „{value}“ gibt es nicht. Möglich sind: {', '.join(self.choices)}.")
        return value

    def _parse_text(self, text: str) -> Any:
        if isinstance(self.default, list):
            return [part.strip() for part in text.split(",") if part.strip()]
        if isinstance(self.default, bool):
            if text.strip().lower() not in BOOLEANS:
                raise SettingsError(f"{self.name}: „{text}“ ist weder true noch false.")
            return BOOLEANS[text.strip().lower()]
        try:
            return int(text)
        except ValueError:
            raise SettingsError(f"{self.name}: „{text}“ ist keine ganze Zahl ({self.unit}).") from None


SETTINGS = tuple(
    Setting(name, *row) for name, row in tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")).items()
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


def instance_path(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get(f"{PREFIX}INSTANCE_PATH") or "instance").absolute()


def load(instance: Path, environ: Mapping[str, str] = os.environ) -> tuple[dict[str, Any], list[str]]:
    """Return all settings, and a German warning for each unknown name; raises SettingsError."""
    values = {setting.name: setting.default for setting in SETTINGS}
    warnings = []
    for name, value in (*_read_file(instance / "config.toml"), *_read_environment(environ)):
        if name in BY_NAME:
            values[name] = BY_NAME[name].parse(value)
        else:
            warnings.append(f"Unbekannte Einstellung {name}.{did_you_mean(name.upper(), BY_NAME)}")
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    values["SECRET_KEY"] = values["SECRET_KEY"] or _read_key(instance / "secret_key")
    values["LINK_KEY"] = values["LINK_KEY"] or _read_key(instance / "link_key")
    values["CLOSING_DAYS"] = [_date("CLOSING_DAYS", text) for text in values["CLOSING_DAYS"]]
    values["PUBLIC_URL"] = values["PUBLIC_URL"].rstrip("/")
    values["SQLALCHEMY_DATABASE_URI"] = values["SQLALCHEMY_DATABASE_URI"] or f"sqlite:///{instance / 'kmzportal.db'}"
    values["MAIL_DEFAULT_SENDER"] = values["MAIL_DEFAULT_SENDER"] or values["OFFICE_SUPPORT_EMAIL"]
    return values, warnings


def _date(name: str, value: Any) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise SettingsError(f"{name}: „{value}“ ist kein Tag. Schreiben Sie ihn so: 2026-12-24.") from None


def did_you_mean(word: str, known: Iterable[str], template: str = "{}") -> str:
    """Return a German sentence with the known word that is most similar; empty if none is similar."""
    similar = difflib.get_close_matches(word, list(known), n=1)
    return f" Meinten Sie {template.format(similar[0])}?" if similar else ""


def office(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the office for templates, such as `phone` for OFFICE_PHONE."""
    return {name.removeprefix("OFFICE_").lower(): settings[name] for name in settings if name.startswith("OFFICE_")}


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
        found.append(f"PUBLIC_URL ist {settings['PUBLIC_URL']}. Links zum Konto dürfen nur über https laufen.")
    for name in ("SECRET_KEY", "LINK_KEY"):
        if len(settings[name]) < MIN_KEY_LENGTH:
            found.append(f"{name} ist kürzer als {MIN_KEY_LENGTH} Zeichen. Löschen Sie ihn, dann entsteht ein neuer.")
    return found


def _read_file(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        entries = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} ist nicht lesbar: {error}") from None
    for name, value in entries.items():
        if name in BY_NAME and isinstance(value, str) and not isinstance(BY_NAME[name].default, str):
            raise SettingsError(f"{name}: erwartet wird {BY_NAME[name].unit}, nicht {value!r}.")
        yield name, value


def _read_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables with our prefix. Those of files come last, MAIL_CA_FILE is a setting of its own."""
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if not variable.startswith(PREFIX) or name == "INSTANCE_PATH":
            continue
        setting = name.removesuffix("_FILE")
        if name in BY_NAME or setting not in BY_NAME:
            yield name, environ[variable]
            continue
        try:
            yield setting, Path(environ[variable]).read_text("utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{variable}: {environ[variable]} ist nicht lesbar ({error.strerror}).") from None


def _read_key(path: Path) -> str:
    """Return the key in the file. The first process creates it atomically, readable only by its owner."""
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(secrets.token_urlsafe(48), "utf-8")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
        temporary.unlink()
    return path.read_text("utf-8").strip()
