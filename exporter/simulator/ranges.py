"""Time ranges of the API: what a TimeFilter means, how wide buckets are and how their starts are written."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from graphql import GraphQLError
from msgspec import Struct

from exporter.simulator.settings import GRANULARITY_SECONDS, Settings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONDAY = 4 * 86_400_000  # 1970-01-05, from which weeks are counted
# Up to this many hours, an unset granularity is that one; longer ranges are cut into weeks.
BY_RANGE = ((1, "1m"), (12, "15m"), (72, "1h"), (24 * 31, "1d"))


class TimeRange(Struct, frozen=True):
    """From start to before end, milliseconds of the epoch; the offset is that of `from`."""

    start_ms: int
    end_ms: int
    offset_ms: int = 0


class Bucket(Struct, frozen=True):
    """A part of a range; `time_span` is the start of the whole bucket, which may lie before the range."""

    time_span: str
    start_ms: int
    end_ms: int


def parse_time(name: str, text: str) -> datetime:
    """A time with its offset, UTC if it has none; raises GraphQLError if it is not ISO 8601."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GraphQLError(f"TimeFilter.{name}: {text!r} is not an ISO 8601 time.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def epoch_ms(moment: datetime) -> int:
    """Milliseconds of the epoch, exactly: what is finer is cut off."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def time_range(time_filter: Mapping[str, Any]) -> TimeRange:
    """The range of a TimeFilter; raises GraphQLError unless from is before to."""
    start, end = parse_time("from", time_filter["from"]), parse_time("to", time_filter["to"])
    if start >= end:
        raise GraphQLError("TimeFilter: 'from' must be earlier than 'to'.")
    offset = start.utcoffset() or timedelta()
    return TimeRange(epoch_ms(start), epoch_ms(end), offset // timedelta(milliseconds=1))


def granularity(settings: Settings, given: str | None, asked: TimeRange) -> str:
    """The granularity asked for, or that which follows from the range; raises GraphQLError if it is not accepted."""
    if given is not None:
        if given not in settings.granularities:
            accepted = ", ".join(settings.granularities)
            raise GraphQLError(f"granularity {given!r} is not supported; supported are {accepted}.")
        return given
    if settings.default_granularity:
        return settings.default_granularity
    hours = (asked.end_ms - asked.start_ms) / 3_600_000
    wanted = next((name for most, name in BY_RANGE if hours <= most), "7d")
    accepted_widths = sorted(settings.granularities, key=GRANULARITY_SECONDS.__getitem__)
    wide_enough = [n for n in accepted_widths if GRANULARITY_SECONDS[n] >= GRANULARITY_SECONDS[wanted]]
    return wide_enough[0] if wide_enough else accepted_widths[-1]


def time_span(start_ms: int, offset_ms: int) -> str:
    """A bucket's start as the API writes it: seven fractional digits and the offset of the filter."""
    zone = timezone(timedelta(milliseconds=offset_ms))
    moment = (EPOCH + timedelta(milliseconds=start_ms)).astimezone(zone)
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{start_ms % 1000:03d}0000{offset[:3]}:{offset[3:5]}"


def buckets(asked: TimeRange, width_name: str) -> Iterator[Bucket]:
    """The buckets of a range, each cut to it, so that they add up to it.

    They are aligned in the offset of the filter: days begin at its midnight, weeks on its Monday.
    """
    width = GRANULARITY_SECONDS[width_name] * 1000
    base = (MONDAY if width_name == "7d" else 0) - asked.offset_ms
    start = (asked.start_ms - base) // width * width + base
    while start < asked.end_ms:
        end = start + width
        yield Bucket(time_span(start, asked.offset_ms), max(start, asked.start_ms), min(end, asked.end_ms))
        start = end
