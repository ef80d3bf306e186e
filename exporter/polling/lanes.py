"""How each source is asked: through which client, by how many polls at once, at which rate, and when it wants none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

from exporter.config.source import Source
from exporter.model.clock import CLOCK, Clock
from exporter.model.errors import Failure
from exporter.model.outcome import Operation, Response
from exporter.plan.plan import Target
from exporter.polling.course import Course
from exporter.polling.poll import Around, PackOutcome, Poller
from exporter.upstream.access_token import TokenSource
from exporter.upstream.gate import Gate, kept_gates, kept_paces
from exporter.upstream.graphql import Client
from exporter.upstream.rate_limit import Pace


class Lanes:
    """The way to each source. A reload keeps what is known of the past: pauses, and what the rate limit let pass."""

    def __init__(self, around: Around, clock: Clock = CLOCK) -> None:
        self._around = around
        self._clock = clock
        self._sources: tuple[Source, ...] = ()
        self._clients: Mapping[str, Client] = {}
        self._tokens: Mapping[str, TokenSource] = {}
        self.gates: dict[str, Gate] = {}
        self.paces: dict[str, Pace] = {}

    def follow(
        self,
        sources: tuple[Source, ...],
        clients: Mapping[str, Client],
        tokens: Mapping[str, TokenSource] | None = None,
    ) -> frozenset[str]:
        """Goes over to other sources; gives the names of those that another client asks than before. `tokens` are those
        that the clients need."""
        moved = frozenset(name for name, client in clients.items() if self._clients.get(name) is not client)
        self.gates = kept_gates(self.gates, self._sources, sources)
        self.paces = kept_paces(self.paces, self._sources, sources, self._clock.monotonic)
        self._sources, self._clients, self._tokens = sources, clients, tokens or {}
        return moved

    def place(self, course: Course) -> AbstractAsyncContextManager[None]:
        """A place among the polls of the course's source, once it is its turn and any pause is over."""
        return self.gates[course.source.name].place(course.query.name, self._clock.monotonic)

    async def poll(
        self, course: Course, published_end_times: Mapping[Target, float | None], size: int, *, splits: bool = True
    ) -> PackOutcome:
        """What came of a poll of these targets, by whoever holds a place; see `Poller.poll`."""
        name = course.source.name
        at_first = self.gates[name]

        def gate() -> Gate:  # a reload may bring another, or take it away
            return self.gates.get(name, at_first)

        token = self._tokens.get(name)
        until_ready = None if token is None else partial(token.until_there, course.query.timeout_seconds)
        lane = Lane(self._clients[name], gate, self.paces.get(name), self._clock.monotonic, until_ready)
        poller = Poller(lane, self._around, lane, self._clock)
        return await poller.poll(course, published_end_times, size, splits=splits)


class Lane:
    """One source's client and its turns: what an answer asks for holds from the next request on."""

    def __init__(
        self,
        client: Client,
        gate: Callable[[], Gate],
        pace: Pace | None,
        monotonic: Callable[[], float],
        until_ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`gate` gives the source's gate of the moment, `until_ready` waits for what every request needs."""
        self._client = client
        self._gate = gate
        self._pace = pace
        self._monotonic = monotonic
        self._until_ready = until_ready

    async def wait_to_pass(self, query: str) -> float:
        """Waits until that query may send a request; gives the seconds that it waited."""
        began_at = self._monotonic()
        await self._until_over()
        if self._pace is not None:
            if self._until_ready is not None:  # else many that passed one by one would be sent at once
                await self._until_ready()
            await self._pace.wait_to_pass(query, self._until_over)
        return self._monotonic() - began_at

    async def _until_over(self) -> None:
        """Waits until no pause is left."""
        await self._gate().until_over(self._monotonic)

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        """The response, within the deadline. Raises `Failure`."""
        try:
            response = await self._client.execute(operation, deadline_seconds=deadline_seconds)
        except Failure as failure:
            self._gate().heed(self._monotonic(), failure.retry_after_seconds, failure.budget)
            raise
        self._gate().heed(self._monotonic(), response.retry_after_seconds, response.budget)
        return response
