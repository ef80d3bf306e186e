"""When polls run: evenly spread, the same at every start, backing off, and left alone on request."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from exporter.pace import Turns
from exporter.scheduler import MAX_PAUSE_SECONDS, Gate, backoff_seconds, next_tick_at, phase_of
from exporter.store import Owner


@pytest.mark.parametrize(
    ("now", "phase", "at"),
    [(0.0, 0.0, 60.0), (59.9, 0.0, 60.0), (60.0, 0.0, 120.0), (100.0, 15.0, 135.0), (5.0, 15.0, 15.0)],
)
def test_the_next_tick_is_the_next_whole_interval_after_the_phase(now: float, phase: float, at: float) -> None:
    """A slow poll does not shift the following ones."""
    assert next_tick_at(now, 60.0, phase) == pytest.approx(at)


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
    """A failing query is tried again soon, then less and less often, but never less often than when it works."""
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


def test_a_pause_is_as_long_as_asked_an_hour_at_most_and_never_shortened() -> None:
    """`Retry-After: 86400` does not silence a source for a day, and a later, shorter one does not cut the first."""
    gate = Gate(Turns(1))
    assert gate.remaining_seconds(0.0) == 0.0
    gate.pause(100.0, 30.0)
    gate.pause(110.0, 5.0)
    assert gate.remaining_seconds(110.0) == 20.0
    assert gate.remaining_seconds(131.0) == 0.0
    gate.pause(200.0, 86_400.0)
    assert gate.remaining_seconds(200.0) == MAX_PAUSE_SECONDS


def test_a_gate_lets_so_many_pass_and_counts_them() -> None:
    """No more than `concurrency` polls of a source run at once; who waits is not counted as under way."""

    async def run() -> list[int]:
        gate, seen = Gate(Turns(2)), []

        async def one() -> None:
            async with gate.passed("q", lambda: 0.0):
                seen.append(gate.in_flight["q"])
                await asyncio.sleep(0)
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(7)))
        return [*seen, gate.in_flight["q"]]

    seen = asyncio.run(run())
    assert len(seen) == 8
    assert max(seen) == 2
    assert seen[-1] == 0


def test_a_place_is_given_back_by_a_poll_that_breaks() -> None:
    """A failure in a poll does not use up a place for ever."""

    async def run() -> int:
        gate = Gate(Turns(1))
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with gate.passed("q", lambda: 0.0):
                    raise ZeroDivisionError
        return gate.in_flight["q"]

    assert asyncio.run(run()) == 0


def test_a_gate_waits_until_a_pause_that_was_prolonged_is_over() -> None:
    """Nothing is sent within a pause, even when it grows while a poll waits."""

    async def run() -> float:
        clock = asyncio.get_running_loop().time
        gate = Gate(Turns(1))
        gate.pause(clock(), 0.02)
        asyncio.get_running_loop().call_later(0.01, lambda: gate.pause(clock(), 0.05))
        until = clock() + 0.055
        async with gate.passed("q", clock):
            return clock() - until

    assert asyncio.run(run()) >= 0
