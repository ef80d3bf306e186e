"""`rate_limit`: at most so many requests in any stretch of time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable


class Pace:
    """Lets requests pass in the order in which they came, never more than `requests` within `per_seconds`."""

    def __init__(
        self,
        requests: int,
        per_seconds: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_seconds = per_seconds
        self._passed_at: deque[float] = deque(maxlen=requests)
        self._turn = asyncio.Lock()
        self._monotonic = monotonic
        self._sleep = sleep
        self.waited_seconds = 0.0

    async def passed(self) -> float:
        """Waits until a request may be sent; gives the seconds that it waited."""
        began_at = self._monotonic()
        async with self._turn:
            if len(self._passed_at) == self._passed_at.maxlen:
                while (wait := self._passed_at[0] + self._per_seconds - self._monotonic()) > 0:
                    await self._sleep(wait)
            now = self._monotonic()
            self._passed_at.append(now)
        self.waited_seconds += now - began_at
        return now - began_at
