"""Audits in quick time: two targets with a counter of ten minutes, audited two minutes after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exporter.model.clock import Clock
from exporter.model.outcome import Operation
from exporter.plan.plan import Plan
from exporter.polling.audit import Auditor
from tests.support.plans import planned
from tests.support.polls import WALL_AT_START, Answer, Api, Recorder, Wired, in_quick_time

LATE: Final = WALL_AT_START + 400.0  # when the period ends in which it begins
_QUERY: Final = """
- name: q
  interval: 1m
  for_each: {x: [a, b]}
  window: {length: 1m, align: 1m}
  period: 10m
  AUDIT
  document: "query ($x: ID, $start: String, $end: String) { total(x: $x, from: $start, to: $end) other(x: $x) }"
  variables: {x: "{{ x }}", start: "{{ period.start }}", end: "{{ window.end }}"}
  labels: {x: "{{ x }}"}
  metrics:
    - {name: value_total, type: counter, help: V., value: total}
    - {name: other_total, type: counter, help: O., value: other}
"""


@dataclass(frozen=True, slots=True)
class Audited:
    """What a run has left behind."""

    plan: Plan
    changed: Plan
    auditor: Auditor
    recorder: Recorder


def asked_late(operation: Operation, now: float) -> bool:
    """Whether the operation asks for a time that was over two minutes ago, as nothing but an audit does."""
    return now - datetime.fromisoformat(str(operation.variables["end"])).timestamp() >= 120


def audited(
    answer: Callable[[Operation, float], Answer],
    seconds: float,
    *,
    audit: str = "audit: {after: 2m}",
    at_end: Callable[[Audited], None] = lambda _: None,
    recorder: Recorder | None = None,
) -> Audited:
    """What comes of so many seconds of polls and audits. The API answers by operation and Unix time."""
    text = _QUERY.replace("AUDIT", audit)
    plan, changed = planned(text), planned(text.replace("name: q\n", "name: q\n  timeout: 5s\n"))
    recorder = recorder or Recorder()

    async def work(clock: Clock) -> Audited:

        def complete(operation: Operation) -> Answer:
            found = answer(operation, clock.wall())
            return {"other": 3, **found} if isinstance(found, dict) else found

        api = Api(complete)
        wired = Wired.of(plan, api, recorder, clock)
        auditor = Auditor(wired.targets, wired.lanes, wired.store, recorder, clock.wall)
        tasks = [asyncio.create_task(wired.scheduler.run()), asyncio.create_task(auditor.run())]
        await asyncio.sleep(seconds)
        run = Audited(plan, changed, auditor, recorder)
        at_end(run)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return run

    return in_quick_time(work)
