"""Who may send next: so many at once (`concurrency`), so many within a time (`rate_limit`), queries in turn."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol


class Admission(Protocol):
    """Who lets requests pass, each in its time."""

    async def wait_to_pass(self, query: str) -> float:
        """Waits until that query may send a request; gives the seconds that it waited."""


class FairPlaces:
    """So many places. Who waits for one is let in query by query in turn, within a query in the order of coming, so
    that a query with a thousand targets does not keep out one with a single target."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # the query whose turn is next stands first

    @asynccontextmanager
    async def take(self, query: str) -> AsyncIterator[None]:
        """A place, once it is this query's turn."""
        await self._place(query)
        try:
            yield
        finally:
            self._give_back()

    async def _place(self, query: str) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(query, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the place was given at the same moment
                self._give_back()
            raise

    def _give_back(self) -> None:
        while self._waiting:
            query = next(iter(self._waiting))
            queue = self._waiting.pop(query)
            turn = queue.popleft()
            if queue:
                self._waiting[query] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


async def _no_pause() -> None:
    """What waits for the end of a pause, where nothing asks for one."""


class Pace:
    """Lets requests pass, never more than `requests` within `per_seconds`, queries in turn."""

    def __init__(
        self,
        requests: int,
        per_seconds: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._requests = requests
        self._per_seconds = per_seconds
        self._passed_at: deque[float] = deque()
        self._turns = FairPlaces(1)
        self._monotonic = monotonic
        self._sleep = sleep
        self._paused_seconds = 0.0
        self.waited_seconds = 0.0

    def continues(self, other: Pace) -> None:
        """Counts what the other let pass as its own, as after a change of the limit."""
        self._passed_at.extend(other._passed_at)
        self.waited_seconds = other.waited_seconds

    async def wait_to_pass(self, query: str, until_over: Callable[[], Awaitable[None]] = _no_pause) -> float:
        """Waits until that query may send a request; gives the seconds that it waited for the limit. `until_over` waits
        for the end of a pause. Only the next one does, so that those behind it do not pass during the pause, and are
        sent all at once after it."""
        began_at, paused_before = self._monotonic(), self._paused_seconds
        async with self._turns.take(query):
            await self._wait_out_pause(until_over)
            while (wait := self._seconds_left()) > 0:
                await self._sleep(wait)
                await self._wait_out_pause(until_over)
            now = self._monotonic()
            self._passed_at.append(now)
            self._forget_before(now - self._per_seconds)
        waited = now - began_at - (self._paused_seconds - paused_before)
        self.waited_seconds += waited
        return waited

    async def _wait_out_pause(self, until_over: Callable[[], Awaitable[None]]) -> None:
        began_at = self._monotonic()
        await until_over()
        self._paused_seconds += self._monotonic() - began_at

    def _seconds_left(self) -> float:
        """Seconds until the limit lets one more pass."""
        if len(self._passed_at) < self._requests:
            return 0.0
        return self._passed_at[-self._requests] + self._per_seconds - self._monotonic()

    def _forget_before(self, at: float) -> None:
        """Keeps what counts still, also beyond the limit: that was lowered then, and may be raised again."""
        while len(self._passed_at) > self._requests and self._passed_at[0] <= at:
            self._passed_at.popleft()
