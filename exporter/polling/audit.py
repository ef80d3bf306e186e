"""The audit: some time after a period has ended its totals are asked again, and compared with what was published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

from exporter.config.source import Source
from exporter.model.outcome import PollOutcome
from exporter.model.samples import counter_totals
from exporter.model.window import period_start
from exporter.plan.plan import Plan, QueryPlan, Target, part
from exporter.polling.scheduler import Scheduler
from exporter.series.store import Owner, State, Store

_CHECK_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 300.0  # between two rounds of calls that failed

Totals: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a period's totals, over `targets` many, are now above what was published at its end, by metric; and what
    that was. `time` is of the audit, in Unix seconds."""

    time: float
    targets: int
    published: Totals
    difference: Totals


class Observer(Protocol):
    """Who is told what becomes of audits; it must not raise."""

    def audit_failed(self, owner: Owner, outcome: PollOutcome) -> None:
        """A target's total could not be asked for again."""

    def audited(self, query: str, source: str, finding: Finding) -> None:
        """All targets that can be compared have been."""


@dataclass(frozen=True, slots=True)
class _Audit:
    """The audit of one period, begun; `part` is all that decides what it asks."""

    part: tuple[QueryPlan, Source]
    period_start_time: float
    task: asyncio.Task[None]


class Auditor:
    """Audits each query that asks for it, once a period, over the targets whose full total was published. What was
    published before a restart is not known any more, so nothing is said of it."""

    def __init__(
        self, scheduler: Scheduler, store: Store, observer: Observer, wall: Callable[[], float] = time.time
    ) -> None:
        self._scheduler = scheduler
        self._store = store
        self._observer = observer
        self._wall = wall
        self._audits: dict[tuple[str, str], _Audit] = {}
        self.findings: dict[tuple[str, str], Finding] = {}

    async def run(self) -> None:
        """Audits for ever; ends only by being cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(_CHECK_SECONDS)
                for query in self._scheduler.plan.queries:
                    if query.audit_after_seconds is not None:
                        for source in query.sources:
                            self._begin_if_due(group, query, source, query.audit_after_seconds)

    def follow(self, plan: Plan) -> None:
        """Forgets what was found of queries that are gone or have changed, and ends the audits of those at once."""
        for pair, audit in tuple(self._audits.items()):
            if plan.parts.get(pair) != audit.part:
                audit.task.cancel()
                del self._audits[pair]
                self.findings.pop(pair, None)

    def _begin_if_due(self, group: asyncio.TaskGroup, query: QueryPlan, source: Source, after_seconds: float) -> None:
        """Begins the audit that is due, once every target has published its total; one that goes on is given up."""
        pair, before = (query.name, source.name), self._audits.get((query.name, source.name))
        start_time = _ended_start_time(query, self._wall() - after_seconds)
        if before is not None and before.period_start_time >= start_time:
            return
        states = {
            target: self._store.state(Owner(*pair, target.key))
            for target in self._scheduler.published_targets(query, source)
        }
        if any(_will_close(state, start_time) for state in states.values()):
            return
        if before is not None:
            before.task.cancel()
        closed = {target: state.closed for target, state in states.items() if state.closed is not None}
        published = {target: one.totals for target, one in closed.items() if one.start_time == start_time}
        task = group.create_task(self._audit(query, source, start_time, published))
        self._audits[pair] = _Audit(part(query, source), start_time, task)

    async def _audit(
        self, query: QueryPlan, source: Source, start_time: float, published: Mapping[Target, Totals]
    ) -> None:
        """Asks until all targets have answered, those that failed again and again, ever more rarely."""
        found: dict[Target, Totals] = {}
        rounds = 0
        while missing := [
            target
            for target in self._scheduler.published_targets(query, source)
            if target in published and target not in found
        ]:
            if rounds:
                await asyncio.sleep(min(2.0 ** min(rounds, 16), _LONGEST_PAUSE_SECONDS))
            rounds += 1
            found |= await self._asked(query, source, start_time, missing)
            if found:
                self.findings[query.name, source.name] = _finding(self._wall(), published, found)
        if found:
            self._observer.audited(query.name, source.name, self.findings[query.name, source.name])

    async def _asked(
        self, query: QueryPlan, source: Source, start_time: float, missing: Sequence[Target]
    ) -> dict[Target, Totals]:
        """What the totals of these targets are now, of those that answered."""
        found: dict[Target, Totals] = {}
        size = self._scheduler.pack_size(query.name, source.name) or 1
        for first in range(0, len(missing), size):
            members = missing[first : first + size]
            for target, outcome in (await self._scheduler.asked_again(query, source, members, start_time)).items():
                if outcome.result is None:
                    self._observer.audit_failed(Owner(query.name, source.name, target.key), outcome)
                else:
                    found[target] = counter_totals(outcome.result.samples)
        return found


def _will_close(state: State, start_time: float) -> bool:
    """Whether a target is still to publish the full total of that period; not waited for where its polls fail."""
    is_in_it = state.period_start_time is not None and state.period_start_time <= start_time
    return state.up and is_in_it and (state.closed is None or state.closed.start_time < start_time)


def _finding(time: float, published: Mapping[Target, Totals], found: Mapping[Target, Totals]) -> Finding:
    before, now = _sum([published[target] for target in found]), _sum(list(found.values()))
    names = sorted(before.keys() | now.keys())
    return Finding(time, len(found), before, {name: now.get(name, 0.0) - before.get(name, 0.0) for name in names})


def _sum(totals: Sequence[Totals]) -> Totals:
    names = sorted({name for one in totals for name in one})
    return {name: sum(one.get(name, 0.0) for one in totals) for name in names}


def _ended_start_time(query: QueryPlan, time: float) -> float:
    """When the last period began that had ended at that time; Unix seconds."""
    assert query.period is not None
    end = period_start(datetime.fromtimestamp(time, UTC), query.period, query.zone)
    return period_start(end, query.period, query.zone).timestamp()
