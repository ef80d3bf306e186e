"""A deadline that is kept to the second, and that our own standstill does not shorten.

Where the process stood still (suspended, or without processor time), an event loop runs its timers before it reads what
has come meanwhile: an answer that was there in time would be thrown away as too late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

GRACE_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 0.1  # what no loop that runs is late by


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Raises `TimeoutError` once the block has taken that long.

    If the loop itself comes late to that moment, the block has `GRACE_SECONDS` more, once, to read what has arrived.
    """
    loop, ends_at = asyncio.get_running_loop(), time.monotonic() + seconds
    async with asyncio.timeout(None) as timeout:

        def end() -> None:
            is_late = time.monotonic() - ends_at > _LATE_SECONDS
            timeout.reschedule(loop.time() + (GRACE_SECONDS if is_late else 0.0))

        timer = loop.call_later(seconds, end)
        try:
            yield
        finally:
            timer.cancel()
