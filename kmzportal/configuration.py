"""Reads the settings from the instance folder and the environment, and says what is wrong with them."""

import contextlib
import difflib
import os
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kmzportal.settings import BY_NAME, SETTINGS, SettingsError

PREFIX = "KMZPORTAL_"
READ_BEFORE_THE_SETTINGS = {"INSTANCE_PATH"}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SHORTEST_KEY = 32


def instance_path(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get(f"{PREFIX}INSTANCE_PATH") or "instance").absolute()


def load(instance: Path, environ: Mapping[str, str] = os.environ) -> tuple[dict[str, Any], list[str]]:
    """Return all settings, and a German warning for each unknown name; raises SettingsError."""
    values = {setting.name: setting.default for setting in SETTINGS}
    warnings = []
    for name, value in (*_from_file(instance / "config.toml"), *_from_environment(environ)):
        if name in values:
            values[name] = value
        elif name not in READ_BEFORE_THE_SETTINGS:
            warnings.append(_unknown(name))
    return _completed(values, instance), warnings


def faults(settings: Mapping[str, Any]) -> list[str]:
    """What keeps these settings from serving the public, in German, each with its cure."""
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
        if len(settings[name]) < SHORTEST_KEY:
            found.append(f"{name} ist kürzer als {SHORTEST_KEY} Zeichen. Löschen Sie ihn, dann entsteht ein neuer.")
    return found


def _from_file(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        entries = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} ist nicht lesbar: {error}") from None
    for name, value in entries.items():
        yield name, BY_NAME[name].accept(value) if name in BY_NAME else value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    ours = {name.removeprefix(PREFIX): text for name, text in environ.items() if name.startswith(PREFIX)}
    for name in sorted(ours):
        secret = name.removesuffix("_FILE")
        if name not in BY_NAME and secret in BY_NAME:  # MAIL_CA_FILE is a setting of its own
            yield secret, BY_NAME[secret].parse(_read_secret(name, Path(ours[name])))
        else:
            yield name, BY_NAME[name].parse(ours[name]) if name in BY_NAME else ours[name]


def _read_secret(name: str, path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{PREFIX}{name}: {path} ist nicht lesbar ({error.strerror}).") from None


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name.upper(), BY_NAME, n=1)
    return f"Unbekannte Einstellung {name}." + (f" Meinten Sie {nearest[0]}?" if nearest else "")


def _completed(values: dict[str, Any], instance: Path) -> dict[str, Any]:
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    values["SECRET_KEY"] = values["SECRET_KEY"] or _key_file(instance / "secret_key")
    values["LINK_KEY"] = values["LINK_KEY"] or _key_file(instance / "link_key")
    values["PUBLIC_URL"] = values["PUBLIC_URL"].rstrip("/")
    values["SQLALCHEMY_DATABASE_URI"] = values["SQLALCHEMY_DATABASE_URI"] or f"sqlite:///{instance / 'kmzportal.db'}"
    values["MAIL_DEFAULT_SENDER"] = values["MAIL_DEFAULT_SENDER"] or values["OFFICE_SUPPORT_EMAIL"]
    return values


def _key_file(path: Path) -> str:
    """Return the key in the file; the first process to come makes it, whole and readable by its owner alone."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48), "utf-8")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text("utf-8").strip()
