"""What must be true of the code: one module knows htmx, history has words for each deed, and nothing grows."""

import ast
import re
from pathlib import Path

import pytest

import kmzportal
from kmzportal.models.audit_event import ACTIONS, ACTORS
from tests.house_rules.records import recorded

pytestmark = pytest.mark.usefixtures("clock")
PACKAGE = Path(kmzportal.__file__).parent
TEMPLATES = PACKAGE / "templates"
#: What may be larger than architecture.md, 7 allows, and why.
MEASURES = {".py": 150, "function": 25, ".html": 60, ".js": 80, "conftest.py": 90}
LARGER = {
    "domain/account_link.py": "the link with its two secrets is one thing",
    "services/login.py": "getting in, and being kept out, are one errand",
    "services/account_link.py: issue": "names all columns of a link once",
    "services/work.py: send": "names all columns of a mail once",
    "templates/_ui.html": "macros only",
    "tests/server/conftest.py": "starts and ends processes",
}


def test_only_one_module_knows_htmx():
    knowing = [path.name for path in PACKAGE.rglob("*.py") if re.search(r"['\"]HX-", path.read_text("utf-8"))]
    assert knowing == ["pages.py"]


def test_history_has_words_for_every_deed():
    written = set(recorded())
    assert {"password.changed", "link.redeemed", "address.objected", "mail.capped"} <= written
    assert written - set(ACTIONS) == set()
    assert set(ACTORS) == {"customer", "clerk", "link", "visitor", "worker", "console"}


def sizes():
    """Yield every measured thing with its size and the most it should have."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            yield from sizes_in(path)
    script = PACKAGE / "static" / "js" / "kmz.js"
    tests = PACKAGE.parent / "tests"
    for path in [*sorted(TEMPLATES.rglob("*.html")), script, *sorted(tests.rglob("conftest.py"))]:
        most = MEASURES.get(path.name) or MEASURES[path.suffix]
        yield named(path), len(path.read_text("utf-8").splitlines()), most


def sizes_in(path):
    text = path.read_text("utf-8")
    yield named(path), len(text.splitlines()), MEASURES[".py"]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            yield f"{named(path)}: {node.name}", node.end_lineno - node.lineno + 1, MEASURES["function"]


def named(path):
    return path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else PACKAGE.parent).as_posix()


def test_nothing_grows_without_a_reason():
    """Prints the table of what is largest (pytest -s); complexity is held by ruff."""
    table = sorted(sizes(), key=lambda row: row[1] / row[2], reverse=True)
    for name, lines, most in table[:30]:
        print(f"{lines:4} of {most:3}  {name:45} {LARGER.get(name, '')}")
    too_large = {name for name, lines, most in table if lines > most}
    assert too_large - set(LARGER) == set()
    assert set(LARGER) - too_large == set(), "no longer large, take it off the list"
