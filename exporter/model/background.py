"""Work in threads that nobody has to wait for: what hangs there holds up neither the event loop nor the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


def begin(work: Callable[[], _Result], name: str) -> Future[_Result]:
    """What the work yields, in a daemon thread of its own. Raises `RuntimeError` where there can be no more threads."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


async def result_of(work: Callable[[], _Result], name: str) -> _Result:
    """The same, for the event loop; who is cancelled leaves the work to itself."""
    waiting = asyncio.wrap_future(begin(work, name))
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, even if nobody waits
    return await asyncio.shield(waiting)
