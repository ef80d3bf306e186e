"""At which moments something is polled: ticks of an interval, spread over it."""

from __future__ import annotations

import hashlib
from math import ceil
from typing import Final

from exporter.series.store import Owner

_GOLDEN_RATIO: Final = 0.6180339887498949
_ROUNDING: Final = 1e-3  # as a part of an interval


def next_tick_at(now: float, interval_seconds: float, phase: float) -> float:
    """The first moment after `now` that is a whole number of intervals after the phase; monotonic seconds."""
    return now + interval_seconds - (now - phase) % interval_seconds


def ticks_between(polled_at: float, next_at: float, interval_seconds: float) -> int:
    """How many ticks lie between a poll and the tick of the next one, both left out; `polled_at` need be no tick. What
    is a tick but for rounding is one."""
    return max(0, ceil((next_at - polled_at) / interval_seconds - _ROUNDING) - 1)


def phase_of(owner: Owner, interval_seconds: float) -> float:
    """Where in its interval an owner is polled: the same at every start, spread evenly over owners."""
    digest = hashlib.blake2b("\0".join(owner).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * interval_seconds


def spread_phase(owner: Owner, number: int, interval_seconds: float) -> float:
    """Where in its interval a pack is polled: by the golden ratio, so that any number of packs is spread evenly."""
    return (phase_of(owner, 1.0) + number * _GOLDEN_RATIO) % 1.0 * interval_seconds


def backoff_seconds(failures: int, interval_seconds: float, jitter: float) -> float:
    """Seconds until a failed poll is tried again: a sixteenth of the interval (1 s at least), doubled with each
    failure up to the interval; `jitter` in [0, 1) takes away up to a quarter."""
    first = max(1.0, interval_seconds / 16)
    return min(interval_seconds, first * 2.0 ** min(failures - 1, 16)) * (1 - jitter / 4)


def retry_at(failures: int, now: float, interval_seconds: float, phase: float, jitter: float) -> float:
    """When what has never worked, and others wait for, is tried again: after a back-off for as long as that is shorter
    than the interval, in place of the ticks; then at its ticks, the first half an interval from now at least."""
    if backoff_seconds(failures, interval_seconds, 0.0) < interval_seconds:
        return now + backoff_seconds(failures, interval_seconds, jitter)
    return next_tick_at(now + interval_seconds / 2, interval_seconds, phase)
