"""The memory that big answers take, of all sources together: more than fits waits."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from itertools import count
from typing import Final

from exporter.model.duration import seconds_text
from exporter.model.errors import Reason, UpstreamFailure

BIG_BYTES: Final = 262_144  # what is smaller counts for nothing, and is read on the event loop; of it json takes 3 ms
DEFAULT_BYTES: Final = 32 * 2**20


class NoMemory(UpstreamFailure):
    """Other answers left no memory for an answer, which says nothing of its API."""

    def __init__(self, seconds: float) -> None:
        super().__init__(Reason.TIMEOUT, f"other answers left no memory for the answer within {seconds_text(seconds)}")


class AnswerMemory:
    """So many bytes. Who would go beyond waits until others have given theirs back; the oldest may always go on, so
    that one of them ends in any case, and there are never more bytes than these and what one answer may take."""

    def __init__(self, limit_bytes: int = DEFAULT_BYTES) -> None:
        self._limit = limit_bytes
        self._lock = threading.RLock()  # shares end in any thread
        self._held: dict[int, int] = {}  # by share, the oldest first
        self._total = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._numbers = count()

    def share(self) -> Share:
        """A share of no bytes yet."""
        return Share(self, next(self._numbers))

    @property
    def held_bytes(self) -> int:
        """What all shares have now."""
        return self._total

    def take(self, share: int, wanted: int) -> asyncio.Future[None] | None:
        """Gives a share that many bytes; or what to wait for before it is tried again."""
        with self._lock:
            own = self._held.setdefault(share, 0)
            if wanted > own and next(iter(self._held)) != share and self._total - own + wanted > self._limit:
                self._waiting[share] = asyncio.get_running_loop().create_future()
                return self._waiting[share]
            self._held[share] = wanted
            self._total += wanted - own
            if wanted < own:
                self._wake()
            return None

    def end(self, share: int) -> None:
        """Takes all of a share back."""
        with self._lock:
            if (own := self._held.pop(share, None)) is not None:
                self._total -= own
                self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            with suppress(RuntimeError):  # its loop has ended
                future.get_loop().call_soon_threadsafe(_end_wait, future)


class Share:
    """The bytes of one answer. They are given back when nothing refers to the share any more.

    `gave_up` is whether a wait for more was ended from outside, as by a deadline.
    """

    def __init__(self, memory: AnswerMemory, number: int) -> None:
        self._memory = memory
        self._number = number
        self.gave_up = False

    async def hold(self, wanted: int) -> None:
        """Makes it that many bytes, once there are so many."""
        while (wait := self._memory.take(self._number, wanted)) is not None:
            try:
                await wait
            except asyncio.CancelledError:
                self.gave_up = True
                raise

    def end(self) -> None:
        """Gives all of them back."""
        self._memory.end(self._number)

    def __del__(self) -> None:
        self.end()


def _end_wait(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
