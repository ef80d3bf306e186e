"""Work in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from exporter.model.background import begin, result_of


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
