"""What becomes of a poll: the store, the targets that its rows feed, the page, and what goes stale."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from exporter.exposition import Format, Joiner
from exporter.model.clock import Clock
from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome, Result
from exporter.model.samples import Samples
from exporter.plan.plan import Target
from exporter.polling.clock_watch import ClockWatch
from exporter.polling.course import Course, courses
from exporter.polling.due import FanOut, Pack
from exporter.polling.results import Results
from exporter.polling.targets import Targets
from exporter.series.store import Owner, Rendered, Store
from tests.support.plans import planned
from tests.support.polls import Recorder, in_quick_time

PLAN = planned("""
- name: items
  stale_after: 10m
  document: "{ items { id } }"
  rows: items
  metrics: [{name: item, help: Items., value: 1, labels: {id: id}}]
- {name: value, for_each: {item: items}, document: "query ($id: ID) { value(id: $id) }",
   variables: {id: "{{ item.id }}"}, labels: {id: "{{ item.id }}"}, metrics: [{name: value, help: V., value: value}]}
""")
FAMILY = PLAN.queries[0].metrics[0].family
ALONE = Target({})
OWNER = Owner("items", "acme", "")
FAILED = PollOutcome(0.2, reason=Reason.TIMEOUT, detail="too slow")


class Wired:
    """Results with what they need; packs are begun and never polled."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store, self.recorder = Store(100), Recorder()
        self.targets = Targets(PLAN, self.store, self.recorder, monotonic=clock.monotonic)
        clock_watch = ClockWatch(self.store, self.recorder, clock)
        self.results = Results(self.targets, self.store, self.recorder, clock_watch, clock)
        self.items: Course = next(courses(PLAN))

        def begin(_course: Course, _fan_out: FanOut, _pack: Pack) -> asyncio.Task[None]:
            return asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]

        self.targets.begin(begin)

    def take_in(self, *ids: str, ahead: Sequence[Rendered] = ()) -> PollOutcome:
        return self.results.take_in(self.items, ALONE, answer(*ids), ahead)

    def fed(self) -> set[object] | None:
        known = self.targets.fan_out("value", "acme")
        return None if known is None else {target.values["item.id"] for target in known.members}

    def page(self) -> list[str]:
        text = Joiner().join(self.store.page(), b"", Format.TEXT, gzip=False).decode()
        return [line for line in text.splitlines() if not line.startswith("#")]


def answer(*ids: str) -> PollOutcome:
    """A poll that gave these rows, and a series of each."""
    samples = Samples.of(FAMILY, {(name, "acme"): 1 for name in ids})
    return PollOutcome(0.1, Result((samples,), rows=tuple({"id": name} for name in ids), row_count=len(ids)))


def wired(work: Callable[[Wired], Awaitable[None]]) -> None:
    in_quick_time(lambda clock: work(Wired(clock)))


def test_a_result_is_on_the_page_and_feeds_the_other_queries() -> None:
    """Whoever counts polls is told the outcome as it stands in the store."""

    async def work(found: Wired) -> None:
        outcome = found.take_in("a", "b")
        assert outcome.result is not None
        assert found.page() == ['item{id="a",organization="acme"} 1', 'item{id="b",organization="acme"} 1']
        assert found.fed() == {"a", "b"}
        assert found.recorder.named("poll") == [(OWNER, outcome, 0)]

    wired(work)


def test_what_the_store_refuses_is_told_as_a_failure() -> None:
    """A limit of all series holds for a poll that worked; its rows feed nobody then."""

    async def work(found: Wired) -> None:
        found.store.follow(planned("- {name: q, document: '{ n }', rows: n}", "max_series: 1\n" + SOURCES))
        outcome = found.take_in("a", "b")
        assert (outcome.result, outcome.reason) == (None, Reason.CARDINALITY)
        ((owner, told, _),) = found.recorder.named("poll")
        assert (owner, told) == (OWNER, outcome)
        assert found.page() == []
        assert found.fed() == set()

    wired(work)


SOURCES = 'sources: [{name: acme, url: "https://api.example/"}]\n'


def test_rows_feed_others_once_they_were_tried_and_when_they_change() -> None:
    """After a first failure the fed queries have no target instead of waiting; the same rows change nothing."""

    async def work(found: Wired) -> None:
        assert found.fed() is None
        found.results.take_in(found.items, ALONE, FAILED, ())
        assert found.fed() == set()
        found.take_in("a")
        known = found.targets.fan_out("value", "acme")
        assert known is not None
        packs = list(known.packs)
        found.take_in("a")
        assert known.packs == packs
        found.results.take_in(found.items, ALONE, FAILED, ())
        assert found.fed() == {"a"}
        found.take_in("b")
        assert found.fed() == {"b"}

    wired(work)


def test_what_was_rendered_ahead_is_taken() -> None:
    """It is not made again: what was made is what is on the page."""

    async def work(found: Wired) -> None:
        other = Samples.of(FAMILY, {("made ahead", "acme"): 1})
        found.take_in("a", ahead=[Rendered.of(other)])
        assert found.page() == ['item{id="made ahead",organization="acme"} 1']

    wired(work)


def test_a_fault_of_ours_after_a_poll_ends_nothing_else() -> None:
    """It is told as a failure, by its type alone."""

    async def work(found: Wired) -> None:
        broken = PollOutcome(0.3, Result((Samples(FAMILY, [["a"]], [1]),)))  # a column is missing
        outcome = found.results.take_in(found.items, ALONE, broken, ())
        assert (outcome.reason, outcome.detail) == (Reason.INTERNAL, "ValueError after a poll")
        assert (outcome.result, outcome.duration_seconds) == (None, 0.3)
        assert found.recorder.named("poll") == [(OWNER, outcome, 0)]

    wired(work)


def test_left_over_results_go_when_all_present_targets_have_worked() -> None:
    """After a reload the series of a target that there is no more stay until then."""

    async def work(found: Wired) -> None:
        found.take_in("a")
        gone = Target({"x": 1}, "gone")
        found.store.fold(found.items.owner(gone), gone, answer("z"), 0.0, 0.0)
        found.store.leave_over("items", "acme")
        found.results.take_in(found.items, ALONE, FAILED, ())
        assert len(found.page()) == 2
        found.take_in("a")
        assert found.page() == ['item{id="a",organization="acme"} 1']
        assert (found.items.owner(gone),) in found.recorder.named("drop")
        assert found.fed() == {"a"}

    wired(work)


def test_the_page_is_made_once_for_polls_that_end_together() -> None:
    """A scrape that comes a moment later finds it; without polls it is not made again."""

    async def work(found: Wired) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for name in ("a", "b", "c"):
            found.take_in(name)
        await asyncio.sleep(1.0)
        assert loop.time() == started + 1.0
        page = found.store.page()
        found.results.make_page_soon()
        await asyncio.sleep(1.0)
        assert found.store.page() is page
        found.take_in("d")
        await asyncio.sleep(1.0)
        assert found.store.page() is not page

    wired(work)


def test_what_is_stale_is_dropped_while_nothing_is_polled() -> None:
    """Its series go, its rows feed nobody any more, and it is told once."""

    async def work(found: Wired) -> None:
        found.take_in("a")
        expiring = asyncio.create_task(found.results.keep_expiring())
        await asyncio.sleep(599.0)
        assert len(found.page()) == 1
        assert found.fed() == {"a"}
        await asyncio.sleep(3.0)
        assert found.page() == []
        assert found.fed() == set()
        await asyncio.sleep(60.0)
        assert found.recorder.named("expiry") == [(OWNER,)]
        expiring.cancel()

    wired(work)
