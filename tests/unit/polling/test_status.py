"""What is seen of queries and sources: figures over all targets of a query, and what holds a source back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome, Result
from exporter.model.samples import Samples
from exporter.plan.plan import Plan, Target
from exporter.polling.course import Course, courses
from exporter.polling.due import FanOut, Pack
from exporter.polling.polling import Polling
from exporter.polling.shard import Shard
from exporter.polling.status import QueryStatus, SourceStatus, query_statuses, source_statuses
from exporter.series.store import State
from tests.support.plans import SOURCE, planned
from tests.support.polls import Recorder

QUERIES = """
- {name: items, document: "{ items { id } }", rows: items, metrics: [{name: i, help: I., value: 1, labels: {id: id}}]}
- {name: value, for_each: {item: items}, pack: 2, max_calls: 2, document: "query ($id: ID) { value(id: $id) }",
   variables: {id: "{{ item.id }}"}, labels: {id: "{{ item.id }}"}, metrics: [{name: value, help: V., value: value}]}
"""
ALONE = Target({})
FAILED = PollOutcome(0.2, reason=Reason.TIMEOUT, detail="too slow")
KNOWN = State(tried=True, up=True, series=3, row_count=4, success_time=50.0, polled_time=50.0, window_end_time=40.0)
BAD = replace(
    KNOWN, up=False, failure=Reason.DNS, success_time=20.0, polled_time=90.0, window_end_time=10.0, problem_time=90.0
)
OLD = replace(BAD, failure=Reason.DNS, problem_time=80.0, polled_time=80.0)
NEW = State()


def status(*states: State, refused: bool = False) -> QueryStatus:
    query = planned(QUERIES).queries[0]
    return QueryStatus(query, "acme", states, True, refused, len(states), None, 0, None)


def test_figures_are_over_all_targets() -> None:
    """Sums of what is on the page, and the oldest of what says how old the data is."""
    found = status(KNOWN, BAD, NEW)
    assert (found.series, found.row_count) == (6, 8)
    assert (found.success_time, found.window_end_time) == (20.0, 10.0)
    assert (found.tried, found.failing) == ((KNOWN, BAD), (BAD,))
    assert not found.partial
    assert status(KNOWN, replace(KNOWN, partial=True)).partial


def test_before_the_first_poll_nothing_is_known() -> None:
    """No time stands for one that is not known yet."""
    for found in (status(), status(NEW)):
        assert (found.success_time, found.window_end_time, found.latest, found.worst) == (None, None, None, None)
        assert (found.series, found.failures, found.failing) == (0, (), ())


def test_failures_are_counted_by_reason() -> None:
    """Targets that were refused for their number are one more."""
    timeout = replace(BAD, failure=Reason.TIMEOUT)
    assert status(KNOWN, BAD, OLD, timeout).failures == (("dns", 2), ("timeout", 1))
    assert status(BAD, refused=True).failures == (("dns", 1), ("fan_out", 1))


def test_a_target_whose_figures_became_stale_has_not_failed() -> None:
    """Its last poll succeeded, so that there is no reason of a failure to show; the query is not up."""

    async def work(seen: Seen) -> None:
        seen.rows("a")
        course = next(courses(seen.polling.plan))
        assert seen.polling.store.expire(course.query, course.owner(ALONE), 1e6)
        found = seen.queries["items"]
        assert (found.up, found.failing, found.failures) == (False, (), ())

    seeing(work)


def test_the_target_that_was_polled_last_and_the_one_that_fails() -> None:
    """A failure that goes on is shown before one that is over, the latest first."""
    over = replace(KNOWN, problem_time=99.0, polled_time=95.0)
    found = status(KNOWN, OLD, BAD, over, NEW)
    assert found.latest is over
    assert found.worst is BAD
    assert status(KNOWN, over, NEW).worst is over


class Seen:
    """Polling that polls nothing, with the results that a test gives it."""

    def __init__(self, plan: Plan, shard: Shard) -> None:
        self.recorder = Recorder()
        self.polling = Polling(plan, self.recorder, shard)

        def begin(_course: Course, _fan_out: FanOut, _pack: Pack) -> asyncio.Task[None]:
            return asyncio.create_task(asyncio.sleep(3600))

        self.polling.targets.begin(begin)

    def fold(self, name: str, target: Target, outcome: PollOutcome) -> None:
        course = next(course for course in courses(self.polling.plan) if course.query.name == name)
        self.polling.store.fold(course.owner(target), target, outcome, 0.0, 100.0)
        self.polling.targets.feed(course)

    def rows(self, *ids: str) -> None:
        family = self.polling.plan.queries[0].metrics[0].family
        samples = Samples.of(family, {(name, "acme"): 1 for name in ids})
        result = Result((samples,), rows=tuple({"id": name} for name in ids), row_count=len(ids))
        self.fold("items", ALONE, PollOutcome(0.1, result))

    def target(self, number: int) -> Target:
        known = self.polling.targets.fan_out("value", "acme")
        assert known is not None
        return list(known.members)[number]

    @property
    def details(self) -> list[str]:
        """What was said of polls."""
        return [outcome.detail for _, outcome, _ in self.recorder.named("poll")]

    @property
    def queries(self) -> dict[str, QueryStatus]:
        return {found.query.name: found for found in query_statuses(self.polling)}

    @property
    def sources(self) -> dict[str, SourceStatus]:
        return {found.source.name: found for found in source_statuses(self.polling)}


def seeing(
    work: Callable[[Seen], Awaitable[None]], queries: str = QUERIES, source: str = SOURCE, shard: Shard | None = None
) -> None:
    async def run() -> None:
        found = Seen(planned(queries, source), shard or Shard(0, 1))
        await work(found)
        await found.polling.close()

    asyncio.run(run())


def test_a_query_is_up_when_every_target_is() -> None:
    """A new target counts from its first poll, and one that fails is enough. Before any was polled it is not up."""

    async def work(seen: Seen) -> None:
        assert not seen.queries["value"].up
        seen.rows("a", "b", "c")
        assert seen.queries["items"].up
        assert (seen.queries["value"].targets, seen.queries["value"].states) == (3, ())
        assert not seen.queries["value"].up
        seen.fold("value", seen.target(0), PollOutcome(0.1, Result()))
        assert seen.queries["value"].up
        seen.fold("value", seen.target(1), FAILED)
        assert not seen.queries["value"].up
        assert seen.queries["value"].failures == (("timeout", 1),)

    seeing(work)


def test_a_query_without_rows_is_as_well_as_the_one_that_feeds_it() -> None:
    """There is nothing to poll, and nothing wrong with it."""

    async def work(seen: Seen) -> None:
        assert not seen.queries["items"].up
        seen.rows()
        assert (seen.queries["value"].up, seen.queries["value"].targets) == (True, 0)
        seen.fold("items", ALONE, FAILED)
        assert not seen.queries["value"].up

    seeing(work)


def test_targets_that_need_too_many_calls_are_shown() -> None:
    """The query is not up while its new targets are refused; its old ones are still counted."""

    async def work(seen: Seen) -> None:
        seen.rows("a", "b")
        seen.fold("value", seen.target(0), PollOutcome(0.1, Result()))
        assert seen.queries["value"].up
        seen.rows("a", "b", "c", "d", "e")
        found = seen.queries["value"]
        assert (found.up, found.needs_too_many_calls, found.targets) == (False, True, 2)
        assert found.failures == (("fan_out", 1),)
        seen.rows("a")
        found = seen.queries["value"]
        assert (found.up, found.needs_too_many_calls, found.targets) == (True, False, 1)

    seeing(work)


def test_a_list_that_needs_too_many_calls_is_shown() -> None:
    """It was never polled, and is no other shard's."""

    async def work(seen: Seen) -> None:
        found = seen.queries["many"]
        assert (found.up, found.needs_too_many_calls, found.targets) == (False, True, 0)
        assert found.failures == (("fan_out", 1),)
        assert "4 calls are needed, and max_calls is 3; nothing is polled" in seen.details

    many = """
    - {name: many, for_each: {n: [1, 2, 3, 4]}, max_calls: 3, document: "query ($n: Int) { value(n: $n) }",
       variables: {n: "{{ n }}"}, labels: {n: "{{ n }}"}, metrics: [{name: value, help: V., value: value}]}
    """
    seeing(work, many)


