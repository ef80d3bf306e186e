"""The rate limit, by a clock that the test moves."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from exporter.pace import Pace


class Clock:
    """A clock on which only sleeping takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Lets the time pass."""
        self.now += seconds


@given(st.integers(1, 7), st.floats(0.1, 100), st.integers(0, 40), st.randoms(use_true_random=False))
def test_no_stretch_of_time_has_more_requests_than_allowed(
    requests: int, per_seconds: float, count: int, chance: random.Random
) -> None:
    """However requests come, any `requests` + 1 in a row are at least `per` apart, and none waits without need."""
    clock = Clock()
    passed_at: list[float] = []

    async def test() -> None:
        pace = Pace(requests, per_seconds, monotonic=clock, sleep=clock.sleep)
        for _ in range(count):
            clock.now += chance.choice((0.0, 0.0, per_seconds / 3))
            came_at = clock.now
            waited = await pace.passed()
            assert waited == clock.now - came_at
            if len(passed_at) < requests or came_at >= passed_at[-requests] + per_seconds:
                assert waited == 0
            passed_at.append(clock.now)

    asyncio.run(test())
    pairs = zip(passed_at, passed_at[requests:], strict=False)
    assert all(later - earlier >= per_seconds * 0.999 for earlier, later in pairs)
