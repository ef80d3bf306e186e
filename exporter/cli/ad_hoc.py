"""Queries asked once, outside the schedule, after those whose rows they need: what several commands have in common."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias, TypeVar

import click
from msgspec import Struct
from msgspec.structs import replace

from exporter.config.source import Source
from exporter.model.clock import CLOCK, Clock
from exporter.model.errors import Failure, Reason, ResultFailure
from exporter.model.outcome import Operation, PollOutcome, Response
from exporter.plan.operation import Moment, TooManyTargets, targets
from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.polling.course import Course
from exporter.polling.lanes import Lane
from exporter.polling.poll import Poller
from exporter.series.store import Owner, Store
from exporter.upstream.gate import Gate
from exporter.upstream.graphql import Client
from exporter.upstream.rate_limit import FairPlaces, Pace

_ATTEMPTS: Final = 3  # at a request that the source answers with a wish to be left alone
_LONGEST_PAUSE_SECONDS: Final = 600.0  # that a person waits for

_Answer = TypeVar("_Answer")
# Who answers a query's requests for a target.
ClientOf: TypeAlias = Callable[[Course, Target], Client]
_SHORT_WAIT_SECONDS: Final = 2.0


class Exchange(Struct, frozen=True):
    """One request and what came back: a response or a failure, after so many seconds."""

    sent: Operation
    answer: Response | Failure
    seconds: float


class Asked(Struct, frozen=True):
    """One poll of a query for a target, with its requests."""

    course: Course
    target: Target
    exchanges: tuple[Exchange, ...]
    outcome: PollOutcome

    @property
    def query(self) -> QueryPlan:
        return self.course.query

    @property
    def owner(self) -> Owner:
        """Whose series came of it."""
        return self.course.owner(self.target)

    @property
    def responses(self) -> tuple[Response, ...]:
        """The answers that came."""
        return tuple(one.answer for one in self.exchanges if isinstance(one.answer, Response))


class Listening:
    """A client that keeps what was said."""

    def __init__(self, client: Client, monotonic: Callable[[], float]) -> None:
        self._client = client
        self._monotonic = monotonic
        self.exchanges: list[Exchange] = []

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        """The response as any JSON, within the deadline, so that all of it can be seen. Raises `UpstreamFailure`."""
        operation = dataclasses.replace(operation, shape=None)
        began_at = self._monotonic()
        try:
            response = await self._client.execute(operation, deadline_seconds=deadline_seconds)
        except Failure as failure:
            self.exchanges.append(Exchange(operation, failure, self._monotonic() - began_at))
            raise
        self.exchanges.append(Exchange(operation, response, self._monotonic() - began_at))
        return response


class Round:
    """Polls at one moment or at several, within each source's concurrency and rate limit, and not while it asks to be
    left alone.

    What other queries need is kept, as while the exporter runs; no query and target is asked twice for it. With
    `repeats` a request that the source answers with `Retry-After` is repeated after that time.
    """

    def __init__(
        self,
        plan: Plan,
        client_of: ClientOf,
        clock: Clock = CLOCK,
        *,
        repeats: bool = False,
    ) -> None:
        self.plan = plan
        self.store = Store(plan.max_series)
        self._queries = {query.name: query for query in plan.queries}
        self._client_of = client_of
        self._clock = clock
        self._repeats = repeats
        self._asked: dict[Owner, Asked] = {}
        self._pack_sizes: dict[str, int] = {}
        self.gates = {
            source.name: Gate(FairPlaces(source.concurrency), on_wait=partial(_tell_wait, source.name))
            for source in plan.sources
        }
        self.paces = paces(plan.sources)

    async def prepare(self, course: Course) -> tuple[Asked, ...]:
        """Asks the queries that this one needs, and those that they need; gives all of them, in that order."""
        asked: dict[Owner, Asked] = {}
        for name in (course.query.feeder, *sorted(course.query.reads)):
            if name is None:
                continue
            needed = Course(self._queries[name], course.source)
            for one in (*await self.prepare(needed), *await self._ask_all(needed)):
                asked.setdefault(one.owner, one)
        return tuple(asked.values())

    async def _ask_all(self, course: Course) -> list[Asked]:
        """A poll of each target, taken in by their order, whichever answer came first: rows and targets follow it."""
        wanted = self.targets(course)
        missing = [target for target in wanted if course.owner(target) not in self._asked]
        for asked in await asyncio.gather(*(self._poll(course, target) for target in missing)):
            self._take_in(asked)
        return [self._asked[course.owner(target)] for target in wanted]

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Every poll of the round so far."""
        return tuple(self._asked.values())

    def targets(self, course: Course) -> tuple[Target, ...]:
        """The targets of a query, by the rows of the queries that were asked. Raises `ResultFailure` (`fan_out`)."""
        query = course.query
        rows = self.store.feeding_rows(query.feeder, course.source.name) if query.feeder is not None else ()
        try:
            return targets(query, rows, query.max_calls)
        except TooManyTargets as error:
            wrong = f"{query.name}: {error.calls} calls are needed, and max_calls is {query.max_calls}"
            raise ResultFailure(Reason.FAN_OUT, wrong) from None

    async def poll_at(
        self, course: Course, members: Sequence[Target], now: float, published_end_time: float | None
    ) -> Mapping[Target, PollOutcome]:
        """Polls of these targets as at another moment (Unix seconds), in packs where the query has them."""
        query = course.query
        clock = replace(self._clock, wall=lambda: now)
        poller = self._poller(course, self._client_of(course, members[0]), clock)
        size = self._pack_sizes.get(query.name, query.most_in_call)
        async with self.gates[course.source.name].place(query.name, clock.monotonic):
            polled = await poller.poll(course, dict.fromkeys(members, published_end_time), size)
        self._pack_sizes[query.name] = polled.accepted
        return polled.outcomes

    async def send(self, course: Course, what: Operation) -> tuple[Response | Failure, float]:
        """What came of an operation beside the query's own, and after how many seconds."""
        query, monotonic = course.query, self._clock.monotonic

        async def once() -> Exchange:
            client = Listening(self._client_of(course, Target({})), monotonic)
            lane = self._lane(course, client)
            async with self.gates[course.source.name].place(query.name, monotonic):
                await lane.wait_to_pass(query.name)
                with suppress(Failure):
                    await lane.execute(what, deadline_seconds=query.timeout_seconds)
            return client.exchanges[0]

        def wait(exchange: Exchange) -> float | None:
            return exchange.answer.retry_after_seconds if isinstance(exchange.answer, Failure) else None

        exchange = await self._repeat_after_pauses(course, once, wait)
        return exchange.answer, exchange.seconds

    async def poll_over(self, course: Course, target: Target, moment: Moment) -> PollOutcome:
        """A poll over these time ranges, whatever the query's window and period are."""
        poller = self._poller(course, self._client_of(course, target), self._clock)

        async def once() -> PollOutcome:
            async with self.gates[course.source.name].place(course.query.name, self._clock.monotonic):
                return await poller.poll_over(course, target, moment)

        return await self._repeat_after_pauses(course, once, _wait_after)

    async def ask(self, course: Course, target: Target) -> Asked:
        """One poll, at most one for each query and target; what it needs must have been asked."""
        owner = course.owner(target)
        if owner not in self._asked:
            self._take_in(await self._poll(course, target))
        return self._asked[owner]

    async def _poll(self, course: Course, target: Target) -> Asked:
        async def once() -> Asked:
            client = Listening(self._client_of(course, target), self._clock.monotonic)
            poller = self._poller(course, client, self._clock)
            async with self.gates[course.source.name].place(course.query.name, self._clock.monotonic):
                polled = await poller.poll(course, {target: None})
            return Asked(course, target, tuple(client.exchanges), polled.outcomes[target])

        return await self._repeat_after_pauses(course, once, lambda asked: _wait_after(asked.outcome))

    async def _repeat_after_pauses(
        self, course: Course, once: Callable[[], Awaitable[_Answer]], wait: Callable[[_Answer], float | None]
    ) -> _Answer:
        """The answer to a request, repeated after each pause that the source asks for, which its gate waits for."""
        for _ in range(_ATTEMPTS - 1):
            answer = await once()
            seconds = wait(answer)
            if not self._repeats or seconds is None or seconds > _LONGEST_PAUSE_SECONDS:
                return answer
        return await once()

    def _poller(self, course: Course, client: Client, clock: Clock) -> Poller:
        lane = self._lane(course, client)
        return Poller(lane, self.store.surroundings, lane, clock)

    def _lane(self, course: Course, client: Client) -> Lane:
        name = course.source.name
        return Lane(client, lambda: self.gates[name], self.paces.get(name), self._clock.monotonic)

    def _take_in(self, asked: Asked) -> None:
        outcome = self.store.fold(asked.owner, asked.target, asked.outcome, self._clock.monotonic(), self._clock.wall())
        self._asked[asked.owner] = replace(asked, outcome=outcome)


def _tell_wait(source: str, seconds: float) -> None:
    """Says on standard error why nothing happens, where somebody would wonder."""
    if seconds >= _SHORT_WAIT_SECONDS:
        why = "as the API asked for it or could not answer"
        click.echo(f"{source}: the next request is sent in {seconds:.0f} s, {why}", err=True)


def _wait_after(outcome: PollOutcome) -> float | None:
    """How long a source that failed a poll wants to be left alone."""
    return outcome.retry_after_seconds if outcome.result is None else None


def paces(sources: Iterable[Source]) -> Mapping[str, Pace]:
    """The rate limit of each source that has one."""
    return {
        source.name: Pace(source.rate_limit.requests, source.rate_limit.per.total_seconds())
        for source in sources
        if source.rate_limit is not None
    }
