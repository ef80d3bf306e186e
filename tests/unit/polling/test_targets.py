"""Who is polled: the targets that rows give, at the start, while they change, and over a reload."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome, Result
from exporter.plan.plan import Plan, Target
from exporter.polling.course import Course, courses
from exporter.polling.due import FanOut, Pack
from exporter.polling.targets import Targets
from exporter.series.store import Store
from exporter.telemetry.reporter import Reporter
from tests.support.plans import SOURCE, planned
from tests.support.polls import Recorder

QUERIES = """
- name: items
  document: "{ items { id } }"
  rows: items
- name: value
  for_each: {item: items}
  max_calls: 3
  document: "query ($id: ID) { value(id: $id) }"
  variables: {id: "{{ item.id }}"}
  labels: {id: "{{ item.id }}"}
  metrics: [{name: value, help: Values., value: value}]
"""


def run(plan: Plan, work: Callable[[Targets, Store], Awaitable[None]]) -> None:
    """Does the work with targets whose packs are begun and never polled."""

    def begin(_course: Course, _fan_out: FanOut, _pack: Pack) -> asyncio.Task[None]:
        return asyncio.create_task(asyncio.sleep(3600))

    async def begun() -> None:
        store = Store(100)
        targets = Targets(plan, store, Reporter(), monotonic=lambda: 0.0)
        targets.begin(begin)
        await work(targets, store)

    asyncio.run(begun())


def ids(targets: Targets, query: str) -> set[object] | None:
    """The ids of a query's targets; None while its rows are still to come."""
    known = targets.fan_out(query, "acme")
    return None if known is None else {target.values["item.id"] for target in known.members}


def give_rows(targets: Targets, store: Store, *items: str) -> None:
    """Takes in an answer of the query that feeds the other."""
    course = next(courses(targets.plan))
    target = Target({})
    result = Result(rows=tuple({"id": item} for item in items), row_count=len(items))
    store.fold(course.owner(target), target, PollOutcome(0.1, result), 0.0, 0.0)
    targets.feed(course)


def test_targets_follow_the_rows() -> None:
    """There is one for each row, from the first answer on; who goes is not polled any more."""

    async def work(targets: Targets, store: Store) -> None:
        assert ids(targets, "value") is None
        give_rows(targets, store, "a", "b")
        assert ids(targets, "value") == {"a", "b"}
        known = targets.fan_out("value", "acme")
        assert known is not None
        tasks = [pack.task for pack in known.packs]
        give_rows(targets, store, "b", "c")
        assert ids(targets, "value") == {"b", "c"}
        await asyncio.sleep(0)
        assert sum(task is not None and task.cancelled() for task in tasks) <= 1
        give_rows(targets, store)
        assert ids(targets, "value") == set()

    run(planned(QUERIES), work)


def test_more_targets_than_calls_are_refused_as_a_whole() -> None:
    """The old ones stay until there are few enough again."""

    async def work(targets: Targets, store: Store) -> None:
        course = list(courses(targets.plan))[1]
        give_rows(targets, store, "a", "b")
        give_rows(targets, store, "a", "b", "c", "d")
        assert ids(targets, "value") == {"a", "b"}
        assert targets.needs_too_many_calls(course)
        give_rows(targets, store, "c", "d")
        assert ids(targets, "value") == {"c", "d"}
        assert not targets.needs_too_many_calls(course)

    run(planned(QUERIES), work)


def test_a_query_is_awaited_until_it_has_worked() -> None:
    """What others wait for is another thing than what nobody reads, and than what failed later."""

    async def work(targets: Targets, store: Store) -> None:
        items, value = courses(targets.plan)
        target = Target({})
        assert targets.is_awaited(items, target)
        assert not targets.is_awaited(value, target)
        failure = PollOutcome(0.1, reason=Reason.CONNECT)
        store.fold(items.owner(target), target, failure, 0.0, 0.0)
        assert targets.is_awaited(items, target)
        give_rows(targets, store, "a")
        store.fold(items.owner(target), target, failure, 0.0, 0.0)
        assert not targets.is_awaited(items, target)

    run(planned(QUERIES), work)


def test_what_is_the_same_in_another_plan_is_polled_on() -> None:
    """A reload begins anew only what has changed, and what another client answers."""

    async def work(targets: Targets, store: Store) -> None:
        give_rows(targets, store, "a")
        items, value = targets.fan_out("items", "acme"), targets.fan_out("value", "acme")
        targets.follow(planned(QUERIES.replace("max_calls: 3", "max_calls: 4")), frozenset())
        assert targets.fan_out("items", "acme") is items
        assert targets.fan_out("value", "acme") is not value
        assert ids(targets, "value") == {"a"}
        targets.follow(targets.plan, frozenset({"acme"}))
        assert targets.fan_out("items", "acme") is not items

    run(planned(QUERIES), work)


def test_the_demand_of_many_queries_is_told_once_when_all_have_begun() -> None:
    """A start of thousands of queries on a source with a rate limit takes no look at all of them for each of them."""
    count = 100
    limited = SOURCE.replace("{name: acme,", "{name: acme, rate_limit: {requests: 10, per: 1s},")
    queries = "".join(
        f'- {{name: q{number}, document: "{{ v }}", metrics: [{{name: m{number}, help: Values., value: v}}]}}\n'
        for number in range(count)
    )

    async def work() -> None:
        recorder, plan = Recorder(), planned(queries, limited)

        async def told(times: int) -> None:
            while len(recorder.named("demand")) < times:  # noqa: ASYNC110 - it is a step of the loop, not a time
                await asyncio.sleep(0)

        targets = Targets(plan, Store(1000), recorder, monotonic=lambda: 0.0)
        targets.begin(lambda *_: asyncio.create_task(asyncio.sleep(3600)))
        await told(1)
        targets.follow(plan, frozenset({"acme"}))
        await told(2)
        for _ in range(count):
            await asyncio.sleep(0)
        demands = [demand for _, demand in recorder.named("demand")]
        assert [len(demand.calls) for demand in demands] == [count] * 2
        assert all(calls > 0 for demand in demands for calls in demand.calls.values())

    asyncio.run(work())
