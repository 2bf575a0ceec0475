"""Writes docs/texts.md: every text a reader of pages and mails meets, errand by errand, with how hard it is to read.

    .venv/bin/python tools/texts.py

What a template or module puts in only at work is written as `…`. The figure is the first Wiener Sachtextformel: about
the year at school in which a text can be read. Labels are no sentences and do not count.
"""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment, nodes

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kmzportal"
PAPER = ROOT / "docs" / "texts.md"
#: A teacher reads these between two lessons; B1 is read after about seven years of school.
HARDEST_ERRAND, HARDEST_OF_ALL = 8, 6
ENOUGH = 40  # words; fewer say nothing about a text
SPOKEN = ("aria-label", "alt", "data-offline", "data-same")
WITHIN = {"a", "strong", "span", "em", "br", "b", "abbr", "input", "img"}
TEXT = re.compile(r"[A-ZÄÖÜ„–…][^<>{}|]*[a-zäöüß]")
HEAD = """# Texts

What people read on pages and in mails, as the templates and modules have it; `…` is put in at work. Written by
`tools/texts.py`, held by a test. The figure says in which year at school a text can be read (Wiener Sachtextformel 1,
whole sentences only); an errand may have {errand}, all together {all}.

All together: **{figure}** ({words} words in sentences).
"""


class Page(HTMLParser):
    """The texts of a template whose Jinja is gone: one for each block of text, and what is only spoken."""

    def __init__(self, source: str):
        super().__init__()
        self.texts = [""]
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        spoken = [text for name, text in attrs if name in SPOKEN and text]
        self.texts += [*spoken, ""] if tag not in WITHIN or spoken else []
        self.texts[-1] += " " if tag == "br" else ""

    def handle_endtag(self, tag: str) -> None:
        self.texts += [""] if tag not in WITHIN else []

    def handle_data(self, data: str) -> None:
        self.texts[-1] += data


def of_template(path: Path) -> Iterator[str]:
    source = re.sub(r"\{#.*?#\}", "", path.read_text("utf-8"), flags=re.DOTALL)
    bare = re.sub(r"\{%.*?%\}", "<p>", re.sub(r"\{\{.*?\}\}", "…", source, flags=re.DOTALL), flags=re.DOTALL)
    yield from Page(bare).texts if path.suffix == ".html" else re.split(r"\n\s*\n|<p>", bare)
    tree = Environment(autoescape=True).parse(source)
    yield from (one.value for one in tree.find_all(nodes.Const) if isinstance(one.value, str))


def of_module(path: Path) -> Iterator[str]:
    """Yield the sentences in the code of a module; what it explains to its own readers is not among them."""
    tree = ast.parse(path.read_text("utf-8"))
    explained = (ast.Module, ast.ClassDef, ast.FunctionDef)
    documents = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, explained)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in parts and node.value not in documents:
            yield str(node.value)


def errands() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted([*PACKAGE.glob("templates/**/*.html"), *PACKAGE.glob("templates/**/*.txt")]):
        place = path.relative_to(PACKAGE / "templates")
        found.setdefault(place.parts[0] if len(place.parts) > 1 else "on every page", []).extend(of_template(path))
    for path in [*sorted(PACKAGE.glob("web/*.py")), PACKAGE / "domain" / "passwords.py"]:
        found.setdefault(path.stem, []).extend(text for text in of_module(path) if sentences(text))
    tidied = {errand: list(dict.fromkeys(filter(None, map(tidy, texts)))) for errand, texts in sorted(found.items())}
    return {errand: texts for errand, texts in tidied.items() if texts}


def tidy(text: str) -> str:
    text = " ".join(text.split()).strip("… ") + ("…" if text.rstrip().endswith("…") else "")
    said = TEXT.match(text) and len(text) > 3 and not re.match("[A-Z][a-zA-Z]+Field$", text)
    return text if said else ""


def sentences(text: str) -> list[str]:
    return [one for one in re.findall(r"[^.!?:]+[.!?:]+(?=\s|$)", " ".join(text.split())) if len(one.split()) > 2]


def figure(texts: list[str]) -> tuple[float, int]:
    """Return the first Wiener Sachtextformel of all sentences, and how many words they have."""
    spoken = [sentence for text in texts for sentence in sentences(text)]
    words = [word for sentence in spoken for word in re.findall(r"[A-Za-zÄÖÜäöüß-]+", sentence)]
    if not words:
        return 0, 0
    syllables = [len(re.findall(r"[aeiouyäöü]+", word.lower())) or 1 for word in words]
    long, short = sum(count >= 3 for count in syllables), sum(count == 1 for count in syllables)
    wide, mean = sum(len(word) > 6 for word in words), len(words) / len(spoken)
    hard = 19.35 * long / len(words) + 0.1672 * mean + 12.97 * wide / len(words) - 3.27 * short / len(words) - 0.875
    return round(hard, 1), len(words)


def page() -> str:
    found = errands()
    hard, words = figure([text for texts in found.values() for text in texts])
    lines = [HEAD.format(errand=HARDEST_ERRAND, all=HARDEST_OF_ALL, figure=hard, words=words)]
    for errand, texts in found.items():
        hard, words = figure(texts)
        lines += ["", f"## {errand}{f': {hard}' if words >= ENOUGH else ''}", "", "| text |", "|---|"]
        lines += [f"| {text.replace('|', '/')} |" for text in texts]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAPER.write_text(page(), "utf-8")
