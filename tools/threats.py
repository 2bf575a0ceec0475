"""Write the table of docs/security.md from docs/threats.toml: python tools/threats.py"""

import tomllib
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "security.md"
HEADING = "## Threats and their tests\n"
FAULTS = Path(__file__).with_name("faults.toml")


def threats() -> dict[str, dict[str, list[str]]]:
    """Return threat, defence and tests, `file::name`, by the threat's number."""
    return tomllib.loads((DOCS / "threats.toml").read_text("utf-8"))


def page() -> str:
    before, heading, _ = PAGE.read_text("utf-8").partition(HEADING)
    faults = [fault for fault in tomllib.loads(FAULTS.read_text("utf-8"))["fault"] if "threat" in fault]
    return "\n".join(
        [
            before + heading,
            "Written by `python tools/threats.py` from [threats.toml](threats.toml).\n",
            "| | threat | defence | tests |\n|---|---|---|---|",
            *(
                f"| {name} | {one['threat']} | {one['defence']} | {listed(one['tests'])} |"
                for name, one in threats().items()
            ),
            "\n## Defences that are taken out\n",
            "`tools/plant_faults` takes out each of these, and many more, one at a time. A test of the named file",
            "must fail within 60 seconds.\n",
            "| | without its defence | tests |\n|---|---|---|",
            *(
                f"| {fault['threat']} | {fault['why']} | {listed(fault['tests'].split())} |"
                for fault in sorted(faults, key=lambda fault: fault["threat"])
            ),
            "",
        ]
    )


def listed(tests: list[str]) -> str:
    return "<br>".join(f"`{test.removeprefix('tests/')}`" for test in tests)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
