"""Write the table of docs/security.md from docs/threats.toml: python tools/threats.py"""

import tomllib
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "security.md"
HEADING = "## Threats and their tests\n"


def threats() -> dict[str, dict[str, list[str]]]:
    """Return threat, defence and tests, `file::name`, by the threat's number."""
    return tomllib.loads((DOCS / "threats.toml").read_text("utf-8"))


def page() -> str:
    before, heading, _ = PAGE.read_text("utf-8").partition(HEADING)
    rows = [
        f"| {number} | {one['threat']} | {one['defence']} | {listed(one['tests'])} |"
        for number, one in threats().items()
    ]
    table = ["| | threat | defence | tests |", "|---|---|---|---|", *rows]
    return (
        before
        + heading
        + "\nWritten by `python tools/threats.py` from [threats.toml](threats.toml).\n\n"
        + "\n".join(table)
        + "\n"
    )


def listed(tests: list[str]) -> str:
    return "<br>".join(f"`{test.removeprefix('tests/')}`" for test in tests)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
