"""The targets of a query on a source, in the packs in which they are polled, and when each is due. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import count
from math import ceil, inf
from typing import Final, TypeVar

from msgspec import Struct, field

from exporter.plan.plan import Target

_SMALLER_FOR_SECONDS: Final = 3600.0
_DUE_EARLY_SECONDS: Final = 0.01  # timers of one tick differ by rounding

T = TypeVar("T", bound=Hashable)


class Member(Struct, eq=False):
    """When a target is polled next, in monotonic seconds, never while it is being polled; how often it failed since it
    last worked, and how many polls are left out for requests that were sent beyond those of the polls that failed."""

    due_at: float
    failures: int = 0
    owed: int = 0

    def take_success(self) -> None:
        """Takes in that it works."""
        self.failures = self.owed = 0

    def take_failure(self, extra_requests: int) -> bool:
        """Takes in a failure that cost so many requests more than a poll that works; whether a poll is to be left out.

        After the first failure none is, so that a short trouble is over soon.
        """
        self.failures += 1
        leaves_out = self.failures > 1 and self.owed > 0
        self.owed += extra_requests - leaves_out
        return leaves_out


class Signal(Struct, eq=False):
    """Wakes the one task that waits for it. An `asyncio.Event` takes 800 bytes, as it is made for many."""

    _is_set: bool = False
    _waiter: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._wake()

    def clear(self) -> None:
        self._is_set = False

    async def wait(self, seconds: float) -> None:
        """Waits until it is set, for so many seconds at most; `inf` is for ever."""
        if self._is_set:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(max(0.0, seconds), self._wake) if seconds < inf else None
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Pack(Struct, eq=False):
    """Targets that are polled together. `task` polls them; `changed` wakes it when others are due than before."""

    number: int
    members: dict[Target, Member] = {}
    changed: Signal = field(default_factory=Signal)
    task: asyncio.Task[None] | None = None

    def splits(self, targets: Iterable[Target]) -> bool:
        """Whether it is found out if smaller packs work, where a pack of these is refused: while one of them works, and
        then ever more rarely."""
        failures = min((member.failures for target in targets if (member := self.members.get(target))), default=0)
        return failures == 0 or (failures >= 4 and failures.bit_count() == 1)

    def end(self) -> None:
        """Ends the task that polls it."""
        if self.task is not None:
            self.task.cancel()
            self.task = None  # else its error, its frame and the pack refer to each other, with all of an old plan

    def begin(self, now: float) -> None:
        """What was due before can be polled only from now on."""
        for member in self.members.values():
            member.due_at = max(member.due_at, now)

    def due(self, now: float) -> dict[Target, float]:
        """Who is due, and since when."""
        latest = now + _DUE_EARLY_SECONDS
        return {target: member.due_at for target, member in self.members.items() if member.due_at <= latest}

    async def until_due(self, monotonic: Callable[[], float]) -> None:
        """Waits until a target is due, however often other targets come and go meanwhile."""
        while not self.due(monotonic()):
            self.changed.clear()
            next_at = min((member.due_at for member in self.members.values()), default=inf)
            await self.changed.wait(next_at - monotonic())


class PackSize(Struct):
    """How many targets go into one operation: as many as configured, or fewer where the server takes no more. More
    are tried again after an hour, twice as many at a time."""

    configured: int
    present: int
    grows_at: float = inf

    def adapt(self, size: int, now: float) -> bool:
        """Takes in how many the server took; whether that changes the size."""
        if size < self.present:
            self.present, self.grows_at = size, now + _SMALLER_FOR_SECONDS
            return True
        if now < self.grows_at:
            return False
        self.present = min(2 * self.present, self.configured)
        self.grows_at = inf if self.present == self.configured else now + _SMALLER_FOR_SECONDS
        return True


class Regrouping(Struct, frozen=True):
    """What came of new targets: which are gone, and the packs that have begun and ended."""

    gone: tuple[Target, ...]
    begun: tuple[Pack, ...]
    ended: tuple[Pack, ...]


class FanOut:
    """All targets of a query on a source, in packs of `pack` at most."""

    def __init__(self, pack: int) -> None:
        self.size = PackSize(pack, pack)
        self.packs: list[Pack] = []
        self.members: dict[Target, Member] = {}
        self._untried: dict[Target, None] = {}  # among them all that are; those that were tried leave when it is asked

    def are_tried(self, is_tried: Callable[[Target], bool]) -> bool:
        """Whether each target has been polled. Asked again and again, it looks at each that was polled once."""
        while self._untried:
            target, _ = self._untried.popitem()
            if not is_tried(target):
                self._untried[target] = None
                return False
        return True

    def next_in_seconds(self, now: float) -> float | None:
        """Seconds until a target is polled; None while all are being polled, or if there is none."""
        due_at = min([member.due_at for member in self.members.values()], default=inf)
        return None if due_at == inf else max(0.0, due_at - now)

    def regroup(self, wanted: Sequence[Target], now: float) -> Regrouping:
        """Follows the targets that there are, and the size of packs. New targets are due at once; who stays is due
        when it was, whichever pack it is in."""
        gone = tuple(self.members.keys() - set(wanted))
        for target in gone:
            self._untried.pop(target, None)
        self._untried.update(dict.fromkeys(target for target in wanted if target not in self.members))
        self.members = {target: self.members.get(target) or Member(now) for target in wanted}
        groups = into_packs([list(pack.members) for pack in self.packs], wanted, self.size.present)
        numbers = {pack.number for pack in self.packs}
        free = (number for number in count() if number not in numbers)
        begun = tuple(Pack(next(free)) for _ in groups[len(self.packs) :])
        packs = [*self.packs, *begun]
        for pack, group in zip(packs, groups, strict=True):
            members = {target: self.members[target] for target in group}
            if members.keys() != pack.members.keys():
                pack.members = members
                pack.changed.set()
        self.packs = [pack for pack in packs if pack.members]
        return Regrouping(gone, begun, tuple(pack for pack in packs if not pack.members))

    def take_due(self, pack: Pack, now: float) -> dict[Target, float]:
        """Who of a pack is polled now, and since when they were due. While they are polled, they are never due."""
        since = pack.due(now)
        for target in since:
            pack.members[target].due_at = inf
        return since

    def give_back(self, pack: Pack, targets: Iterable[Target], now: float) -> None:
        """The pack's poll of these has ended. Who was not told when it is due next is so now; who is in another pack
        meanwhile is expected there."""
        for target in targets:
            member = self.members.get(target)
            if member is not None and member.due_at == inf:
                member.due_at = now
            if member is not None and target not in pack.members:
                next(other for other in self.packs if target in other.members).changed.set()


def into_packs(groups: Sequence[Sequence[T]], wanted: Sequence[T], size: int) -> list[list[T]]:
    """The groups with what is wanted alone, in as few as can be, and new ones behind them; who can stay stays."""
    known = dict.fromkeys(wanted)
    kept = [[item for item in group if item in known][:size] for group in groups]
    by_fullness = sorted(range(len(kept)), key=lambda index: -len(kept[index]))
    for index in by_fullness[ceil(len(known) / size) :]:
        kept[index] = []
    placed = {item for group in kept for item in group}
    homeless = deque(item for item in known if item not in placed)
    for group in kept:
        while group and homeless and len(group) < size:
            group.append(homeless.popleft())
    while homeless:
        kept.append([homeless.popleft() for _ in range(min(size, len(homeless)))])
    return kept
