"""How each source is asked: through which client, by how many polls at once, at which rate, and when it wants none."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from exporter.config.source import Source
from exporter.model.clock import CLOCK, Clock
from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome
from exporter.plan.plan import Target
from exporter.polling.course import Course
from exporter.polling.poll import Around, PackOutcome, Poller
from exporter.upstream.gate import Gate, kept_gates, kept_paces
from exporter.upstream.graphql import Client
from exporter.upstream.rate_limit import Pace

_PAUSING: Final = frozenset({Reason.HTTP_429, Reason.HTTP_5XX})


class Lanes:
    """The way to each source. A reload keeps what is known of the past: pauses, and what the rate limit let pass."""

    def __init__(self, around: Around, clock: Clock = CLOCK) -> None:
        self._around = around
        self._clock = clock
        self._sources: tuple[Source, ...] = ()
        self._clients: Mapping[str, Client] = {}
        self.gates: dict[str, Gate] = {}
        self.paces: dict[str, Pace] = {}

    def follow(self, sources: tuple[Source, ...], clients: Mapping[str, Client]) -> frozenset[str]:
        """Goes over to other sources; gives the names of those that another client asks than before."""
        moved = frozenset(name for name, client in clients.items() if self._clients.get(name) is not client)
        self.gates = kept_gates(self.gates, self._sources, sources)
        self.paces = kept_paces(self.paces, self._sources, sources, self._clock.monotonic)
        self._sources, self._clients = sources, clients
        return moved

    def place(self, course: Course) -> AbstractAsyncContextManager[None]:
        """A place among the polls of the course's source, once it is its turn and any pause is over."""
        return self.gates[course.source.name].passed(course.query.name, self._clock.monotonic)

    async def poll(
        self, course: Course, published_end_times: Mapping[Target, float | None], size: int, *, splits: bool = True
    ) -> PackOutcome:
        """What came of a poll of these targets, by whoever holds a place; see `Poller.poll`."""
        name = course.source.name
        poller = Poller(self._clients[name], self._around, self.paces.get(name), self._clock)
        polled = await poller.poll(course, published_end_times, size, splits=splits)
        for outcome in polled.outcomes.values():
            self._heed(name, outcome)
        return polled

    def _heed(self, source: str, outcome: PollOutcome) -> None:
        """Leaves a source alone for as long as it asks for."""
        if outcome.reason in _PAUSING and outcome.retry_after_seconds is not None and source in self.gates:
            self.gates[source].pause(self._clock.monotonic(), outcome.retry_after_seconds)
