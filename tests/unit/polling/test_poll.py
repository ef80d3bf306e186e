"""One poll: what comes of it, whatever the API or the program does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from weakref import WeakSet

import pytest

from exporter.config.source import Source
from exporter.model.clock import Clock
from exporter.model.errors import Failure, Reason, TokenFailure, UpstreamFailure
from exporter.model.outcome import GraphQLError, Operation, PollOutcome, Response, Result
from exporter.model.samples import Family, Json, MetricType, Samples
from exporter.model.window import TimeRange
from exporter.plan.operation import Moment, label_values
from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.polling.course import Course, courses
from exporter.polling.poll import PackOutcome, Poller, failed_outcome, render_ahead
from exporter.series.label_texts import Surroundings
from exporter.series.store import Rendered
from exporter.upstream.graphql import BIG_BYTES
from exporter.upstream.memory import NoMemory
from tests.support.plans import planned
from tests.support.polls import WALL_AT_START, Answer, Api, partial

PLAN = planned("""
- name: q
  timeout: 7s
  for_each: {x: [a, b, c, d]}
  window: {length: 5m}
  document: "query ($x: ID, $to: String) { n(x: $x, to: $to) }"
  variables: {x: "{{ x }}", to: "{{ window.end }}"}
  labels: {x: "{{ x }}"}
  metrics: [{name: n, help: N., value: n}]
""")
PACKED = planned("""
- name: q
  for_each: {x: [a, b, c, d]}
  pack: 4
  document: "query ($x: ID) { n(x: $x) }"
  variables: {x: "{{ x }}"}
  labels: {x: "{{ x }}"}
  metrics: [{name: n, help: N., value: n}]
