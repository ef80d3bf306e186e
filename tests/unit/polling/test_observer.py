"""What is said of polls as they happen, from the first poll of a plan to its last."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from exporter.model.clock import Clock
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import Operation
from exporter.plan.plan import Plan
from exporter.polling.observer import Observer
from exporter.series.store import Owner
from exporter.telemetry.reporter import Reporter
from tests.support.plans import planned
from tests.support.polls import Answer, Api, Recorder, Wired, in_quick_time, run_for

LIMITED = """\
sources:
  - {name: acme, url: "https://api.example/", rate_limit: {requests: 60, per: 1m}}
"""
FAN_OUT = """
- {name: items, interval: 1m, document: "{ items { id } }", rows: items}
- {name: value, interval: 1m, stale_after: 10m, for_each: {item: items}, pack: 4,
   document: "query ($id: ID) { value(id: $id) }", variables: {id: "{{ item.id }}"}, labels: {id: "{{ item.id }}"},
   metrics: [{name: value, help: V., value: value}]}
"""


def observe(plan: Plan, answer: Callable[[Operation, float], Answer], seconds: float) -> Recorder:
    """What an observer is told of so many seconds of polling; the API answers by operation and time."""
    recorder = Recorder()

    async def work(clock: Clock) -> None:
        began_at = clock.monotonic()
        api = Api(lambda operation: answer(operation, clock.monotonic() - began_at))
        wired = Wired.of(plan, api, recorder, clock)
        await run_for(seconds, wired.scheduler.run(), wired.results.keep_expiring())

    in_quick_time(work)
    return recorder


def items(operation: Operation, *names: str, most: int = 100) -> Answer:
    """An API with these items, whose value is 1, that takes so many aliases."""
    if "items" in operation.document:
        return {"items": [{"id": name} for name in names]}
    ids = [key for key in operation.variables if key.endswith("id")]
    if len(ids) > most:
        return UpstreamFailure(Reason.HTTP_4XX, "too many aliases")
    return {f"{key.removesuffix('id')}value": 1 for key in ids}


def test_every_poll_is_told() -> None:
    """One for each target and tick: the first at once, the others once an interval."""
    recorder = observe(planned(FAN_OUT, LIMITED), lambda operation, _: items(operation, "a", "b"), 601.0)
    polls = [(owner.query, outcome.reason) for owner, outcome, _ in recorder.named("poll")]
    assert {reason for _, reason in polls} == {None}
    assert sum(query == "items" for query, _ in polls) in (10, 11)
    assert sum(query == "value" for query, _ in polls) in (20, 22)
    assert recorder.named("overrun") == recorder.named("expiry") == recorder.named("drop") == []


def test_a_target_that_is_gone_is_told() -> None:
    """Once, with its owner."""

    def answer(operation: Operation, at: float) -> Answer:
        return items(operation, *("a", "b") if at < 300 else ("b",))

    ((owner,),) = observe(planned(FAN_OUT, LIMITED), answer, 601.0).named("drop")
    assert (owner.query, owner.source, '"a"' in owner.target) == ("value", "acme", True)


def test_values_that_go_stale_are_told() -> None:
    """Where polls fail for longer than `stale_after`, of each target once."""

    def answer(operation: Operation, at: float) -> Answer:
        if at > 120 and "value" in operation.document:
            return UpstreamFailure(Reason.CONNECT, "refused")
        return items(operation, "a", "b")

    recorder = observe(planned(FAN_OUT, LIMITED), answer, 1200.0)
    assert sorted(owner.query for (owner,) in recorder.named("expiry")) == ["value", "value"]


def test_packs_that_are_refused_are_told_once() -> None:
    """With the size that is taken, and the words of the server."""

    def answer(operation: Operation, _: float) -> Answer:
        return items(operation, "a", "b", "c", "d", most=2)

    recorder = observe(planned(FAN_OUT, LIMITED), answer, 601.0)
    assert recorder.named("pack_refusal") == [("value", "acme", 2, "too many aliases")]


def test_the_demand_on_a_limited_source_is_told_as_it_changes() -> None:
    """Its last word is what the targets need now."""
    recorder = observe(planned(FAN_OUT, LIMITED), lambda operation, _: items(operation, "a", "b"), 120.0)
    source, demand = recorder.named("demand")[-1]
    assert (source, dict(demand.calls), demand.limit) == ("acme", {"items": 1.0, "value": 1.0}, 60.0)
    without = observe(planned(FAN_OUT), lambda operation, _: items(operation, "a"), 120.0)
    assert without.named("demand") == []


def test_ticks_that_a_slow_source_costs_are_told() -> None:
    """A pause that the source asked for is longer than an interval; each tick in it is missed."""

    def answer(operation: Operation, at: float) -> Answer:
        if at < 1:
            return UpstreamFailure(Reason.HTTP_429, "slow down", retry_after_seconds=300.0)
        return items(operation, "a")

    recorder = observe(planned('- {name: q, interval: 1m, document: "{ items { id } }", rows: items}'), answer, 601.0)
    missed = sum(ticks for _, ticks in recorder.named("overrun"))
    assert missed in (4, 5)
    assert {owner for owner, _ in recorder.named("overrun")} == {Owner("q", "acme", "")}


def test_whoever_counts_and_logs_can_be_told_everything() -> None:
    """The program's own observer takes each word with the same arguments, and so does the one of these tests."""
    words = {name: call for name, call in inspect.getmembers(Observer, inspect.isfunction) if name.startswith("on_")}
    assert words
    for kind in (Reporter, Recorder):
        for name, call in words.items():
            assert list(inspect.signature(getattr(kind, name)).parameters) == list(inspect.signature(call).parameters)
