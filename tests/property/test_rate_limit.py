"""The rate limit and the places of a source, however requests come and go."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from exporter.upstream.rate_limit import FairPlaces, Pace
from tests.support.clocks import Clock


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
            waited = await pace.wait_to_pass("q")
            assert waited == clock.now - came_at
            if len(passed_at) < requests or came_at >= passed_at[-requests] + per_seconds:
                assert waited == 0
            passed_at.append(clock.now)

    asyncio.run(test())
    pairs = zip(passed_at, passed_at[requests:], strict=False)
    assert all(later - earlier >= per_seconds * 0.999 for earlier, later in pairs)


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=20),
)
def test_places_are_neither_lost_nor_made(places: int, comers: list[tuple[str, int, bool]]) -> None:
    """Whoever gives up while waiting, or with a place, leaves as many places as there were."""

    async def test() -> None:
        turns = FairPlaces(places)
        inside: set[int] = set()

        async def stay(number: int, query: str, steps: int) -> None:
            async with turns.take(query):
                inside.add(number)
                assert len(inside) <= places
                try:
                    for _ in range(steps):
                        await asyncio.sleep(0)
                finally:
                    inside.remove(number)

        tasks = []
        for number, (query, steps, gives_up) in enumerate(comers):
            tasks.append(asyncio.create_task(stay(number, query, steps)))
            await asyncio.sleep(0)
            if gives_up:
                tasks[len(tasks) // 2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        async with asyncio.timeout(1):
            for number in range(places):
                await turns.take(str(number)).__aenter__()

    asyncio.run(test())
