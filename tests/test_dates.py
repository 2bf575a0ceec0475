"""Times are shown in German, in the time zone of Berlin."""

from datetime import UTC, datetime, timedelta

import pytest

from kmzportal.dates import BERLIN, format_ago, format_datetime, format_duration, format_short, format_soon


@pytest.mark.parametrize(("utc", "shown"), [
    (datetime(2026, 11, 22, 13, 5, tzinfo=UTC), "22.11.2026, 14:05 Uhr"),
    (datetime(2026, 7, 1, 22, 30, tzinfo=UTC), "02.07.2026, 00:30 Uhr"),
    (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "29.03.2026, 01:59 Uhr"),  # before and after summer time begins
    (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "29.03.2026, 03:00 Uhr"),
    (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "25.10.2026, 02:30 Uhr"),  # before and after it ends
    (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "25.10.2026, 02:30 Uhr"),
])  # fmt: skip
def test_a_time_is_shown_in_the_time_zone_of_berlin(utc, shown):
    assert format_datetime(utc) == shown


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        format_datetime(datetime(2026, 11, 22, 13, 5))


@pytest.mark.parametrize(("duration", "shown"), [
    (timedelta(hours=72), "3 Tage"),
    (timedelta(days=1), "1 Tag"),
    (timedelta(hours=2), "2 Stunden"),
    (timedelta(minutes=90), "90 Minuten"),
    (timedelta(seconds=45), "45 Sekunden"),
])  # fmt: skip
def test_a_duration_is_shown_in_its_largest_unit(duration, shown):
    assert format_duration(duration) == shown


def test_the_short_form_has_a_date_only_on_other_days():
    now = datetime(2026, 11, 24, 0, 30, tzinfo=BERLIN)
    assert format_short(datetime(2026, 11, 23, 23, 5, tzinfo=UTC), now) == "00:05"
    assert format_short(datetime(2026, 11, 23, 22, 55, tzinfo=UTC), now) == "23.11.2026, 23:55"


@pytest.mark.parametrize(
    ("days", "shown"), [(3, "Donnerstag, 14:05 Uhr"), (5, "Samstag, 14:05 Uhr"), (7, "Montag, 30. November, 14:05 Uhr")]
)
def test_a_time_soon_is_named_by_its_weekday_unless_that_could_be_today(days, shown):
    now = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
    assert format_soon(now + timedelta(days=days), now) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(59, "gerade eben"), (60, "vor 1 Minute"), (3599, "vor 59 Minuten"), (3600, "13:05")]
)
def test_what_was_just_done_is_told_in_minutes(seconds, shown):
    now = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
    assert format_ago(now - timedelta(seconds=seconds), now) == shown
