"""The process: its memory, who gets the processor's next turn, and how it ends."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
import threading
from typing import Final, NoReturn

_RETURN_SECONDS: Final = 5.0
_M_ARENA_MAX: Final = -8  # glibc's malloc.h


def tune() -> None:
    """Sets the process up for a long run in which big answers are read now and then.

    What is there at the start stays, so the collector need not look at it; answers are trees without cycles, of which
    it would look at hundreds of thousands of objects in vain. A scrape must not wait long for a thread's turn. And
    glibc keeps a heap for each thread, all of them as large as the largest answer, unless it is told to have one.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)
    sys.setswitchinterval(0.001)
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, 1)


async def keep_returning() -> None:
    """Gives the system back what is free, for ever: glibc by itself returns the end of the heap alone, and a piece of
    a page that lives there holds all that a big answer took. It takes 0.1 to 2 ms."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while malloc_trim is not None:
        await asyncio.sleep(_RETURN_SECONDS)
        malloc_trim(0)
    await asyncio.Event().wait()


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
