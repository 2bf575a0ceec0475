"""Write docs/texts.md, every text that people read on pages and in mails: python tools/texts.py

`…` stands for what a template or module inserts at run time.
"""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment, nodes

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kmzportal"
PAGE = ROOT / "docs" / "texts.md"
MODULES = ("web/**/*.py", "services/*.py")
READ_ALOUD = ("aria-label", "alt", "data-offline", "data-broken", "data-same")  # attributes with texts for people
INLINE = {"a", "strong", "span", "em", "br", "b", "abbr", "input", "img"}
TEXT = re.compile(r"[A-ZÄÖÜ„–…][^<>{}|]*[a-zäöüß]")
HEAD = """# Texts

The texts of pages and mails as templates and modules hold them, by the folder they are in; `…` is inserted at run time.
Written by `python tools/texts.py`. The pages of the office are texts already: `kmzportal/templates/legal/`.
"""


class TextParser(HTMLParser):
    """Collects the texts of a template without its Jinja: one for each block, and one for each attribute with text."""

    def __init__(self, source: str):
        super().__init__()
        self.texts = [""]
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = [text for name, text in attrs if name in READ_ALOUD and text]
        self.texts += [*attributes, ""] if tag not in INLINE or attributes else []
        self.texts[-1] += " " if tag == "br" else ""

    def handle_endtag(self, tag: str) -> None:
        self.texts += [""] if tag not in INLINE else []

    def handle_data(self, data: str) -> None:
        self.texts[-1] += data


def of_template(path: Path) -> Iterator[str]:
    source = re.sub(r"\{#.*?#\}", "", path.read_text("utf-8"), flags=re.DOTALL)
    plain = re.sub(r"\{%.*?%\}", "<p>", re.sub(r"\{\{.*?\}\}", "…", source, flags=re.DOTALL), flags=re.DOTALL)
    yield from TextParser(plain).texts if path.suffix == ".html" else re.split(r"\n\s*\n|<p>", plain)
    tree = Environment(autoescape=True).parse(source)
    yield from (constant.value for constant in tree.find_all(nodes.Const) if isinstance(constant.value, str))


def of_module(path: Path) -> Iterator[str]:
    """Yield the German sentences in the strings of a module; docstrings and messages to developers are English."""
    tree = ast.parse(path.read_text("utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in parts and node.value not in docstrings:
            text = str(node.value)
        else:
            continue
        if re.search(r"\w+ \w+ .*[.!?:](\s|$)", text):
            yield text


def texts() -> dict[str, list[str]]:
    """Return the texts by folder, such as `customer`; those of all pages under `on every page`."""
    found: dict[str, list[str]] = {}
    for path in sorted([*PACKAGE.glob("templates/**/*.html"), *PACKAGE.glob("templates/**/*.txt")]):
        folders = path.relative_to(PACKAGE / "templates").parts[:-1]
        found.setdefault(folders[0] if folders else "on every page", []).extend(of_template(path))
    for path in sorted(path for pattern in MODULES for path in PACKAGE.glob(pattern)):
        folders = path.relative_to(PACKAGE).parts[:-1]
        found.setdefault("on every page" if folders == ("web",) else folders[-1], []).extend(of_module(path))
    tidied = {folder: list(dict.fromkeys(filter(None, map(tidy, texts)))) for folder, texts in sorted(found.items())}
    return {folder: texts for folder, texts in tidied.items() if texts}


def tidy(text: str) -> str:
    text = " ".join(text.split()).strip("… ") + ("…" if text.rstrip().endswith("…") else "")
    return text if TEXT.match(text) and len(text) > 3 and not re.match("[A-Z][a-zA-Z]+Field$", text) else ""


def page() -> str:
    lines = [HEAD]
    for folder, found in texts().items():
        lines += [f"## {folder}", "", "| text |", "|---|", *(f"| {text.replace('|', '/')} |" for text in found), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