""")
TARGETS = [Target({"x": name}, name) for name in "abcd"]
END = datetime(2023, 11, 14, 22, 13, tzinfo=UTC)


def course(plan: Plan) -> Course:
    (found,) = courses(plan)
    return found


def poller(api: Api, monotonic: Callable[[], float] = lambda: 0.0) -> Poller:
    def around(_: QueryPlan, source: Source, target: Target) -> Surroundings:
        return Surroundings(label_values(source, target))

    return Poller(api, around, clock=Clock(monotonic, lambda: WALL_AT_START))


def poll(api: Api, plan: Plan = PLAN, targets: int = 2, size: int = 1, *, splits: bool = True) -> PackOutcome:
    ends = dict.fromkeys(TARGETS[:targets], None)
    return asyncio.run(poller(api).poll(course(plan), ends, size, splits=splits))


def values(outcomes: Mapping[Target, PollOutcome]) -> dict[str, object]:
    """The value of each target, or the reason why there is none."""
    found: dict[str, object] = {}
    for target, outcome in outcomes.items():
        if outcome.result is None:
            found[target.key] = outcome.reason
        else:
            (samples,) = outcome.result.samples
            (found[target.key],) = samples.numbers
            assert ("acme", target.key) in samples.series
    return found


def numbered(operation: Operation) -> Answer:
    """The place of the target in the alphabet; for a pack, of each."""
    found: dict[str, Json] = {}
    packed = {key: value for key, value in operation.variables.items() if key.endswith("x")}
    for key, value in packed.items():
        found[f"{key.removesuffix('x')}n"] = "abcd".index(str(value)) + 1
    return found


def test_each_target_is_asked_for_by_itself() -> None:
    """One call after the other, at the window of the moment, each with the time-out of the query."""
    api = Api(numbered)
    polled = poll(api)
    assert values(polled.outcomes) == {"a": 1, "b": 2}
    assert [sent.variables["x"] for sent in api.sent] == ["a", "b"]
    assert {sent.variables["to"] for sent in api.sent} == {"2023-11-14T22:13:00.000+00:00"}
    assert api.deadlines == [7.0, 7.0]
    assert (polled.accepted, polled.refusal, polled.extra_requests) == (1, "", 0)


def test_a_failure_of_one_target_is_its_own() -> None:
    """With the reason, the detail and the wish of the upstream."""
    failure = UpstreamFailure(Reason.HTTP_429, "slow down", retry_after_seconds=9.0)
    polled = poll(Api(lambda operation: failure if operation.variables["x"] == "a" else {"n": 2}))
    assert values(polled.outcomes) == {"a": Reason.HTTP_429, "b": 2}
    outcome = polled.outcomes[TARGETS[0]]
    assert (outcome.detail, outcome.retry_after_seconds, outcome.graphql_errors) == ("slow down", 9.0, 0)


def test_the_time_that_a_poll_took_is_measured() -> None:
    """Whether it works or not."""
    times = iter(range(100))
    for answer in ({"n": 1}, UpstreamFailure(Reason.CONNECT, "no")):
        polled = asyncio.run(
            poller(Api(lambda _, answer=answer: answer), lambda: float(next(times))).poll(  # type: ignore[misc]
                course(PLAN), {TARGETS[0]: None}
            )
        )
        assert polled.outcomes[TARGETS[0]].duration_seconds >= 1.0


def test_an_answer_that_cannot_become_series_is_a_failure() -> None:
    """So is a fault of ours, which ends nothing else and is named by its type alone."""
    polled = poll(Api(lambda _: {"other": 1}), targets=1)
    assert values(polled.outcomes) == {"a": Reason.SCHEMA}

    def broken(_: Operation) -> Answer:
        raise KeyError("hunter2")

    (outcome,) = poll(Api(broken), targets=1).outcomes.values()
    assert (outcome.reason, outcome.detail) == (Reason.INTERNAL, "KeyError in a poll")


def test_errors_of_an_answer_are_counted_with_what_came_of_it() -> None:
    """Also where they failed the poll."""
    (outcome,) = poll(Api(lambda _: partial({"n": 1}, "one", "two")), targets=1).outcomes.values()
    assert (outcome.result, outcome.reason, outcome.graphql_errors) == (None, Reason.GRAPHQL, 2)


def test_a_moment_that_cannot_be_known_is_a_failure() -> None:
    """A time that no calendar has is a fault of ours; nothing is asked then."""
    api = Api(numbered)
    found = Poller(api, lambda *_: Surroundings(), clock=Clock(lambda: 0.0, lambda: 1e18))
    outcomes = asyncio.run(found.poll(course(PLAN), {TARGETS[0]: None}, 1)).outcomes
    assert values(outcomes) == {"a": Reason.INTERNAL}
    assert api.sent == []


def test_a_poll_can_be_made_over_other_times() -> None:
    """As the audit of a period that is over does; the result says which they are."""
    start = END - timedelta(hours=1)
    api = Api(numbered)
    moment = Moment(TimeRange(start, END - timedelta(minutes=30)))
    outcome = asyncio.run(poller(api).poll_over(course(PLAN), TARGETS[0], moment))
    assert api.sent[0].variables["to"] == "2023-11-14T21:43:00.000+00:00"
    assert outcome.result is not None
    assert outcome.result.window_seconds == 1800.0


def test_targets_of_a_pack_are_asked_for_together() -> None:
    """In operations of so many; each has its own value."""
    api = Api(numbered)
    polled = poll(api, PACKED, 4, 4)
    assert values(polled.outcomes) == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert len(api.sent) == 1
    api = Api(numbered)
    assert values(poll(api, PACKED, 4, 2).outcomes) == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert len(api.sent) == 2


def test_a_pack_of_one_is_a_plain_call() -> None:
    """Its operation is the query's own."""
    api = Api(numbered)
    assert values(poll(api, PACKED, 1, 4).outcomes) == {"a": 1}
    assert api.sent[0].document == PACKED.queries[0].document.text


