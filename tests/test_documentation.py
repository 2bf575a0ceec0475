"""What the papers say is what the code does."""

import hashlib
import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_setting_stands_in_the_papers_as_it_is():
    tool = runpy.run_path(str(ROOT / "tools" / "settings.py"))
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == tool["page"]()


def test_every_dependency_says_what_it_saves():
    named = re.findall(r'^  "([a-z0-9-]+)[\[>]', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    reasons = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text("utf-8")
    assert named and [name for name in named if name not in reasons and name not in ("hatchling",)] == []


def test_every_path_in_the_tree_of_the_readme_exists():
    tree = (ROOT / "README.md").read_text("utf-8").split("## The tree")[1].split("```")[1]
    inside = re.findall(r"^  ([a-z_]+(?:/|\.py))", tree, re.MULTILINE)
    assert inside and [name for name in inside if not (ROOT / "kmzportal" / name).exists()] == []


def test_every_vendored_file_is_the_one_that_was_written_down():
    papers = (ROOT / "docs" / "vendored.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\S+)` .*`([0-9a-f]{64})` \|$", papers, re.MULTILINE)
    axe = re.findall(r"`(tests/\S+)`.*?\b([0-9a-f]{64})\b", papers, re.DOTALL)
    assert len(rows) > 10 and len(axe) == 1
    for path, checksum in [*((f"kmzportal/static/{name}", told) for name, told in rows), *axe]:
        assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == checksum, path


def test_every_text_stands_in_the_papers_and_can_be_read_between_two_lessons():
    """After a change of words: python tools/texts.py, and read what it wrote."""
    tool = runpy.run_path(str(ROOT / "tools" / "texts.py"))
    assert (ROOT / "docs" / "texts.md").read_text("utf-8") == tool["page"]()
    figures = {errand: tool["figure"](texts) for errand, texts in tool["errands"]().items()}
    hard = {errand: year for errand, (year, words) in figures.items() if words >= tool["ENOUGH"]}
    assert len(hard) > 8 and {errand: year for errand, year in hard.items() if year > tool["HARDEST_ERRAND"]} == {}
    assert tool["figure"]([text for texts in tool["errands"]().values() for text in texts])[0] <= tool["HARDEST_OF_ALL"]
