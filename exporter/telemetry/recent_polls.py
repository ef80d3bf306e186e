"""How long the last polls of a query took, and which of them failed."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from math import copysign
from typing import Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

MAX_RECENT_POLLS: Final = 30


class RecentPoll(NamedTuple):
    """A poll that ended, and how long it took."""

    duration_seconds: float
    failed: bool


class RecentPolls(Struct):
    """The last `MAX_RECENT_POLLS` polls of a query on a source, of any of its targets.

    There may be 10 000 queries, so a poll is 4 bytes: its duration, which is negative if it failed.
    """

    _signed: array[float] = field(default_factory=lambda: array("f"))
    _oldest: int = 0

    def add(self, poll: RecentPoll) -> None:
        """Takes in a poll that has just ended, in place of the oldest one if there are enough."""
        signed = copysign(poll.duration_seconds, -1.0 if poll.failed else 1.0)
        if len(self._signed) < MAX_RECENT_POLLS:
            self._signed.append(signed)
            return
        self._signed[self._oldest] = signed
        self._oldest = (self._oldest + 1) % MAX_RECENT_POLLS

    def copy(self) -> RecentPolls:
        """The same polls, for another thread."""
        return replace(self, _signed=self._signed[:])

    def __iter__(self) -> Iterator[RecentPoll]:
        """The polls, the oldest first."""
        for signed in (*self._signed[self._oldest :], *self._signed[: self._oldest]):
            yield RecentPoll(abs(signed), copysign(1.0, signed) < 0)

    def __len__(self) -> int:
        return len(self._signed)