def test_it_is_seen_how_a_query_is_polled() -> None:
    """In packs of which size, when next, and how many polls are under way."""

    async def work(seen: Seen) -> None:
        items = seen.queries["items"]
        assert (items.pack_size, items.next_in_seconds, items.in_flight) == (None, 0.0, 0)
        assert (seen.queries["value"].pack_size, seen.queries["value"].next_in_seconds) == (None, None)
        seen.rows("a", "b", "c")
        assert seen.queries["value"].pack_size == 2
        course = next(courses(seen.polling.plan))
        async with seen.polling.lanes.place(course):
            assert (seen.queries["items"].in_flight, seen.queries["value"].in_flight) == (1, 0)
        assert seen.queries["items"].in_flight == 0

    seeing(work)


def test_queries_of_other_shards_are_not_seen() -> None:
    """Every query is seen on one of two shards, or on both where its targets are shared out."""
    found: list[set[str]] = []
    for index in range(2):

        async def work(seen: Seen) -> None:
            found.append(set(seen.queries))

        alone = "".join(
            f'- {{name: q{number}, document: "{{ n }}", metrics: [{{name: n{number}, help: N., value: n}}]}}\n'
            for number in range(12)
        )
        seeing(work, alone, shard=Shard(index, 2))
    assert found[0] | found[1] == {f"q{number}" for number in range(12)}
    assert not found[0] & found[1]
    assert all(found)


def test_a_source_shows_what_holds_its_polls_back() -> None:
    """A pause that it asked for, its rate limit with the demand on it; nothing where there is no such thing."""
    limited = SOURCE.replace("name: acme,", "name: acme, rate_limit: {requests: 30, per: 1m},")

    async def plain(seen: Seen) -> None:
        found = seen.sources["acme"]
        assert (found.token, found.rate_limit_wait_seconds, found.demand) == (None, None, None)
        assert (found.pause_seconds, dict(found.requests_by_code)) == (0.0, {})
        loop = asyncio.get_running_loop()
        seen.polling.lanes.gates["acme"].pause(loop.time(), 60.0)
        assert 0.0 < seen.sources["acme"].pause_seconds <= 60.0

    async def with_limit(seen: Seen) -> None:
        seen.rows("a", "b", "c")
        found = seen.sources["acme"]
        assert found.rate_limit_wait_seconds == 0.0
        assert found.demand is not None
        assert (found.demand.limit, dict(found.demand.calls)) == (30.0, {"items": 1.0, "value": 2.0})

    seeing(plain)
    seeing(with_limit, source=limited)


def test_a_source_shows_its_access_token() -> None:
    """Before it was asked for it is not valid, and not blocked either."""
    oauth = SOURCE.replace(
        "name: acme,",
        'name: acme, oauth2: {token_url: "https://sts.example/", client_id: a, client_secret_file: /none},',
    )

    async def work(seen: Seen) -> None:
        token = seen.sources["acme"].token
        assert token is not None
        assert (token.valid, token.blocked) == (False, False)

    seeing(work, source=oauth)
