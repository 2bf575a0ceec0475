"""Dates and times in German, in the time zone of Berlin, for pages and mails."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
WEEKDAYS = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag")
MONTHS = (
    *("Januar", "Februar", "März", "April", "Mai", "Juni"),
    *("Juli", "August", "September", "Oktober", "November", "Dezember"),
)


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


def format_soon(at: datetime, now: datetime) -> str:
    """Return `Montag, 23:33 Uhr`, to be read out; from the sixth day on with the date."""
    day = at.astimezone(BERLIN).date()
    near = (day - now.astimezone(BERLIN).date()).days < 6
    return f"{WEEKDAYS[day.weekday()] if near else format_day(day)}, {format_time(at)}"


def format_ago(at: datetime, now: datetime) -> str:
    """Return `gerade eben`, `vor 5 Minuten` within the hour, else as format_short."""
    minutes = int((now - at).total_seconds() // 60)
    if minutes >= 60:
        return format_short(at, now)
    return f"vor {format_duration(timedelta(minutes=minutes))}" if minutes > 0 else "gerade eben"


def format_day(on: date) -> str:
    """Return a date as `Mittwoch, 2. Dezember`."""
    return f"{WEEKDAYS[on.weekday()]}, {on.day}. {MONTHS[on.month - 1]}"


def format_until(at: datetime) -> str:
    """Return an aware datetime as `Montag, 7. Dezember 2026, 14:05 Uhr`, for paper."""
    return f"{format_day(at.astimezone(BERLIN))} {at.astimezone(BERLIN).year}, {format_time(at)}"


def add_working_days(start: date, days: int, closing_days: Iterable[date] = ()) -> date:
    """Return the date `days` working days of Baden-Württemberg after `start`, which itself does not count."""
    day: date = _calendar(closing_days).get_nth_working_day(start, days)
    return day


def working_days_after(start: date, end: date, closing_days: Iterable[date] = ()) -> int:
    """Return how many working days follow `start` until `end`; 0 if `end` is not later."""
    return max(0, _calendar(closing_days).get_working_days_count(start + timedelta(days=1), end)) if end > start else 0


def _calendar(closing_days: Iterable[date]) -> Any:
    from holidays import country_holidays  # 19 MiB, which only processes that need it load

    calendar = country_holidays("DE", subdiv="BW")
    calendar.append(dict.fromkeys(closing_days, "geschlossen"))
    return calendar
