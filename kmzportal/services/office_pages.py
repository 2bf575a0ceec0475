"""Help and the legally required pages: imprint, data protection, accessibility, easy language.

Each is a text under templates/legal, replaced by the operator's file of the same name in instance/pages. Placeholders
such as `{office_name}` are replaced by the setting OFFICE_NAME; no other code in a text runs. Files are read at start.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from kmzportal.dates import format_duration
from kmzportal.services import retention
from kmzportal.settings import SETTINGS, did_you_mean

REGISTER = "verzeichnis"  #: of processing (GDPR 30); printed by a command, not a page
NAMES = ("hilfe", "impressum", "datenschutz", "barrierefreiheit", "leichte-sprache")
SHIPPED = Path(__file__).parent.parent / "templates" / "legal"
LATER = "wird noch ergänzt"
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
OPTIONAL = ("catalogue_name", "office_hours")
SECONDS = {"Sekunden": 1, "Tage": 86_400}
CHECKED_EVERY = timedelta(days=365)

Settings = Mapping[str, Any]


def own_folder(instance: Path) -> Path:
    return instance / "pages"


def read(instance: Path, settings: Settings, names: Iterable[str] = NAMES) -> dict[str, str]:
    """Return the texts of these pages with their placeholders replaced."""
    values = _values(settings)

    def replace(placeholder: re.Match[str]) -> str:
        return values.get(placeholder[1], placeholder[0]) or LATER

    return {name: PLACEHOLDER.sub(replace, _text(instance, name, values)) for name in names}


def is_draft(settings: Settings) -> bool:
    """Return whether the statement on accessibility has no date yet."""
    return _date(settings["ACCESSIBILITY_STATEMENT_DATE"]) is None


def lacking(instance: Path, settings: Settings, today: date) -> list[str]:
    """Return in German what the operator still has to write or correct, and how."""
    values = _values(settings)
    texts = {name: _text(instance, name, values) for name in NAMES}
    files = _files(instance, settings["SIGN_LANGUAGE_VIDEO"])
    return [*_empty(texts, values), *_unknown(texts, values), *files, *_outdated(settings, today)]


def _text(instance: Path, name: str, values: Mapping[str, str]) -> str:
    """Return the text without the lines that name an optional setting which is empty."""
    own = own_folder(instance) / f"{name}.md"
    text = (own if own.exists() else SHIPPED / f"{name}.md").read_text("utf-8")
    unset = [f"{{{name}}}" for name in OPTIONAL if not values[name]]
    lines = (line for line in text.split("\n") if not any(placeholder in line for placeholder in unset))
    return "\n".join(lines).replace("{personal_data}", retention.register_text())


def _values(settings: Settings) -> dict[str, str]:
    names = {"cookie_name": "SESSION_COOKIE_NAME", "device_cookie_name": "DEVICE_COOKIE_NAME"}
    values = {**{name: str(settings.get(setting)) for name, setting in names.items()}, **retention.TIMES}
    for setting in SETTINGS:
        value = settings[setting.name]
        if setting.kind in SECONDS:
            values[setting.name.lower()] = format_duration(timedelta(seconds=value * SECONDS[setting.kind]))
        elif setting.name.startswith(("OFFICE_", "CATALOGUE_", "PRIVACY_", "ACCESSIBILITY_", "PASSWORD_")):
            values[setting.name.lower()] = str(value)
    dated = _date(settings["ACCESSIBILITY_STATEMENT_DATE"])
    values["accessibility_statement_date"] = f"{dated:%d.%m.%Y}" if dated else ""
    return values


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _empty(texts: Mapping[str, str], values: Mapping[str, str]) -> Iterator[str]:
    for name, text in texts.items():
        if LATER in text:
            yield f"In {name}.md steht noch „{LATER}“. Schreiben Sie dort, was fehlt."
    for placeholder in (placeholder for placeholder, value in values.items() if not value):
        if pages := [f"/{name}" for name, text in texts.items() if f"{{{placeholder}}}" in text]:
            yield f"{placeholder.upper()} ist leer. Auf {' und '.join(pages)} steht dort „{LATER}“."


def _unknown(texts: Mapping[str, str], values: Mapping[str, str]) -> Iterator[str]:
    for name, text in texts.items():
        for placeholder in dict.fromkeys(PLACEHOLDER.findall(text)):
            if placeholder not in values:
                hint = did_you_mean(placeholder, values, "{{{}}}")
                yield f"{name}.md nennt {{{placeholder}}}, das gibt es nicht.{hint}"


def _files(instance: Path, video: str) -> Iterator[str]:
    known = {*(f"{name}.md" for name in (*NAMES, REGISTER)), video}
    present = {path.name for path in own_folder(instance).glob("*")}
    for file in sorted(present - known):
        yield f"instance/pages/{file} wird nicht gelesen.{did_you_mean(file, known)}"
    if video and "://" not in video and video not in present:
        yield f"SIGN_LANGUAGE_VIDEO nennt {video}. Legen Sie diese Datei in instance/pages, oder nennen Sie eine URL."


def _outdated(settings: Settings, today: date) -> Iterator[str]:
    name = "ACCESSIBILITY_STATEMENT_DATE"
    text = settings[name]
    dated = _date(text)
    if dated is None and text:
        yield f"{name}: „{text}“ ist kein Tag. Schreiben Sie ihn so: {today.isoformat()}"
    elif dated and today - dated > CHECKED_EVERY:
        yield f"{name} ist über ein Jahr alt. Prüfen Sie die Barrierefreiheit wieder und tragen Sie den Tag ein."
