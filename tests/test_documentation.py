"""The documentation agrees with the code, and the vendored files with their checksums."""

import hashlib
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("name", "page"), [
    ("settings", "betrieb/einstellungen"), ("texts", "texts"), ("threats", "security"),
])  # fmt: skip
def test_generated_pages_are_up_to_date(name, page):
    """After a change: python tools/settings.py, tools/texts.py, or tools/threats.py"""
    tool = runpy.run_path(str(ROOT / "tools" / f"{name}.py"))
    assert (ROOT / "docs" / f"{page}.md").read_text("utf-8") == tool["page"]()


def test_each_threat_names_tests_that_exist():
    threats = runpy.run_path(str(ROOT / "tools" / "threats.py"))["threats"]()
    assert list(threats) == [f"T{number:02}" for number in range(1, 47)]
    for number, threat in threats.items():
        assert threat["tests"], number
        for test in threat["tests"]:
            path, _, name = test.partition("::")
            assert f"\ndef {name}(" in (ROOT / path).read_text("utf-8"), (number, test)


def test_every_dependency_has_a_documented_reason():
    named = re.findall(r'^  "([a-z0-9-]+)[\[>]', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    reasons = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text("utf-8")
    assert named and [name for name in named if name not in reasons] == []


def test_whatever_is_installed_has_a_checksum():
    """Nothing is fetched by name alone: files with hashes, a wheel of ours, or what the environment holds already."""
    locks = [ROOT / "deploy" / "build.txt", *ROOT.glob("requirements*.txt"), *ROOT.glob("bench/*.txt")]
    assert len(locks) == 5
    for lock in locks:
        text = lock.read_text("utf-8")
        packages = re.split(r"\n(?=\w)", text)
        assert [package for package in packages if "--hash=sha256:" not in package] == [], lock
        assert "://" not in text and "--index" not in text
    guides = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/betrieb/*.md"), *ROOT.glob("deploy/*")]
    for path in [*guides, ROOT / "Makefile", ROOT / "tools" / "venv", ROOT / "kmzportal" / "setting_types.py"]:
        for command in re.findall(r"(?:\bpip|\$\(PIP\)|-check) (?:install|wheel) .*", path.read_text("utf-8")):
            own = "--no-build-isolation" in command or ".whl" in command
            assert own or "--require-hashes" in command or command.endswith("install --quiet uv"), (path, command)


def test_every_path_in_the_tree_of_the_readme_exists():
    tree = (ROOT / "README.md").read_text("utf-8").split("## The tree")[1].split("```")[1]
    inside = re.findall(r"^  ([a-z_]+(?:/|\.py))", tree, re.MULTILINE)
    assert inside and [name for name in inside if not (ROOT / "kmzportal" / name).exists()] == []


def test_every_vendored_file_has_the_documented_checksum():
    page = (ROOT / "docs" / "vendored.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\S+)` .*`([0-9a-f]{64})` \|$", page, re.MULTILINE)
    axe = re.findall(r"`(tests/\S+)`.*?\b([0-9a-f]{64})\b", page, re.DOTALL)
    assert len(rows) > 10 and len(axe) == 1
    for path, checksum in [*((f"kmzportal/static/{name}", checksum) for name, checksum in rows), *axe]:
        assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == checksum, path
