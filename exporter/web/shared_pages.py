"""Pages that are dear to make: one at a time, each once for all who ask for it, and none for nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from http import HTTPStatus
from typing import Final, Generic, TypeVar

from msgspec import Struct

from exporter.web.messages import Answer

Key = TypeVar("Key", bound=Hashable)
FRESH_SECONDS: Final = 1.0
MAX_WAITING: Final = 8
_BUSY: Final = Answer.plain(HTTPStatus.TOO_MANY_REQUESTS, (("retry-after", "1"),))


class _Turn(Struct):
    """A page that is being made, or waits for it."""

    task: asyncio.Task[Answer]
    askers: int = 0


class SharedPages(Generic[Key]):
    """Has pages made by `make`, one a second at most, and gives the same again for so long."""

    def __init__(self, make: Callable[[Key], Awaitable[Answer]]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._turns: dict[Key, _Turn] = {}
        self._latest: tuple[Key, Answer] | None = None
        self._made_at = self._ended_at = -FRESH_SECONDS

    async def page(self, key: Key) -> Answer:
        """The page of that key, at most a second old. 429 where too many others wait for theirs."""
        if self._latest is not None and self._latest[0] == key and time.monotonic() - self._made_at < FRESH_SECONDS:
            return self._latest[1]
        turn = self._turns.get(key)
        if turn is None:
            if len(self._turns) >= MAX_WAITING:
                return _BUSY
            turn = self._turns[key] = _Turn(asyncio.create_task(self._take(key), name="web: page"))
        turn.askers += 1
        try:
            return await asyncio.shield(turn.task)
        finally:
            turn.askers -= 1
            if not turn.askers:
                turn.task.cancel()  # all who asked have gone, or it is done
                if self._turns.get(key) is turn:
                    del self._turns[key]

    async def _take(self, key: Key) -> Answer:
        async with self._lock:
            await asyncio.sleep(self._ended_at + FRESH_SECONDS - time.monotonic())
            try:
                answer = await self._make(key)
                self._latest, self._made_at = (key, answer), time.monotonic()
                return answer
            finally:  # one that is given up or fails has cost as much
                self._ended_at = time.monotonic()
