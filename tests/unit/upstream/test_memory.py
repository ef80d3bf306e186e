"""The memory of big answers: more than fits waits, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import gc
import threading

from exporter.upstream.memory import AnswerMemory, Share


async def settle() -> None:
    """Gives every task its turns."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_fits_is_had_at_once_and_given_back() -> None:
    """Shares grow and shrink within the limit without a wait, and end with nothing held."""

    async def run() -> None:
        memory = AnswerMemory(100)
        first, second = memory.share(), memory.share()
        assert memory.held_bytes == 0
        for wanted in (10, 60, 40):
            await first.hold(wanted)
            assert memory.held_bytes == wanted
        await second.hold(60)
        assert memory.held_bytes == 100
        first.end()
        assert memory.held_bytes == 60
        first.end()
        second.end()
        assert memory.held_bytes == 0

    asyncio.run(run())


def test_more_than_fits_waits_until_others_have_given_back() -> None:
    """A byte too many waits; it goes on when another share ends, or becomes smaller by enough."""

    async def run() -> None:
        memory = AnswerMemory(100)
        first, second = memory.share(), memory.share()
        await first.hold(60)
        await second.hold(40)
        waiting = asyncio.create_task(second.hold(41))
        await settle()
        assert not waiting.done()
        assert memory.held_bytes == 100
        await first.hold(60)
        await settle()
        assert not waiting.done()
        await first.hold(59)
        await asyncio.wait_for(waiting, 10)
        assert memory.held_bytes == 100
        waiting = asyncio.create_task(second.hold(100))
        await settle()
        assert not waiting.done()
        first.end()
        await asyncio.wait_for(waiting, 10)
        assert memory.held_bytes == 100

    asyncio.run(run())


def test_the_oldest_never_waits() -> None:
    """However large it becomes: one of them ends in any case, and the others follow it, the next oldest first."""

    async def run() -> None:
        memory = AnswerMemory(100)
        first, second, third = memory.share(), memory.share(), memory.share()
        for share in (first, second, third):
            await share.hold(30)
        waiting = [asyncio.create_task(share.hold(500)) for share in (second, third)]
        await first.hold(1000)
        await settle()
        assert memory.held_bytes == 1060
        first.end()
        await asyncio.wait_for(waiting[0], 10)
        await settle()
        assert not waiting[1].done()
        second.end()
        await asyncio.wait_for(waiting[1], 10)
        assert memory.held_bytes == 500

    asyncio.run(run())


def test_a_wait_that_is_given_up_takes_nothing() -> None:
    """A poll that is cancelled while it waits holds what it held, and is in nobody's way."""

    async def run() -> None:
        memory = AnswerMemory(100)
        first, second, third = memory.share(), memory.share(), memory.share()
        await first.hold(90)
        waiting = [asyncio.create_task(share.hold(20)) for share in (second, third)]
        await settle()
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        first.end()
        await asyncio.wait_for(waiting[1], 10)
        assert memory.held_bytes == 20

    asyncio.run(run())


def test_a_share_ends_when_nothing_refers_to_it() -> None:
    """In any thread: an answer is freed where the last who reads it is done."""

    async def run() -> None:
        memory = AnswerMemory(100)
        kept = [memory.share()]
        await kept[0].hold(100)
        other = memory.share()
        waiting = asyncio.create_task(other.hold(50))
        await settle()
        assert not waiting.done()
        thread = threading.Thread(target=kept.clear)
        thread.start()
        thread.join()
        gc.collect()
        await asyncio.wait_for(waiting, 10)
        assert memory.held_bytes == 50

    asyncio.run(run())


def test_a_loop_that_has_ended_keeps_nobody() -> None:
    """What waited in an event loop that is gone is forgotten, and the memory serves the next."""
    memory = AnswerMemory(100)
    first = memory.share()

    async def leave_waiting() -> Share:
        await first.hold(90)
        second = memory.share()
        waiting = asyncio.create_task(second.hold(20))
        await settle()
        assert not waiting.done()
        return second

    second = asyncio.run(leave_waiting())
    first.end()
    asyncio.run(second.hold(100))
    assert memory.held_bytes == 100
