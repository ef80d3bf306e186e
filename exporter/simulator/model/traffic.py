"""Traffic: how many requests of each pattern there were in a range, and which ones, as known at a moment.

Settled whole hours and days are kept as tallies; what is younger, or cut by the range's ends, is counted cell by cell.
All caches are bounded.
"""

import threading
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from exporter.simulator.faults import Faults
from exporter.simulator.model.inventory import Api, Application, Environment, Organization
from exporter.simulator.model.minutes import (
    BUSY_FACTOR,
    BUSY_FROM,
    COLUMNS,
    FULL,
    MINUTE_MS,
    NEVER,
    Cell,
    Column,
    Registry,
    columns,
    flooding_patterns,
    made,
    rhythm,
    under_fault,
)
from exporter.simulator.model.request_kinds import Pattern, pool, with_latency
from exporter.simulator.settings import Settings

HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SECOND_TENANT_WEIGHT = 0.4
KEPT_CELLS, KEPT_HOURS, KEPT_DAYS, KEPT_TALLIES = 16_384, 2_048, 512, 16

Tally = Counter[int]


class Request(NamedTuple):
    """One request: when it was made, when it began and ceased to be counted, and what it was (see Pattern)."""

    time_ms: int
    arrival_ms: int
    retraction_ms: int | None
    environment_id: str
    tenant: str
    api: Api
    resource: str
    method: str
    application: Application
    backend: str
    user_agent: str
    platform: str
    country: str
    status_code: int
    target_status_code: int | None
    error_side: str
    category: str | None
    reason: str | None
    request_mediation_ms: int
    backend_ms: int | None
    response_mediation_ms: int | None
    response_ms: int
    cache: str

    @property
    def time(self) -> float:
        """Seconds of the epoch at which the request was made."""
        return self.time_ms / 1000

    @property
    def failed(self) -> bool:
        """Whether the request counts as an error."""
        return self.error_side != "none"


class Pool(NamedTuple):
    """Where the patterns of an environment and tenant stand in the registry."""

    organization: Organization
    environment: Environment
    first: int
    size: int
    weight: float


