"""History from the API, moment by moment, into a file that a stopped run goes on with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.cli.ad_hoc import Round
from exporter.cli.backfill.fill import Interrupted, Progress, Span, fan_outs, fill, request_count, with_history
from exporter.cli.backfill.history import History
from exporter.model.errors import Failure, Reason, UpstreamFailure
from exporter.model.outcome import Operation
from exporter.plan.plan import Plan
from tests.support.clients import Answering, clock_at
from tests.support.plans import planned

QUERIES = """
- {name: shops, document: "{ shops { id } }", rows: shops}
- name: orders
  interval: 1m
  for_each: {shop: shops}
  window: {length: 1m}
  document: "query ($id: ID, $to: T) { open(id: $id, to: $to) }"
  variables: {id: "{{ shop.id }}", to: "{{ window.end }}"}
  labels: {shop: "{{ shop.id }}"}
  metrics: [{name: shop_open_orders, help: Orders., value: open}]
- name: slow
  interval: 5m
  window: {length: 5m}
  document: "query ($to: T) { slow(to: $to) }"
  variables: {to: "{{ window.end }}"}
  metrics: [{name: shop_slow, help: Slow., value: slow}]
- {name: now, document: "{ n }", metrics: [{name: n, help: N., value: n}]}
"""
START = 1_795_478_400.0  # a whole day
SPAN = Span(START, START + 300)
Answer = Mapping[str, Any] | Failure
FORBIDDEN = UpstreamFailure(Reason.FORBIDDEN, "no")


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path / "h")
    yield made
    made.close()


def answer(operation: Operation) -> Answer:
    if "shops" in operation.document:
        return {"shops": [{"id": "a"}, {"id": "b"}]}
    return {"slow": 1} if "slow" in operation.document else {"open": 2}


def filled(history: History, client: Answering, span: Span = SPAN, plan: Plan | None = None) -> Progress:
    """How a run went. Raises `Interrupted`."""
    plan = plan or planned(QUERIES)
    reports: list[tuple[int, int]] = []

    async def work() -> Progress:
        a_round = Round(plan, lambda *_: client, clock_at(START))
        found = await fan_outs(a_round, with_history(plan, ()))
        progress = await fill(a_round, found, span, history, lambda at: reports.append((at.done, at.total)))
        assert progress.total == request_count(found, span)
        return progress

    progress = asyncio.run(work())
    assert [done for done, _ in reports] == [*range(1, progress.total + 1), progress.total]
    return progress


def asked(client: Answering) -> list[tuple[Any, str]]:
    """Which shop was asked for, and to which minute."""
    return [(one.variables.get("id"), str(one.variables["to"])[11:16]) for one in client.sent if one.variables]


@pytest.mark.parametrize(
    ("span", "times"),
    [
        (Span(START, START + 180), [0, 60, 120]),
        (Span(START + 1, START + 180), [60, 120]),
        (Span(START, START + 181), [0, 60, 120, 180]),
        (Span(START, START + 180, 90.0), [0, 90]),
        (Span(START + 10, START + 50), []),
    ],
)
def test_moments_are_multiples_of_the_step(span: Span, times: list[float]) -> None:
    """From the start to before the end; the step is the query's interval unless another is given."""
    orders = planned(QUERIES).queries[1]
    assert orders.name == "orders"
    assert [at - START for at in span.times(orders)] == times


def test_only_queries_with_a_window_and_metrics_have_a_past() -> None:
    """Of those that are named, if any are."""
    plan = planned(QUERIES)
    assert [query.name for query in with_history(plan, ())] == ["orders", "slow"]
    assert [query.name for query in with_history(plan, ("slow", "now"))] == ["slow"]


def test_everything_is_asked_once_and_the_oldest_first(history: History) -> None:
    """Each target at each moment, in the order of time; a run that is repeated asks nothing of it again."""
    client = Answering(answer)
    progress = filled(history, client)
    assert (progress.total, progress.done, progress.asked, progress.failures) == (11, 11, 11, {})
    found = asked(client)
    assert sorted(found, key=str) == sorted(
        [*((shop, f"00:0{minute}") for shop in "ab" for minute in range(5)), (None, "00:00")], key=str
    )
    assert [time for _, time in found] == sorted(time for _, time in found)
    again = Answering(answer)
    progress = filled(history, again)
    assert (progress.done, progress.asked, asked(again)) == (11, 0, [])
    longer = Answering(answer)
    filled(history, longer, Span(START, START + 360))
    assert sorted(asked(longer), key=str) == [("a", "00:05"), ("b", "00:05"), (None, "00:05")]


