"""What is seen of the queries and sources: the one view that own metrics and pages have of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct

from exporter.config.source import Source
from exporter.model.budget import Budget
from exporter.model.errors import Reason
from exporter.plan.plan import QueryPlan
from exporter.polling.demand import Demand
from exporter.polling.polling import Polling
from exporter.series.store import State
from exporter.upstream.access_token import TokenStatus


class QueryStatus(Struct, frozen=True):
    """A query on a source, over all its targets; `states` are those that are known of them.

    `up` is whether the last poll of each that was polled succeeded; before the first poll it is not up.
    `needs_too_many_calls`: its new targets were refused, and the old ones stay. `next_in_seconds` is None while it is
    polled, and where nothing is to be polled. Times are Unix seconds.
    """

    query: QueryPlan
    source: str
    states: tuple[State, ...]
    up: bool
    needs_too_many_calls: bool
    targets: int
    pack_size: int | None
    in_flight: int
    next_in_seconds: float | None

    @property
    def tried(self) -> tuple[State, ...]:
        """The states of targets that have been polled."""
        return tuple([state for state in self.states if state.tried])

    @property
    def failing(self) -> tuple[State, ...]:
        """The states of targets whose last poll failed; one whose good figures became stale has not."""
        return tuple([state for state in self.states if state.tried and state.failure is not None])

    @property
    def failures(self) -> tuple[tuple[str, int], ...]:
        """How many targets fail at present, by reason."""
        if not self.failing and not self.needs_too_many_calls:
            return ()
        reasons = Counter(state.failure.value for state in self.failing if state.failure is not None)
        if self.needs_too_many_calls:
            reasons[Reason.FAN_OUT.value] += 1
        return tuple(sorted(reasons.items()))

    @property
    def partial(self) -> bool:
        """Whether a last answer had errors beside its data."""
        return any(state.partial for state in self.states)

    @property
    def series(self) -> int:
        return sum([state.series for state in self.states])

    @property
    def row_count(self) -> int:
        return sum(state.row_count for state in self.states)

    @property
    def success_time(self) -> float | None:
        """When it last succeeded; of its targets, the oldest."""
        return min([state.success_time for state in self.states if state.success_time is not None], default=None)

    @property
    def window_end_time(self) -> float | None:
        """The end of the newest window that was answered; of its targets, the oldest."""
        return min([state.window_end_time for state in self.states if state.window_end_time is not None], default=None)

    @property
    def period_start_time(self) -> float | None:
        """The start of the period of its counters; of its targets, the oldest."""
        starts = [state.period_start_time for state in self.states]
        return min([start for start in starts if start is not None], default=None)

    @property
    def latest(self) -> State | None:
        """The target that was polled last."""
        return max(self.tried, key=lambda state: state.polled_time or 0.0, default=None)

    @property
    def worst(self) -> State | None:
        """The target that failed last, among those that still fail if there are any."""
        return max(self.failing or self.tried, key=lambda state: state.problem_time or 0.0, default=None)


class SourceStatus(Struct, frozen=True):
    """A source: its access token (none without OAuth 2.0), its requests by status code, and what holds polls back.

    `budget` is what the API said last of its own limit.
    """

    source: Source
    token: TokenStatus | None
    requests_by_code: Mapping[str, int]
    pause_seconds: float
    rate_limit_wait_seconds: float | None
    demand: Demand | None
    budget: Budget | None = None


def query_statuses(polling: Polling) -> Iterator[QueryStatus]:
    """Each query on each source, except those that are other shards' alone."""
    targets, now = polling.targets, time.monotonic()
    up: dict[tuple[str, str], bool] = {}
    for course in targets.courses:
        if targets.is_elsewhere(course):
            continue
        query, key = course.query, course.key
        known, fan_out = polling.store.states_of(*key), targets.fan_out(*key)
        refused = targets.needs_too_many_calls(course)
        if known:
            well = all(state.up for state in known)
        else:  # without a row there is nothing to poll: then the query is as well as the one that feeds it
            has_targets = fan_out is not None and bool(fan_out.members)
            well = not has_targets and up.get((query.feeder or "", course.source.name), False)
        up[key] = well and not refused
        yield QueryStatus(
            query,
            course.source.name,
            known,
            up[key],
            refused,
            targets=0 if fan_out is None else len(fan_out.members),
            pack_size=fan_out.size.present if fan_out is not None and query.pack is not None else None,
            in_flight=polling.lanes.gates[course.source.name].in_flight.get(query.name, 0),
            next_in_seconds=None if fan_out is None else fan_out.next_in_seconds(now),
        )


def source_statuses(polling: Polling) -> Iterator[SourceStatus]:
    """Each source."""
    now = time.monotonic()
    for source in polling.targets.plan.sources:
        upstream, pace = polling.upstreams[source.name], polling.lanes.paces.get(source.name)
        yield SourceStatus(
            source,
            None if upstream.token is None else upstream.token.status(),
            upstream.transports[0].requests_by_code,
            polling.lanes.gates[source.name].remaining_seconds(now),
            None if pace is None else pace.waited_seconds,
            polling.targets.demand(source),
            polling.lanes.gates[source.name].budget,
        )
