"""A deadline that is kept to the second, and that our own standstill does not shorten: row 61 of the fault matrix.

Where the process stood still (suspended, or without processor time), an event loop runs its timers before it reads what
has come meanwhile: with `asyncio.timeout` an answer that was there in time would be thrown away as too late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

GRACE_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 0.1  # what no loop that runs is late by


class Deadline:
    """A moment by which all steps of an exchange have to be over: `seconds` from when this is made."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_at = time.monotonic() + seconds

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Raises `TimeoutError` where the block takes longer.

        If the loop itself comes late to that moment, the block has `GRACE_SECONDS` more, once, to read what has come.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as timeout:

            def end() -> None:
                is_late = time.monotonic() - self._ends_at > _LATE_SECONDS
                timeout.reschedule(loop.time() + (GRACE_SECONDS if is_late else 0.0))

            timer = loop.call_later(max(0.0, self._ends_at - time.monotonic()), end)
            try:
                yield
            finally:
                timer.cancel()