def test_what_a_pack_is_refused_with_is_found_out() -> None:
    """Smaller packs are tried, and how many the server takes is told; without `splits` all of its targets fail."""

    def few(operation: Operation) -> Answer:
        if len(operation.variables) > 2:
            return UpstreamFailure(Reason.HTTP_4XX, "too many aliases")
        return numbered(operation)

    polled = poll(Api(few), PACKED, 4, 4)
    assert values(polled.outcomes) == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert (polled.accepted, polled.refusal) == (2, "too many aliases")
    assert polled.extra_requests > 0
    refused = poll(Api(few), PACKED, 4, 4, splits=False)
    assert set(values(refused.outcomes).values()) == {Reason.HTTP_4XX}
    assert (refused.accepted, refused.refusal, refused.extra_requests) == (4, "", 0)


def test_an_answer_of_a_pack_is_judged_call_by_call() -> None:
    """One that is of another shape, or has errors, fails alone."""

    def mixed(operation: Operation) -> Answer:
        found = numbered(operation)
        assert isinstance(found, dict)
        _, *others = found
        return {key: found[key] for key in others}

    assert values(poll(Api(mixed), PACKED, 3, 4).outcomes) == {"a": Reason.SCHEMA, "b": 2, "c": 3}

    def partly(operation: Operation) -> Answer:
        found = numbered(operation)
        assert isinstance(found, dict)
        return Response(found, (GraphQLError("one", ("t1_n",)), GraphQLError("two", ("t1_n",))))

    outcomes = poll(Api(partly), PACKED, 3, 4).outcomes
    assert values(outcomes) == {"a": 1, "b": Reason.GRAPHQL, "c": 3}
    assert [outcome.graphql_errors for outcome in outcomes.values()] == [0, 2, 0]


def test_rows_that_are_left_behind_are_told_with_the_result() -> None:
    """How many, and whether there may be more."""
    plan = planned("""
    - name: q
      document: "query ($limit: Int, $from: Int) { calls(limit: $limit, from: $from) { rows { n } total } }"
      rows: calls.rows
      pages: {size: 2, limit: limit, offset: from, total: calls.total, max_rows: 3}
      metrics: [{name: n, help: N., value: n, aggregate: sum}]
    """)
    outcome = poll(Api(lambda _: {"calls": {"rows": [{"n": 1}, {"n": 1}], "total": 8}}), plan, 1).outcomes[TARGETS[0]]
    assert outcome.result is not None
    assert (outcome.result.rows_cut, outcome.result.rows_cut_at_least) == (5, False)


def test_a_pack_that_others_leave_no_memory_for_is_no_reason_for_smaller_ones() -> None:
    """The server took it: its targets fail, none is asked alone, and the next pack is as large."""
    api = Api(lambda _: NoMemory(2.0))
    polled = poll(api, PACKED, 3, 4)
    assert values(polled.outcomes) == dict.fromkeys("abc", Reason.TIMEOUT)
    assert (len(api.sent), polled.accepted, polled.refusal) == (1, 4, "")


class Memory:
    """What an answer counts for."""


@pytest.mark.parametrize("largest", [4, 2, 1])
def test_no_answer_of_a_pack_is_kept_while_the_next_waits(largest: int) -> None:
    """A request may wait for long, and memory is given back with the answers: each is read before the next is sent."""
    held: WeakSet[Memory] = WeakSet()
    seen: list[int] = []

    def answer(operation: Operation) -> Answer:
        seen.append(len(held))
        found = numbered(operation)
        assert isinstance(found, dict)
        if len(found) > largest:
            return UpstreamFailure(Reason.HTTP_4XX, "too many")
        share = Memory()
        held.add(share)
        return Response(found, share=share)

    polled = poll(Api(answer), PACKED, 4, 4)
    assert values(polled.outcomes) == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert seen == [0] * len(seen)
    assert len(seen) == {4: 1, 2: 4, 1: 6}[largest]


