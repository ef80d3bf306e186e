"""What holds a source's polls back: pauses that it asked for, and what becomes of them at a reload."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from exporter.model.clock import Clock
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import Operation, Response
from exporter.plan.operation import label_values
from exporter.plan.plan import Target
from exporter.polling.course import courses
from exporter.polling.lanes import Lanes
from exporter.series.extraction import Surroundings
from tests.support.plans import planned

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
    """Where it is busy or in trouble, an hour at most; elsewhere `Retry-After` means nothing."""
    pauses: Mapping[Reason, float] = {
        reason: pause(lanes(UpstreamFailure(reason, "no", retry_after_seconds=7200.0)))
        for reason in (Reason.HTTP_429, Reason.HTTP_5XX, Reason.HTTP_4XX)
    }
    assert pauses == {Reason.HTTP_429: 3600.0, Reason.HTTP_5XX: 3600.0, Reason.HTTP_4XX: 0.0}
    assert pause(lanes(UpstreamFailure(Reason.HTTP_429, "no"))) == 0.0


def test_a_reload_tells_which_sources_another_client_asks() -> None:
    """A client that stays has moved nothing."""
    client, other = (Refusing(UpstreamFailure(Reason.CONNECT, "no")) for _ in range(2))
    found = lanes(UpstreamFailure(Reason.CONNECT, "no"))
    assert found.follow(PLAN.sources, {"acme": client}) == {"acme"}
    assert found.follow(PLAN.sources, {"acme": client}) == frozenset()
    assert found.follow(PLAN.sources, {"acme": other}) == {"acme"}
