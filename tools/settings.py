"""Write docs/betrieb/einstellungen.md from kmzportal/settings.toml: python tools/settings.py"""

from pathlib import Path

from kmzportal.settings import SETTINGS

PAGE = Path(__file__).parent.parent / "docs" / "betrieb" / "einstellungen.md"
HEAD = """# Einstellungen

Jede steht in `instance/config.toml` (`NAME = Wert`) oder in der Umgebung als `KMZPORTAL_NAME`; `KMZPORTAL_NAME_FILE`
nennt eine Datei mit dem Wert. `kmzportal config` zeigt alle mit ihrem Wert und sagt, was daran falsch ist.
Geschrieben von `python tools/settings.py` aus `kmzportal/settings.toml`.

| Name | Vorgabe | Art | möglich | Grund |
|---|---|---|---|---|
"""


def page() -> str:
    rows = [f"| `{one.name}` | {shown(one.default)} | {one.kind} | {valid(one)} | {one.why} |" for one in SETTINGS]
    return HEAD + "\n".join(rows) + "\n"


def shown(default: object) -> str:
    return "–" if default in ("", []) else f"`{'ja' if default is True else 'nein' if default is False else default}`"


def valid(setting: object) -> str:
    if not setting.valid:
        return ""
    return f"{setting.valid[0]}–{setting.valid[1]}" if isinstance(setting.default, int) else ", ".join(setting.valid)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