def test_what_is_shown_is_asked_first(history: History) -> None:
    """All of a query that has a metric of a dashboard or rule comes before the others, the oldest first."""
    client = Answering(answer)

    async def work() -> None:
        plan = planned(QUERIES)
        a_round = Round(plan, lambda *_: client, clock_at(START))
        found = await fan_outs(a_round, with_history(plan, ()), {"shop_slow", "other"})
        assert [(one.course.query.name, one.is_first) for one in found] == [("orders", False), ("slow", True)]
        await fill(a_round, found, Span(START, START + 900, 300), history, lambda _: None)

    asyncio.run(work())
    found = [(shop is None, time) for shop, time in asked(client)]
    assert found == [*((True, f"00:{at:02d}") for at in (0, 5, 10)),
                     *((False, f"00:{at:02d}") for at in (0, 5, 10) for _ in "ab")]  # fmt: skip


def test_packs_are_one_request(history: History) -> None:
    """As many targets as the configuration packs go into one operation."""
    plan = planned(QUERIES.replace("for_each: {shop", "pack: 2\n  for_each: {shop"))
    client = Answering(answer)

    async def work() -> int:
        a_round = Round(plan, lambda *_: client, clock_at(START))
        (found,) = await fan_outs(a_round, with_history(plan, ("orders",)))
        assert [len(pack) for pack in found.packs] == [2]
        return request_count((found,), SPAN)

    assert asyncio.run(work()) == 5


def test_a_target_that_is_refused_again_and_again_is_left_alone(history: History) -> None:
    """After three refusals; the others are written, and what failed is counted with its reason."""
    client = Answering(lambda one: FORBIDDEN if one.variables.get("id") == "a" else answer(one))
    progress = filled(history, client)
    assert progress.failures == {("orders", "forbidden: no"): 3}
    assert len([shop for shop, _ in asked(client) if shop == "a"]) == 3
    assert len([shop for shop, _ in asked(client) if shop == "b"]) == 5
    assert progress.done == progress.total


def test_a_good_answer_in_between_forgives(history: History) -> None:
    """Only failures in a row count."""
    refused = iter((True, True, False, True, True))
    client = Answering(lambda one: FORBIDDEN if one.variables.get("id") == "a" and next(refused) else answer(one))
    assert filled(history, client).failures == {("orders", "forbidden: no"): 4}


def test_what_may_pass_is_tried_again(history: History) -> None:
    """After the time that the API asks for; nothing of it counts as a failure."""
    once = iter((UpstreamFailure(Reason.HTTP_5XX, "busy", retry_after_seconds=0.01),))
    client = Answering(lambda one: next(once, None) or answer(one) if one.variables else answer(one))
    progress = filled(history, client)
    assert (progress.failures, progress.done, progress.asked) == ({}, 11, 12)


def test_an_api_that_stays_away_interrupts_the_run_and_what_came_is_kept(history: History) -> None:
    """The next run goes on where this one was."""
    away = UpstreamFailure(Reason.TIMEOUT, "late", retry_after_seconds=0.001)
    client = Answering(lambda one: away if "00:02" in str(one.variables.get("to")) else answer(one))
    with pytest.raises(Interrupted, match=r"^orders: timeout: late$"):
        filled(history, client)
    assert sum(time == "00:02" for _, time in asked(client)) >= 8
    again = Answering(answer)
    progress = filled(history, again)
    assert (progress.done, progress.total) == (11, 11)
    assert not any(time < "00:02" for _, time in asked(again))


def test_without_the_rows_that_are_needed_nothing_begins(history: History) -> None:
    """The query that feeds another is named, with its failure."""
    client = Answering(lambda _: FORBIDDEN)
    with pytest.raises(Interrupted, match=r"^shops, which orders needs: forbidden: no$"):
        filled(history, client)
