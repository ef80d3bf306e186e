"""Windows, periods and buckets stand where a user's clock has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from exporter.model.window import (
    Period,
    TimeRange,
    Window,
    aligns,
    floor,
    iso_text,
    last_bucket,
    period_end,
    period_start,
    shortest,
)

COLOMBO = ZoneInfo("Asia/Colombo")
BERLIN = ZoneInfo("Europe/Berlin")
HAVANA = ZoneInfo("America/Havana")
AMMAN = ZoneInfo("Asia/Amman")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_window_ends_at_the_last_whole_minute_before_the_delay() -> None:
    """`{length: 5m, delay: 2m, align: 1m}` at 12:07:31 asks for 12:00 to 12:05."""
    window = Window(5 * MINUTE, 2 * MINUTE, MINUTE, UTC)
    assert window.at(utc("2021-08-16T12:07:31")) == TimeRange(utc("2021-08-16T12:00:00"), utc("2021-08-16T12:05:00"))


def test_a_window_is_written_in_its_time_zone() -> None:
    """`timezone: Asia/Colombo` sends times with +05:30 and aligns to that clock."""
    window = Window(HOUR, timedelta(0), HOUR, COLOMBO).at(utc("2021-08-16T12:07:31"))
    assert iso_text(window.start) == "2021-08-16T16:00:00.000+05:30"
    assert iso_text(window.end) == "2021-08-16T17:00:00.000+05:30"


def test_a_window_of_a_day_is_a_day_of_the_clock() -> None:
    """`{length: 1d, align: 1d}` is yesterday, from midnight to midnight, also when it had 25 hours."""
    window = Window(DAY, timedelta(0), DAY, BERLIN).at(utc("2024-10-28T12:00:00"))
    assert iso_text(window.start) == "2024-10-27T00:00:00.000+02:00"
    assert iso_text(window.end) == "2024-10-28T00:00:00.000+01:00"


def test_a_window_keeps_its_length_over_a_change_of_the_clock() -> None:
    """A window of 3 h is 3 h of real time in the night that has 23 hours."""
    window = Window(3 * HOUR, timedelta(0), HOUR, BERLIN).at(utc("2024-03-31T02:10:00"))
    assert iso_text(window.end) == "2024-03-31T04:00:00.000+02:00"
    assert window.end.astimezone(UTC) - window.start.astimezone(UTC) == 3 * HOUR
    assert iso_text(window.start) == "2024-03-31T00:00:00.000+01:00"


@pytest.mark.parametrize("align", [timedelta(seconds=1), 15 * MINUTE, HOUR, DAY, 7 * DAY])
def test_parts_of_a_day_and_weeks_can_be_aligned_to(align: timedelta) -> None:
    """What divides a day without remainder, and a week, is an alignment."""
    assert aligns(align)


@pytest.mark.parametrize("align", [timedelta(0), -HOUR, 7 * HOUR, 2 * DAY, timedelta(milliseconds=7)])
def test_other_lengths_cannot_be_aligned_to(align: timedelta) -> None:
    """7 h would start at another hour each day, so it is refused."""
    assert not aligns(align)


def test_weeks_begin_on_monday() -> None:
    """A week's floor is Monday's midnight (ISO 8601), in the zone."""
    assert floor(utc("2021-08-18T12:00:00"), 7 * DAY, UTC) == utc("2021-08-16T00:00:00")
    assert floor(utc("2021-08-15T18:29:00"), 7 * DAY, COLOMBO).isoformat() == "2021-08-09T00:00:00+05:30"
    assert floor(utc("2021-08-15T18:31:00"), 7 * DAY, COLOMBO).isoformat() == "2021-08-16T00:00:00+05:30"


def test_the_hour_that_comes_twice_is_not_left_twice() -> None:
    """In autumn, the floor follows real time: it does not jump back when the clock does."""
    assert floor(utc("2024-10-27T00:45:00"), HOUR, BERLIN).isoformat() == "2024-10-27T02:00:00+02:00"
    assert floor(utc("2024-10-27T01:45:00"), HOUR, BERLIN).isoformat() == "2024-10-27T02:00:00+01:00"
    assert floor(utc("2024-10-27T01:45:00"), 90 * MINUTE, BERLIN).isoformat() == "2024-10-27T01:30:00+02:00"
    assert floor(utc("2024-11-03T06:10:00"), 2 * HOUR, HAVANA).isoformat() == "2024-11-03T00:00:00-05:00"


def test_the_hour_that_is_skipped_is_not_a_time() -> None:
    """In spring, a floor in the skipped hour is the instant of the change."""
    assert floor(utc("2024-03-31T01:10:00"), 2 * HOUR, BERLIN).isoformat() == "2024-03-31T03:00:00+02:00"


def test_a_day_ends_at_midnight_and_the_next_begins() -> None:
    """The period is that of the instant just before the window's end, so a full day is published at its end."""
    assert period_start(utc("2021-08-17T00:00:00"), "day", UTC) == utc("2021-08-16T00:00:00")
    assert period_start(utc("2021-08-17T00:01:00"), "day", UTC) == utc("2021-08-17T00:00:00")
    assert period_end(utc("2021-08-16T00:00:00"), "day", UTC) == utc("2021-08-17T00:00:00")


