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

from kmzportal.domain import paper
from kmzportal.domain.paper import Paper
from kmzportal.german import day, span
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


def read(instance: Path, settings: Settings) -> dict[str, Paper]:
    """Return all pages, filled in and parsed."""
    given = _given(settings)
    return {
        name: paper.parse(PLACE.sub(lambda place: given.get(place[1], place[0]) or LATER, _text(instance, name)))
        for name in NAMES
    }


def is_draft(settings: Settings) -> bool:
    """Whether the statement on accessibility is not dated yet."""
    return _date(settings["ACCESSIBILITY_STATEMENT_DATE"]) is None


def lacking(instance: Path, settings: Settings, today: date) -> list[str]:
    """What only the operator knows and has not said, and what is wrong with the pages, in German, with its cure."""
    return [*_empty(instance, settings), *_unknown(instance, settings), *_outdated(settings, today)]


def _text(instance: Path, name: str) -> str:
    own = own_folder(instance) / f"{name}.md"
    text = (own if own.exists() else SHIPPED / f"{name}.md").read_text("utf-8")
    return text.replace("{personal_data}", personal_data.text())


def _given(settings: Settings) -> dict[str, str]:
    """What a text may name, each in lower case."""
    given = {"cookie_name": str(settings.get("SESSION_COOKIE_NAME"))}  # as web/security.py names it
    for setting in SETTINGS:
        value = settings[setting.name]
        if setting.unit in ("seconds", "days"):
            given[setting.name.lower()] = span(timedelta(**{setting.unit: value}))
        elif setting.name.startswith(("OFFICE_", "PRIVACY_", "ACCESSIBILITY_", "PASSWORD_")):
            given[setting.name.lower()] = str(value)
    dated = _date(settings["ACCESSIBILITY_STATEMENT_DATE"])
    given["accessibility_statement_date"] = day(dated) if dated else ""
    return given


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _empty(instance: Path, settings: Settings) -> Iterator[str]:
    given = _given(settings)
    where: dict[str, list[str]] = {}
    for name in NAMES:
        for place in dict.fromkeys(PLACE.findall(_text(instance, name))):
            if given.get(place) == "":
                where.setdefault(place, []).append(f"/{name}")
        if LATER in _text(instance, name):
            yield f"In {name}.md steht noch „{LATER}“. Schreiben Sie dort, was fehlt."
    for place, pages in where.items():
        yield f"{place.upper()} ist leer. Auf {' und '.join(pages)} steht dort „{LATER}“."


def _unknown(instance: Path, settings: Settings) -> Iterator[str]:
    given = _given(settings)
    for name in NAMES:
        for place in dict.fromkeys(PLACE.findall(_text(instance, name))):
            if place not in given:
                yield f"{name}.md nennt {{{place}}}, das gibt es nicht.{_nearest(place, given, '{{{}}}')}"
    video = settings["SIGN_LANGUAGE_VIDEO"]
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
