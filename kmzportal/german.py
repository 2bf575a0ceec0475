"""Words and moments as people here read them; for pages and mails alike."""

from datetime import datetime
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")

#: The states of a mail in the outbox.
MAIL_STATES = {
    "queued": "wartet",
    "deferred": "später erneut",
    "sent": "an den Mailserver übergeben",
    "refused": "abgelehnt",
    "bounced": "zurückgekommen",
    "expired": "abgelaufen",
    "cancelled": "nicht gesendet",
}


def moment(at: datetime) -> str:
    """Return an aware moment as `22.11.2026, 14:05 Uhr`, in the time of Berlin."""
    if at.tzinfo is None:
        raise ValueError("a moment without a zone is none")
    return f"{at.astimezone(BERLIN):%d.%m.%Y}, {clock(at)}"


def clock(at: datetime) -> str:
    return f"{at.astimezone(BERLIN):%H:%M} Uhr"
