"""Time ranges, buckets and pages of the simulated API."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator import Settings
from exporter.simulator.asking import Asking, page
from exporter.simulator.ranges import TimeRange, buckets, granularity, time_range
from exporter.simulator.settings import GRANULARITY_SECONDS

HOUR_MS = 3_600_000
starts = st.integers(1_500_000_000_000, 1_900_000_000_000)
offsets = st.integers(-48, 56).map(lambda quarters: quarters * 900_000)


@given(starts, st.integers(1, 40 * HOUR_MS), offsets, st.sampled_from(sorted(GRANULARITY_SECONDS)))
def test_buckets_cover_the_range_without_gap_or_overlap(start: int, length: int, offset: int, width: str) -> None:
    """The buckets of any range in any offset follow one another from its start to its end."""
    found = list(buckets(TimeRange(start, start + length, offset), width))
    assert found[0].start_ms == start
    assert found[-1].end_ms == start + length
    assert all(a.end_ms == b.start_ms for a, b in pairwise(found))
    for bucket in found:
        begins = datetime.fromisoformat(bucket.time_span)
        assert begins.utcoffset() == timedelta(milliseconds=offset)
        begins_ms = begins.timestamp() * 1000
        assert begins_ms <= bucket.start_ms < bucket.end_ms <= begins_ms + GRANULARITY_SECONDS[width] * 1000
        local = begins.replace(tzinfo=None)
        if width in ("1d", "7d"):
            assert (local.hour, local.minute, local.second) == (0, 0, 0)
        if width == "7d":
            assert local.weekday() == 0


def test_a_bucket_is_named_by_its_start_with_seven_digits_and_the_offset_of_the_filter() -> None:
    """`2021-06-21T00:00:00.0000000+05:30`, as the API writes it."""
    asked = time_range({"from": "2021-06-21T10:00:00.000+05:30", "to": "2021-06-21T06:30:00Z"})
    assert [b.time_span for b in buckets(asked, "1d")] == ["2021-06-21T00:00:00.0000000+05:30"]


def test_a_time_without_offset_is_utc() -> None:
    """Without an offset, UTC; milliseconds are exact, also with nine digits."""
    asked = time_range({"from": "2026-01-01T00:00:00.123", "to": "2026-01-01T00:00:01.000999999Z"})
    first = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    assert asked == TimeRange(first + 123, first + 1000, 0)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T05:30:00+05:30", "2026-01-01T00:00:00Z"),
        ("yesterday", "2026-01-01T00:00:00Z"),
    ],
)
def test_a_range_must_be_one(start: str, end: str) -> None:
    """`from` is earlier than `to`, in whatever offsets, and both are times."""
    with pytest.raises(GraphQLError):
        time_range({"from": start, "to": end})


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (timedelta(minutes=5), "1m"),
        (timedelta(hours=5), "15m"),
        (timedelta(days=1), "1h"),
        (timedelta(days=31), "1d"),
        (timedelta(days=32), "7d"),
    ],
)
def test_an_unset_granularity_follows_from_the_range(length: timedelta, expected: str) -> None:
    """Longer ranges come in wider buckets; a setting overrides that, and narrows what may be asked for."""
    asked = TimeRange(0, int(length.total_seconds() * 1000))
    assert granularity(Settings(), None, asked) == expected
    assert granularity(Settings(default_granularity="1h"), None, asked) == "1h"
    with pytest.raises(GraphQLError, match="2m"):
        granularity(Settings(), "2m", asked)
    with pytest.raises(GraphQLError, match="1m"):
        granularity(Settings(granularities=("1h", "1d")), "1m", asked)
    assert granularity(Settings(granularities=("1h",)), None, asked) == "1h"


def asking(**options: Any) -> Asking:
    """What a page needs to know of an operation."""
    return cast(Asking, SimpleNamespace(settings=Settings(**options)))


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 7), st.sampled_from(["asc", "desc"]))
def test_pages_are_the_whole_once(counts: list[int], size: int, order: str) -> None:
    """All pages together have each row once, in order, and each says how many there are."""
    rows = [{"count": count, "name": str(index)} for index, count in enumerate(counts)]
    found: list[dict[str, Any]] = []
    for offset in range(0, len(rows) + size, size):
        filter_ = {"limit": size, "offset": offset, "sortOrder": order}
        part, pagination = page(asking(), filter_, rows, "count", "asc")
        assert pagination == {
            "total": len(rows),
            "limit": size,
            "offset": offset,
            "sortBy": "count",
            "sortOrder": order,
        }
        found += part
    assert [row["count"] for row in found] == sorted(counts, reverse=order == "desc")
    assert {row["name"] for row in found} == {row["name"] for row in rows}


def test_a_page_has_five_rows_unless_told_otherwise() -> None:
    """Five by default, by the setting, or by the filter."""
    rows = [{"count": index} for index in range(30)]
    assert len(page(asking(), None, rows, "count", "desc")[0]) == 5
    assert len(page(asking(page_default=9), {"offset": 3}, rows, "count", "desc")[0]) == 9
    assert len(page(asking(), {"limit": 20}, rows, "count", "desc")[0]) == 20


@pytest.mark.parametrize("given_page", [{"limit": 0}, {"offset": -1}, {"sortOrder": "up"}, {"sortBy": "colour"}])
def test_a_page_that_cannot_be_is_refused(given_page: dict[str, Any]) -> None:
    """No rows, rows before the first, an unknown order or column: an error in words."""
    with pytest.raises(GraphQLError, match="PaginationFilter"):
        page(asking(), given_page, [{"count": 1}], "count", "asc")


def test_offsets_do_not_move_time() -> None:
    """The same moment in another offset is the same moment."""
    zone = timezone(timedelta(hours=-3, minutes=-30))
    start = datetime(2026, 3, 29, 1, tzinfo=UTC)
    times = {"from": start.isoformat(), "to": (start + timedelta(hours=2)).isoformat()}
    moved = {name: datetime.fromisoformat(text).astimezone(zone).isoformat() for name, text in times.items()}
    assert (time_range(times).start_ms, time_range(times).end_ms) == (
        time_range(moved).start_ms,
        time_range(moved).end_ms,
    )
