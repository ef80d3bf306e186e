"""How many polls of a source run at once, and how it is left alone on request."""

from __future__ import annotations

import asyncio

import pytest

from exporter.upstream.gate import MAX_PAUSE_SECONDS, Gate
from exporter.upstream.rate_limit import Turns


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
        first = gate.paused_until
        asyncio.get_running_loop().call_later(0.01, lambda: gate.pause(clock(), 0.05))
        async with gate.passed("q", clock):
            return clock() - gate.paused_until if gate.paused_until > first else -1.0

    assert asyncio.run(run()) >= 0
