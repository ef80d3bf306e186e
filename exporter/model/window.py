"""Time ranges: windows, periods and buckets, by the clock of a time zone. Pure; all instants are aware and UTC-safe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from exporter.model.time_format import iso_text as iso_text

_NONE: Final = timedelta(0)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_WEEK: Final = timedelta(days=7)
_MONDAY: Final = datetime(1970, 1, 5)

CalendarPeriod: TypeAlias = Literal["day", "week", "month", "quarter", "year"]
Period: TypeAlias = CalendarPeriod | timedelta
# So many days after its first, each has ended, and the next one has not.
_DAYS: Final[Mapping[CalendarPeriod, int]] = {"day": 1, "week": 7, "month": 32, "quarter": 95, "year": 370}
_SHORTEST_DAYS: Final[Mapping[CalendarPeriod, int]] = {"day": 1, "week": 7, "month": 28, "quarter": 90, "year": 365}
CALENDAR_PERIODS: Final = tuple(_DAYS)


class TimeRange(Struct, frozen=True):
    """From `start` (inclusive) to `end` (exclusive)."""

    start: datetime
    end: datetime


class Window(Struct, frozen=True):
    """A window as configured: how long, how late, and to what its end is aligned, in a time zone."""

    length: timedelta
    delay: timedelta
    align: timedelta
    zone: tzinfo

    def at(self, now: datetime) -> TimeRange:
        """The window at `now`: end = floor(now - delay, align), start = end - length."""
        return self.ending_at(floor(now.astimezone(UTC) - self.delay, self.align, self.zone))

    def ending_at(self, end: datetime) -> TimeRange:
        """The window with that end. Whole days are the clock's, of 23 or 25 hours too; other lengths are real time."""
        local = end.astimezone(self.zone)
        by_clock = self.length % _DAY == _NONE
        start = (local.replace(tzinfo=None) if by_clock else local.astimezone(UTC)) - self.length
        return TimeRange(_in_zone(start, self.zone), local)


def aligns(align: timedelta) -> bool:
    """Whether the clock can be floored to it: parts of a day without remainder, a day, or a week."""
    return align > _NONE and (_DAY % align == _NONE or align == 7 * _DAY)


def floor(moment: datetime, align: timedelta, zone: tzinfo) -> datetime:
    """The last multiple of `align` on the zone's clock that is not after `moment`; weeks begin on Monday (ISO 8601).

    Around a change of the clock the result is a real instant, never after `moment`. Of a reading that comes twice it is
    the later one, but a day or a week begins at its first midnight; one that is skipped comes when it would have by
    the clock before the change.
    """
    local = moment.astimezone(zone).replace(tzinfo=None)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if align >= _DAY:
        return _in_zone(midnight - (local.weekday() * _DAY if align == 7 * _DAY else _NONE), zone)
    reading = midnight + (local - midnight) // align * align
    while not (past := [instant for instant in _instants(reading, zone) if instant <= moment]):
        reading -= align
    return max(past).astimezone(zone)


def period_start(end: datetime, period: Period, zone: tzinfo) -> datetime:
    """The start of the period that holds the instant just before `end`. Whole days are the clock's; other lengths are
    counted from 1970 in UTC."""
    before = (end.astimezone(UTC) - timedelta(microseconds=1)).astimezone(zone)
    if isinstance(period, timedelta) and period % _DAY:
        return (_EPOCH + (before - _EPOCH) // period * period).astimezone(zone)
    return _in_zone(_first_midnight(before, period), zone)


def period_end(start: datetime, period: Period, zone: tzinfo) -> datetime:
    """The end of the period that begins at `start`."""
    if isinstance(period, timedelta) and period % _DAY:
        return (start.astimezone(UTC) + period).astimezone(zone)
    first = _first_midnight(start.astimezone(zone), period)
    if isinstance(period, timedelta):
        return _in_zone(first + period, zone)
    return _in_zone(_first_midnight(first + _DAYS[period] * _DAY, period), zone)


def _first_midnight(moment: datetime, period: Period) -> datetime:
    """The reading of the clock with which the period begins in which that reading stands; weeks, and numbers of weeks,
    begin on Monday (ISO 8601), other numbers of days are counted from 1970."""
    midnight = moment.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0, fold=0)
    match period:
        case timedelta():
            first = _MONDAY if period % _WEEK == _NONE else _EPOCH.replace(tzinfo=None)
            return first + (midnight - first) // period * period
        case "week":
            return midnight - midnight.weekday() * _DAY
        case "month":
            return midnight.replace(day=1)
        case "quarter":
            return midnight.replace(month=(midnight.month - 1) // 3 * 3 + 1, day=1)
        case "year":
            return midnight.replace(month=1, day=1)
    return midnight


def shortest(period: Period) -> timedelta:
    """How long a period is at least: where the clock is set forward in it, an hour less than its days have."""
    if isinstance(period, timedelta):
        return period - _HOUR if period % _DAY == _NONE else period
    return _SHORTEST_DAYS[period] * _DAY - _HOUR


def usual_length(period: Period) -> timedelta:
    """How long a period is where the clock is not set, at least: a month has 28 days."""
    return period if isinstance(period, timedelta) else _SHORTEST_DAYS[period] * _DAY


def last_bucket(end: datetime, width: timedelta, zone: tzinfo) -> TimeRange:
    """The last bucket of that width, by the clock, that ends at or before `end`."""
    bucket_end = floor(end, width, zone)
    return TimeRange(floor(bucket_end.astimezone(UTC) - timedelta(microseconds=1), width, zone), bucket_end)


def _instants(reading: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """When the zone's clock shows that reading: two instants where it comes twice, and where it is skipped the one at
    which it would have come (PEP 495: `fold=0` is by the offset before the change, `fold=1` by that after it)."""
    before, after = (reading.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return (before,) if after <= before else (before, after)


def _in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """The instant in `zone`; a naive one is a time of that zone's clock, made real where the clock skipped it."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC).astimezone(zone)
