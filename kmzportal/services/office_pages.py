"""The pages a public office owes: help, imprint, data protection, accessibility, easy language.

Each is a text under templates/legal, or the operator's own of the same name in instance/pages. `{office_name}` stands
for the setting OFFICE_NAME; nothing else in a text is carried out. All is read once, at start.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from kmzportal.dates import format_date, format_duration
from kmzportal.services import personal_data
from kmzportal.settings import SETTINGS

NAMES = ("hilfe", "impressum", "datenschutz", "barrierefreiheit", "leichte-sprache")
SHIPPED = Path(__file__).parent.parent / "templates" / "legal"
LATER = "wird noch ergänzt"
PLACE = re.compile(r"\{([a-z_]+)\}")
CHECKED_EVERY = timedelta(days=365)

Settings = Mapping[str, Any]


def own_folder(instance: Path) -> Path:
    return instance / "pages"


def read(instance: Path, settings: Settings) -> dict[str, str]:
    """Return the texts of all pages, filled in."""
    given = _given(settings)
    return {
        name: PLACE.sub(lambda place: given.get(place[1], place[0]) or LATER, _text(instance, name)) for name in NAMES
    }


def is_draft(settings: Settings) -> bool:
    """Whether the statement on accessibility is not dated yet."""
    return _date(settings["ACCESSIBILITY_STATEMENT_DATE"]) is None


def lacking(instance: Path, settings: Settings, today: date) -> list[str]:
    """What only the operator knows and has not said, and what is wrong with the pages, in German, with its cure."""
    texts, given = {name: _text(instance, name) for name in NAMES}, _given(settings)
    files = _files(instance, settings["SIGN_LANGUAGE_VIDEO"])
    return [*_empty(texts, given), *_unknown(texts, given), *files, *_outdated(settings, today)]


def _text(instance: Path, name: str) -> str:
    own = own_folder(instance) / f"{name}.md"
    text = (own if own.exists() else SHIPPED / f"{name}.md").read_text("utf-8")
    return text.replace("{personal_data}", personal_data.text())


def _given(settings: Settings) -> dict[str, str]:
    """What a text may name, each in lower case."""
    given = {"cookie_name": str(settings.get("SESSION_COOKIE_NAME")), **personal_data.TIMES}
    for setting in SETTINGS:
        value = settings[setting.name]
        if setting.unit in ("seconds", "days"):
            given[setting.name.lower()] = format_duration(timedelta(**{setting.unit: value}))
        elif setting.name.startswith(("OFFICE_", "PRIVACY_", "ACCESSIBILITY_", "PASSWORD_")):
            given[setting.name.lower()] = str(value)
    dated = _date(settings["ACCESSIBILITY_STATEMENT_DATE"])
    given["accessibility_statement_date"] = format_date(dated) if dated else ""
    return given


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _empty(texts: Mapping[str, str], given: Mapping[str, str]) -> Iterator[str]:
    for name, text in texts.items():
        if LATER in text:
            yield f"In {name}.md steht noch „{LATER}“. Schreiben Sie dort, was fehlt."
    for place in (place for place, value in given.items() if not value):
        if pages := [f"/{name}" for name, text in texts.items() if f"{{{place}}}" in text]:
            yield f"{place.upper()} ist leer. Auf {' und '.join(pages)} steht dort „{LATER}“."


def _unknown(texts: Mapping[str, str], given: Mapping[str, str]) -> Iterator[str]:
    for name, text in texts.items():
        for place in dict.fromkeys(PLACE.findall(text)):
            if place not in given:
                yield f"{name}.md nennt {{{place}}}, das gibt es nicht.{_nearest(place, given, '{{{}}}')}"


def _files(instance: Path, video: str) -> Iterator[str]:
    known = {*(f"{name}.md" for name in NAMES), video}
    lying = {path.name for path in own_folder(instance).glob("*")}
    for file in sorted(lying - known):
        yield f"instance/pages/{file} wird nicht gelesen.{_nearest(file, known, '{}')}"
    if video and "://" not in video and video not in lying:
        yield f"SIGN_LANGUAGE_VIDEO nennt {video}. Legen Sie diese Datei in instance/pages, oder nennen Sie eine URL."


def _nearest(word: str, known: Any, shape: str) -> str:
    nearest = difflib.get_close_matches(word, known, n=1)
    return f" Meinten Sie {shape.format(nearest[0])}?" if nearest else ""


def _outdated(settings: Settings, today: date) -> Iterator[str]:
    written, name = settings["ACCESSIBILITY_STATEMENT_DATE"], "ACCESSIBILITY_STATEMENT_DATE"
    dated = _date(written)
    if dated is None and written:
        yield f"{name}: „{written}“ ist kein Tag. Schreiben Sie ihn so: {today.isoformat()}"
    elif dated and today - dated > CHECKED_EVERY:
        yield f"{name} ist über ein Jahr alt. Prüfen Sie die Barrierefreiheit wieder und tragen Sie den Tag ein."
