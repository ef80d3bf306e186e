"""What is known between polls: one fold for each query, source and target, and the page made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from exporter.config.source import Source
from exporter.exposition import Board, Body, Page, body
from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome, Result
from exporter.model.samples import Family, Json, MetricType, Samples, total
from exporter.plan.operation import FeedingRow, label_values
from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.series.births import Births, Counters, first_births
from exporter.series.extraction import widest_label
from exporter.series.label_texts import Surroundings
from exporter.series.leftovers import Leftovers
from exporter.series.owners import NONE, Claims, Keys
from exporter.series.rows import Rows

_LOOKED_AT: Final = 2000  # series, to find the label with the most values
_SERIES_BYTES: Final = 2**10  # of a series' lines, on average
_LEAST_MAX_BYTES: Final = 64 * 2**20  # where few series are allowed, whose labels may be long


class Owner(NamedTuple):
    """Whose series they are."""

    query: str
    source: str
    target: str


class ClosedPeriod(Struct, frozen=True):
    """The full totals of a period, by counter; its start in Unix seconds."""

    totals: Mapping[str, float]
    start_time: float


class State(Struct, frozen=True):
    """What is kept of one query and target.

    `counters` are the values of this period as they are published, but for `births`; `series` is how many are on the
    page; `succeeded_at` is monotonic, the `_time`s are Unix seconds. `decreases` is how many counter values the last
    poll held. `failure` is why the last poll failed, None if it worked. `problem` is why a poll failed last, also if
    others worked since.
    """

    tried: bool = False
    up: bool = False
    partial: bool = False
    series: int = 0
    rows: tuple[Mapping[str, Json], ...] = ()
    row_count: int = 0
    counters: Counters = {}
    births: Births = field(default_factory=Births)
    decreases: int = 0
    failure: Reason | None = None
    succeeded_at: float | None = None
    success_time: float | None = None
    polled_time: float | None = None
    duration_seconds: float | None = None
    problem: str = ""
    problem_time: float | None = None
    window_seconds: float | None = None
    window_end_time: float | None = None
    period_start_time: float | None = None
    closed: ClosedPeriod | None = None

    @property
    def published_end_time(self) -> float | None:
        """The end of the window on the page, in Unix seconds; None once its series were dropped."""
        return None if self.succeeded_at is None else self.window_end_time


class Rendered(Struct, frozen=True):
    """Samples as the page and the claims of their owner need them."""

    body: Body
    keys: Keys

    @classmethod
    def of(cls, samples: Samples, created: Sequence[float] = ()) -> Rendered:
        """`created` is when each series began, if that is published. Keeps nothing and shares nothing, so it may run in
        any thread."""
        return cls(body(samples, created), Keys.of(samples))

    @classmethod
    def of_result(cls, result: Result) -> tuple[Rendered, ...]:
        """What the samples of a result become."""
        return tuple(cls.of(one, _period_starts(one, result)) for one in result.samples)


def _period_starts(samples: Samples, result: Result) -> Sequence[float]:
    """When each of these series of a result began, in Unix seconds; nothing where the page does not say it."""
    start = result.period_start_time
    if start is None or not result.publishes_created or samples.family.type is not MetricType.COUNTER:
        return ()
    return [start] * len(samples)


_UNKNOWN: Final = State()


def next_state(previous: State, outcome: PollOutcome, at: float, time: float) -> tuple[State, tuple[Samples, ...]]:
    """The state after a poll, and the series to publish; a failure leaves both as they are.

    Within a period a counter does not fall: a lower value is held and counted (the upstream corrected itself, or
    answered from an older copy), also where the series was away in between. A new period begins at the upstream's own
    figure: a reset, which `rate()` knows. A series of a period that begins is published as 0 first (see `Births`).
    """
    result = outcome.result
    if result is None:
        return _state_after_failure(previous, outcome, time), ()
    same_period = result.period_start_time == previous.period_start_time
    is_held = same_period and result.period_start_time is not None
    held = (previous.counters, previous.births.gone) if is_held else ()
    counters = {one.family: one.series for one in result.samples if one.family.type is MetricType.COUNTER}
    kept = {
        family: {
            key: value
            for values in held
            for key, value in values.get(family, {}).items()
            if series.get(key, value) < value
        }
        for family, series in counters.items()
    }
    for family, values in kept.items():
        counters[family] |= values
    watched = previous.tried and previous.succeeded_at is not None
    if watched and result.period_start_time is not None:  # without a period, a counter may be older than its series
        births, shown = previous.births.publish(previous.counters, counters, result, same_period=same_period)
    else:
        births, shown = first_births(counters, result), {}
    samples = tuple(
        Samples.of(one.family, {**counters[one.family], **shown.get(one.family, {})})
        if kept.get(one.family) or shown.get(one.family)
        else one
        for one in result.samples
    )
    return (
        State(
            tried=True,
            up=True,
            partial=result.partial,
            series=sum(map(len, samples)),
            rows=result.rows,
            row_count=result.row_count,
            counters=counters,
            births=births,
            decreases=sum(map(len, kept.values())),
            succeeded_at=at,
            success_time=time,
            polled_time=time,
            duration_seconds=outcome.duration_seconds,
            problem=previous.problem,
            problem_time=previous.problem_time,
            window_seconds=result.window_seconds,
            window_end_time=result.window_end_time,
            period_start_time=result.period_start_time,
            closed=_period_end(result, counters) or previous.closed,
        ),
        samples,
    )


def _state_after_failure(previous: State, outcome: PollOutcome, time: float) -> State:
    return replace(
        previous,
        tried=True,
        up=False,
        decreases=0,
        failure=outcome.reason,
        polled_time=time,
        duration_seconds=outcome.duration_seconds,
        problem=f"{outcome.reason}: {outcome.detail}",
        problem_time=time,
    )


def _period_end(result: Result, counters: Counters) -> ClosedPeriod | None:
    if result.period_start_time is None or not result.period_complete:
        return None
    totals = {family.name: total(series.values()) for family, series in counters.items()}
    return ClosedPeriod(totals, result.period_start_time)


class Store:
    """All states, and the page. One thread; every change is whole before the next scrape sees it."""

    def __init__(self, max_series: int) -> None:
        self._max_series = max_series
        self._audited: frozenset[str] = frozenset()  # of the others no closed period is kept
        self._states: dict[tuple[str, str], dict[Owner, State]] = {}  # by query and source
        self._series: dict[Owner, dict[Family, Keys]] = {}
        self._claims: Claims[Owner] = Claims()
        self._rows = Rows()
        self._left_over = Leftovers[Owner]()
        self._total = 0
        self._bytes: dict[Owner, int] = {}
        self._total_bytes = 0
        self._board = Board()

    def follow(self, plan: Plan) -> None:
        """Takes its limits from another plan: how many series there may be, and which closed periods are kept."""
        self._max_series, self._audited = plan.max_series, plan.audited

    def page(self) -> Page:
        """The page of all results at this moment."""
        return self._board.page()

    def state(self, owner: Owner) -> State:
        """What is known of an owner; nothing, for one that was never polled."""
        known = self._states.get(owner[:2])
        return _UNKNOWN if known is None else known.get(owner, _UNKNOWN)

    def states(self) -> Iterator[tuple[Owner, State]]:
        """All of them."""
        for known in self._states.values():
            yield from known.items()

    def states_of(self, query: str, source: str) -> tuple[State, ...]:
        """Those of a query on a source."""
        known = self._states.get((query, source))
        return () if known is None else tuple(known.values())

    def feeding_rows(self, query: str, source: str) -> tuple[FeedingRow, ...]:
        """The rows that a query's targets yielded last."""
        return self._rows.of(query, source)

    def surroundings(self, query: QueryPlan, source: Source, target: Target) -> Surroundings:
        """What an answer is read with, as the other queries have it at this moment."""
        return Surroundings(
            label_values(source, target),
            {lookup.name: self._rows.names(lookup, source.name) for lookup in query.lookups},
            {name: self._rows.beside(name, source.name, target) for name in query.counts_over},
        )

    def fold(
        self,
        owner: Owner,
        target: Target,
        outcome: PollOutcome,
        at: float,
        time: float,
        ahead: Sequence[Rendered] = (),
    ) -> PollOutcome:
        """Takes in what a poll yielded. The outcome comes back as a failure where its series cannot stand beside
        the others: the earlier owner of a series keeps it, and the limit of all series is all or nothing.

        `ahead` is what the result's samples become, where it was made ahead.
        """
        if outcome.result is not None:
            ahead = ahead or Rendered.of_result(outcome.result)
            if self._left_over:
                self._make_way(owner, outcome.result, ahead)
            outcome = self._refusal(owner, outcome, outcome.result, ahead) or outcome
        previous = self.state(owner)
        state, samples = next_state(previous, outcome, at, time)
        self._keep(
            owner, state if owner.query in self._audited or state.closed is None else replace(state, closed=None)
        )
        if outcome.result is not None:
            self._rows.put(owner.query, owner.source, owner, state.rows, target.values)
            self._left_over.discard(owner)
            self._publish(
                owner,
                {
                    one.family: ready
                    if one is polled
                    else _render_again(ready, one, polled, _created_times(one, outcome.result, state, previous))
                    for one, polled, ready in zip(samples, outcome.result.samples, ahead, strict=True)
                },
            )
        return outcome

    def age(self, seconds: float) -> None:
        """Makes everything that was published older by time that the monotonic clock has not counted."""
        for owner, state in list(self.states()):
            if state.succeeded_at is not None:
                self._keep(owner, replace(state, succeeded_at=state.succeeded_at - seconds))

    def expire(self, query: QueryPlan, owner: Owner, at: float) -> bool:
        """Drops an owner's series and rows if its last success is longer ago than the query's `stale_after`.

        What says how old the data was stays, so that an alarm on it does not end with the data.
        """
        state = self.state(owner)
        if state.succeeded_at is None or at - state.succeeded_at <= query.stale_after_seconds:
            return False
        if owner in self._left_over and not state.tried:
            self.drop(owner)
            return True
        ended = State(
            tried=True,
            failure=state.failure,
            success_time=state.success_time,
            window_end_time=state.window_end_time,
            closed=state.closed,
        )
        self._keep(owner, ended)
        self._withdraw(owner)
        return True

    def drop(self, owner: Owner) -> None:
        """Forgets an owner, such as a target that vanished, with its series."""
        self._withdraw(owner)
        self._left_over.discard(owner)
        known = self._states.get(owner[:2], {})
        if known.pop(owner, None) is not None and not known:
            del self._states[owner[:2]]

    def drop_query(self, query: str, source: str) -> None:
        """Forgets all that a query yielded on a source."""
        for owner in self._owners_of(query, source):
            self.drop(owner)

    def leave_over(self, query: str, source: str) -> None:
        """Keeps what a query yielded under another configuration, until it is polled anew or its place is needed.

        Its counters begin anew: what is asked for may be another thing now.
        """
        for owner in self._owners_of(query, source):
            self._left_over.add(owner, self._series.get(owner, {}))
            state = self.state(owner)
            self._keep(owner, replace(state, tried=False, counters={}, births=Births(), decreases=0, closed=None))

    def left_over(self, query: str, source: str) -> list[Owner]:
        """Whose results under another configuration are still there."""
        if not self._left_over:  # as after every poll but those soon after a reload
            return []
        return [owner for owner in self._owners_of(query, source) if owner in self._left_over]

    def _owners_of(self, query: str, source: str) -> list[Owner]:
        return list(self._states.get((query, source), ()))

    def _keep(self, owner: Owner, state: State) -> None:
        self._states.setdefault(owner[:2], {})[owner] = state

    def _make_way(self, owner: Owner, result: Result, ahead: Sequence[Rendered]) -> None:
        """Takes results that are left over from the page, each as a whole, where they cannot stay beside this one."""
        if self._are_too_many(owner, result) or self._are_too_long(owner, ahead):
            others = set(self._left_over.on_page())
        else:
            others = {
                other
                for one, ready in zip(result.samples, ahead, strict=True)
                for other in chain(
                    self._left_over.of_other_shape(one.family), self._claims.others(owner, one.family.name, ready.keys)
                )
                if other in self._left_over
            }
        for other in others - {owner}:
            self._publish(other, {})
            self._left_over.clear(other)
            self._keep(other, replace(self.state(other), series=0))

    def _beside(self, owner: Owner) -> int:
        """How many series there are of all others."""
        return self._total - sum(map(len, self._series.get(owner, {}).values()))

    def _are_too_many(self, owner: Owner, result: Result) -> bool:
        return self._beside(owner) + result.series_count > self._max_series

    def _are_too_long(self, owner: Owner, ahead: Sequence[Rendered]) -> bool:
        """Whether the page would have more bytes than that many series need, as a label may be as long as an answer."""
        return self._total_bytes - self._bytes.get(owner, 0) + _length(ahead) > self._max_bytes

    @property
    def _max_bytes(self) -> int:
        return max(_LEAST_MAX_BYTES, self._max_series * _SERIES_BYTES)

    def _refusal(
        self, owner: Owner, outcome: PollOutcome, result: Result, ahead: Sequence[Rendered]
    ) -> PollOutcome | None:
        if self._are_too_many(owner, result):
            detail = f"more than max_series ({self._max_series}) in all: {self._growing(result)}"
            return replace(outcome, result=None, reason=Reason.CARDINALITY, detail=detail)
        if self._are_too_long(owner, ahead):
            detail = f"the series of all queries need more than {self._max_bytes >> 20} MiB; a label has long texts"
            return replace(outcome, result=None, reason=Reason.CARDINALITY, detail=detail)
        for samples, ready in zip(result.samples, ahead, strict=True):
            other = self._claims.other(owner, samples.family.name, ready.keys)
            if other is not None:
                detail = f"{samples.family.name} has a series that the query {other.query} publishes already"
                return replace(outcome, result=None, reason=Reason.DUPLICATE_SERIES, detail=detail)
        return None

    def _growing(self, result: Result) -> str:
        """Which of a result's families has the most series in all, and by which label; from a part, as it may be asked
        for at every poll."""
        largest = max(result.samples, key=lambda one: self._claims.count(one.family.name))
        present = islice(self._claims.some(largest.family.name), _LOOKED_AT)
        label = widest_label(largest.family, {*present, *islice(largest.label_values(), _LOOKED_AT)})
        return f"{largest.family.name} has {self._claims.count(largest.family.name)} and would have more; {label}"

    def _withdraw(self, owner: Owner) -> None:
        """Takes away an owner's series and rows."""
        self._left_over.clear(owner)
        self._publish(owner, {})
        self._rows.put(owner.query, owner.source, owner, (), {})

    def _publish(self, owner: Owner, ready: Mapping[Family, Rendered]) -> None:
        before = self._series.pop(owner, {})
        after = {family: one.keys for family, one in ready.items() if one.keys}
        kept = {family.name for family in after}  # by name: after a reload, a family's help or labels may be others
        for family in before:
            if family.name not in kept:
                self._claims.put(owner, family.name, NONE)
                self._board.put(owner, family, None)
        for family, keys in after.items():
            self._claims.put(owner, family.name, keys)
            self._board.put(owner, family, ready[family].body)
        self._total += sum(map(len, after.values())) - sum(map(len, before.values()))
        length = _length(ready[family] for family in after)
        self._total_bytes += length - self._bytes.pop(owner, 0)
        if after:
            self._series[owner] = after
            self._bytes[owner] = length


def _length(ready: Iterable[Rendered]) -> int:
    """The bytes of their lines."""
    return sum(one.body.length for one in ready)


def _created_times(samples: Samples, result: Result, state: State, previous: State) -> Sequence[float]:
    """When each series began: one that stands with its total of the period before began with that period."""
    times, carried = _period_starts(samples, result), state.births.ended.get(samples.family)
    earlier = previous.period_start_time
    if not times or not carried or earlier is None:
        return times
    return [earlier if key in carried else time for key, time in zip(samples.label_values(), times, strict=True)]


def _render_again(ready: Rendered, samples: Samples, polled: Samples, created: Sequence[float]) -> Rendered:
    """What other samples of the same family become; of the same series, if they are as many."""
    if len(samples) == len(polled):
        return replace(ready, body=body(samples, created))
    return Rendered.of(samples, created)
