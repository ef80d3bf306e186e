"""Work in threads that nobody has to wait for: what hangs there holds up neither the event loop nor the end."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

_Result = TypeVar("_Result")
_TURN_SECONDS: Final = 0.005
_LONGEST_WAIT_SECONDS: Final = 1.0


class _Thread(threading.local):
    """The event loop that waits for the work of this thread, and when the work last let it go first."""

    loop: asyncio.AbstractEventLoop | None = None
    turn_at: float = 0.0


_thread: Final = _Thread()
_under_way: Final[dict[Hashable, Future[Any]]] = {}


def begin(work: Callable[[], _Result], name: str) -> Future[_Result]:
    """What the work yields, in a daemon thread of its own. Raises `RuntimeError` where no
    further thread can be started."""
    future: Future[_Result] = Future()
    threading.Thread(target=_run, args=(work, future), name=name, daemon=True).start()
    return future


def begin_once(key: Hashable, work: Callable[[], _Result], name: str) -> Future[_Result]:
    """The same, by one thread for all who ask for it by this key while it is under way: what hangs takes no further
    ones. Raises `OSError` where no further thread can be started."""
    future = _under_way.get(key)
    if future is None or future.done():
        try:
            future = begin(work, name)
        except RuntimeError:
            raise OSError(errno.EAGAIN, "no further thread can be started") from None
        _under_way[key] = future
        future.add_done_callback(lambda _: _under_way.pop(key, None))
    return future


async def within(seconds: float, future: Future[_Result]) -> _Result:
    """What such work yields, for the event loop; who is cancelled or too late leaves it to itself. Raises
    `TimeoutError`."""
    waiting = asyncio.wrap_future(future)
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, even if nobody waits
    async with asyncio.timeout(seconds):
        return await asyncio.shield(waiting)


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
    waiting = asyncio.wrap_future(begin(_for_loop(work, asyncio.get_running_loop()), name))
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, even if nobody waits
    try:
        return await asyncio.shield(waiting)
    finally:
        del waiting  # as in _run


def _for_loop(work: Callable[[], _Result], loop: asyncio.AbstractEventLoop) -> Callable[[], _Result]:
    def in_thread() -> _Result:
        _thread.loop = loop
        return work()

    return in_thread


def give_way() -> None:
    """Lets the event loop that waits for this work do what it has to do first. Long work calls it now and then: two
    threads of Python share one processor, so that a scrape would take twice its time. Elsewhere it does nothing."""
    if (loop := _thread.loop) is None or time.monotonic() - _thread.turn_at < _TURN_SECONDS:
        return
    turn = threading.Event()
    try:
        loop.call_soon_threadsafe(turn.set)
    except RuntimeError:  # the loop has ended
        _thread.loop = None
        return
    turn.wait(_LONGEST_WAIT_SECONDS)
    _thread.turn_at = time.monotonic()