class Traffic:
    """Requests of all environments and tenants. Thread-safe."""

    def __init__(self, settings: Settings, organizations: tuple[Organization, ...], faults: Faults) -> None:
        self._settings = settings
        self._faults = faults
        self._lock = threading.RLock()
        self._homes = {
            environment.id: (organization, environment)
            for organization in organizations
            for environment in organization.environments
        }
        self._registry = Registry()
        self._pools: dict[tuple[str, str], Pool] = {}
        self._cells: OrderedDict[tuple[str, str, int], Cell] = OrderedDict()
        self._hours: OrderedDict[tuple[str, str, int], Column] = OrderedDict()
        self._days: OrderedDict[tuple[str, str, int], tuple[Column, Column]] = OrderedDict()
        self._tallies: OrderedDict[tuple[str, str, int, int], Tally] = OrderedDict()
        self._seen_changes = faults.changes
        late = settings.late_by_seconds if settings.late_share else 0.0
        correction = settings.correction_after_seconds if settings.correction_share else 0.0
        self._settling_ms = int((settings.delay_seconds + late + correction) * 1000) + 1

    @property
    def patterns(self) -> list[Pattern]:
        """The patterns that the keys of a tally stand for."""
        return self._registry.patterns

    def settled(self, end_ms: int, known_at_ms: int) -> bool:
        """Whether every request before `end_ms` is counted for good at `known_at_ms`."""
        return end_ms + self._settling_ms <= known_at_ms

    def tally(self, environment_id: str, tenant: str, start_ms: int, end_ms: int, known_at_ms: int) -> Tally:
        """How many requests of each pattern were made from start to before end and are counted at `known_at_ms`.

        The result is shared: callers must not change it.
        """
        with self._lock:
            self._forget_outdated()
            end_ms = min(end_ms, known_at_ms + 1)  # nothing later can have arrived
            key = (environment_id, tenant, start_ms, end_ms)
            if key in self._tallies and self.settled(end_ms, known_at_ms):
                self._tallies.move_to_end(key)
                return self._tallies[key]
            tally = self._tally_of(environment_id, tenant, start_ms, end_ms, known_at_ms)
            if self.settled(end_ms, known_at_ms) and end_ms - start_ms > HOUR_MS:
                self._tallies[key] = tally
                cut(self._tallies, KEPT_TALLIES)
            return tally

    def _tally_of(self, environment_id: str, tenant: str, start_ms: int, end_ms: int, known_at_ms: int) -> Tally:
        """The tally of a range, from the largest settled pieces that fit into it."""
        tally: Tally = Counter()
        at = start_ms
        while at < end_ms:
            if at % DAY_MS == 0 and at + DAY_MS <= end_ms and self.settled(at + DAY_MS, known_at_ms):
                for pattern, count in zip(*self._day(environment_id, tenant, at // DAY_MS), strict=True):
                    tally[pattern] += count
                at += DAY_MS
            elif at % HOUR_MS == 0 and at + HOUR_MS <= end_ms and self.settled(at + HOUR_MS, known_at_ms):
                tally.update(self._hour(environment_id, tenant, at // HOUR_MS))
                at += HOUR_MS
            else:
                minute = at // MINUTE_MS
                until = min(end_ms, (minute + 1) * MINUTE_MS)
                tally.update(self._part(self._cell(environment_id, tenant, minute), minute, at, until, known_at_ms))
                at = until
        return tally

    def _part(self, cell: Cell, minute: int, start_ms: int, end_ms: int, known_at_ms: int) -> list[int]:
        """The patterns of a cell's requests that were made in the range and are counted at that moment."""
        first, last = start_ms - minute * MINUTE_MS, end_ms - minute * MINUTE_MS
        return [
            pattern
            for moment, pattern, arrival, retraction in zip(
                cell.moments, cell.patterns, cell.arrivals, cell.retractions, strict=True
            )
            if first <= moment < last and arrival <= known_at_ms < retraction
        ]

    def _day(self, environment_id: str, tenant: str, day: int) -> tuple[Column, Column]:
        """Patterns and counts of a settled day of UTC."""
        key = (environment_id, tenant, day)
        if key not in self._days:
            tally: Tally = Counter()
            for hour in range(day * 24, day * 24 + 24):
                tally.update(self._hour(environment_id, tenant, hour, keep=False))
            self._days[key] = (array("I", tally.keys()), array("I", tally.values()))
            cut(self._days, KEPT_DAYS)
        self._days.move_to_end(key)
        return self._days[key]

    def _hour(self, environment_id: str, tenant: str, hour: int, keep: bool = True) -> Column:
        """The pattern of each request of a settled hour, in no order."""
        key = (environment_id, tenant, hour)
        if key in self._hours:
            self._hours.move_to_end(key)
            return self._hours[key]
        found = array("I")
        plain = self._faults.calm(hour * HOUR_MS, (hour + 1) * HOUR_MS) and not self._settings.correction_share
        for minute in range(hour * 60, hour * 60 + 60):
            if plain:
                first, size, draws = self._draws_of(environment_id, tenant, minute)
                found.extend([first + number % size for number in draws[0]])
            else:
                cell = self._cell(environment_id, tenant, minute)
                found.extend(p for p, r in zip(cell.patterns, cell.retractions, strict=True) if r == NEVER)
        if keep:
            self._hours[key] = found
            cut(self._hours, KEPT_HOURS)
        return found

    def _cell(self, environment_id: str, tenant: str, minute: int) -> Cell:
        """The requests of a minute, with the faults that held in it."""
        key = (environment_id, tenant, minute)
        if key in self._cells:
            self._cells.move_to_end(key)
            return self._cells[key]
        first, size, draws = self._draws_of(environment_id, tenant, minute)
        indexes: list[int | None] = [first + number % size for number in draws[0]]
        if not self._faults.calm(minute * MINUTE_MS, (minute + 1) * MINUTE_MS):
            indexes = self._with_faults(environment_id, minute, indexes, draws)
            more, flood = self._flood_of(environment_id, tenant, minute)
            indexes += more
            draws = [usual + further for usual, further in zip(draws, flood, strict=True)]
        self._cells[key] = made(minute, self._settings, draws, indexes)
        cut(self._cells, KEPT_CELLS)
        return self._cells[key]

    def _with_faults(
        self, environment_id: str, minute: int, indexes: list[int | None], draws: list[Column]
    ) -> list[int | None]:
        """The pattern indexes of a minute in which a fault held for some time at least."""
        organization, _ = self._homes[environment_id]
        names = (organization.handle, organization.uuid)
        changed: list[int | None] = []
        for index, moment, failing, throttled in zip(indexes, draws[1], draws[5], draws[6], strict=True):
            state = self._faults.at(minute * MINUTE_MS + moment * MINUTE_MS // FULL)
            assert index is not None
            changed.append(under_fault(self._registry, index, state, names, failing, throttled))
        return changed

    def _flood_of(self, environment_id: str, tenant: str, minute: int) -> tuple[list[int | None], list[Column]]:
        """The pattern indexes and the draws of what floods add to a minute."""
        home = self._pool(environment_id, tenant)
        indexes: list[int | None] = []
        draws = [array("H") for _ in range(COLUMNS)]
        start_ms = minute * MINUTE_MS
        for state in dict.fromkeys(self._faults.between(start_ms, start_ms + MINUTE_MS)):
            patterns = flooding_patterns(self._registry, home.first, home.size, state) if state.floods() else []
            if not patterns or {home.organization.handle, home.organization.uuid} & set(state.removed_organizations):
                continue
            name = f"{home.organization.handle}/{home.environment.name}/{tenant}/{minute}/flood/{state.flood_rate}"
            more = columns(f"{self._settings.seed}/{name}", state.flood_rate * 60 * home.weight)
            for number, moment in zip(more[0], more[1], strict=True):
                floods = self._faults.at(start_ms + moment * MINUTE_MS // FULL) == state
                pattern = patterns[number % len(patterns)]
                indexes.append(self._registry.variant(pattern, "flooding", 1.0) if floods else None)
            draws = [earlier + further for earlier, further in zip(draws, more, strict=True)]
        return indexes, draws

    def _draws_of(self, environment_id: str, tenant: str, minute: int) -> tuple[int, int, list[Column]]:
        """Where a minute's patterns begin, how many there are to choose from, and the minute's draws."""
        home = self._pool(environment_id, tenant)
        level = rhythm(minute) if self._settings.daily_rhythm else 1.0
        mean = self._settings.rate * 60 * home.weight * level
        if mean <= 0:
            return home.first, home.size, [array("H") for _ in range(COLUMNS)]
        key = f"{self._settings.seed}/{home.organization.handle}/{home.environment.name}/{tenant}/{minute}"
        busy = self._settings.daily_rhythm and level > BUSY_FROM
        return home.first + (home.size if busy else 0), home.size, columns(key, mean)

    def _pool(self, environment_id: str, tenant: str) -> Pool:
        """The patterns of an environment and tenant: calm ones first, then as many for the busy hours."""
        key = (environment_id, tenant)
        if key not in self._pools:
            organization, environment = self._homes[environment_id]
            patterns = pool(self._settings.seed, organization, environment, tenant, self._settings.error_share)
            first = self._registry.add(patterns)
            self._registry.add([with_latency(pattern, BUSY_FACTOR) for pattern in patterns])
            weight = environment.weight * (1.0 if tenant == organization.tenants[0] else SECOND_TENANT_WEIGHT)
            self._pools[key] = Pool(organization, environment, first, len(patterns), weight)
        return self._pools[key]

    def _forget_outdated(self) -> None:
        """Drops what was computed for times at which a fault has been switched since."""
        if self._faults.changes == self._seen_changes:
            return
        earliest_ms = self._faults.switch_ms(self._seen_changes)
        self._seen_changes = self._faults.changes
        self._tallies.clear()
        forget_from(self._cells, earliest_ms, MINUTE_MS)
        forget_from(self._hours, earliest_ms, HOUR_MS)
        forget_from(self._days, earliest_ms, DAY_MS)

    def requests(
        self, environment_id: str, tenant: str, start_ms: int, end_ms: int, known_at_ms: int | None = None
    ) -> Iterator[Request]:
        """Single requests from start to before end in the order of time: the truth that every answer counts.

        Without `known_at_ms` those that count in the end; with it those that an answer given at that moment counts.
        """
        for minute in range(start_ms // MINUTE_MS, -(-end_ms // MINUTE_MS)):
            with self._lock:
                self._forget_outdated()
                cell = self._cell(environment_id, tenant, minute)
            for moment, index, arrival, retraction in zip(
                cell.moments, cell.patterns, cell.arrivals, cell.retractions, strict=True
            ):
                time_ms = minute * MINUTE_MS + moment
                counted = retraction == NEVER if known_at_ms is None else arrival <= known_at_ms < retraction
                if counted and start_ms <= time_ms < end_ms:
                    taken_back = None if retraction == NEVER else retraction
                    yield Request(time_ms, arrival, taken_back, *self._registry.patterns[index])


def cut(kept: OrderedDict[Any, Any], most: int) -> None:
    """Drops the least recently used entries beyond a number."""
    while len(kept) > most:
        kept.popitem(last=False)


def forget_from(kept: OrderedDict[tuple[str, str, int], Any], from_ms: int, width_ms: int) -> None:
    """Drops the pieces of time that end after a moment."""
    for key in [key for key in kept if (key[2] + 1) * width_ms > from_ms]:
        del kept[key]