def test_months_have_their_own_lengths() -> None:
    """`period: month` knows February, leap years and December."""
    assert period_start(utc("2024-02-29T12:00:00"), "month", UTC) == utc("2024-02-01T00:00:00")
    assert period_end(utc("2024-02-01T00:00:00"), "month", UTC) == utc("2024-03-01T00:00:00")
    assert period_end(utc("2024-12-01T00:00:00"), "month", UTC) == utc("2025-01-01T00:00:00")


def test_a_duration_as_period_is_aligned_to_the_epoch() -> None:
    """`period: 6h` begins at 00, 06, 12 and 18 h UTC, whatever the zone."""
    start = period_start(utc("2021-08-16T13:00:00"), 6 * HOUR, COLOMBO)
    assert start == utc("2021-08-16T12:00:00")
    assert start.utcoffset() == timedelta(hours=5, minutes=30)
    assert period_end(start, 6 * HOUR, COLOMBO) == utc("2021-08-16T18:00:00")


def test_a_day_whose_midnight_is_skipped_ends_at_the_next_midnight() -> None:
    """In Amman, 1 April 2016 began at 01:00: that day and that month end at a midnight all the same."""
    start = period_start(utc("2016-04-01T12:00:00"), "day", AMMAN)
    assert start.isoformat() == "2016-04-01T01:00:00+03:00"
    assert period_end(start, "day", AMMAN).isoformat() == "2016-04-02T00:00:00+03:00"
    assert period_end(start, "month", AMMAN).isoformat() == "2016-05-01T00:00:00+03:00"


@pytest.mark.parametrize("hour", ["04:30", "05:30", "06:30"])
def test_a_day_whose_midnight_comes_twice_begins_once(hour: str) -> None:
    """In Havana, midnight of 3 November 2024 came twice: the day began at the first."""
    moment = utc(f"2024-11-03T{hour}:00")
    assert period_start(moment, "day", HAVANA).isoformat() == "2024-11-03T00:00:00-04:00"
    assert floor(moment, DAY, HAVANA).isoformat() == "2024-11-03T00:00:00-04:00"


def test_the_last_bucket_is_whole() -> None:
    """At 12:07 the last bucket of 5 minutes is 12:00 to 12:05; at 12:05 sharp it is the same."""
    bucket = TimeRange(utc("2021-08-16T12:00:00"), utc("2021-08-16T12:05:00"))
    assert last_bucket(utc("2021-08-16T12:07:00"), 5 * MINUTE, UTC) == bucket
    assert last_bucket(utc("2021-08-16T12:05:00"), 5 * MINUTE, UTC) == bucket


def test_the_last_bucket_before_a_change_of_the_clock_is_before_it() -> None:
    """At 03:00 in the night in which 02:00 is skipped, the last minute is 01:59, not one of the hour that never was."""
    bucket = last_bucket(utc("2024-03-31T01:00:00"), MINUTE, BERLIN)
    assert iso_text(bucket.start) == "2024-03-31T01:59:00.000+01:00"
    assert iso_text(bucket.end) == "2024-03-31T03:00:00.000+02:00"


def test_the_last_day_before_a_long_one_is_a_whole_day() -> None:
    """A day of 25 hours is one bucket."""
    bucket = last_bucket(utc("2024-10-28T00:00:00"), DAY, BERLIN)
    assert bucket.end.astimezone(UTC) - bucket.start.astimezone(UTC) == 25 * HOUR


def test_times_are_sent_with_milliseconds_and_offset() -> None:
    """The form that the Insights API takes."""
    assert iso_text(utc("2021-08-16T12:00:00")) == "2021-08-16T12:00:00.000+00:00"


@pytest.mark.parametrize(
    ("period", "hours"),
    [
        ("day", 23), ("week", 7 * 24 - 1), ("month", 28 * 24 - 1), ("quarter", 90 * 24 - 1), ("year", 365 * 24 - 1),
        (timedelta(days=2), 47), (timedelta(hours=6), 6),
    ],
)  # fmt: skip
def test_a_period_of_days_may_be_an_hour_shorter(period: Period, hours: int) -> None:
    """Where the clock is set forward in it; what is no number of days is real time."""
    assert shortest(period) == timedelta(hours=hours)
