"""The rate limit and the turns of queries, by a clock that the test moves."""

from __future__ import annotations

import asyncio

from exporter.upstream.rate_limit import FairPlaces, Pace
from tests.support.clocks import Clock


def test_so_many_requests_pass_at_once_and_the_next_when_the_first_is_old_enough() -> None:
    """Each says how long it waited; who comes later waits less, and who comes late enough not at all."""
    clock = Clock()

    async def test() -> list[float]:
        pace = Pace(2, 10.0, monotonic=clock, sleep=clock.sleep)
        waited = []
        for pause in (0.0, 1.0, 1.0, 0.0, 20.0):
            clock.now += pause
            waited.append(await pace.wait_to_pass("q"))
        assert pace.waited_seconds == sum(waited)
        return waited

    assert asyncio.run(test()) == [0.0, 0.0, 8.0, 1.0, 0.0]


def test_who_waits_while_a_pause_begins_is_sent_at_the_rate_after_it() -> None:
    """Nobody passes during the pause, to be sent with all others at its end; the pause is no wait for the limit."""
    clock = Clock()

    async def test() -> tuple[list[float], float]:
        pace = Pace(1, 10.0, monotonic=clock, sleep=clock.sleep)
        sent_at: list[float] = []
        paused_until = 0.0

        async def until_over() -> None:
            while clock.now < paused_until:
                await clock.sleep(paused_until - clock.now)

        async def send() -> None:
            nonlocal paused_until
            await pace.wait_to_pass("q", until_over)
            sent_at.append(clock.now - began_at)
            paused_until = began_at + 100.0  # as the first answer asks

        began_at = clock.now
        await asyncio.gather(*(send() for _ in range(4)))
        return sent_at, pace.waited_seconds

    assert asyncio.run(test()) == ([0.0, 100.0, 110.0, 120.0], 10.0 + 20.0)


def test_a_query_with_one_target_is_not_kept_out_by_one_with_a_thousand() -> None:
    """Queries take turns at the rate limit, however many calls each has waiting; within a query, first come."""
    clock = Clock()
    order: list[tuple[str, int]] = []

    async def test() -> None:
        pace = Pace(1, 1.0, monotonic=clock, sleep=clock.sleep)

        async def call(query: str, number: int) -> None:
            await pace.wait_to_pass(query)
            order.append((query, number))

        calls = [call("many", number) for number in range(1000)]
        await asyncio.gather(*calls, call("few", 0), call("few", 1), call("one", 0))

    asyncio.run(test())
    assert len(order) == 1003
    assert {("few", 0), ("one", 0)} <= set(order[:5])
    assert ("few", 1) in order[:8]
    assert [number for query, number in order if query == "many"] == list(range(1000))


def test_who_gives_up_takes_no_place_along() -> None:
    """While it waits, while it has the place, and while the place is just being given to it."""

    async def test() -> None:
        turns = FairPlaces(1)

        async def stay(steps: int) -> None:
            async with turns.take("q"):
                for _ in range(steps):
                    await asyncio.sleep(0)

        first, waits, gives_up, last = (asyncio.create_task(stay(steps)) for steps in (3, 1, 1, 0))
        await asyncio.sleep(0)
        gives_up.cancel()
        await first
        waits.cancel()
        await asyncio.wait([waits, gives_up, last])
        assert not last.cancelled()
        async with asyncio.timeout(1), turns.take("q"):
            pass

    asyncio.run(test())
