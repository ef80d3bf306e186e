"""How long a stretch of time keeps changing upstream after it has ended: what a window's `delay` must be."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from exporter.cli.ad_hoc import Asked, Round
from exporter.cli.verify.operations import Totals, totals

_OBSERVATIONS: Final = 30
_SHORTEST_STEP_SECONDS: Final = 1.0
_SHORTEST_BUCKET_SECONDS: Final = 10.0
_SETTLED_AFTER: Final = 2  # observations without a change
_OLD_AGES: Final = (600.0, 3600.0, 6 * 3600.0, 86_400.0)
_QUIET_SHARE: Final = 1.5  # of the last change's age must be watched
LEAST_QUIET_SECONDS: Final = 120.0
_DELAYS: Final = (0, 1, 5, 10, 15, 20, 30, 45, 60, 90, 120, 150, 180, 240, 300, 420, 600, 900, 1200, 1800, 2700, 3600)


class Freshness(Struct, frozen=True):
    """What was seen. Seconds after a bucket's end: the last change came after `before` and until `seen`.

    `late` are the ages of old buckets that changed meanwhile; `counted` is the largest total of a bucket, so whether
    there was anything to change, and whether enough of it that one of the last to be counted was among it.
    `watched_seconds` is how long it was watched.
    """

    before: float
    seen: float
    still_changing: bool
    late: tuple[float, ...]
    counted: float
    watched_seconds: float = math.inf

    @property
    def delay_seconds(self) -> float | None:
        """The delay to set: a round figure that fits what was seen. None where the watch was too short to tell."""
        if self.still_changing or self.watched_seconds < max(_QUIET_SHARE * self.seen, self._least_seconds):
            return None
        if fitting := [delay for delay in _DELAYS if self.before < delay <= self.seen]:
            return float(fitting[-1])
        return float(next((delay for delay in _DELAYS if delay >= self.seen), math.ceil(self.seen / 3600) * 3600))

    @property
    def _least_seconds(self) -> float:
        """How long one must watch: where nothing changed, all may come at once, or after the watch has ended."""
        return 0.0 if self.seen else LEAST_QUIET_SECONDS


class _Bucket(Struct):
    """A stretch of time, observed again and again."""

    start: float
    end: float
    value: Totals | None = None
    observed_time: float = 0.0
    last_change: tuple[float, float] = (0.0, 0.0)  # after the bucket's end: when it had not come, when it was seen
    unchanged: int = 0  # observations since then

    def observe(self, value: Totals, sent_time: float, received_time: float) -> None:
        self.unchanged += 1
        if self.value is not None and value != self.value:
            self.last_change = (self.observed_time - self.end, received_time - self.end)
            self.unchanged = 0
        self.value, self.observed_time = value, sent_time


async def freshness(
    a_round: Round, asked: Asked, watch_seconds: float, report: Callable[[int, int], None]
) -> Freshness:
    """What was seen in so many seconds, by two observations at least: three buckets that have just ended, and older
    ones. Raises `ResultFailure`."""
    step = max(_SHORTEST_STEP_SECONDS, watch_seconds / _OBSERVATIONS)
    width = max(_SHORTEST_BUCKET_SECONDS, step)
    now = float(int(time.time()))
    young = [_Bucket(now - (number + 1) * width, now - number * width) for number in range(3)]
    old = {age: _Bucket(now - age - width, now - age) for age in _OLD_AGES}
    buckets = [*young, *old.values()]
    until = time.monotonic() + watch_seconds
    began_at = time.monotonic()
    for number in itertools.count(1):
        next_at = time.monotonic() + step
        await asyncio.gather(*(_observe(a_round, asked, bucket) for bucket in buckets))
        report(min(round(time.monotonic() - began_at), round(watch_seconds)), round(watch_seconds))
        if number > 1 and time.monotonic() >= until:
            break
        await asyncio.sleep(max(0.0, min(next_at, until) - time.monotonic()))
    report(round(watch_seconds), round(watch_seconds))
    before, seen = max(bucket.last_change for bucket in young)
    return Freshness(
        max(0.0, before),
        max(0.0, seen),
        still_changing=any(bucket.unchanged < _SETTLED_AFTER for bucket in young),
        late=tuple(age for age, bucket in old.items() if bucket.last_change[1] > 0),
        counted=max(_most(bucket.value or {}) for bucket in young),
        watched_seconds=max(watch_seconds, time.monotonic() - began_at),
    )


def _most(found: Totals) -> float:
    """The total of the family that counted most, over its series."""
    by_family: dict[str, float] = {}
    for (family, _), number in found.items():
        by_family[family] = by_family.get(family, 0) + number
    return max(by_family.values(), default=0)


async def _observe(a_round: Round, asked: Asked, bucket: _Bucket) -> None:
    sent_time = time.time()
    start, end = (datetime.fromtimestamp(at, UTC) for at in (bucket.start, bucket.end))
    bucket.observe(await totals(a_round, asked, start, end), sent_time, time.time())
