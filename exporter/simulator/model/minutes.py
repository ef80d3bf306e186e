"""Minute cells: the requests of one environment and tenant in one minute, each from a generator seeded by all three.

Any minute, past or future, can be made by itself and is always the same, so there is no history to keep. What holds a
cell together is columns of small integers; a fault that held at the time of a request changes it here, once.
"""

import hashlib
import math
import sys
from array import array
from statistics import NormalDist
from typing import TypeAlias

from msgspec import Struct

from exporter.simulator.faults import FaultState
from exporter.simulator.model.request_kinds import (
    FAILED_PROXY,
    FAILED_TARGET,
    FLOODING,
    THROTTLED,
    Pattern,
    with_error,
    with_latency,
)
from exporter.simulator.settings import Settings

Column: TypeAlias = "array[int]"  # quoted: Python 3.11 cannot subscript it

MINUTE_MS = 60_000
DAY_MINUTES = 1440
COLUMNS = 7  # pattern, moment, lateness, much later, taken back, failing, throttled
FULL = 65_536  # a column's values are 16 bits wide
NEVER = 2**62
STANDARD = NormalDist()
BUSY_FROM = 0.8
BUSY_FACTOR = 1.25
_REFUSED = {"throttled": THROTTLED, "flooding": FLOODING}


class Cell(Struct, frozen=True):
    """The requests of a minute in the order of time, as columns of equal length."""

    moments: Column  # milliseconds from the start of the minute
    patterns: Column  # indexes into the registry
    arrivals: Column  # milliseconds of the epoch at which the request begins to be counted
    retractions: Column  # and at which it ceases to be; NEVER for most


def rhythm(minute: int) -> float:
    """Share of the busiest rate at a minute of the epoch: a smooth day with its height at 13:00 UTC, lower weekends."""
    day, of_day = divmod(minute, DAY_MINUTES)
    height = 0.5 - 0.5 * math.cos(2 * math.pi * (of_day / DAY_MINUTES - 1 / 24))
    # 1970-01-01 was a Thursday: days 2 and 3 of each week from then are Saturday and Sunday.
    return (0.35 + 0.65 * height) * (0.7 if day % 7 in (2, 3) else 1.0)


def poisson(mean: float, uniform: float) -> int:
    """How many events happen when `mean` are expected, by a uniform number between 0 and 1, both excluded."""
    if mean > 30:
        return max(0, round(mean + math.sqrt(mean) * STANDARD.inv_cdf(uniform)))
    count, probability = 0, math.exp(-mean)
    cumulative = probability
    while uniform > cumulative and count < 200:
        count += 1
        probability *= mean / count
        cumulative += probability
    return count


def columns(key: str, mean: float) -> list[Column]:
    """The seeded draws of a cell: columns of 16-bit numbers, one row a request."""
    source = hashlib.shake_128(key.encode())
    uniform = (int.from_bytes(source.digest(4), "big") + 0.5) / 2**32
    count = poisson(mean, uniform)
    numbers = array("H")
    numbers.frombytes(source.digest(8 + 2 * COLUMNS * count)[8:])
    if sys.byteorder == "big":
        numbers.byteswap()
    return [numbers[start * count : (start + 1) * count] for start in range(COLUMNS)]


class Registry:
    """All patterns that are in use, each with an index; faulty variants are added when they are first needed."""

    def __init__(self) -> None:
        self.patterns: list[Pattern] = []
        self._variants: dict[tuple[int, str, float], int] = {}

    def add(self, patterns: list[Pattern]) -> int:
        """Adds patterns and returns the index of the first."""
        first = len(self.patterns)
        self.patterns.extend(patterns)
        return first

    def variant(self, index: int, change: str, factor: float) -> int:
        """The index of a pattern changed by a fault: `failed`, `throttled`, `flooding` or nothing, then slower by a
        factor."""
        if not change and factor == 1.0:
            return index
        key = (index, change, factor)
        if key not in self._variants:
            pattern = self.patterns[index]
            if change in _REFUSED:
                pattern = with_error(pattern, _REFUSED[change])
            elif change == "failed" and not pattern.failed:
                pattern = with_error(pattern, FAILED_PROXY if index % 4 == 0 else FAILED_TARGET)
            self._variants[key] = self.add([with_latency(pattern, factor) if factor != 1.0 else pattern])
        return self._variants[key]


def flooding_patterns(registry: Registry, first: int, size: int, state: FaultState) -> list[int]:
    """The indexes, in a pool, of what the requests of a flood look like before they are refused."""
    found = []
    for index, pattern in enumerate(registry.patterns[first : first + size], first):
        if state.only_apis and not names_api(state.only_apis, pattern):
            continue
        if names_api((*state.silent_apis, *state.removed_apis), pattern):
            continue
        if {pattern.application.id, pattern.application.name} & set(state.flooding_applications):
            found.append(index)
    return found


def names_api(names: tuple[str, ...], pattern: Pattern) -> bool:
    """Whether a list of ids and names names the pattern's API."""
    return pattern.api.id in names or pattern.api.name in names


def under_fault(
    registry: Registry, index: int, state: FaultState, organization: tuple[str, str], failing: int, throttled: int
) -> int | None:
    """The pattern index of a request made while a fault held; None if it was not made at all."""
    pattern = registry.patterns[index]
    if names_api(state.silent_apis, pattern) or names_api(state.removed_apis, pattern):
        return None
    if any(name in state.removed_organizations for name in organization):
        return None
    if state.only_apis and not names_api(state.only_apis, pattern):
        return index
    change = ""
    if throttled < state.throttle_ratio * FULL:
        change = "throttled"
    elif failing < state.error_ratio * FULL:
        change = "failed"
    return registry.variant(index, change, state.latency_factor)


def lateness_ms(settings: Settings, drawn: int) -> int:
    """How late a request is counted: most soon, the last after the whole delay."""
    return int(settings.delay_seconds * 1000 * (drawn / FULL) ** 2)


def made(minute: int, settings: Settings, draws: list[Column], indexes: list[int | None]) -> Cell:
    """The cell of a minute from its draws and the pattern index of each row; rows without one were not made."""
    start_ms = minute * MINUTE_MS
    late, late_by_ms = settings.late_share * FULL, int(settings.late_by_seconds * 1000)
    corrected, correction_ms = settings.correction_share * FULL, int(settings.correction_after_seconds * 1000)
    rows = []
    for index, moment, lateness, straggling, taken_back in zip(indexes, *draws[1:5], strict=True):
        if index is None:
            continue
        at = moment * MINUTE_MS // FULL
        arrival = start_ms + at + lateness_ms(settings, lateness) + (late_by_ms if straggling < late else 0)
        rows.append((at, index, arrival, arrival + correction_ms if taken_back < corrected else NEVER))
    rows.sort()
    moments, patterns, arrivals, retractions = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Cell(array("H", moments), array("I", patterns), array("q", arrivals), array("q", retractions))
