"""Polls by their ticks, however long they take."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model.clock import Clock
from exporter.model.outcome import Operation, Response
from tests.support.plans import planned
from tests.support.polls import Recorder, Wired, in_quick_time, run_for

SOURCE: Final = 'sources: [{name: acme, url: "https://api.example/"}]\n'
QUERY: Final = """
- {name: value, interval: 1s, timeout: 1s, document: "{ value }", metrics: [{name: value, help: V., value: value}]}
"""
PLAN: Final = planned(QUERY, SOURCE)
_EARLY_SECONDS: Final = 0.01  # by which a poll may come before its tick


@dataclass(slots=True)
class SlowApi:
    """An API that takes these seconds for its answers, one after another, and then none."""

    clock: Clock
    seconds: list[float]
    began_at: list[float] = field(default_factory=list)

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        del operation, deadline_seconds
        self.began_at.append(self.clock.monotonic())
        await asyncio.sleep(self.seconds.pop(0) if self.seconds else 0.001)
        return Response({"value": 1})


def polled_at(wait_seconds: float, answer_seconds: list[float]) -> list[float]:
    """When polls begin in 20 s, by an exporter that starts so many seconds after an interval's begin."""

    async def work(clock: Clock) -> list[float]:
        await asyncio.sleep(wait_seconds)
        api = SlowApi(clock, answer_seconds)
        await run_for(20, Wired.of(PLAN, api, Recorder(), clock).scheduler.run())
        return api.began_at

    return in_quick_time(work)


def until_tick() -> float:
    """How long after an interval's begin the tick of the query is."""
    first, second, *_ = polled_at(0.0, [])
    return second - first


TICK_SECONDS: Final = until_tick()


@given(share=st.floats(0, 1), seconds=st.lists(st.floats(0, 2.5) | st.sampled_from([0.991, 0.995, 0.999]), max_size=9))
@example(share=0.0, seconds=[TICK_SECONDS - 0.005])
@example(share=TICK_SECONDS - 0.005, seconds=[])
def test_a_tick_is_polled_once(share: float, seconds: list[float]) -> None:
    """But for the first poll, which comes at the start, polls are an interval apart, also after one that ends just
    before the next tick."""
    times = polled_at(share, seconds)
    assert min(later - earlier for earlier, later in pairwise(times[1:])) > 1 - 1.5 * _EARLY_SECONDS
