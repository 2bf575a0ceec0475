"""Write docs/settings.md from kmzportal/settings.toml: python tools/settings.py"""

from pathlib import Path

from kmzportal.settings import SETTINGS

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
HEAD = """# Settings

Written by `python tools/settings.py` from `kmzportal/settings.toml`. Each may stand in `instance/config.toml`
(`NAME = value`) or in the environment as `KMZPORTAL_NAME`; `KMZPORTAL_NAME_FILE` names a file that holds the value.

| name | default | unit | why |
|---|---|---|---|
"""


def page() -> str:
    rows = [f"| `{one.name}` | {shown(one.default)} | {one.unit} | {one.why} |" for one in SETTINGS]
    return HEAD + "\n".join(rows) + "\n"


def shown(default: object) -> str:
    return "–" if default in ("", []) else f"`{default}`"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
