"""The process: its memory, who gets the processor's next turn, and how it ends."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn

_RETURN_SECONDS: Final = 1.0
NEEDED_DESCRIPTORS: Final = 40
_LEFT_OUT_TIMES: Final = 16
_M_ARENA_MAX: Final = -8  # glibc's malloc.h
_M_MMAP_THRESHOLD: Final = -3
_BIG_BYTES: Final = 262_144


def tune() -> None:
    """Sets the process up for a long run in which big answers are read now and then.

    What is there at the start stays, so the collector need not look at it; answers are trees without cycles, of which
    it would look at hundreds of thousands of objects in vain. A scrape must not wait long for a thread's turn. And
    glibc keeps a heap for each thread, all of them as large as the largest answer, unless it is told to have one. And
    once it has seen a big block, it puts the next ones of that size on the heap, where a body that grows leaves holes
    of twice its size, unless it is told what is big.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 160)
    sys.setswitchinterval(0.001)
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _BIG_BYTES)


class Collector:
    """Puts off the collector's looks at everything while much is made that stays, as a plan of thousands of queries.

    Such a look takes up to a second, in which nothing else runs. Meanwhile it looks at what is young alone, often, so
    that each look is short. What was made is left out of later looks, as it is freed without the collector, but for a
    few objects of each plan; so that these do not add up, everything is looked at again after so many times.
    """

    def __init__(self) -> None:
        self._usual: tuple[int, int, int] | None = None
        self._times = 0

    def put_off(self) -> None:
        """Looks at what is young alone from now on."""
        if self._usual is None:
            self._usual = young, middle, _ = gc.get_threshold()
            gc.set_threshold(young // 2, middle, sys.maxsize >> 33)

    def resume(self) -> None:
        """Looks now and then at what is made from now on."""
        if self._usual is None:
            return
        gc.set_threshold(*self._usual)
        self._usual = None
        self._times += 1
        if self._times % _LEFT_OUT_TIMES:
            gc.collect(1)
        else:
            gc.unfreeze()
            gc.collect()
        gc.freeze()


async def keep_returning() -> None:
    """Gives the system back what is free, for ever: glibc by itself returns the end of the heap alone, and a piece of
    a page that lives there holds all that a big answer took. It takes 0.1 to 1 ms."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while malloc_trim is not None:
        await asyncio.sleep(_RETURN_SECONDS)
        malloc_trim(0)
    await asyncio.Event().wait()


class StopSignals:
    """SIGTERM and SIGINT, taken by a thread of their own, which hears them while the event loop stands still too."""

    def __init__(self) -> None:
        self._act: Callable[[], object] = partial(exit_at_once, 0)
        self._is_taken = False

    def take(self, act: Callable[[], object] | None = None) -> None:
        """Has them call this in the thread from now on; by default they end the process at once. To be called first in
        the main thread, before there are others."""
        self._act = act or self._act
        if not self._is_taken:
            self._is_taken = True
            signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
            threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def _wait(self) -> None:
        while True:
            signal.sigwait(_STOP_SIGNALS)
            self._act()


_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def enough_descriptors() -> str:
    """What is wrong with the limit of open files, raised as far as it may be; nothing if it is enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= NEEDED_DESCRIPTORS or soft == resource.RLIM_INFINITY:
        return ""
    allowed = NEEDED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, NEEDED_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed >= NEEDED_DESCRIPTORS:
        return ""
    return f"only {soft} files may be open (ulimit -n), and {NEEDED_DESCRIPTORS} are needed; raise that limit"


def exit_at_once(code: int) -> NoReturn:
    """Ends the process at once: a hung name look-up in a thread must not hold it up."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


def exit_within(seconds: float, code: int) -> None:
    """Ends the process after that time, whatever it does then."""
    timer = threading.Timer(seconds, exit_at_once, (code,))
    timer.daemon = True
    timer.start()


STOP_SIGNALS: Final = StopSignals()
