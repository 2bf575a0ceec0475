"""A text that people may write without knowing HTML: a title, sections, paragraphs, lists, links, words in bold.

    # Title                      ## Section {#anchor}            ### Part of a section
    - a list                     1. a list with numbers          **bold**, [words](/hilfe)

An empty line ends a paragraph, a new line is a new line. Whatever else stands there is text and nothing but text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

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
