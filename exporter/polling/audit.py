"""The audit: some time after a period has ended its totals are asked again, and compared with what was published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Final

from msgspec import Struct

from exporter.config.source import Source
from exporter.model.samples import counter_totals
from exporter.model.window import period_start
from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.polling.audit_finding import Finding, Totals
from exporter.polling.course import Course
from exporter.polling.lanes import Lanes
from exporter.polling.observer import Observer
from exporter.polling.poll import failed_outcome
from exporter.polling.targets import Targets
from exporter.series.store import State, Store

_CHECK_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 300.0  # between two rounds of calls that failed


class _Audit(Struct, frozen=True):
    """The audit of one period, begun; `part` is all that decides what it asks."""

    identity: tuple[QueryPlan, Source]
    period_start_time: float
    task: asyncio.Task[None]


class Auditor:
    """Audits each query that asks for it, once a period, over the targets whose full total was published. What was
    published before a restart is not known any more, so nothing is said of it."""

    def __init__(
        self,
        targets: Targets,
        lanes: Lanes,
        store: Store,
        observer: Observer,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._targets = targets
        self._lanes = lanes
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
                for course in self._targets.courses:
                    if course.query.audit_after_seconds is not None:
                        self._begin_if_due(group, course, course.query.audit_after_seconds)

    def follow(self, plan: Plan) -> None:
        """Forgets what was found of queries that are gone or have changed, and ends the audits of those at once."""
        identities = plan.identities if self._audits else {}
        for pair, audit in tuple(self._audits.items()):
            if identities.get(pair) != audit.identity:
                audit.task.cancel()
                del self._audits[pair]
                self.findings.pop(pair, None)

    def _begin_if_due(self, group: asyncio.TaskGroup, course: Course, after_seconds: float) -> None:
        """Begins the audit that is due, once every target has published its total; one that goes on is given up."""
        before = self._audits.get(course.key)
        start_time = _ended_start_time(course.query, self._wall() - after_seconds)
        if before is not None and before.period_start_time >= start_time:
            return
        states = {target: self._store.state(course.owner(target)) for target in self._targets.to_publish(course)}
        if any(_will_close(state, start_time) for state in states.values()):
            return
        if before is not None:
            before.task.cancel()
        closed = {target: state.closed for target, state in states.items() if state.closed is not None}
        published = {target: one.totals for target, one in closed.items() if one.start_time == start_time}
        task = group.create_task(self._audit(course, start_time, published))
        self._audits[course.key] = _Audit((course.query, course.source), start_time, task)

    async def _audit(self, course: Course, start_time: float, published: Mapping[Target, Totals]) -> None:
        """Audits a period; never raises, as a fault of ours must not end the polling of everything."""
        try:
            await self._compare(course, start_time, published)
        except Exception as error:
            outcome = failed_outcome(error, 0.0)
            for target in published:
                self._observer.on_audit_failure(course.owner(target), outcome)

    async def _compare(self, course: Course, start_time: float, published: Mapping[Target, Totals]) -> None:
        """Asks until all targets have answered, those that failed again and again, ever more rarely; or until the time
        is over in which that period can be asked for."""
        found: dict[Target, Totals] = {}
        rounds = 0
        while missing := [
            target for target in self._targets.to_publish(course) if target in published and target not in found
        ]:
            if rounds:
                await asyncio.sleep(min(2.0 ** min(rounds, 16), _LONGEST_PAUSE_SECONDS))
            rounds += 1
            answers = await self._ask_again(course, start_time, missing)
            found |= {target: totals for target, totals in answers.items() if totals is not None}
            if found:
                self.findings[course.key] = _finding(self._wall(), published, found)
            if None in answers.values():
                break
        if found:
            self._observer.on_finding(*course.key, self.findings[course.key])

    async def _ask_again(
        self, course: Course, start_time: float, missing: Sequence[Target]
    ) -> dict[Target, Totals | None]:
        """What the full totals of a period that has ended are now, of the targets that answered; None where it was too
        late, so that another period was asked for. Nothing is published.

        It is the poll of its end: the one that would be made if the page still stood at its start.
        """
        found: dict[Target, Totals | None] = {}
        known = self._targets.fan_out(*course.key)
        size = known.size.present if known is not None else 1
        for first in range(0, len(missing), size):
            members = missing[first : first + size]
            async with self._lanes.place(course):
                polled = await self._lanes.poll(course, dict.fromkeys(members, start_time), size)
            for target, outcome in polled.outcomes.items():
                result = outcome.result
                if result is None:
                    self._observer.on_audit_failure(course.owner(target), outcome)
                else:
                    is_of_it = result.period_start_time == start_time and result.period_complete
                    found[target] = counter_totals(result.samples) if is_of_it else None
        return found


def _will_close(state: State, start_time: float) -> bool:
    """Whether a target is still to publish the full total of that period; not waited for where its polls fail."""
    is_in_it = state.period_start_time is not None and state.period_start_time <= start_time
    return state.up and is_in_it and (state.closed is None or state.closed.start_time < start_time)


def _finding(time: float, published: Mapping[Target, Totals], found: Mapping[Target, Totals]) -> Finding:
    before, now = _sum([published[target] for target in found]), _sum(list(found.values()))
    names = sorted(before.keys() | now.keys())
    difference = {name: now.get(name, 0.0) - before.get(name, 0.0) for name in names}
    return Finding(time, len(found), before, {name: one for name, one in difference.items() if isfinite(one)})


def _sum(totals: Sequence[Totals]) -> Totals:
    names = sorted({name for one in totals for name in one})
    return {name: sum(one.get(name, 0.0) for one in totals) for name in names}


def _ended_start_time(query: QueryPlan, time: float) -> float:
    """When the last period began that had ended at that time; Unix seconds."""
    assert query.period is not None
    end = period_start(datetime.fromtimestamp(time, UTC), query.period, query.zone)
    return period_start(end, query.period, query.zone).timestamp()
