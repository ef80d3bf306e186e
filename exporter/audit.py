"""The audit: some time after a period has ended its totals are asked again, and compared with what was published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from exporter.config.source import Source
from exporter.model import Family, MetricType, PollOutcome
from exporter.plan import QueryPlan, Target
from exporter.query import Moment
from exporter.scheduler import Scheduler
from exporter.store import ClosedPeriod, Owner, Store
from exporter.window import period_end

_CHECK_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 300.0  # after an audit that failed


@dataclass(frozen=True, slots=True)
class Finding:
    """What a period's totals, over all targets, are now above what was published at its end, by metric; and what that
    was. `time` is of the audit, `period_start_time` of the period, in Unix seconds."""

    period_start_time: float
    time: float
    published: Mapping[str, float]
    difference: Mapping[str, float]


class Auditor:
    """Audits each query that asks for it, once a period. What was published before a restart is not known any more,
    so nothing is said of it."""

    def __init__(self, scheduler: Scheduler, store: Store, wall: Callable[[], float] = time.time) -> None:
        self._scheduler = scheduler
        self._store = store
        self._wall = wall
        self._not_before: dict[tuple[str, str], float] = {}
        self.findings: dict[tuple[str, str], Finding] = {}

    async def run(self) -> None:
        """Audits for ever; ends only by being cancelled."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            plan = self._scheduler.plan
            pairs = {(query.name, source.name) for query in plan.queries for source in query.sources}
            self.findings = {pair: finding for pair, finding in self.findings.items() if pair in pairs}
            for query in plan.queries:
                for source in query.sources:
                    if query.audit_after_seconds is not None:
                        await self._audit(query, source, query.audit_after_seconds)

    async def _audit(self, query: QueryPlan, source: Source, after_seconds: float) -> None:
        """Audits the period that ended last, where that is due and was not done."""
        pair, now = (query.name, source.name), self._wall()
        closed = self._closed(query, source)
        start_times = {one.start_time for one in closed.values()}
        if len(start_times) != 1 or now < self._not_before.get(pair, 0.0):  # not all targets have closed it yet
            return
        [start_time] = start_times
        known = self.findings.get(pair)
        start, end = _period(query, start_time)
        if (known is not None and known.period_start_time >= start_time) or now < end.timestamp() + after_seconds:
            return
        assert query.window is not None
        moment = Moment(query.window.ending_at(end), start)
        families = {each.family for each in query.metrics if each.family.type is MetricType.COUNTER}
        published, found = dict.fromkeys(families, 0.0), dict.fromkeys(families, 0.0)
        for target, one in closed.items():
            if one.end_time != end.timestamp():
                continue  # its full total was not published
            outcome = await self._scheduler.asked_over(query, source, target, moment)
            if outcome.result is None:
                self._not_before[pair] = self._wall() + _AGAIN_SECONDS
                return
            for family in families:
                published[family] += sum(one.counters.get(family, {}).values())
                found[family] += _total(outcome, family)
        if not any(one.end_time == end.timestamp() for one in closed.values()):
            return
        self.findings[pair] = Finding(
            start_time,
            self._wall(),
            {family.name: total for family, total in published.items()},
            {family.name: found[family] - total for family, total in published.items()},
        )

    def _closed(self, query: QueryPlan, source: Source) -> dict[Target, ClosedPeriod]:
        """The last period that each target has closed, of those that are published here."""
        states = {
            target: self._store.state(Owner(query.name, source.name, target.key)).closed
            for target in self._scheduler.published_targets(query, source)
        }
        return {target: closed for target, closed in states.items() if closed is not None}


def _period(query: QueryPlan, start_time: float) -> tuple[datetime, datetime]:
    assert query.period is not None
    start = datetime.fromtimestamp(start_time, UTC).astimezone(query.zone)
    return start, period_end(start, query.period, query.zone)


def _total(outcome: PollOutcome, family: Family) -> float:
    assert outcome.result is not None
    return sum(sum(one.series.values()) for one in outcome.result.samples if one.family == family)
