"""Counters over any course of polls, in zones with every oddity: no end of a period is jumped over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model.window import Period, period_end, period_start
from exporter.plan.operation import is_at_end_of_period, moment_at
from exporter.plan.plan import QueryPlan
from tests.property.test_windows import NEAR, PERIODS, ZONES, places, real
from tests.support.plans import planned_query


def counting(period: Period, zone: tzinfo, align: str, delay: int) -> QueryPlan:
    """A query with a counter."""
    text = period if isinstance(period, str) else f"{period // timedelta(hours=1)}h"
    return planned_query(f"""
    - name: q
      interval: 10m
      window: {{length: 5m, delay: {delay}s, align: {align}}}
      period: {text}
      timezone: {zone}
      document: "query ($f: String, $t: String) {{ n(f: $f, t: $t) }}"
      variables: {{f: "{{{{ period.start }}}}", t: "{{{{ window.end }}}}"}}
      metrics: [{{name: n_total, type: counter, help: N., value: n}}]
    """)


@given(
    places(),
    st.sampled_from(PERIODS),
    st.sampled_from(["1s", "1m", "15m", "1h"]),
    st.integers(0, 7200),
    st.lists(st.integers(1, 3600), min_size=1, max_size=30),
)
@example((datetime(2024, 10, 26, 20, tzinfo=UTC), ZoneInfo("Europe/Berlin")), "day", "1h", 120, [3500] * 30)
@example((datetime(2024, 3, 30, 20, tzinfo=UTC), ZoneInfo("Europe/Berlin")), "month", "15m", 120, [3500] * 30)
def test_every_period_is_published_whole(
    place: tuple[datetime, tzinfo], period: Period, align: str, delay: int, pauses: list[int]
) -> None:
    """However irregularly a counter is polled, it asks from the start of a period to a later moment of it; time
    goes on, and none begins before the whole of the one before it was asked for."""
    now, zone = place
    query = counting(period, zone, align, delay)
    end: datetime | None = None
    for pause in pauses:
        moment = moment_at(query, now, end.timestamp() if end is not None else None)
        assert moment.window is not None
        assert real(moment.window.end, now) >= timedelta(seconds=delay)
        assert moment.period_start is not None
        assert real(moment.period_start, moment.window.end) > timedelta(0)
        assert real(moment.window.end, period_end(moment.period_start, period, zone)) >= timedelta(0)
        if end is not None:
            assert real(end, moment.window.end) >= timedelta(0)
            whole = period_end(period_start(end, period, zone), period, zone)
            limit = whole if real(end, whole) > timedelta(0) else period_end(whole, period, zone)
            assert real(moment.window.end, limit) >= timedelta(0)
        end = moment.window.end
        now += timedelta(seconds=pause)


@given(
    st.sampled_from([key for key in ZONES if key != "UTC"]).flatmap(
        lambda key: st.tuples(st.sampled_from(NEAR[key]), st.just(ZoneInfo(key)))
    ),
    st.sampled_from([timedelta(hours=1), timedelta(hours=2), "day", "week"]),
    st.integers(-13 * 60, 60),
)
@example((datetime(2026, 10, 25, 1, tzinfo=UTC), ZoneInfo("Europe/Zurich")), timedelta(hours=1), -120)
@example((datetime(2026, 10, 25, 1, tzinfo=UTC), ZoneInfo("Europe/Zurich")), timedelta(hours=2), -120)
def test_around_a_change_of_the_clock_each_period_is_closed_once(
    change: tuple[datetime, tzinfo], period: Period, first_minute: int
) -> None:
    """Polled every minute while the clock is set back or forward, a counter's window follows the time, and a total is
    full only where its period has ended, once."""
    near, zone = change
    query = counting(period, zone, "1m", 120)
    end: datetime | None = None
    closed: list[datetime] = []
    for minute in range(first_minute, first_minute + 240):
        now = near + timedelta(minutes=minute)
        moment = moment_at(query, now, None if end is None else end.timestamp())
        assert moment.window is not None
        assert moment.period_start is not None
        last = moment.window.end.astimezone(UTC)
        assert last == now - timedelta(seconds=120)
        assert end is None or last > end
        end = last
        is_full = last == period_end(moment.period_start, period, zone).astimezone(UTC)
        assert is_at_end_of_period(query, moment) == is_full
        if is_full:
            closed.append(last)
    starts = [period_start(one, period, zone).astimezone(UTC) for one in closed]
    assert starts[1:] == closed[:-1]
