"""Queries asked once, after those whose rows they need."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.cli.ad_hoc import Listening, Round, paces
from exporter.model.errors import Failure, Reason, ResultFailure, UpstreamFailure
from exporter.model.outcome import Operation, Response
from exporter.model.window import TimeRange
from exporter.plan.operation import Moment
from exporter.plan.plan import Plan, Target
from tests.support.clients import Answering, clock_at, course_of
from tests.support.plans import planned

QUERIES = """
- {name: shops, document: "{ shops { id name } }", rows: shops}
- name: names
  document: "{ names { id name } }"
  rows: names
- name: orders
  for_each: {shop: shops}
  window: {length: 1m}
  document: "query ($id: ID, $from: T, $to: T) { open(id: $id, from: $from, to: $to) }"
  variables: {id: "{{ shop.id }}", from: "{{ window.start }}", to: "{{ window.end }}"}
  labels: {shop: "{{ shop.name }}"}
  metrics: [{name: shop_open_orders, help: Orders., value: open}]
"""
SHOPS = [{"id": "s-1", "name": "One"}, {"id": "s-2", "name": "Two"}, {"id": "s-3", "name": "Three"}]
NOW = 1_795_478_400.0


def answer(operation: Operation) -> Mapping[str, Any] | Failure:
    if "shops" in operation.document:
        return {"shops": SHOPS}
    return {"open": len(str(operation.variables["id"]))}


def round_of(client: Answering, plan: Plan | None = None) -> Round:
    return Round(plan or planned(QUERIES), lambda *_: client, clock_at(NOW))


def test_what_a_query_needs_is_asked_first_and_once() -> None:
    """The feeding query comes before; however often it is needed, and each target asked, it is one request each."""

    async def run() -> None:
        client = Answering(answer)
        a_round = round_of(client)
        course = course_of(a_round.plan, "orders")
        assert a_round.targets(course) == ()
        for _ in range(2):
            (needed,) = await a_round.prepare(course)
            assert (needed.query.name, needed.owner.query, needed.target) == ("shops", "shops", Target({}))
        targets = a_round.targets(course)
        assert [target.values["shop.id"] for target in targets] == ["s-1", "s-2", "s-3"]
        first = await a_round.ask(course, targets[1])
        assert await a_round.ask(course, targets[1]) is first
        assert [operation.variables.get("id") for operation in client.sent] == [None, "s-2"]
        assert [one.query.name for one in a_round.asked] == ["shops", "orders"]
        assert first.outcome.result is not None
        assert first.outcome.result.series_count == 1
        assert first.responses == (Response({"open": 3}),)
        assert first.exchanges[0].sent.variables["to"] == "2026-11-24T00:00:00.000+00:00"
        assert first.exchanges[0].sent.shape is None

    asyncio.run(run())


def test_a_failure_is_part_of_what_was_seen() -> None:
    """The poll fails with its reason, and the exchange has the failure in place of an answer."""

    async def run() -> None:
        client = Answering(lambda _: UpstreamFailure(Reason.FORBIDDEN, "no"))
        a_round = round_of(client)
        asked = await a_round.ask(course_of(a_round.plan, "shops"), Target({}))
        assert (asked.outcome.reason, asked.responses) == (Reason.FORBIDDEN, ())
        assert isinstance(asked.exchanges[0].answer, UpstreamFailure)

    asyncio.run(run())


def test_more_calls_than_allowed_are_refused() -> None:
    """`max_calls` holds for commands, too, to the call."""

    async def targets(limit: int, pack: str = "") -> int:
        plan = planned(QUERIES.replace("for_each: {shop", f"max_calls: {limit}{pack}\n  for_each: {{shop"))
        a_round = round_of(Answering(answer), plan)
        course = course_of(plan, "orders")
        await a_round.prepare(course)
        return len(a_round.targets(course))

    assert asyncio.run(targets(3)) == 3
    with pytest.raises(ResultFailure, match="orders: 3 calls are needed, and max_calls is 2") as failed:
        asyncio.run(targets(2))
    assert failed.value.reason is Reason.FAN_OUT
    assert asyncio.run(targets(2, "\n  pack: 2")) == 3
    with pytest.raises(ResultFailure, match="orders: 2 calls are needed, and max_calls is 1"):
        asyncio.run(targets(1, "\n  pack: 2"))


def test_another_moment_has_another_window() -> None:
    """Polls as at another time, and over any range, ask for that."""

    async def run() -> None:
        client = Answering(answer)
        a_round = round_of(client)
        course = course_of(a_round.plan, "orders")
        await a_round.prepare(course)
        members = a_round.targets(course)[:2]
        outcomes = await a_round.poll_at(course, members, NOW - 86_400, None)
        assert set(outcomes) == set(members)
        assert all(outcome.result is not None for outcome in outcomes.values())
        asked = {(one.variables["id"], one.variables["to"]) for one in client.sent[1:]}
        assert asked == {(shop, "2026-11-23T00:00:00.000+00:00") for shop in ("s-1", "s-2")}
        start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
        outcome = await a_round.poll_over(course, members[0], Moment(TimeRange(start, end), start))
        assert outcome.result is not None
        sent = client.sent[-1].variables
        assert (sent["from"], sent["to"]) == ("2026-01-01T00:00:00.000+00:00", "2026-02-01T00:00:00.000+00:00")
        assert a_round.asked[-1].query.name == "shops"  # what is asked of another time is not kept

    asyncio.run(run())


def test_an_operation_of_ones_own_comes_back_with_its_time() -> None:
    """A response or a failure, and never an exception."""

    async def run() -> None:
        a_round = round_of(Answering(lambda operation: {"x": 1} if operation.variables else Failure(Reason.DNS, "no")))
        course = course_of(a_round.plan, "shops")
        good, seconds = await a_round.send(course, Operation("{ x }", {"a": 1}))
        assert good == Response({"x": 1})
        assert seconds >= 0
        bad, _ = await a_round.send(course, Operation("{ x }", {}))
        assert isinstance(bad, Failure)
        assert bad.reason is Reason.DNS

    asyncio.run(run())


def test_a_pause_that_the_source_asks_for_is_waited_out() -> None:
    """Where a person waits, a refused request is repeated after the time that the source names; a long one, and one
    that comes again and again, is reported as it came."""

    def refusing(times: int, seconds: float) -> tuple[Answering, Round]:
        refusals = [UpstreamFailure(Reason.HTTP_429, "slow down", retry_after_seconds=seconds)] * times
        client = Answering(lambda operation: refusals.pop() if refusals else answer(operation))
        return client, Round(planned(QUERIES), lambda *_: client, clock_at(NOW), repeats=True)

    async def run() -> None:
        client, a_round = refusing(2, 0.02)
        asked = await a_round.ask(course_of(a_round.plan, "shops"), Target({}))
        assert (len(asked.outcome.result.rows if asked.outcome.result else ()), len(client.sent)) == (3, 3)
        for times, seconds in ((9, 0.02), (1, 3601.0)):
            client, a_round = refusing(times, seconds)
            failure, _ = await a_round.send(course_of(a_round.plan, "shops"), Operation("{ shops }", {}))
            assert isinstance(failure, Failure)
            assert len(client.sent) == min(times, 3)

    asyncio.run(run())


def test_the_limits_of_a_source_hold() -> None:
    """No more requests at once than its concurrency, for commands as for the exporter."""

    async def run() -> None:
        running, most = 0, 0

        class Slow(Answering):
            async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
                nonlocal running, most
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.001)
                running -= 1
                return await super().execute(operation, deadline_seconds=deadline_seconds)

        source = 'sources: [{name: acme, url: "https://api.example/", concurrency: 2}]\n'
        plan = planned(QUERIES, source)
        a_round = round_of(Slow(answer), plan)
        course = course_of(plan, "orders")
        await a_round.prepare(course)
        await asyncio.gather(*(a_round.ask(course, target) for target in a_round.targets(course)))
        assert most == 2

    asyncio.run(run())


def test_only_sources_with_a_rate_limit_have_a_pace() -> None:
    """It is that of the configuration."""
    text = (
        'sources:\n  - {name: a, url: "https://a.example/", rate_limit: {requests: 2, per: 1h}, labels: {of: a}}\n'
        '  - {name: b, url: "https://b.example/", labels: {of: b}}\n'
    )
    found = paces(planned(QUERIES, text).sources)
    assert list(found) == ["a"]

    async def run() -> None:
        for _ in range(2):
            await asyncio.wait_for(found["a"].wait_to_pass("q"), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(found["a"].wait_to_pass("q"), 0.05)

    asyncio.run(run())


def test_a_listener_times_by_its_clock() -> None:
    """How long each request took."""
    times = iter((1.0, 3.5, 10.0, 10.25))
    listening = Listening(Answering(lambda _: {"x": 1}), lambda: next(times))

    async def run() -> None:
        for _ in range(2):
            await listening.execute(Operation("{ x }", {}), deadline_seconds=1.0)

    asyncio.run(run())
    assert [exchange.seconds for exchange in listening.exchanges] == [2.5, 0.25]
