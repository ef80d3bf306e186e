"""Who is polled: the targets that rows give, at the start, while they change, and over a reload."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import ClassVar, Final

import pytest

from exporter.config.source import Source
from exporter.exposition import Format, Joiner
from exporter.model.clock import Clock
from exporter.model.errors import Reason
from exporter.model.outcome import Operation, PollOutcome, Response, Result
from exporter.plan.plan import Plan, Target
from exporter.polling.course import Course, courses
from exporter.polling.due import FanOut, Pack
from exporter.polling.shard import Shard
from exporter.polling.targets import Targets
from exporter.series.store import Store
from exporter.telemetry.reporter import Reporter
from tests.support.plans import SOURCE, planned
from tests.support.polls import Recorder, Wired, in_quick_time
from tests.support.wiring import until

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


LOOKUPS = """
lookups:
  - {name: folder, rows_of: folders, key: id, fields: {name: name}}
  - {name: file, rows_of: files, key: id, fields: {name: name}}
  - {name: owner, rows_of: owners, key: id, fields: {name: name}}
"""
IN_A_CIRCLE = """
- name: folders
  document: "{ folders { id name parent } }"
  rows: folders
  metrics:
    - name: folder
      help: F.
      value: 1
      labels: {parent: {lookup: folder, key: parent, field: name}, file: {lookup: file, key: id, field: name}}
- name: files
  for_each: {folder: folders}
  document: "query ($f: ID) { files(folder: $f) { id name } }"
  variables: {f: "{{ folder.id }}"}
  rows: files
  metrics: [{name: file, help: F., value: 1, labels: {owner: {lookup: owner, key: id, field: name}}}]
- {name: owners, document: "{ owners { id name } }", rows: owners}
"""


def test_no_query_waits_for_itself() -> None:
    """A query that looks up names in its own rows, or in those of a query that waits for it, is polled at once; one
    that does not lead back is waited for."""

    async def work(targets: Targets, _: Store) -> None:
        known = {course.query.name: targets.names_are_known(course) for course in courses(targets.plan)}
        assert known == {"folders": True, "files": False, "owners": True}

    run(planned(IN_A_CIRCLE, SOURCE + LOOKUPS.lstrip()), work)


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


class CountedSource(Source):
    """A source that counts how often it is compared with others."""

    compared: ClassVar[list[str]] = []

    def __eq__(self, other: object) -> bool:
        self.compared.append(self.name)
        return super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()


def test_the_demand_on_many_sources_compares_none_of_them() -> None:
    """Each has its own queries at hand: a scrape of a thousand sources would compare them a million times."""
    made = planned(
        """
        - {name: a, document: "{ n }", metrics: [{name: a, help: A., value: n}]}
        - {name: b, sources: [s1], document: "{ n }", metrics: [{name: b, help: B., value: n}]}
        """,
        "sources:\n"
        + "".join(
            f'  - {{name: s{at}, url: "https://s{at}.example/", labels: {{s: "{at}"}},'
            " rate_limit: {requests: 1, per: 1s}}\n"
            for at in range(3)
        ),
    )
    counted = {source.name: CountedSource.model_construct(**dict(source)) for source in made.sources}
    plan = dataclasses.replace(
        made,
        sources=tuple(counted.values()),
        queries=tuple(
            dataclasses.replace(query, sources=tuple(counted[source.name] for source in query.sources))
            for query in made.queries
        ),
    )

    async def work(targets: Targets, _store: Store) -> None:
        CountedSource.compared.clear()
        found = [targets.demand(source) for source in targets.plan.sources]
        assert [set(demand.calls) for demand in found if demand is not None] == [{"a"}, {"a", "b"}, {"a"}]
        assert not CountedSource.compared

    run(plan, work)


ITEMS: Final = [f"i{number}" for number in range(30)]
BATCHED: Final = """
- {name: items, document: "{ items { id } }", rows: items}
- name: value
  for_each: {item: items}
  SIZE
  document: "query ($ids: [ID]) { values(ids: $ids) { id n } }"
  variables: {ids: "{{ item.id }}"}
  rows: values
  metrics: [{name: value, help: V., value: values.n, labels: {id: values.id}}]
"""
READING: Final = """
- name: further
  for_each: {value: value}
  document: "query ($ids: [ID]) { values(ids: $ids) { id n } }"
  variables: {ids: "{{ value.id }}"}
  metrics: [{name: further, help: F., value: values.n, labels: {id: values.id}}]
