"""Who is polled: the plan, and of each query on each source the targets that its feeding rows give."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence, Set
from functools import partial
from typing import Final, TypeAlias

from msgspec.structs import replace

from exporter.config.source import Source
from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome
from exporter.plan.operation import TooManyTargets, targets
from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.polling.course import Course, courses
from exporter.polling.demand import Demand, present_demand
from exporter.polling.due import FanOut, Pack
from exporter.polling.observer import Observer
from exporter.polling.shard import NOT_SPLIT, Shard
from exporter.series.store import Owner, Store

_BIG: Final = 200  # rows or targets: to go through them takes a millisecond or more
_FOLLOW_SECONDS: Final = (0.05, 5.0)  # the shortest and the longest time after which targets follow many rows
_FOLLOW_SHARE: Final = 0.1  # of the time goes into that, at most
_BEGUN_TOGETHER: Final = 20  # queries: to begin their first polls, on connections of their own, takes some 10 ms

# Starts to poll a pack.
Begin: TypeAlias = Callable[[Course, FanOut, Pack], asyncio.Task[None]]


class Targets:
    """The plan that is followed, and all targets of its queries. Every change is whole before another poll ends."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        observer: Observer,
        shard: Shard = NOT_SPLIT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shard = shard
        self._store = store
        self._observer = observer
        self._monotonic = monotonic
        self._fan_outs: dict[tuple[str, str], FanOut] = {}
        self._refused: set[tuple[str, str]] = set()
        self._begin: Begin | None = None
        self._to_begin: deque[Course] = deque()
        self._to_reconcile: set[tuple[str, str]] = set()
        self._reconcile_seconds: dict[tuple[str, str], float] = {}  # what it took last
        self._to_tell: set[str] = set()  # sources with a rate limit
        self._take_over(plan)

    def _take_over(self, plan: Plan) -> None:
        self.plan = plan
        self._courses = {course.key: course for course in courses(plan)}
        self._by_source: dict[str, list[QueryPlan]] = {}
        for course in self._courses.values():
            self._by_source.setdefault(course.source.name, []).append(course.query)
        self._read_by_others = plan.read_by_others
        self._fed: dict[str, list[QueryPlan]] = {}
        for query in plan.queries:
            if query.feeder is not None:
                self._fed.setdefault(query.feeder, []).append(query)
        self._store.follow(plan)

    def begin(self, begin: Begin) -> None:
        """Has `begin` poll the packs that there are from now on."""
        self._begin = begin
        self._begin_new()

    def end(self) -> None:
        """Begins nothing any more."""
        self._to_begin.clear()
        self._to_reconcile.clear()

    def follow(self, plan: Plan, moved: Set[str]) -> None:
        """Goes over to another plan at once. What is the same in both is polled on as if nothing had been.

        What changed, and what a source in `moved` answers, is polled anew, at once; until that has succeeded its old
        series stay, each result as a whole.
        """
        before, read_before = self._courses, self._read_by_others
        self._take_over(plan)
        after = self._courses
        for key in [key for key, course in before.items() if after.get(key) != course or key[1] in moved]:
            if (fan_out := self._fan_outs.pop(key, None)) is not None:
                for pack in fan_out.packs:
                    pack.end()
            self._refused.discard(key)
            self._to_reconcile.discard(key)
            self._reconcile_seconds.pop(key, None)
            if key in after:
                self._store.leave_over(*key)
            else:
                self._store.drop_query(*key)
        for course in [one for one in after.values() if one.query.name in read_before ^ self._read_by_others]:
            if course.key in self._fan_outs and self._rows_are_here(course):
                self._reconcile(course)
        self._begin_new()
        for source in plan.sources:
            self._tell_demand_soon(source)

    @property
    def courses(self) -> Collection[Course]:
        """Each query on each of its sources; who feeds others stands before them."""
        return self._courses.values()

    def fan_out(self, query: str, source: str) -> FanOut | None:
        """The targets of a query on a source; None while the rows that give them are still to come."""
        return self._fan_outs.get((query, source))

    def course(self, owner: Owner) -> Course:
        """The query and the source of an owner."""
        return self._courses[owner.query, owner.source]

    def to_publish(self, course: Course) -> tuple[Target, ...]:
        """The targets of a query whose series this shard publishes."""
        known = self._fan_outs.get(course.key)
        return tuple(target for target in (known.members if known else ()) if self._is_published_here(course, target))

    def part_to_publish(self, course: Course, target: Target, outcome: PollOutcome) -> PollOutcome:
        """The outcome without series where another shard publishes them: of its rows, others may need some here."""
        if outcome.result is None or self._is_published_here(course, target):
            return outcome
        return replace(outcome, result=replace(outcome.result, samples=()))

    def is_elsewhere(self, course: Course) -> bool:
        """Whether all targets of a query are other shards' for good, as it is polled for no rows."""
        known = self._fan_outs.get(course.key)
        has_none = known is not None and not known.members and course.query.feeder is None
        return has_none and course.key not in self._refused

    def needs_too_many_calls(self, course: Course) -> bool:
        """Whether a query would need more calls than it may make, so that its old targets were kept."""
        return course.key in self._refused

    def are_tried(self) -> bool:
        """Whether every query has been tried on each of its sources, well or badly."""
        return all(map(self._is_tried, self._courses.values()))

    def names_are_known(self, course: Course) -> bool:
        """Whether the queries whose rows the answers are read with have been tried."""
        needed = (self._courses.get((name, course.source.name)) for name in course.query.reads)
        return all(self._is_tried(one) or self._waits_for(one, course) for one in needed if one is not None)

    def _waits_for(self, course: Course, other: Course) -> bool:
        """Whether a query waits for the rows of another, or is that one, so that the other must not wait for it."""
        seen, ahead = set[str](), [course]
        while ahead:
            one = ahead.pop()
            if one.key == other.key:
                return True
            if one.query.name not in seen:
                seen.add(one.query.name)
                needed = one.query.reads | {name for feed in one.query.feeds if (name := feed.query) is not None}
                ahead += [self._courses[key] for name in needed if (key := (name, course.source.name)) in self._courses]
        return False

    def is_awaited(self, course: Course, target: Target) -> bool:
        """Whether other queries wait for the rows of a target, as it has never worked."""
        return course.query.name in self._fed and self._store.state(course.owner(target)).success_time is None

    def demand(self, source: Source) -> Demand | None:
        """What a source with a rate limit is asked, as the targets are now."""
        return present_demand(self._by_source.get(source.name, ()), source, self._round_calls)

    def feed(self, course: Course) -> None:
        """Lets the queries that this one feeds follow its rows: at once, or of many rows within a moment, once for all
        targets that bring some meanwhile."""
        rows = len(self._store.feeding_rows(*course.key))
        for other in self._fed.get(course.query.name, ()):
            if (fed := self._courses.get((other.name, course.source.name))) is not None:
                known = self._fan_outs.get(fed.key)
                if known is None or max(rows, len(known.members)) < _BIG:
                    self._reconcile(fed)
                else:
                    self._reconcile_soon(fed)

    def settle(self, course: Course) -> None:
        """Drops what is left over of targets that there are no more, once all present ones have succeeded."""
        left_over = self._store.left_over(*course.key)
        if left_over and self._is_well(course):
            for owner in left_over:
                self._drop(owner)
            self.feed(course)

    def regroup(self, course: Course, fan_out: FanOut, wanted: Sequence[Target]) -> bool:
        """Starts the packs that came and ends those that went; whether targets went, and their series with them."""
        assert self._begin is not None
        regrouping = fan_out.regroup(wanted, self._monotonic())
        for target in regrouping.gone:
            self._drop(course.owner(target))
        for pack in regrouping.ended:
            pack.end()
        for pack in regrouping.begun:
            pack.task = self._begin(course, fan_out, pack)
        self._tell_demand_soon(course.source)
        return bool(regrouping.gone)

    def _begin_new(self) -> None:
        """Starts the targets of queries that have none yet; of very many some at a time, so that scrapes go on."""
        self._to_begin = deque(course for course in self._courses.values() if course.key not in self._fan_outs)
        self._begin_some()

    def _begin_some(self) -> None:
        for course in [self._to_begin.popleft() for _ in range(min(_BEGUN_TOGETHER, len(self._to_begin)))]:
            if course.key not in self._fan_outs and self._rows_are_here(course):
                self._reconcile(course)
        if self._to_begin:
            asyncio.get_running_loop().call_soon(self._begin_some)

    def _rows_are_here(self, course: Course) -> bool:
        """Whether it is known what a query is polled for."""
        feeder = self._feeder(course)
        return feeder is None or self._is_tried(feeder) or bool(self._store.feeding_rows(*feeder.key))

    def _reconcile_soon(self, course: Course) -> None:
        if course.key in self._to_reconcile:
            return
        self._to_reconcile.add(course.key)
        shortest, longest = _FOLLOW_SECONDS
        seconds = self._reconcile_seconds.get(course.key, 0.0) / _FOLLOW_SHARE
        asyncio.get_running_loop().call_later(min(max(shortest, seconds), longest), self._reconcile_late, course.key)

    def _reconcile_late(self, key: tuple[str, str]) -> None:
        if key not in self._to_reconcile:  # the query has changed meanwhile, or nothing is polled any more
            return
        self._to_reconcile.remove(key)
        course, began_at = self._courses[key], self._monotonic()
        self._reconcile(course)
        self._reconcile_seconds[key] = self._monotonic() - began_at
        self.settle(course)

    def _reconcile(self, course: Course) -> None:
        """Starts the targets that came and ends those that went, with their series."""
        query, feeder = course.query, self._feeder(course)
        rows = self._store.feeding_rows(*feeder.key) if feeder is not None else ()
        fan_out = self._fan_outs.setdefault(course.key, FanOut(query.most_in_call))
        shares = 1 if query.name in self._read_by_others else self.shard.count
        try:
            wanted = targets(query, rows, query.max_calls, partial(self._is_polled_here, course), shares)
        except TooManyTargets as error:
            self._refuse(course, error.calls)
            return
        if course.key in self._refused:
            self._refused.remove(course.key)
            self._observer.on_drop(Owner(*course.key, ""))
        some_went = self.regroup(course, fan_out, wanted)
        if some_went or not wanted:
            self.feed(course)
        if not wanted:
            self.settle(course)

    def _refuse(self, course: Course, calls: int) -> None:
        self._refused.add(course.key)
        consequence = "the old targets stay" if self._fan_outs[course.key].members else "nothing is polled"
        detail = f"{calls} calls are needed, and max_calls is {course.query.max_calls}; {consequence}"
        owner, outcome = Owner(*course.key, ""), PollOutcome(0.0, reason=Reason.FAN_OUT, detail=detail)
        self._observer.on_poll(owner, outcome, self._store.state(owner).decreases)

    def _drop(self, owner: Owner) -> None:
        self._store.drop(owner)
        self._observer.on_drop(owner)

    def _feeder(self, course: Course) -> Course | None:
        name = course.query.feeder
        return None if name is None else self._courses[name, course.source.name]

    def _is_polled_here(self, course: Course, key: str) -> bool:
        """Whether this shard polls a target; one whose rows others need is polled by each."""
        return course.query.name in self._read_by_others or self.shard.owns(*course.key, key)

    def _is_published_here(self, course: Course, target: Target) -> bool:
        """Whether this shard publishes the series of a target that it polls. Only what each shard polls is shared out:
        of a batch, which a shard made of its own rows, no other shard knows."""
        return course.query.name not in self._read_by_others or self.shard.owns(*course.key, target.key)

    def _is_tried(self, course: Course) -> bool:
        """Whether every target that a query has now has been polled; one that waits for its rows has none yet."""
        known = self._fan_outs.get(course.key)
        if known is None or course.key in self._to_reconcile:
            return False
        return known.are_tried(lambda target: self._store.state(course.owner(target)).tried)

    def _is_well(self, course: Course) -> bool:
        """Whether the last poll of every target succeeded; without targets, of the query that would give them."""
        known = self._fan_outs.get(course.key)
        if known is None or not self._is_tried(course):
            return False
        feeder = self._feeder(course)
        if not known.members and feeder is not None:
            return self._is_well(feeder)
        return all(self._store.state(course.owner(target)).up for target in known.members)

    def _tell_demand_soon(self, source: Source) -> None:
        """Tells it once for all targets that come and go within a moment, as it takes a look at every query."""
        if source.rate_limit is None:
            return
        if not self._to_tell:
            asyncio.get_running_loop().call_soon(self._tell_demands)
        self._to_tell.add(source.name)

    def _tell_demands(self) -> None:
        if self._to_begin:
            asyncio.get_running_loop().call_soon(self._tell_demands)
            return
        names, self._to_tell = self._to_tell, set()
        for source in self.plan.sources:
            if source.name in names and (demand := self.demand(source)) is not None:
                self._observer.on_demand(source.name, demand)

    def _round_calls(self, query: str, source: str) -> int:
        known = self._fan_outs.get((query, source))
        return 0 if known is None else len(known.packs)
