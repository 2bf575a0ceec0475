"""Write docs/betrieb/einstellungen.md from kmzportal/settings.toml: python tools/settings.py"""

from pathlib import Path

from kmzportal.settings import SETTINGS

PAGE = Path(__file__).parent.parent / "docs" / "betrieb" / "einstellungen.md"
HEAD = """# Einstellungen

Jede steht in `instance/config.toml` (`NAME = Wert`) oder in der Umgebung als `KMZPORTAL_NAME`; `KMZPORTAL_NAME_FILE`
nennt eine Datei mit dem Wert. `kmzportal config` zeigt alle mit ihrem Wert und sagt, was daran falsch ist.
Nach einer Änderung: `systemctl restart kmzportal`.
Geschrieben von `python tools/settings.py` aus `kmzportal/settings.toml`.
"""
TABLE = """| Name | Vorgabe | Art | möglich | Grund |
|---|---|---|---|---|"""
#: By the first setting of each theme: its heading and an example.
THEMES = {
    "PUBLIC_URL": ("Adresse und Proxy", 'PUBLIC_URL = "https://konto.kmz.example"\nPROXY_HOPS = 1'),
    "SECRET_KEY": ("Schlüssel, Sicherung, Datenbank", "BACKUP_KEEP = 30"),
    "MAIL_SERVER": ("Versand von E-Mails", 'MAIL_SERVER = "mail.kmz.example"\nMAIL_PORT = 587\nMAIL_USE_TLS = true'),
    "IMAP_SERVER": (
        "Postfach für Anfragen",
        'IMAP_SERVER = "mail.kmz.example"\nIMAP_USERNAME = "support@kmz.example"\nIMAP_PASSWORD = "hier das Passwort"',
    ),
    "OFFICE_NAME": ("Die Stelle", 'OFFICE_NAME = "Medienzentrum Musterstadt"\nOFFICE_PHONE = "07051 965 220"'),
    "CATALOGUE_NAME": ("Der Katalog", 'CATALOGUE_NAME = "edupool"\nCATALOGUE_URL = "https://kmz-calw.de"'),
    "OFFICE_BODY": ("Der Träger", 'OFFICE_BODY = "Landkreis Musterland, Marktplatz 1, 70000 Musterstadt"'),
    "PRIVACY_OFFICER": ("Datenschutz und Barrierefreiheit", "ACCESSIBILITY_STATEMENT_DATE = 2026-12-24"),
    "RECOVERY_LINK_LIFETIME": ("Links", "RECOVERY_LINK_LIFETIME = 14400"),
    "SESSION_IDLE": ("Anmeldung und Passwörter", "STAFF_SESSION_IDLE = 1800"),
    "THROTTLE_FREE_FAILURES": ("Bremsen", "THROTTLE_SOURCE_ACCOUNTS = 60"),
    "ANSWER_WITHIN": ("Anfragen und Fristen", 'CLOSING_DAYS = ["2026-12-24", "2026-12-31"]'),
    "HASHING_THREADS": ("Rechner", 'LOG_FORMAT = "json"'),
}


def page() -> str:
    lines = [HEAD.rstrip()]
    for one in SETTINGS:
        if one.name in THEMES:
            heading, example = THEMES[one.name]
            lines += [f"\n## {heading}\n\nZum Beispiel:\n\n```toml\n{example}\n```\n\n{TABLE}"]
        lines.append(f"| `{one.name}` | {shown(one.default)} | {one.kind} | {valid(one)} | {one.why} |")
    return "\n".join(lines) + "\n"


def shown(default: object) -> str:
    return "–" if default in ("", []) else f"`{'ja' if default is True else 'nein' if default is False else default}`"


def valid(setting: object) -> str:
    if not setting.valid:
        return ""
    return f"{setting.valid[0]}–{setting.valid[1]}" if isinstance(setting.default, int) else ", ".join(setting.valid)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
