"""When polls run: evenly spread, the same at every start, and backing off."""

from __future__ import annotations

from itertools import pairwise

import pytest

from exporter.polling.ticks import backoff_seconds, next_tick_at, phase_of, retry_at, ticks_between
from exporter.series.store import Owner


@pytest.mark.parametrize(
    ("now", "phase", "at"),
    [(0.0, 0.0, 60.0), (59.9, 0.0, 60.0), (60.0, 0.0, 120.0), (100.0, 15.0, 135.0), (5.0, 15.0, 15.0)],
)
def test_the_next_tick_is_the_next_whole_interval_after_the_phase(now: float, phase: float, at: float) -> None:
    """A slow poll does not shift the following ones."""
    assert next_tick_at(now, 60.0, phase) == pytest.approx(at)


@pytest.mark.parametrize(("late", "missed"), [(0.5, 0), (1.5, 1), (5.25, 5)])
@pytest.mark.parametrize("interval", [0.1, 60.0])
def test_ticks_that_passed_are_counted(interval: float, late: float, missed: int) -> None:
    """A poll that began at a tick and ended so many intervals later has missed that many ticks."""
    tick_at = next_tick_at(33_333.3, interval, 0.07)
    next_at = next_tick_at(tick_at + late * interval, interval, 0.07)
    assert ticks_between(tick_at, next_at, interval) == missed


def test_a_poll_beside_the_ticks_has_missed_those_after_it() -> None:
    """One that was repeated after a failure, 0.4 of an interval after a tick."""
    assert ticks_between(100.4, 101.0, 1.0) == 0
    assert ticks_between(100.4, 103.0, 1.0) == 2


def test_phases_are_spread_over_the_interval_and_stay() -> None:
    """A thousand queries do not hit the upstream at once, and a restart does not move them."""
    phases = sorted(phase_of(Owner(f"q{n}", "acme", ""), 60.0) for n in range(1000))
    assert phases == sorted(phase_of(Owner(f"q{n}", "acme", ""), 60.0) for n in range(1000))
    assert phases[0] >= 0.0
    assert phases[-1] < 60.0
    assert max(later - earlier for earlier, later in pairwise(phases)) < 1.0


def test_owners_with_names_that_join_alike_have_phases_of_their_own() -> None:
    """`a` + `bc` is not `ab` + `c`."""
    assert phase_of(Owner("a", "bc", ""), 60.0) != phase_of(Owner("ab", "c", ""), 60.0)


def test_back_off_doubles_up_to_the_interval() -> None:
    """What others wait for is tried again soon, then less and less often, but never less often than when it works."""
    waits = [backoff_seconds(failures, 60.0, 0.0) for failures in range(1, 8)]
    assert waits == [3.75, 7.5, 15.0, 30.0, 60.0, 60.0, 60.0]
    assert backoff_seconds(10_000, 3600.0, 0.0) == 3600.0


def test_back_off_is_at_least_a_second_and_never_above_a_short_interval() -> None:
    """Short intervals are not hammered."""
    assert backoff_seconds(1, 5.0, 0.0) == 1.0
    assert backoff_seconds(1, 0.5, 0.0) == 0.5


def test_jitter_takes_away_at_most_a_quarter() -> None:
    """Many failing queries do not come back at one moment."""
    assert backoff_seconds(9, 60.0, 0.999) == pytest.approx(45.0, rel=0.01)


def test_what_others_wait_for_is_tried_less_and_less_often_then_at_its_ticks() -> None:
    """The back-off takes the place of the ticks; no wait is shorter than the one before, up to the interval."""
    now, times = 0.0, []
    for failures in range(1, 9):
        now = retry_at(failures, now, 60.0, 57.0, 0.0)
        times.append(now)
    assert times == [3.75, 11.25, 26.25, 56.25, 117.0, 177.0, 237.0, 297.0]
