"""The handbook docs/betrieb agrees with the code: commands, options, settings, paths, links, and quoted texts.

How it is written: a command begins with `kmzportal`. A line `> …` quotes a message in full, a block ```text output of
a command, and „…“ in a line `> …` or in a table stands for itself. `…` stands for what is inserted at run time.
"""

import ast
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import click
import pytest

from kmzportal.cli import cli
from kmzportal.services import retention
from kmzportal.settings import BY_NAME

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "betrieb"
PAGES = sorted(FOLDER.glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
COMMAND = re.compile(r"(?:^|[|;&(]\s*|bin/|exec portal |\$ )kmzportal (?=[a-z-])(.*)")
NAME = re.compile(r"(?:KMZPORTAL_)?([A-Z][A-Z0-9]*_[A-Z0-9_]+|PUBLIC_URL)(?= ?=|$)")
OUR_URL = re.compile(r"https?://(?:127\.0\.0\.1:8000|konto\.kmz\.example)(/[\w./-]*)")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?(?:\.\d+)?[a-z]|\{\w*\}")
COUNT = re.compile(r"(\w+): \d+")
MESSAGE, OUTPUT = re.compile(r"(?<=[.:]) |(?<=…)(?=,)"), re.compile(r" – |(?<=\D): (?=\w+ \w+ )")  # between two texts
VALUE = re.compile(r"\s*\S+(?: [A-Z0-9]\S*){0,2}")
OTHER_NAMES = {"INSTANCE_PATH", "FLASK_DEBUG", "KMZPORTAL_NAME", "NAME"}  # of the environment alone, and an example
FILES = ("/opt", "/var", "/etc", "/usr", "/root", "/mnt", "/tmp")  # noqa: S108  folders that the handbook names


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(page.read_text("utf-8")) if language in languages]


def spans(page: Path) -> list[str]:
    return CODE_SPAN.findall(FENCE.sub("", page.read_text("utf-8")))


def quotes(page: Path) -> list[str]:
    return re.findall(r"^> (.+)$", page.read_text("utf-8"), re.MULTILINE)