@pytest.mark.parametrize("size", [4, 1], ids=["packed", "one by one"])
@pytest.mark.parametrize("is_big", [True, False])
def test_big_answers_of_packs_are_read_beside_the_event_loop(size: int, is_big: bool) -> None:
    """Scrapes go on while the series are made, also of a big answer that is one of several targets'."""
    threads: set[int] = set()

    class Watched(dict[str, Json]):
        """Values that know who reads them."""

        def __getitem__(self, name: str) -> Json:
            threads.add(threading.get_ident())
            return super().__getitem__(name)

    def around(_: QueryPlan, source: Source, target: Target) -> Surroundings:
        return Surroundings(Watched(label_values(source, target)))

    def answer(operation: Operation) -> Response:
        found = numbered(operation)
        assert isinstance(found, dict)
        return Response(found, bytes_received=BIG_BYTES if is_big else BIG_BYTES - 1)

    polled = asyncio.run(Poller(Api(answer), around).poll(course(PACKED), dict.fromkeys(TARGETS[:3]), size))
    assert values(polled.outcomes) == {"a": 1, "b": 2, "c": 3}
    assert (threading.get_ident() in threads) is not is_big
    assert threads


def test_a_fault_of_ours_fails_every_target_of_a_pack() -> None:
    """And nothing else."""

    def broken(_: Operation) -> Answer:
        raise KeyError("hunter2")

    polled = poll(Api(broken), PACKED, 3, 4)
    assert values(polled.outcomes) == dict.fromkeys("abc", Reason.INTERNAL)
    assert polled.accepted == 4


def test_a_poll_that_is_cancelled_is_no_outcome() -> None:
    """Only cancellation passes through."""

    class Hanging:
        """An API that never answers."""

        async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
            await asyncio.Event().wait()
            raise AssertionError

    async def run() -> None:
        task = asyncio.create_task(
            Poller(Hanging(), lambda *_: Surroundings()).poll(course(PLAN), {TARGETS[0]: None}, 1)
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "reason", "detail", "errors"),
    [
        (UpstreamFailure(Reason.DNS, "no such host"), Reason.DNS, "no such host", 0),
        (TokenFailure(Reason.INVALID_CLIENT, "wrong"), Reason.INVALID_CLIENT, "wrong", 0),
        (UpstreamFailure(Reason.GRAPHQL, "no"), Reason.GRAPHQL, "no", 1),
        (Failure(Reason.SCHEMA, "odd", retry_after_seconds=3.0), Reason.SCHEMA, "odd", 0),
        (ZeroDivisionError("hunter2"), Reason.INTERNAL, "ZeroDivisionError in a poll", 0),
    ],
)
def test_every_error_becomes_an_outcome(error: Exception, reason: Reason, detail: str, errors: int) -> None:
    """With what a log line and a metric need; a refusal by GraphQL has one error at least."""
    outcome = failed_outcome(error, 1.5)
    assert (outcome.reason, outcome.detail, outcome.graphql_errors) == (reason, detail, errors)
    assert (outcome.duration_seconds, outcome.result) == (1.5, None)
    assert outcome.retry_after_seconds == getattr(error, "retry_after_seconds", None)
    if isinstance(error, Failure):
        assert failed_outcome(error, 1.5, 4).graphql_errors == 4


def test_big_results_are_rendered_ahead() -> None:
    """They become what the store would make of them; small ones and failures become nothing."""
    family = Family("n", MetricType.GAUGE, "N.", ("a",))

    def ahead(series: int) -> tuple[Rendered, ...]:
        samples = Samples.of(family, {(str(number),): number for number in range(series)})
        return asyncio.run(render_ahead(PollOutcome(0.1, Result((samples,)))))

    assert ahead(4999) == ()
    (rendered,) = ahead(5000)
    assert len(rendered.keys) == 5000
    assert rendered.body.length > 5000
    assert asyncio.run(render_ahead(PollOutcome(0.1, reason=Reason.DNS))) == ()


def test_a_big_result_that_cannot_be_rendered_ahead_ends_nothing() -> None:
    """Nothing is there ahead, so that taking it in fails the poll, and no other."""
    samples = Samples(Family("n", MetricType.GAUGE, "N.", ("a",)), [["a"] * 6000], [10**400] * 6000)
    assert asyncio.run(render_ahead(PollOutcome(0.1, Result((samples,))))) == ()
