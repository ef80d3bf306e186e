"""What holds a source's polls back: pauses that it asked for, and what becomes of them at a reload."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping

from exporter.model.budget import Budget
from exporter.model.clock import Clock
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import Operation, PollOutcome, Response
from exporter.model.samples import Json
from exporter.plan.operation import label_values
from exporter.plan.plan import Target
from exporter.polling.course import courses
from exporter.polling.lanes import Lanes
from exporter.series.label_texts import Surroundings
from exporter.upstream.gate import Gate
from tests.support.plans import SOURCE, planned

PLAN = planned('- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}')
CLOCK = Clock(monotonic=lambda: 1000.0, wall=lambda: 0.0)


class Refusing:
    """An API that answers with a failure."""

    def __init__(self, failure: UpstreamFailure) -> None:
        self._failure = failure

    async def execute(self, operation: Operation, *, deadline_seconds: float, **_: object) -> Response:
        raise self._failure


def lanes(failure: UpstreamFailure) -> Lanes:
    found = Lanes(lambda _, source, target: Surroundings(label_values(source, target)), CLOCK)
    found.follow(PLAN.sources, {"acme": Refusing(failure)})
    return found


def pause(found: Lanes) -> float:
    """How long the source is left alone after a poll."""
    (course,) = courses(PLAN)
    asyncio.run(found.poll(course, {Target({}): None}, 1))
    return found.gates["acme"].remaining_seconds(1000.0)


def test_a_source_that_asks_for_it_is_left_alone() -> None:
    """Whatever it fails with, an hour at most."""
    pauses: Mapping[Reason, float] = {
        reason: pause(lanes(UpstreamFailure(reason, "no", retry_after_seconds=7200.0)))
        for reason in (Reason.HTTP_429, Reason.HTTP_5XX, Reason.HTTP_4XX)
    }
    assert pauses == {Reason.HTTP_429: 3600.0, Reason.HTTP_5XX: 3600.0, Reason.HTTP_4XX: 3600.0}
    assert pause(lanes(UpstreamFailure(Reason.HTTP_429, "no"))) == 0.0


def test_a_reload_tells_which_sources_another_client_asks() -> None:
    """A client that stays has moved nothing."""
    client, other = (Refusing(UpstreamFailure(Reason.CONNECT, "no")) for _ in range(2))
    found = lanes(UpstreamFailure(Reason.CONNECT, "no"))
    assert found.follow(PLAN.sources, {"acme": client}) == {"acme"}
    assert found.follow(PLAN.sources, {"acme": client}) == frozenset()
    assert found.follow(PLAN.sources, {"acme": other}) == {"acme"}


PAGES = planned("""
- name: q
  document: "query ($limit: Int, $offset: Int) { rows(limit: $limit, offset: $offset) { total items { n } } }"
  variables: {limit: 1, offset: 0}
  rows: rows.items
  pages: {size: 1, limit: limit, offset: offset, total: rows.total}
  metrics: [{name: n, help: N., value: n, aggregate: sum}]
""")


def test_a_budget_that_is_spent_holds_the_next_page() -> None:
    """Also within a poll, nothing is asked before there is a budget again; the wait is no fault of the API."""

    class Spent:
        """An API that allows one request in a while."""

        def __init__(self) -> None:
            self.asked_at: list[float] = []

        async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
            self.asked_at.append(asyncio.get_running_loop().time())
            data: dict[str, Json] = {"rows": {"total": 3, "items": [{"n": 1}]}}
            shaped = operation.shape.convert({"data": data}).data if operation.shape is not None else None
            return Response(data, shaped=shaped, retry_after_seconds=0.05, budget=Budget(0, 1))

    async def poll() -> tuple[list[float], PollOutcome, Gate]:
        client, found = Spent(), Lanes(lambda _, source, target: Surroundings(label_values(source, target)))
        found.follow(PAGES.sources, {"acme": client})
        (course,) = courses(PAGES)
        polled = await found.poll(course, {Target({}): None}, 1)
        return client.asked_at, polled.outcomes[Target({})], found.gates["acme"]

    asked_at, outcome, gate = asyncio.run(poll())
    assert outcome.reason is None, outcome.detail
    assert len(asked_at) == 3
    assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(asked_at))
    assert gate.budget == Budget(0, 1)


def test_a_pause_does_not_let_polls_gather_before_the_rate_limit() -> None:
    """An answer asks for a pause while other polls wait for the limit: after it they go one by one, as before it."""
    limited = SOURCE.replace("url:", "concurrency: 4, rate_limit: {requests: 1, per: 200ms}, url:")
    plan = planned('- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}', limited)
    asked_at: list[float] = []

    class Pausing:
        """An API that asks for a pause with its first answer."""

        async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
            asked_at.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.01)  # meanwhile, the others begin to wait
            raise UpstreamFailure(Reason.HTTP_429, "no", retry_after_seconds=0.7 if len(asked_at) == 1 else None)

    async def poll() -> None:
        found = Lanes(lambda _, source, target: Surroundings(label_values(source, target)))
        found.follow(plan.sources, {"acme": Pausing()})
        (course,) = courses(plan)
        await asyncio.gather(*(found.poll(course, {Target({}): None}, 1) for _ in range(4)))

    asyncio.run(poll())
    first, second, *_ = asked_at
    assert second - first >= 0.7
    assert all(later - earlier >= 0.2 for earlier, later in itertools.pairwise(asked_at))
