"""How many polls of a source run at once, and how it is left alone on request."""

from __future__ import annotations

import asyncio

import pytest

from exporter.config.source import Source
from exporter.model.budget import Budget
from exporter.upstream.gate import MAX_PAUSE_SECONDS, Gate, kept_gates, kept_paces
from exporter.upstream.rate_limit import FairPlaces, Pace


def test_a_pause_is_as_long_as_asked_an_hour_at_most_and_never_shortened() -> None:
    """`Retry-After: 86400` does not silence a source for a day, and a later, shorter one does not cut the first."""
    gate = Gate(FairPlaces(1))
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
        gate, seen = Gate(FairPlaces(2)), []

        async def one() -> None:
            async with gate.place("q", lambda: 0.0):
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
        gate = Gate(FairPlaces(1))
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with gate.place("q", lambda: 0.0):
                    raise ZeroDivisionError
        return gate.in_flight["q"]

    assert asyncio.run(run()) == 0


def test_a_gate_waits_until_a_pause_that_was_prolonged_is_over() -> None:
    """Nothing is sent within a pause, even when it grows while a poll waits."""

    async def run() -> float:
        clock = asyncio.get_running_loop().time
        gate = Gate(FairPlaces(1))
        gate.pause(clock(), 0.02)
        first = gate.paused_until
        asyncio.get_running_loop().call_later(0.01, lambda: gate.pause(clock(), 0.05))
        async with gate.place("q", clock):
            return clock() - gate.paused_until if gate.paused_until > first else -1.0

    assert asyncio.run(run()) >= 0


def source(name: str, place: str, **more: object) -> Source:
    """A source of that name at a URL of that place."""
    return Source.model_validate({"name": name, "url": f"https://{place}.test/graphql", **more})


MOVES = {
    "nothing": ({"a": "one", "b": "two"}, {"a": "one", "b": "two"}, {"a": 100.0, "b": 0.0}),
    "two change places": ({"a": "one", "b": "two"}, {"a": "two", "b": "one"}, {"a": 0.0, "b": 100.0}),
    "one moves, a new one comes": ({"a": "one"}, {"a": "two", "c": "one"}, {"a": 0.0, "c": 100.0}),
    "a new name": ({"a": "one"}, {"c": "one"}, {"c": 100.0}),
    "a new name of two": ({"b": "one", "a": "one"}, {"c": "one"}, {"c": 100.0}),
    "a ring of three": (
        {"a": "one", "b": "two", "c": "three"},
        {"a": "three", "b": "one", "c": "two"},
        {"a": 0.0, "b": 100.0, "c": 0.0},
    ),
    "another at the same URL": ({"a": "one"}, {"a": "one", "c": "one"}, {"a": 100.0, "c": 0.0}),
    "another URL": ({"a": "one"}, {"a": "two"}, {"a": 0.0}),
}


@pytest.mark.parametrize(("before", "after", "pauses"), MOVES.values(), ids=MOVES)
def test_a_pause_stays_with_its_url_whoever_is_there(
    before: dict[str, str], after: dict[str, str], pauses: dict[str, float]
) -> None:
    """`Retry-After` of an API holds after a reload in which names and URLs were moved, and for no other API."""
    old, new = ([source(*each) for each in places.items()] for places in (before, after))
    gates = {each.name: Gate(FairPlaces(1)) for each in old}
    gates["a"].paused_until, gates["a"].budget = 100.0, Budget(0, 10)
    kept = kept_gates(gates, old, new)
    assert {name: gate.paused_until for name, gate in kept.items()} == pauses
    assert {name for name, gate in kept.items() if gate.budget} == {name for name, until in pauses.items() if until}


def test_what_a_rate_limit_let_pass_stays_with_its_url() -> None:
    """Of two sources that change places, the one that comes to an API continues the account of the one that leaves."""

    async def run() -> None:
        limit = {"rate_limit": {"requests": 1, "per": "1h"}}
        old = [source("a", "one", **limit), source("b", "two", **limit)]
        new = [source("a", "two", **limit), source("b", "one", **limit)]
        paces = {each.name: Pace(1, 3600.0, monotonic=lambda: 0.0) for each in old}
        await paces["a"].wait_to_pass("q")
        kept = kept_paces(paces, old, new, lambda: 0.0)
        async with asyncio.timeout(1):
            await kept["a"].wait_to_pass("q")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await kept["b"].wait_to_pass("q")

    asyncio.run(run())
