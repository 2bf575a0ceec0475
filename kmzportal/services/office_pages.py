"""A text that people may write without knowing HTML: a title, sections, paragraphs, lists, links, words in bold.

    # Title                      ## Section {#anchor}            ### Part of a section
    - a list                     1. a list with numbers          **bold**, [words](/hilfe)

An empty line ends a paragraph, a new line is a new line. Whatever else stands there is text and nothing but text.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from kmzportal.dates import format_date, format_duration
from kmzportal.services import personal_data
from kmzportal.settings import SETTINGS

HEADING = re.compile(r"##\s+(.+?)(?:\s+\{#([\w-]+)\})?")
MARKS = {"part": re.compile(r"###\s+"), "list": re.compile(r"-\s+"), "numbers": re.compile(r"\d+\.\s+")}
INLINE = re.compile(r"\*\*(?P<bold>.+?)\*\*|\[(?P<words>[^\]]+)\]\((?P<target>[^)]+)\)")
SAFE = ("/", "#", "https://", "http://", "mailto:", "tel:")


@dataclass(frozen=True)
class Run:
    """Some words in one dress."""

    text: str
    target: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Block:
    kind: str  #: `text`, or a key of MARKS
    lines: list[list[Run]]


@dataclass
class Section:
    heading: str = ""
    anchor: str = ""
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Paper:
    title: str
    sections: list[Section]  #: the first has no heading

    @property
    def contents(self) -> list[Section]:
        return [section for section in self.sections if section.anchor]


def parse(text: str) -> Paper:
    title, sections = "", [Section()]
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines[0].startswith("# "):
            title = lines[0][2:].strip()
        elif heading := HEADING.fullmatch(lines[0]):
            sections.append(Section(heading[1], heading[2] or ""))
        else:
            sections[-1].blocks += [_block(kind, group) for kind, group in groupby(lines, _kind)]
    return Paper(title, sections)


def _kind(line: str) -> str:
    return next((kind for kind, mark in MARKS.items() if mark.match(line)), "text")


def _block(kind: str, lines: Iterable[str]) -> Block:
    mark = MARKS.get(kind)
    return Block(kind, [_runs(mark.sub("", line, count=1) if mark else line) for line in lines])


def _runs(line: str) -> list[Run]:
    runs, end = [], 0
    for found in INLINE.finditer(line):
        target = (found["target"] or "").replace(" ", "")
        if found["bold"] or target.startswith(SAFE):
            runs += [Run(line[end : found.start()]), Run(found["bold"] or found["words"], target, bool(found["bold"]))]
            end = found.end()
    return [run for run in (*runs, Run(line[end:])) if run.text]


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
        name: parse(PLACE.sub(lambda place: given.get(place[1], place[0]) or LATER, _text(instance, name)))
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
