"""The register of what is stored about people, read from templates/legal/personal_data.toml (GDPR 30)."""

import tomllib
from pathlib import Path
from typing import Any

from kmzportal.dates import format_duration
from kmzportal.services import retention

FILE = Path(__file__).parent.parent / "templates" / "legal" / "personal_data.toml"
#: Placeholders in the register, besides the settings.
TIMES = {
    "sessions_kept": format_duration(retention.SESSIONS_KEPT),
    "links_kept": format_duration(retention.LINKS_KEPT),
    "mails_kept": format_duration(retention.MAILS_KEPT),
    "requests_kept": format_duration(retention.REQUESTS_KEPT),
    "throttles_kept": format_duration(retention.THROTTLES_KEPT),
}


def register() -> dict[str, Any]:
    """Return `entry`, a list of what is stored and why, and `technical`, columns without personal data by table."""
    return tomllib.loads(FILE.read_text("utf-8"))


def text() -> str:
    """Return the register in Markdown. The page names the general legal basis once, so only others are repeated."""
    entries = []
    for entry in register()["entry"]:
        facts = {"Was": entry["what"], "Wozu": entry["purpose"]}
        facts |= {"Rechtsgrundlage": entry["basis"]} if "basis" in entry else {}
        lines = [f"- **{word}:** {fact}" for word, fact in (facts | {"Wie lange": entry["retention"]}).items()]
        entries.append(f"### {entry['heading']}\n\n" + "\n".join(lines))
    return "\n\n".join(entries)
