"""Queries asked once, outside the schedule, after those whose rows they need: what several commands have in common."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from exporter.config.source import Source
from exporter.model.errors import Failure, Reason, ResultFailure
from exporter.model.outcome import Operation, PollOutcome, Response
from exporter.plan.operation import Moment, targets
from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.polling.pack import poll_targets
from exporter.polling.poll import poll, poll_over
from exporter.series.store import Owner, Store
from exporter.upstream.gate import Gate
from exporter.upstream.graphql import Client
from exporter.upstream.rate_limit import Pace, Turns

# Who answers a query's requests for a target.
ClientOf: TypeAlias = Callable[[QueryPlan, Source, Target], Client]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back: a response or a failure, after so many seconds."""

    sent: Operation
    answer: Response | Failure
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """One poll of a query for a target, with its requests."""

    query: QueryPlan
    source: Source
    target: Target
    exchanges: tuple[Exchange, ...]
    outcome: PollOutcome

    @property
    def responses(self) -> tuple[Response, ...]:
        """The answers that came."""
        return tuple(one.answer for one in self.exchanges if isinstance(one.answer, Response))


class Listening:
    """A client that keeps what was said."""

    def __init__(self, client: Client, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self.exchanges: list[Exchange] = []

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        """The response, within the deadline. Raises `UpstreamFailure`."""
        began_at = self._monotonic()
        try:
            response = await self._client.execute(operation, deadline_seconds=deadline_seconds)
        except Failure as failure:
            self.exchanges.append(Exchange(operation, failure, self._monotonic() - began_at))
            raise
        self.exchanges.append(Exchange(operation, response, self._monotonic() - began_at))
        return response


class Round:
    """Polls at one moment or at several, within each source's concurrency and rate limit.

    What other queries need is kept, as while the exporter runs; no query and target is asked twice for it.
    """

    def __init__(
        self,
        plan: Plan,
        client_of: ClientOf,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan = plan
        self.store = Store(plan.max_series)
        self._queries = {query.name: query for query in plan.queries}
        self._client_of = client_of
        self._wall = wall
        self._monotonic = monotonic
        self._asked: dict[Owner, Asked] = {}
        self._pack_sizes: dict[str, int] = {}
        self.gates = {source.name: Gate(Turns(source.concurrency)) for source in plan.sources}
        self.paces = paces(plan.sources)

    async def prepare(self, query: QueryPlan, source: Source) -> tuple[Asked, ...]:
        """Asks the queries that this one needs, and those that they need; gives all of them, in that order."""
        asked: dict[Owner, Asked] = {}
        for name in (query.fed_by, *sorted(query.reads_beside)):
            if name is None:
                continue
            needed = self._queries[name]
            for one in (*await self.prepare(needed, source), *await self._all(needed, source)):
                asked.setdefault(owner_of(one), one)
        return tuple(asked.values())

    async def _all(self, query: QueryPlan, source: Source) -> list[Asked]:
        """A poll of each target, taken in by their order, whichever answer came first: rows and targets follow it."""
        wanted = self.targets(query, source)
        missing = [target for target in wanted if Owner(query.name, source.name, target.key) not in self._asked]
        for asked in await asyncio.gather(*(self._polled(query, source, target) for target in missing)):
            self._take_in(asked)
        return [self._asked[Owner(query.name, source.name, target.key)] for target in wanted]

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Every poll of the round so far."""
        return tuple(self._asked.values())

    def targets(self, query: QueryPlan, source: Source) -> tuple[Target, ...]:
        """The targets of a query, by the rows of the queries that were asked. Raises `ResultFailure` (`fan_out`)."""
        rows = self.store.feeding_rows(query.fed_by, source.name) if query.fed_by is not None else ()
        found = targets(query, rows)
        if len(found) > query.max_calls:
            raise ResultFailure(
                Reason.FAN_OUT, f"{query.name}: {len(found)} calls are needed, and max_calls is {query.max_calls}"
            )
        return found

    async def polled_at(
        self, query: QueryPlan, source: Source, members: Sequence[Target], now: float, published_end_time: float | None
    ) -> Mapping[Target, PollOutcome]:
        """Polls of these targets as at another moment (Unix seconds), in packs where the query has them."""
        client, pace = self._client_of(query, source, members[0]), self.paces.get(source.name)
        around = partial(self.store.surroundings, query, source)
        async with self.gates[source.name].passed(query.name, self._monotonic):
            polled = await poll_targets(
                query,
                source,
                dict.fromkeys(members, published_end_time),
                client,
                around,
                size=self._pack_sizes.get(query.name, 1 if query.pack is None else query.pack.size),
                pace=pace,
                wall=lambda: now,
                monotonic=self._monotonic,
            )
            self._pack_sizes[query.name] = polled.accepted
            return polled.outcomes

    async def sent(self, query: QueryPlan, source: Source, what: Operation) -> tuple[Response | Failure, float]:
        """What came of an operation beside the query's own, and after how many seconds."""
        client = Listening(self._client_of(query, source, Target({})), self._monotonic)
        async with self.gates[source.name].passed(query.name, self._monotonic):
            if (pace := self.paces.get(source.name)) is not None:
                await pace.passed(query.name)
            with suppress(Failure):
                await client.execute(what, deadline_seconds=query.timeout_seconds)
        return client.exchanges[0].answer, client.exchanges[0].seconds

    async def polled_over(self, query: QueryPlan, source: Source, target: Target, moment: Moment) -> PollOutcome:
        """A poll over these time ranges, whatever the query's window and period are."""
        client, around = self._client_of(query, source, target), partial(self.store.surroundings, query, source, target)
        async with self.gates[source.name].passed(query.name, self._monotonic):
            return await poll_over(
                query, source, target, moment, client, around,
                pace=self.paces.get(source.name), monotonic=self._monotonic,
            )  # fmt: skip

    async def ask(self, query: QueryPlan, source: Source, target: Target) -> Asked:
        """One poll, at most one for each query and target; what it needs must have been asked."""
        owner = Owner(query.name, source.name, target.key)
        if owner not in self._asked:
            self._take_in(await self._polled(query, source, target))
        return self._asked[owner]

    async def _polled(self, query: QueryPlan, source: Source, target: Target) -> Asked:
        client = Listening(self._client_of(query, source, target), self._monotonic)
        async with self.gates[source.name].passed(query.name, self._monotonic):
            outcome = await poll(
                query,
                source,
                target,
                client,
                partial(self.store.surroundings, query, source, target),
                published_end_time=None,
                pace=self.paces.get(source.name),
                wall=self._wall,
                monotonic=self._monotonic,
            )
        return Asked(query, source, target, tuple(client.exchanges), outcome)

    def _take_in(self, asked: Asked) -> None:
        owner = owner_of(asked)
        outcome = self.store.fold(owner, asked.target, asked.outcome, self._monotonic(), self._wall())
        self._asked[owner] = replace(asked, outcome=outcome)


def owner_of(asked: Asked) -> Owner:
    """Whose series came of a poll."""
    return Owner(asked.query.name, asked.source.name, asked.target.key)


def paces(sources: Iterable[Source]) -> Mapping[str, Pace]:
    """The rate limit of each source that has one."""
    return {
        source.name: Pace(source.rate_limit.requests, source.rate_limit.per.total_seconds())
        for source in sources
        if source.rate_limit is not None
    }
