"""Work in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import suppress

import pytest

from exporter.model.background import begin, give_way, result_of
from tests.support.processes import eventually


def test_the_result_or_the_error_comes_back() -> None:
    """What the work yields is what one waits for."""
    assert begin(lambda: 5, "five").result(10) == 5
    assert asyncio.run(result_of(lambda: 6, "six")) == 6
    with pytest.raises(ZeroDivisionError):
        asyncio.run(result_of(lambda: 1 // 0, "nothing"))


def test_work_that_hangs_holds_nobody() -> None:
    """Who waits may stop waiting, and the program does not wait for the thread."""
    released = threading.Event()

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await result_of(released.wait, "hung")

    asyncio.run(impatient())
    assert any(thread.name == "hung" and thread.daemon for thread in threading.enumerate())
    released.set()


class _Plan:
    """Something great that a work made."""


def test_what_a_failed_work_had_made_is_freed_at_once() -> None:
    """A configuration of thousands of queries with a mistake costs nothing once the mistake is reported."""
    made: list[weakref.ref[_Plan]] = []

    def work() -> None:
        plan = _Plan()
        made.append(weakref.ref(plan))
        raise ValueError(repr(plan))

    async def attempt() -> None:
        with suppress(ValueError):
            await result_of(work, "a test")

    gc.disable()
    try:
        asyncio.run(attempt())
        eventually(lambda: made[0]() is None, "the end of what was made")
    finally:
        gc.enable()


def test_work_that_gives_way_waits_until_the_loop_has_done_what_it_has_to() -> None:
    """A scrape is not slower while a configuration of thousands of queries is read."""
    steps: list[str] = []
    busy = threading.Event()

    def work() -> None:
        busy.wait(10)
        give_way()
        steps.append("work")

    async def serve() -> None:
        working = asyncio.ensure_future(result_of(work, "work"))
        await asyncio.sleep(0)
        busy.set()
        until = asyncio.get_running_loop().time() + 0.2
        while asyncio.get_running_loop().time() < until:
            sum(range(1000))
        steps.append("loop")
        await working

    asyncio.run(serve())
    assert steps == ["loop", "work"]


def test_work_for_which_no_loop_waits_does_not_give_way() -> None:
    """A check of a configuration, or a loop that has ended, is not waited for."""
    give_way()
    asked, answered = threading.Event(), threading.Event()

    def work() -> None:
        asked.wait(10)
        give_way()
        answered.set()

    async def leave() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await result_of(work, "left alone")

    asyncio.run(leave())
    asked.set()
    assert answered.wait(10)
