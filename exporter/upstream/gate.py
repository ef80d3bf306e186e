"""What holds the polls of a source back: its places, a pause that it asked for, its rate limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from exporter.config.source import Source
from exporter.model.budget import Budget
from exporter.upstream.rate_limit import FairPlaces, Pace

MAX_PAUSE_SECONDS: Final = 3600.0


class Gate(Struct):
    """How many polls of a source run at once, until when it asked to be left alone (monotonic seconds), and what it
    said last of its budget. `on_wait` hears once of each pause that something waits for, with the seconds of it."""

    places: FairPlaces
    paused_until: float = 0.0
    budget: Budget | None = None
    in_flight: dict[str, int] = {}
    on_wait: Callable[[float], None] | None = None
    _announced_until: float = 0.0

    def pause(self, now: float, seconds: float) -> None:
        """Leaves the source alone for so long, an hour at most."""
        self.paused_until = max(self.paused_until, now + min(seconds, MAX_PAUSE_SECONDS))

    def heed(self, now: float, wait_seconds: float | None, budget: Budget | None) -> None:
        """Takes in what an answer says of the source's limits."""
        if wait_seconds is not None:
            self.pause(now, wait_seconds)
        if budget is not None:
            self.budget = budget

    def remaining_seconds(self, now: float) -> float:
        """Seconds of the pause that are left."""
        return max(0.0, self.paused_until - now)

    async def until_over(self, monotonic: Callable[[], float]) -> None:
        """Waits until no pause is left."""
        while (seconds := self.remaining_seconds(monotonic())) > 0:
            if self.on_wait is not None and self._announced_until < self.paused_until:
                self._announced_until = self.paused_until
                self.on_wait(seconds)
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def place(self, query: str, monotonic: Callable[[], float]) -> AsyncIterator[None]:
        """A place among the source's polls, once it is the query's turn and any pause is over."""
        async with self.places.take(query):
            await self.until_over(monotonic)
            self.in_flight[query] = self.in_flight.get(query, 0) + 1
            try:
                yield
            finally:
                self.in_flight[query] -= 1


def kept_gates(gates: Mapping[str, Gate], before: Sequence[Source], sources: Sequence[Source]) -> dict[str, Gate]:
    """The gates of the sources, by name: those that there were, where nothing changed. A pause stays with its URL, also
    under another name of the source."""
    kept, formers = {}, _formers(before, sources)
    for source in sources:
        if source in formers[source.name]:
            kept[source.name] = gates[source.name]
            continue
        gate = kept[source.name] = Gate(FairPlaces(source.concurrency))
        there = [gates[former.name] for former in formers[source.name] if former.url == source.url]
        if there:
            longest = max(there, key=lambda each: each.paused_until)
            gate.paused_until, gate.budget = longest.paused_until, longest.budget
    return kept


def kept_paces(
    paces: Mapping[str, Pace], before: Sequence[Source], sources: Sequence[Source], monotonic: Callable[[], float]
) -> dict[str, Pace]:
    """The paces of the sources with a rate limit, by name. A new one continues the one that the source had before."""
    kept, formers = {}, _formers(before, sources)
    for source in sources:
        if source.rate_limit is None:
            continue
        if source in formers[source.name]:
            kept[source.name] = paces[source.name]
            continue
        pace = Pace(source.rate_limit.requests, source.rate_limit.per.total_seconds(), monotonic=monotonic)
        former = next((each for each in formers[source.name] if each.name in paces), None)
        if former is not None:
            pace.continues(paces[former.name])
        kept[source.name] = pace
    return kept


def _formers(before: Sequence[Source], sources: Sequence[Source]) -> Mapping[str, Sequence[Source]]:
    """What each source was before, by its name: the one of its name and URL; else those at its URL that are no longer
    there under their names; else the one of its name, which was at another URL."""
    stay = {(each.name, each.url) for each in sources}
    by_name = {each.name: each for each in before}
    left: dict[str, list[Source]] = {}
    for each in before:
        if (each.name, each.url) not in stay:
            left.setdefault(each.url, []).append(each)
    found: dict[str, Sequence[Source]] = {}
    for source in sources:
        same = by_name.get(source.name)
        is_there = same is not None and same.url == source.url
        at_url = [] if is_there else left.get(source.url, [])
        found[source.name] = at_url or ([] if same is None else [same])
    return found