def commands(page: Path) -> Iterator[list[str]]:
    lines = [line for block in blocks(page, "sh", "ini") for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    quoted = re.findall(r"(kmzportal (?=[a-z-]+(?:[\s“).]|$))[^(“„)….]*)", "\n".join(quotes(page)))
    for line in [*lines, *spans(page), *quoted]:
        if found := COMMAND.search(line):
            yield shlex.split(re.split(r"\s[|>;]|&&|\s#", found[1])[0].rstrip(".,:;"))


def fault_of(words: list[str]) -> str:
    """Return why this is no command of the portal, empty if it is one."""
    command: click.Command = cli
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            if word not in command.commands:
                return f"no command {word}"
            command = command.commands[word]
        elif word.startswith("--") and word.partition("=")[0] not in ("--help", *options(command)):
            return f"no option {word}"
    return ""


def options(command: click.Command) -> list[str]:
    return [name for parameter in command.params for name in parameter.opts]


def all_options(command: click.Command = cli) -> Iterator[str]:
    yield from options(command)
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        yield from all_options(each)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_option_exists(page):
    faults = [(" ".join(words), fault) for words in commands(page) if (fault := fault_of(words))]
    known = {"--help", *all_options()}
    faults += [(span, "no option") for span in spans(page) if re.fullmatch(r"--[a-z-]+", span) and span not in known]
    assert faults == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_setting_exists_and_every_example_is_valid(page):
    named = [found[1] for span in spans(page) if (found := NAME.match(span))]
    unknown = {name for name in named if not {name, name.removesuffix("_FILE")} & (BY_NAME.keys() | OTHER_NAMES)}
    assert unknown == set()
    for block in blocks(page, "toml"):
        for name, value in tomllib.loads(block).items():
            BY_NAME[name].parse(value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_path_of_the_portal_exists(page, app):
    named = [span for span in spans(page) if re.fullmatch(r"/[a-z][\w./-]*", span) and not span.startswith(FILES)]
    named += OUR_URL.findall(page.read_text("utf-8"))
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    assert [path for path in named if not path.startswith("/link/") and path not in rules] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_quoted_message_is_one_of_the_program(page):
    assert [quote for quote in quotes(page) if not is_known(quote)] == []
    lines = [line for block in blocks(page, "text") for line in block.splitlines() if line.strip()]
    assert [line for line in lines if not is_known(line.strip(), values_vary=True)] == []


def test_the_table_of_retention_says_what_is_deleted_when():
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| (.+) \|$", (FOLDER / "datenschutz.md").read_text("utf-8"), re.MULTILINE)
    days = {
        name.strip("`"): int(re.search(r"\d+", text)[0])
        for text, name in rows
        if name.strip("`") in BY_NAME and re.search(r"\d", text)
    }
    assert days == {name: BY_NAME[name].default for name in days} and len(days) == 4
    kept = [timedelta(days=int(found[0])) for text, name in rows if name == "–" and (found := re.search(r"\d+", text))]
    assert kept == [
        retention.REQUESTS_KEPT,
        retention.SESSIONS_KEPT,
        retention.DEVICES_KEPT,
        retention.THROTTLES_KEPT,
        retention.LINKS_KEPT,
        retention.MAILS_KEPT,
    ]


@pytest.mark.parametrize("changed", ["Das Portal läuft nun (…).", "In … gibt es schon ein Lokal. Ändern Sie es dort."])
def test_a_message_with_another_word_is_not_known(changed):
    assert not is_known(changed)


@pytest.mark.parametrize("wrong", ["backups", "customers inport kunden.csv", "restore --key DATEI", "db upgrades"])
def test_a_command_with_another_word_is_none(wrong):
    assert fault_of(wrong.split())


@cache
def is_known(text: str, values_vary: bool = False) -> bool:
    """Return whether a text of the program, or several one after another, make this text.

    What is inserted must be `…`, a number or again a text of the program; with `values_vary` also a name or a value.
    """
    text = text.strip()
    if text in ("", "…") or text.isdecimal() or text in texts():
        return True
    if values_vary and ((count := COUNT.fullmatch(text)) and count[1] in texts()):
        return True
    found = [match for pattern in patterns() if (match := pattern.fullmatch(text))]
    parts = [match.groups() for match in found]
    parts += [(text[: at.start()], text[at.end() :]) for at in (OUTPUT if values_vary else MESSAGE).finditer(text)]
    return any(
        all((values_vary and VALUE.fullmatch(one)) or is_known(one, values_vary) for one in each) for each in parts
    )


@cache
def patterns() -> list[re.Pattern[str]]:
    """Return the texts with something inserted that have at least four letters of their own."""
    inserted = [re.escape(text) for text in texts() if "…" in text and len(re.findall(r"\w", text)) >= 4]
    groups = ("(.*)", "(.*?)")  # where a text has several places, either may divide it rightly
    return [re.compile(text.replace("…", group)) for text in inserted for group in groups]


@cache
def texts() -> set[str]:
    """Return all texts of modules, templates and TOML files, with `…` for what is inserted."""
    found = {line.strip("| ") for line in (ROOT / "docs" / "texts.md").read_text("utf-8").splitlines()}
    package = ROOT / "kmzportal"
    of_template = runpy.run_path(str(ROOT / "tools" / "texts.py"))["of_template"]
    for path in [ROOT / "deploy" / "502.html", *package.glob("templates/**/*.html")]:
        found |= {" ".join(text.split()) for text in of_template(path)}
    for path in package.glob("**/*.toml"):
        found |= set(strings(tomllib.loads(path.read_text("utf-8"))))
    for path in package.glob("**/*.py"):
        found |= set(literals(ast.parse(path.read_text("utf-8"))))
    return {PLACEHOLDER.sub("…", text).strip() for text in found}


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(each)


def literals(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield from text.splitlines()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from [node.value, *re.sub(r"<[^>]+>", "\n", node.value).splitlines()]


def test_every_relative_link_leads_somewhere_in_the_source_and_in_the_wheel():
    """The wheel holds what is linked at the same places, but in the folder kmzportal."""
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    included = targets["wheel"]["force-include"]
    assert [where for where, to in included.items() if to != f"kmzportal/{where}"] == []
    pages = [path for name in included for path in ([ROOT / name, *(ROOT / name).glob("**/*.md")])]
    broken = []
    for page in {page for page in pages if page.suffix == ".md"}:
        for target, heading in LINK.findall(page.read_text("utf-8")):
            linked = (page.parent / target).resolve() if target else page
            if target.startswith(("http:", "https:", "mailto:")):
                continue
            shipped = any(linked.is_relative_to(ROOT / name) for name in included)
            if not shipped or not linked.exists() or (heading and heading not in headings(linked)):
                broken.append(f"{page.relative_to(ROOT)}: {target}#{heading}")
    assert broken == []


def headings(page: Path) -> set[str]:
    """Return the anchors as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}
