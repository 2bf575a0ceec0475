"""Dates and times in German, in the time zone of Berlin, for pages and mails."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")


def format_datetime(at: datetime) -> str:
    """Return an aware datetime as `22.11.2026, 14:05 Uhr`; raises ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    return f"{at.astimezone(BERLIN):%d.%m.%Y}, {format_time(at)}"


def format_time(at: datetime) -> str:
    return f"{at.astimezone(BERLIN):%H:%M} Uhr"


def format_duration(time: timedelta) -> str:
    """Return a duration as `2 Stunden`, in the largest unit that needs no fraction."""
    seconds = int(time.total_seconds())
    units = ((86400, "Tag", "Tage"), (3600, "Stunde", "Stunden"), (60, "Minute", "Minuten"), (1, "Sekunde", "Sekunden"))
    size, one, many = next(unit for unit in units if seconds % unit[0] == 0)
    return f"{seconds // size} {one if seconds == size else many}"


def format_short(at: datetime, now: datetime) -> str:
    """Return `14:05` for today, else `22.11.2026, 14:05`."""
    at, now = at.astimezone(BERLIN), now.astimezone(BERLIN)
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%d.%m.%Y, %H:%M}"
