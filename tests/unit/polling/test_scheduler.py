"""When polls begin, where some wait for others."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final

from exporter.model.clock import Clock
from exporter.model.errors import Failure, Reason
from exporter.model.outcome import Operation, PollOutcome, Response
from exporter.series.store import Owner
from tests.support.plans import planned
from tests.support.polls import Api, Recorder, Wired, in_quick_time, run_for

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
        wired = Wired.of(planned(QUERIES, SOURCE), SlowNames(), recorder, wired_clock)
        await run_for(SLOW_SECONDS + 1, wired.scheduler.run())
        assert [owner.query for owner, _, _ in recorder.named("poll")] == ["items", "value"]
        return [at - began_at for at in looks if 1 < at - began_at < SLOW_SECONDS]

    assert 5 < len(in_quick_time(work)) < 50


def test_a_pack_that_fails_is_tried_again_as_one() -> None:
    """Its targets go into one request again, however the times of retries are spread."""
    queries = f"""
    - name: items
      interval: 10m
      for_each: {{of: {list(range(25))}}}
      pack: 25
      document: "query ($of: Int) {{ items(of: $of) {{ id }} }}"
      variables: {{of: "{{{{ of }}}}"}}
      rows: items
    - {{name: value, for_each: {{item: items}}, document: "query ($id: ID) {{ v(id: $id) }}",
       variables: {{id: "{{{{ item.id }}}}"}}, labels: {{id: "{{{{ item.id }}}}"}},
       metrics: [{{name: v, help: V., value: v}}]}}
    """
    api, draws = Api(lambda _: Failure(Reason.CONNECT, "refused")), count()

    async def work(clock: Clock) -> None:
        plan = planned(queries)
        wired = Wired.of(plan, api, Recorder(), clock, jitter=lambda: next(draws) % 10 / 10)
        await run_for(300, wired.scheduler.run())

    in_quick_time(work)
    assert 3 <= len(api.sent) <= 5
    assert {len(sent.variables) for sent in api.sent} == {25}


def test_a_pack_stays_one_though_a_tick_passes_while_its_answers_are_taken_in() -> None:
    """When its targets are due next is reckoned from one moment, else some of them would miss a tick."""
    query = f"""
    - name: value
      interval: 1m
      for_each: {{of: {list(range(25))}}}
      pack: 25
      document: "query ($of: Int) {{ v(of: $of) }}"
      variables: {{of: "{{{{ of }}}}"}}
      labels: {{of: "{{{{ of }}}}"}}
      metrics: [{{name: v, help: V., value: v}}]
    """
    api, passed = Api(lambda sent: {f"{name.removesuffix('of')}v": 1 for name in sent.variables}), [0]

    class Slow(Recorder):
        """Takes so long that a tick passes among the targets of most packs."""

        def on_poll(self, owner: Owner, outcome: PollOutcome, decreases: int) -> None:
            super().on_poll(owner, outcome, decreases)
            passed[0] += 2

    async def work(clock: Clock) -> None:
        slow_clock = Clock(lambda: clock.monotonic() + passed[0], lambda: clock.wall() + passed[0])
        await run_for(600, Wired.of(planned(query), api, Slow(), slow_clock).scheduler.run())

    in_quick_time(work)
    assert len(api.sent) > 5
    assert {len(sent.variables) for sent in api.sent} == {25}