"""
LISTED: Final = BATCHED.replace("{item: items}", f"{{item: {[{'id': name} for name in ITEMS]}}}")


class Values:
    """An API that has a value for each id that it is asked for."""

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        del deadline_seconds
        if "items" in operation.document:
            return Response({"items": [{"id": name} for name in ITEMS]})
        return Response(
            {
                name.replace("ids", "values"): [
                    {"id": one, "n": 1} for one in (ids if isinstance(ids, list) else [ids])
                ]
                for name, ids in operation.variables.items()
            }
        )


def published(plan: Plan, shard: Shard) -> Iterator[str]:
    """The series that one of several exporters publishes."""

    async def work(clock: Clock) -> str:
        wired = Wired.of(plan, Values(), Recorder(), clock, shard)
        task = asyncio.create_task(wired.scheduler.run())
        while not wired.targets.are_tried():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait({task})
        return Joiner().join(wired.store.page(), b"", Format.TEXT, gzip=False).decode()

    return (line for line in in_quick_time(work).splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("size", ["batch: 4", "pack: 4", "batch: 4\n  pack: 2", ""])
@pytest.mark.parametrize(
    "queries", [BATCHED, LISTED, BATCHED + READING], ids=["of rows", "of a list", "read by others"]
)
def test_each_series_is_published_by_one_shard(queries: str, size: str, count: int) -> None:
    """However the targets go into requests, and whoever needs their rows."""
    plan = planned(queries.replace("SIZE", size))
    found = Counter(line for index in range(count) for line in published(plan, Shard(index, count)))
    names = {"value", "further"} if queries.endswith(READING) else {"value"}
    assert set(found.values()) == {1}
    assert len(found) == len(names) * len(ITEMS)


def test_what_others_need_after_a_reload_is_polled_by_each_shard() -> None:
    """And what they need no longer by one alone, so that no series is published twice or by nobody."""

    async def work() -> None:
        queries = BATCHED.replace("SIZE", "").replace("$ids: [ID]", "$ids: ID").replace("(ids: $ids)", "(id: $ids)")
        alone, read = planned(queries), planned(queries + READING)
        shards = []
        for index in range(3):
            store = Store(100)
            targets = Targets(alone, store, Reporter(), Shard(index, 3), monotonic=lambda: 0.0)
            targets.begin(lambda *_: asyncio.create_task(asyncio.sleep(3600)))
            give_rows(targets, store, *ITEMS)
            shards.append(targets)
        for plan, polled in ((alone, 1), (read, 3), (alone, 1)):
            for targets in shards:
                targets.follow(plan, frozenset())
            course = list(courses(plan))[1]
            found = Counter(name for targets in shards for name in ids(targets, "value") or ())
            published = Counter(target.key for targets in shards for target in targets.to_publish(course))
            assert (len(found), set(found.values())) == (len(ITEMS), {polled})
            assert (len(published), set(published.values())) == (len(ITEMS), {1})

    asyncio.run(work())


WIDE: Final = """
- name: items
  for_each: {group: GROUPS}
  document: "query ($group: Int) { items(group: $group) { id } }"
  variables: {group: "{{ group }}"}
  rows: items
- name: value
  for_each: {item: items}
  max_calls: 100000
  document: "query ($id: ID) { value(id: $id) }"
  variables: {id: "{{ item.id }}"}
  labels: {id: "{{ item.id }}"}
  metrics: [{name: value, help: V., value: value}]
"""


class CountedShard(Shard, frozen=True):
    """The only shard, which counts how often it is asked whether a target is its own."""

    asked: ClassVar[list[str]] = []

    def owns(self, *parts: str) -> bool:
        self.asked.append(parts[0])
        return True


class Groups:
    """An API of groups with five items each, and a value of each item."""

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        del deadline_seconds
        if "items" not in operation.document:
            return Response({"value": 1})
        return Response({"items": [{"id": f"{operation.variables['group']} {number}"} for number in range(5)]})


def test_the_targets_of_many_rows_are_not_gone_through_at_each_answer() -> None:
    """A first round of hundreds of targets that give thousands takes no look at all of them for each; when it is over,
    each has been polled."""
    groups = 200
    CountedShard.asked.clear()

    async def work(clock: Clock) -> int:
        plan = planned(WIDE.replace("GROUPS", str(list(range(groups)))))
        wired = Wired.of(plan, Groups(), Recorder(), clock, CountedShard())
        task = asyncio.create_task(wired.scheduler.run())
        while not wired.targets.are_tried():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
        return sum(state.tried for owner, state in wired.store.states() if owner.query == "value")

    assert in_quick_time(work) == 5 * groups
    assert CountedShard.asked.count("value") < 100 * 5 * groups


def test_targets_that_are_still_to_follow_many_rows_are_not_tried() -> None:
    """Nobody takes the first round for over meanwhile; a reload or the end of all polls begins none of them late."""
    many = [str(number) for number in range(300)]

    async def work(targets: Targets, store: Store) -> None:
        _items, value = courses(targets.plan)
        give_rows(targets, store)
        assert targets.are_tried()
        give_rows(targets, store, *many)
        assert ids(targets, "value") == set()
        assert not targets.are_tried()
        await until(lambda: ids(targets, "value") == set(many))
        for target in (targets.fan_out("value", "acme") or FanOut(1)).members:
            store.fold(value.owner(target), target, PollOutcome(0.1, Result()), 0.0, 0.0)
        assert targets.are_tried()
        give_rows(targets, store, *many[1:])
        assert not targets.are_tried()
        targets.follow(planned(QUERIES.replace("max_calls: 3", "max_calls: 500")), frozenset())
        assert ids(targets, "value") == set(many[1:])
        give_rows(targets, store, *many[2:])
        targets.end()
        await asyncio.sleep(0.1)
        assert ids(targets, "value") == set(many[1:])

    run(planned(QUERIES.replace("max_calls: 3", "max_calls: 400")), work)
