"""When polls begin, where some wait for others."""

from __future__ import annotations

import asyncio
from typing import Final

from exporter.model.clock import Clock
from exporter.model.outcome import Operation, Response
from tests.support.plans import planned
from tests.support.polls import Recorder, Wired, in_quick_time

SLOW_SECONDS: Final = 8.0
SOURCE: Final = """\
sources: [{name: acme, url: "https://api.example/"}]
lookups: [{name: names, rows_of: items, key: id, fields: {name: name}}]
"""
QUERIES: Final = """
- {name: items, interval: 1h, document: "{ items { id name } }", rows: items}
- name: value
  interval: 1h
  document: "{ values { id n } }"
  metrics: [{name: value, help: V., value: values.n, labels: {name: {lookup: names, key: values.id, field: name}}}]
"""


class SlowNames:
    """An API whose items take long."""

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        del deadline_seconds
        if "items" not in operation.document:
            return Response({"values": [{"id": "a", "n": 1}]})
        await asyncio.sleep(SLOW_SECONDS)
        return Response({"items": [{"id": "a", "name": "Anna"}]})


def test_who_waits_for_names_looks_for_them_ever_more_rarely() -> None:
    """Thousands of queries may wait for one, and the processor is needed for others meanwhile."""
    looks: list[float] = []

    async def work(clock: Clock) -> list[float]:
        def monotonic() -> float:
            looks.append(clock.monotonic())
            return looks[-1]

        recorder, wired_clock = Recorder(), Clock(monotonic, clock.wall)
        began_at = clock.monotonic()
        task = asyncio.create_task(
            Wired.of(planned(QUERIES, SOURCE), SlowNames(), recorder, wired_clock).scheduler.run()
        )
        await asyncio.sleep(SLOW_SECONDS + 1)
        task.cancel()
        await asyncio.wait({task})
        assert [owner.query for owner, _, _ in recorder.named("poll")] == ["items", "value"]
        return [at - began_at for at in looks if 1 < at - began_at < SLOW_SECONDS]

    assert 5 < len(in_quick_time(work)) < 50
