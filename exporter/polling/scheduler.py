"""When each query is polled: one task for each query, source and target, in one task group."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil, inf
from typing import Final, Protocol

from exporter.config.source import Source
from exporter.model.clock import Clock
from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome
from exporter.plan.operation import targets
from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.polling.course import Course
from exporter.polling.demand import Demand, present_demand
from exporter.polling.poll import PackOutcome, Poller, render_ahead
from exporter.polling.shard import NOT_SPLIT, Shard
from exporter.polling.targets import FanOut, Member, Pack
from exporter.polling.ticks import backoff_seconds, next_tick_at, phase_of, spread_phase, ticks_between
from exporter.series.store import Owner, Rendered, Store
from exporter.upstream.gate import Gate, kept_gates, kept_paces
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.rate_limit import Pace

_FIRST_ROUND_CHECK_SECONDS: Final = 0.02
_EXPIRY_CHECK_SECONDS: Final = 1.0
_PAGE_DELAY_SECONDS: Final = 0.05
_PAUSING: Final = frozenset({Reason.HTTP_429, Reason.HTTP_5XX})


class Observer(Protocol):
    """Who is told what happens; it must not raise."""

    def polled(self, owner: Owner, outcome: PollOutcome) -> None:
        """A poll ended."""

    def overran(self, owner: Owner, ticks: int) -> None:
        """That many ticks were missed."""

    def expired(self, owner: Owner) -> None:
        """The last good values were dropped."""

    def dropped(self, owner: Owner) -> None:
        """A target is gone."""

    def demanded(self, source: str, demand: Demand) -> None:
        """The calls that a source with a rate limit needs may have changed."""

    def packs_refused(self, query: str, source: str, size: int, detail: str) -> None:
        """The upstream refused packs, and takes that many targets in one operation."""


class Scheduler:
    """Runs a plan until it is cancelled."""

    def __init__(
        self,
        plan: Plan,
        clients: Mapping[str, GraphQLClient],
        store: Store,
        observer: Observer,
        *,
        shard: Shard = NOT_SPLIT,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._plan = plan
        self._clients = clients
        self._store = store
        self._observer = observer
        self.shard = shard
        self._monotonic = monotonic
        self._wall = wall
        self._jitter = jitter
        self._fan_outs: dict[tuple[str, str], FanOut] = {}
        self._fan_out_failures: set[tuple[str, str]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._page_timer: asyncio.TimerHandle | None = None
        self.paces: dict[str, Pace] = {}
        self.gates: dict[str, Gate] = {}
        self._read_by_others = plan.read_by_others
        self._store.audited = plan.audited
        self._set_limits(())

    async def run(self) -> None:
        """Polls for ever; ends only by being cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._keep_expiring())
            for query in self._plan.queries:
                for source in query.sources:
                    self._begin(query, source)
            await asyncio.Event().wait()

    @property
    def plan(self) -> Plan:
        """The plan that is run now."""
        return self._plan

    def published_targets(self, query: QueryPlan, source: Source) -> tuple[Target, ...]:
        """The targets of a query whose series this shard publishes."""
        known = self._fan_outs.get((query.name, source.name))
        return tuple(
            target for target in (known.members if known else ()) if self._is_published_here(query, source, target.key)
        )

    async def asked_again(
        self, query: QueryPlan, source: Source, members: Sequence[Target], period_start_time: float
    ) -> Mapping[Target, PollOutcome]:
        """What the full totals of a period that has ended are now; nothing is published of it.

        It is the poll of its end: the one that would be made if the page still stood at its start.
        """
        async with self.gates[source.name].passed(query.name, self._monotonic):
            size = self.pack_size(query.name, source.name) or 1
            polled = await self._polled(query, source, dict.fromkeys(members, period_start_time), size)
        for outcome in polled.outcomes.values():
            self._pause_if_told(source, outcome)
        return polled.outcomes

    def follow(self, plan: Plan, clients: Mapping[str, GraphQLClient]) -> None:
        """Goes over to another plan at once. What is the same in both is polled on as if nothing had been.

        What changed is polled anew, at once; until that has succeeded its old series stay, each result as a whole.
        """
        sources, before, after = self._plan.sources, _parts(self._plan, self._clients), _parts(plan, clients)
        self._plan, self._clients, self._store.max_series = plan, clients, plan.max_series
        self._read_by_others, self._store.audited = plan.read_by_others, plan.audited
        self._set_limits(sources)
        for key in [key for key, part in before.items() if after.get(key) != part]:
            if (fan_out := self._fan_outs.pop(key, None)) is not None:
                for pack in fan_out.packs:
                    if pack.task is not None:
                        pack.task.cancel()
            self._fan_out_failures.discard(key)
            if key in after:
                self._store.leave_over(*key)
            else:
                self._store.drop_query(*key)
        for query in plan.queries:
            for source in query.sources:
                if (query.name, source.name) not in self._fan_outs:
                    self._begin(query, source)
        for source in plan.sources:
            self._tell_demand(source)
        self._make_page_soon()

    def _begin(self, query: QueryPlan, source: Source) -> None:
        """Starts the targets of a query, unless the rows that it is polled for are still to come."""
        feeder = next((other for other in self._plan.queries if other.name == query.fed_by), None)
        if feeder is None or self._is_tried(feeder, source) or self._store.feeding_rows(feeder.name, source.name):
            self._reconcile(query, source)

    def _set_limits(self, before: tuple[Source, ...]) -> None:
        """The limits of each source, as the plan has them; what is known of the past stays known."""
        self.gates = kept_gates(self.gates, before, self._plan.sources)
        self.paces = kept_paces(self.paces, before, self._plan.sources, self._monotonic)

    def tried(self) -> bool:
        """Whether every query has been tried on each of its sources, well or badly."""
        return all(self._is_tried(query, source) for query in self._plan.queries for source in query.sources)

    def _is_tried(self, query: QueryPlan, source: Source) -> bool:
        """Whether every target that a query has now has been polled; one that waits for its rows has none yet."""
        known = self._fan_outs.get((query.name, source.name))
        return known is not None and all(
            self._store.state(_owner(query, source, target)).tried for target in known.members
        )

    def target_count(self, query: str, source: str) -> int:
        """How many targets a query has now."""
        known = self._fan_outs.get((query, source))
        return 0 if known is None else len(known.members)

    def next_in_seconds(self, query: str, source: str) -> float | None:
        """Seconds until the next of its targets is polled; None while all are being polled, or if there is none."""
        known = self._fan_outs.get((query, source))
        due_at = min((member.due_at for member in known.members.values()), default=inf) if known is not None else inf
        return None if due_at == inf else max(0.0, due_at - self._monotonic())

    def pack_size(self, query: str, source: str) -> int | None:
        """How many targets go into one operation at present."""
        known = self._fan_outs.get((query, source))
        return None if known is None else known.size.present

    def demand(self, source: Source) -> Demand | None:
        """What a source with a rate limit is asked, as the targets are now."""
        return present_demand(self._plan, source, self._round_calls)

    def _round_calls(self, query: str, source: str) -> int:
        known = self._fan_outs.get((query, source))
        return 0 if known is None else len(known.packs)

    def is_elsewhere(self, query: QueryPlan, source: Source) -> bool:
        """Whether all targets of a query are other shards' for good, as it is polled for no rows."""
        known = self._fan_outs.get((query.name, source.name))
        return query.fed_by is None and known is not None and not known.members

    def fan_out_failed(self, query: str, source: str) -> bool:
        """Whether a query would need more calls than it may make, so that its old targets were kept."""
        return (query, source) in self._fan_out_failures

    def _reconcile(self, query: QueryPlan, source: Source) -> None:
        """Starts the targets that came and ends those that went, with their series."""
        key = (query.name, source.name)
        feeder = query.fed_by
        rows = self._store.feeding_rows(feeder, source.name) if feeder else ()
        wanted = targets(query, rows, lambda key: self._is_polled_here(query, source, key))
        pack = query.pack.size if query.pack is not None else 1
        fan_out = self._fan_outs.setdefault(key, FanOut(pack))
        if (calls := ceil(len(wanted) / pack)) > query.max_calls:
            self._fan_out_failures.add(key)
            detail = f"{calls} calls are needed, and max_calls is {query.max_calls}; the old targets stay"
            self._observer.polled(Owner(*key, ""), PollOutcome(0.0, reason=Reason.FAN_OUT, detail=detail))
            return
        if key in self._fan_out_failures:
            self._fan_out_failures.remove(key)
            self._observer.dropped(Owner(*key, ""))
        left = self._regroup(query, source, fan_out, wanted)
        if left or not wanted:
            self._feed(query, source)
        if not wanted:
            self._settle(query, source)

    def _is_polled_here(self, query: QueryPlan, source: Source, key: str) -> bool:
        """Whether this shard polls a target; one whose rows others need is polled by each."""
        return query.name in self._read_by_others or self._is_published_here(query, source, key)

    def _is_published_here(self, query: QueryPlan, source: Source, key: str) -> bool:
        return self.shard.owns(query.name, source.name, key)

    def _as_published_here(self, query: QueryPlan, source: Source, target: Target, outcome: PollOutcome) -> PollOutcome:
        """The outcome without series where another shard publishes them: of its rows, others may need some here."""
        if outcome.result is None or self._is_published_here(query, source, target.key):
            return outcome
        return replace(outcome, result=replace(outcome.result, samples=()))

    def _regroup(self, query: QueryPlan, source: Source, fan_out: FanOut, wanted: Sequence[Target]) -> bool:
        """Starts the packs that came and ends those that went; whether targets went, and their series with them."""
        assert self._group is not None
        regrouped = fan_out.regroup(wanted, self._monotonic())
        for target in regrouped.gone:
            self._store.drop(_owner(query, source, target))
            self._observer.dropped(_owner(query, source, target))
        for pack in regrouped.ended:
            if pack.task is not None:
                pack.task.cancel()
        for pack in regrouped.begun:
            pack.task = self._group.create_task(self._keep_polling(query, source, fan_out, pack))
        self._tell_demand(source)
        return bool(regrouped.gone)

    def _tell_demand(self, source: Source) -> None:
        if (demand := self.demand(source)) is not None:
            self._observer.demanded(source.name, demand)

    def _feed(self, query: QueryPlan, source: Source) -> None:
        """Lets the queries that this one feeds follow its rows."""
        for other in self._plan.queries:
            if any(feed.query == query.name for feed in other.feeds) and source in other.sources:
                self._reconcile(other, source)

    def _settle(self, query: QueryPlan, source: Source) -> None:
        """Drops what is left over of targets that there are no more, once all present ones have succeeded."""
        left_over = self._store.left_over(query.name, source.name)
        if left_over and self._is_well(query, source):
            for owner in left_over:
                self._store.drop(owner)
                self._observer.dropped(owner)
            self._feed(query, source)

    def _is_well(self, query: QueryPlan, source: Source) -> bool:
        """Whether the last poll of every target succeeded; without targets, of the query that would give them."""
        known = self._fan_outs.get((query.name, source.name))
        if known is None:
            return False
        feeder = next((other for other in self._plan.queries if other.name == query.fed_by), None)
        if not known.members and feeder is not None:
            return self._is_well(feeder, source)
        states = (self._store.state(_owner(query, source, target)) for target in known.members)
        return all(state.tried and state.up for state in states)

    async def _keep_polling(self, query: QueryPlan, source: Source, fan_out: FanOut, pack: Pack) -> None:
        await self._until_names_are_known(query, source)
        pack.begin(self._monotonic())
        phase = _phase(query, source, pack)
        while True:
            await pack.until_due(self._monotonic)
            await self._poll_once(query, source, fan_out, pack, phase)

    async def _poll_once(self, query: QueryPlan, source: Source, fan_out: FanOut, pack: Pack, phase: float) -> None:
        """Polls the targets that are due. When it is over, nothing holds the answers."""
        async with self.gates[source.name].passed(query.name, self._monotonic):
            ticks = fan_out.polling(pack, self._monotonic())
            if not ticks:  # who was due went to another pack while this one waited for its place
                return
            try:
                ends = {target: self._store.state(_owner(query, source, target)).window_end_time for target in ticks}
                polled = await self._polled(query, source, ends, fan_out.size.present)
            finally:
                fan_out.polled(pack, ticks, self._monotonic())
        closing: list[Member] = []
        for target, polled_outcome in polled.outcomes.items():
            outcome = self._as_published_here(query, source, target, polled_outcome)
            ahead = await render_ahead(outcome)
            if (member := fan_out.members.get(target)) is not None:
                taken = self._take_in(query, source, target, outcome, ahead)
                member.failures = member.failures + 1 if taken.reason is not None else 0
                member.due_at = self._next_at(query, _owner(query, source, target), member, ticks[target], phase)
                if _closes_period(taken, ends[target]):
                    closing.append(member)
        stands_until = self._monotonic() + query.interval_seconds  # what is polled together stays together
        for member in closing:  # a full total stands for an interval, however late it came
            member.due_at = max(member.due_at, stands_until)
        if fan_out.size.accepted(polled.accepted, self._monotonic()):
            if polled.refusal:
                self._observer.packs_refused(query.name, source.name, polled.accepted, polled.refusal)
            self._regroup(query, source, fan_out, tuple(fan_out.members))

    async def _polled(
        self, query: QueryPlan, source: Source, published_end_times: Mapping[Target, float | None], size: int
    ) -> PackOutcome:
        """What came of a poll of these targets."""
        clock = Clock(self._monotonic, self._wall)
        pace = self.paces.get(source.name)
        poller = Poller(self._clients[source.name], self._store.surroundings, pace, clock)
        return await poller.poll(Course(query, source), published_end_times, size)

    def _next_at(self, query: QueryPlan, owner: Owner, member: Member, tick_at: float, phase: float) -> float:
        """When a target is polled next: at its next tick, or sooner after a failure. Ticks that passed are told."""
        now, interval = self._monotonic(), query.interval_seconds
        next_at = next_tick_at(now, interval, phase)
        if missed := ticks_between(tick_at, next_at, interval):
            self._observer.overran(owner, missed)
        if not member.failures:
            return next_at
        return min(next_at, now + backoff_seconds(member.failures, interval, self._jitter()))

    async def _until_names_are_known(self, query: QueryPlan, source: Source) -> None:
        """Waits, an interval at most, for the first round of the queries whose rows the labels are looked up in."""
        until = self._monotonic() + query.interval_seconds
        while self._monotonic() < until and not all(  # noqa: ASYNC110 - several conditions, checked at the start alone
            self._is_tried(other, source) for other in self._plan.queries if other.name in query.reads_beside
        ):
            await asyncio.sleep(_FIRST_ROUND_CHECK_SECONDS)

    def _take_in(
        self, query: QueryPlan, source: Source, target: Target, outcome: PollOutcome, ahead: Sequence[Rendered]
    ) -> PollOutcome:
        owner = _owner(query, source, target)
        now = self._monotonic()
        self._pause_if_told(source, outcome)
        first = not self._store.state(owner).tried
        rows = self._store.feeding_rows(query.name, source.name)
        try:
            outcome = self._store.fold(owner, target, outcome, now, self._wall(), ahead)
            if first or self._store.feeding_rows(query.name, source.name) is not rows:
                self._feed(query, source)
            if outcome.result is not None:
                self._settle(query, source)
        except Exception as error:  # a fault of ours must not end the polling of everything else
            outcome = PollOutcome(
                outcome.duration_seconds, reason=Reason.INTERNAL, detail=f"{type(error).__name__} after a poll"
            )
        self._observer.polled(owner, outcome)
        self._make_page_soon()
        return outcome

    def _pause_if_told(self, source: Source, outcome: PollOutcome) -> None:
        """Leaves a source alone for as long as it asks for."""
        if outcome.reason in _PAUSING and outcome.retry_after_seconds is not None:
            self.gates[source.name].pause(self._monotonic(), outcome.retry_after_seconds)

    def _make_page_soon(self) -> None:
        """Makes the page once for all polls that end within a moment, so that no scrape has to."""
        if self._page_timer is None:
            self._page_timer = asyncio.get_running_loop().call_later(_PAGE_DELAY_SECONDS, self._make_page)

    def _make_page(self) -> None:
        self._page_timer = None
        self._store.page()

    async def _keep_expiring(self) -> None:
        """Drops what has become stale, also of polls that wait or hang."""
        while True:
            await asyncio.sleep(_EXPIRY_CHECK_SECONDS)
            queries = {query.name: query for query in self._plan.queries}
            sources = {source.name: source for source in self._plan.sources}
            now = self._monotonic()
            for owner in [owner for owner, _ in self._store.states()]:
                query = queries[owner.query]
                if self._store.expire(query, owner, now):
                    self._observer.expired(owner)
                    self._feed(query, sources[owner.source])


def _phase(query: QueryPlan, source: Source, pack: Pack) -> float:
    if query.pack is None:
        return phase_of(_owner(query, source, next(iter(pack.members))), query.interval_seconds)
    return spread_phase(Owner(query.name, source.name, ""), pack.number, query.interval_seconds)


def _owner(query: QueryPlan, source: Source, target: Target) -> Owner:
    return Owner(query.name, source.name, target.key)


def _closes_period(outcome: PollOutcome, before: float | None) -> bool:
    """Whether it brought the full total of a period, where the window had ended before, Unix seconds, elsewhere."""
    result = outcome.result
    return result is not None and result.period_complete and result.window_end_time != before


def _parts(plan: Plan, clients: Mapping[str, GraphQLClient]) -> dict[tuple[str, str], object]:
    """All that decides what becomes of a query on a source."""
    return {(query, source): (*part, clients[source]) for (query, source), part in plan.parts.items()}
