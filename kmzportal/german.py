"""Words and moments as people here read them; for pages and mails alike."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from kmzportal.domain.account_link import LinkKind, LinkState
from kmzportal.domain.outgoing_mail import MailState, OutgoingMail

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
#: What using the link of a mail did.
REDEEMED = {LinkKind.ADDRESS: "Adresse bestätigt", LinkKind.OBJECTION: "Widersprochen"}


def moment(at: datetime) -> str:
    """Return an aware moment as `22.11.2026, 14:05 Uhr`, in the time of Berlin."""
    if at.tzinfo is None:
        raise ValueError("a moment without a zone is none")
    return f"{at.astimezone(BERLIN):%d.%m.%Y}, {hour(at)}"


def hour(at: datetime) -> str:
    return f"{at.astimezone(BERLIN):%H:%M} Uhr"


def day(on: date) -> str:
    """Return a day as `22.11.2026`."""
    return f"{on:%d.%m.%Y}"


def span(time: timedelta) -> str:
    """Return a time as `2 Stunden`, in the largest unit that needs no fraction."""
    seconds = int(time.total_seconds())
    units = ((86400, "Tag", "Tage"), (3600, "Stunde", "Stunden"), (60, "Minute", "Minuten"), (1, "Sekunde", "Sekunden"))
    size, one, many = next(unit for unit in units if seconds % unit[0] == 0)
    return f"{seconds // size} {one if seconds == size else many}"


def clock(at: datetime, now: datetime) -> str:
    """Return a moment as short as it is clear: `14:05` today, else with its day."""
    at, now = at.astimezone(BERLIN), now.astimezone(BERLIN)
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%d.%m.%Y, %H:%M}"


def mail_story(mail: OutgoingMail, now: datetime) -> list[str]:
    """Return what became of a mail, step by step: `abgelehnt: Adresse unbekannt (550)`."""
    story = [_mail_state(mail, now)]
    if mail.state == MailState.DEFERRED and mail.reason:
        story.append(mail.reason)
    if mail.state == MailState.SENT and mail.link and mail.link.opened_at:
        story.append(f"Link geöffnet {clock(mail.link.opened_at, now)}")
    if mail.state == MailState.SENT and mail.link and mail.link.ended_as == LinkState.REDEEMED:
        done = REDEEMED.get(LinkKind(mail.link.kind), "Passwort gesetzt")
        story.append(f"{done} {clock(mail.link.ended_at or now, now)}")
    return story


def _mail_state(mail: OutgoingMail, now: datetime) -> str:
    words, code = MAIL_STATES[mail.state], f" ({mail.reply_code})" if mail.reply_code else ""
    if mail.state == MailState.SENT and mail.settled_at:
        return f"{words} {clock(mail.settled_at, now)}"
    if mail.state == MailState.DEFERRED:
        return f"{words} {clock(mail.next_try_at, now)}{code}"
    reason = f": {mail.reason.rstrip('.')}" if mail.reason and mail.state != MailState.QUEUED else ""
    return f"{words}{reason}{code}"
