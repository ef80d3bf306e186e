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
    threading.Thread(target=_run, args=(work, future), name=name, daemon=True).start()
    return future


def _run(work: Callable[[], _Result], future: Future[_Result]) -> None:
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
        del future  # else it, the error and this frame refer to each other, with all that the work had made
    else:
        future.set_result(result)


async def result_of(work: Callable[[], _Result], name: str) -> _Result:
    """The same, for the event loop; who is cancelled leaves the work to itself."""
    waiting = asyncio.wrap_future(begin(work, name))
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, even if nobody waits
    try:
        return await asyncio.shield(waiting)
    finally:
        del waiting  # as in _run
