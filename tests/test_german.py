"""Moments are told as people here read them."""

from datetime import UTC, datetime, timedelta

import pytest

from kmzportal.dates import BERLIN, format_datetime, format_duration, format_short


def test_a_moment_is_told_in_the_time_of_berlin():
    assert format_datetime(datetime(2026, 11, 22, 13, 5, tzinfo=UTC)) == "22.11.2026, 14:05 Uhr"


def test_in_summer_clocks_are_two_hours_ahead():
    assert format_datetime(datetime(2026, 7, 1, 22, 30, tzinfo=UTC)) == "02.07.2026, 00:30 Uhr"


@pytest.mark.parametrize(
    ("utc", "berlin"),
    [
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "29.03.2026, 01:59 Uhr"),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "29.03.2026, 03:00 Uhr"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "25.10.2026, 02:30 Uhr"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "25.10.2026, 02:30 Uhr"),
    ],
)
def test_in_the_nights_when_clocks_change_the_hour_is_right(utc, berlin):
    assert format_datetime(utc) == berlin


def test_a_moment_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        format_datetime(datetime(2026, 11, 22, 13, 5))


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (timedelta(hours=72), "3 Tage"),
        (timedelta(days=1), "1 Tag"),
        (timedelta(hours=2), "2 Stunden"),
        (timedelta(minutes=90), "90 Minuten"),
        (timedelta(seconds=45), "45 Sekunden"),
    ],
)
def test_a_time_is_told_in_its_largest_unit(time, said):
    assert format_duration(time) == said


def test_a_moment_of_today_is_its_time_and_any_other_has_its_day():
    now = datetime(2026, 11, 24, 0, 30, tzinfo=BERLIN)
    assert format_short(datetime(2026, 11, 23, 23, 5, tzinfo=UTC), now) == "00:05"
    assert format_short(datetime(2026, 11, 23, 22, 55, tzinfo=UTC), now) == "23.11.2026, 23:55"
