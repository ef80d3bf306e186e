"""What is kept between polls: last good values, a counter's hold, and whose series they are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.exposition import Format, Joiner
from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome, Result
from exporter.model.samples import Family, LabelValues, MetricType, Number, Samples
from exporter.plan.plan import Plan, Target
from exporter.series.store import ClosedPeriod, Owner, State, Store, next_state
from tests.support.plans import planned_query

GAUGE = Family("load", MetricType.GAUGE, "Load.", ("api",))
COUNTER = Family("calls_total", MetricType.COUNTER, "Calls.", ("api",))
ONE = Owner("q1", "acme", "")
TWO = Owner("q2", "acme", "")
TARGET = Target({})
FAILED = PollOutcome(0.1, reason=Reason.TIMEOUT, detail="took too long")
QUERY = planned_query('- {name: q1, stale_after: 10m, document: "{ n }", metrics: [{name: n, help: N., value: n}]}')


def good(
    family: Family, series: Mapping[str, Number], period: float | None = None, *, complete: bool = False
) -> PollOutcome:
    samples = Samples.of(family, {(label,): value for label, value in series.items()})
    result = Result(
        (samples,),
        rows=({"id": 1},),
        window_end_time=1000.0,
        period_start_time=period,
        period_complete=complete,
    )
    return PollOutcome(0.1, result)


def shown(store: Store) -> list[str]:
    """The lines of the page without its heads."""
    text = Joiner().join(store.page(), b"", Format.TEXT, gzip=False).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def fold(state: State, *polls: PollOutcome) -> tuple[State, list[Mapping[LabelValues, Number]]]:
    """The state after these polls, and the series that the last one publishes."""
    samples: tuple[Samples, ...] = ()
    for at, outcome in enumerate(polls):
        state, samples = next_state(state, outcome, float(at), 1000.0 + at)
    return state, [one.series for one in samples]


# one query and target


def test_a_good_poll_is_known_as_such() -> None:
    """When it was, how many series there are, and that the last poll worked."""
    state, series = fold(State(), good(GAUGE, {"a": 1, "b": 2}))
    assert (state.tried, state.up, state.series, state.succeeded_at, state.success_time) == (True, True, 2, 0.0, 1000.0)
    assert series == [{("a",): 1, ("b",): 2}]


def test_a_failed_poll_keeps_what_was_known() -> None:
    """A failure marks the query as down; values, rows and the time of the last success stay."""
    before, _ = fold(State(), good(COUNTER, {"a": 5}, 0.0))
    after, series = fold(before, FAILED)
    assert (after.tried, after.up, series) == (True, False, [])
    assert (after.rows, after.counters, after.success_time) == (before.rows, before.counters, before.success_time)


def test_a_counter_does_not_fall_within_its_period() -> None:
    """An upstream that corrects itself downwards is held and counted, so that `rate()` sees no reset."""
    state, series = fold(State(), good(COUNTER, {"a": 5, "b": 1}, 0.0), good(COUNTER, {"a": 3, "b": 2}, 0.0))
    assert series == [{("a",): 5, ("b",): 2}]
    assert state.decreases == 1
    state, series = fold(state, good(COUNTER, {"a": 4, "b": 2}, 0.0))
    assert (series, state.decreases) == ([{("a",): 5, ("b",): 2}], 1)
    state, series = fold(state, good(COUNTER, {"a": 6, "b": 2}, 0.0))
    assert (series, state.decreases) == ([{("a",): 6, ("b",): 2}], 0)


def test_the_full_total_of_a_period_is_kept_until_the_next() -> None:
    """What stood on the page at the end of a period, with what was held, is known until another period has ended, also
    where polls fail or the values become stale meanwhile; what came short of the end is no full total."""
    state, _ = fold(State(), good(COUNTER, {"a": 3}, 0.0), good(COUNTER, {"a": 2, "b": 2}, 0.0, complete=True))
    assert state.closed == ClosedPeriod({"calls_total": 5}, 0.0)
    later, _ = fold(state, good(COUNTER, {"a": 1}, 86400.0), FAILED, good(COUNTER, {"a": 1}, 2 * 86400.0))
    assert later.closed == state.closed
    later, _ = fold(later, good(COUNTER, {"a": 9}, 2 * 86400.0, complete=True))
    assert later.closed == ClosedPeriod({"calls_total": 9}, 2 * 86400.0)


def test_a_full_total_that_no_float_can_hold_is_infinite() -> None:
    """Series that are too large together leave each of them on the page."""
    state, series = fold(State(), good(COUNTER, {"a": 10**308, "b": 10**308}, 0.0, complete=True))
    assert series == [{("a",): 10**308, ("b",): 10**308}]
    assert state.closed == ClosedPeriod({"calls_total": math.inf}, 0.0)


def test_a_counter_is_held_through_a_failure() -> None:
    """A failed poll in between does not forget the highest value."""
    _, series = fold(State(), good(COUNTER, {"a": 5}, 0.0), FAILED, good(COUNTER, {"a": 3}, 0.0))
    assert series == [{("a",): 5}]


def test_a_counter_begins_anew_with_its_period() -> None:
    """At midnight the counter resets to the upstream's own figure, which is no decrease."""
    state, series = fold(State(), good(COUNTER, {"a": 5}, 0.0), good(COUNTER, {"a": 1}, 86400.0))
    assert (series, state.decreases) == ([{("a",): 1}], 0)


def test_a_gauge_falls_as_it_likes() -> None:
    """Only counters are held."""
    state, series = fold(State(), good(GAUGE, {"a": 5}, 0.0), good(GAUGE, {"a": 1}, 0.0))
    assert (series, state.decreases) == ([{("a",): 1}], 0)


def test_a_counter_that_vanished_is_not_kept_alive() -> None:
    """A series that the upstream names no longer vanishes here, counter or not."""
    _, series = fold(State(), good(COUNTER, {"a": 5, "b": 1}, 0.0), good(COUNTER, {"b": 1}, 0.0))
    assert series == [{("b",): 1}]


# all of them


def test_a_poll_replaces_its_whole_result() -> None:
    """What the upstream does not name any more is gone at once; the other queries' series stay."""
    store = Store(100)
    store.fold(ONE, TARGET, good(GAUGE, {"a": 1, "b": 2}), 0, 0)
    store.fold(TWO, TARGET, good(GAUGE, {"c": 3}), 0, 0)
    assert shown(store) == ['load{api="a"} 1', 'load{api="b"} 2', 'load{api="c"} 3']
    store.fold(ONE, TARGET, good(GAUGE, {"b": 4}), 1, 1)
    assert shown(store) == ['load{api="b"} 4', 'load{api="c"} 3']
    store.fold(ONE, TARGET, PollOutcome(0.1, Result()), 2, 2)
    assert shown(store) == ['load{api="c"} 3']


def test_a_failed_poll_leaves_the_page_as_it_is() -> None:
    """The last good values stay on the page."""
    store = Store(100)
    store.fold(ONE, TARGET, good(GAUGE, {"a": 1}), 0, 0)
    assert store.fold(ONE, TARGET, FAILED, 1, 1) is FAILED
    assert shown(store) == ['load{api="a"} 1']


def test_the_page_shows_what_is_held() -> None:
    """A held counter is on the page with its held value."""
    store = Store(100)
    for value in (5, 3):
        store.fold(ONE, TARGET, good(COUNTER, {"a": value}, 0.0), 0, 0)
    assert shown(store) == ['calls_total{api="a"} 5']


def test_the_earlier_owner_of_a_series_keeps_it() -> None:
    """Two queries with one series do not take turns: the later poll fails, whole, and says with whom it collides."""
    store = Store(100)
    store.fold(ONE, TARGET, good(GAUGE, {"a": 1}), 0, 0)
    outcome = store.fold(TWO, TARGET, good(GAUGE, {"a": 9, "z": 9}), 0, 0)
    assert (outcome.result, outcome.reason) == (None, Reason.DUPLICATE_SERIES)
    assert outcome.detail == "load has a series that the query q1 publishes already"
    assert shown(store) == ['load{api="a"} 1']
    assert not store.state(TWO).up
    store.fold(ONE, TARGET, good(GAUGE, {"b": 1}), 1, 1)
    assert store.fold(TWO, TARGET, good(GAUGE, {"a": 9}), 1, 1).reason is None
    assert shown(store) == ['load{api="b"} 1', 'load{api="a"} 9']


def test_the_label_that_grew_over_the_limit_of_all_is_named_across_targets() -> None:
    """Each target brings one value of `id`; what grew is `id`, although no single answer shows it."""
    store = Store(50)
    family = Family("calls", MetricType.GAUGE, "Calls.", ("code", "id"))
    for number in range(26):
        samples = Samples.of(family, {(code, str(number)): 1 for code in ("2xx", "5xx")})
        outcome = store.fold(Owner("q", "acme", str(number)), TARGET, PollOutcome(0.1, Result((samples,))), 0, 0)
    detail = "more than max_series (50) in all: calls has 50 and would have more; its label id has the most values"
    assert outcome.detail == detail


def test_the_limit_of_all_series_is_all_or_nothing() -> None:
    """A poll that would go over the limit is refused whole; one that replaces its own series is not counted twice."""
    store = Store(3)
    store.fold(ONE, TARGET, good(GAUGE, {"a": 1, "b": 2}), 0, 0)
    outcome = store.fold(TWO, TARGET, good(GAUGE, {"c": 1, "d": 2}), 0, 0)
    assert outcome.reason is Reason.CARDINALITY
    detail = "more than max_series (3) in all: load has 2 and would have more; its label api has the most values"
    assert outcome.detail == detail
    assert store.fold(ONE, TARGET, good(GAUGE, {"x": 1, "y": 2, "z": 3}), 1, 1).reason is None
    assert len(shown(store)) == 3
    store.drop(ONE)
    assert store.fold(TWO, TARGET, good(GAUGE, {"c": 1, "d": 2}), 2, 2).reason is None


def test_the_bytes_of_all_series_are_limited_too() -> None:
    """Few series with labels of megabytes: 64 MiB in all may be on the page, of which an owner's own are replaced."""
    store = Store(100)

    def poll(number: int) -> PollOutcome:
        long = good(GAUGE, {f"{number}" + "x" * (15 * 2**20): 1})
        return store.fold(Owner("q", "acme", str(number)), TARGET, long, 0, 0)

    assert [poll(number).reason for number in (0, 1, 2, 3, 3)] == [None] * 5
    refused = poll(4)
    assert refused.reason is Reason.CARDINALITY
    assert refused.detail == "the series of all queries need more than 64 MiB; a label has long texts"
    store.drop(Owner("q", "acme", "0"))
    assert poll(4).reason is None


def test_stale_values_are_dropped_on_time() -> None:
    """After `stale_after` without success, series and rows go; that there was a success, when, and what stood on the
    page at the end of an audited period stays known."""
    store = Store(100)
    store.follow(Plan((), (dataclasses.replace(QUERY, audit_after_seconds=60.0),), (), 100))
    store.fold(ONE, TARGET, good(COUNTER, {"a": 5}, 0.0, complete=True), 100.0, 5000.0)
    assert not store.expire(QUERY, ONE, 700.0)
    assert store.expire(QUERY, ONE, 700.1)
    assert shown(store) == []
    assert store.feeding_rows("q1", "acme") == ()
    state = store.state(ONE)
    assert (state.tried, state.up, state.series, state.success_time) == (True, False, 0, 5000.0)
    assert state.window_end_time == 1000.0
    assert state.closed == ClosedPeriod({"calls_total": 5}, 0.0)
    assert not store.expire(QUERY, ONE, 900.0)
    store.fold(ONE, TARGET, good(COUNTER, {"a": 3}, 0.0), 1000.0, 6000.0)
    assert shown(store) == ['calls_total{api="a"} 3']


def test_what_was_never_polled_is_not_stale() -> None:
    """There is nothing to drop before the first success."""
    store = Store(100)
    assert not store.expire(QUERY, ONE, 1e9)
    assert store.state(ONE) == State()


def test_a_target_that_vanished_is_forgotten_with_its_series() -> None:
    """Its series can be published by others afterwards, and its rows feed nobody."""
    store = Store(100)
    store.fold(ONE, TARGET, good(GAUGE, {"a": 1}), 0, 0)
    store.drop(ONE)
    store.drop(ONE)
    assert (shown(store), list(store.states())) == ([], [])
    assert store.fold(TWO, TARGET, good(GAUGE, {"a": 2}), 1, 1).reason is None


def test_feeding_rows_carry_the_values_of_their_target() -> None:
    """A row knows which outer row it came from; rows of other queries and sources are not mixed in."""
    store = Store(100)
    for target in ("t1", "t2"):
        store.fold(Owner("q1", "acme", target), Target({"tenant.id": target}, target), good(GAUGE, {target: 1}), 0, 0)
    store.fold(Owner("q1", "other", ""), TARGET, good(GAUGE, {"x": 1}), 0, 0)
    rows = store.feeding_rows("q1", "acme")
    assert [(row.exports, row.outer) for row in rows] == [
        ({"id": 1}, {"tenant.id": "t1"}),
        ({"id": 1}, {"tenant.id": "t2"}),
    ]


def created(store: Store) -> dict[str, float]:
    """When each series of the counter began, as OpenMetrics has it."""
    text = Joiner().join(store.page(), b"", Format.OPENMETRICS, gzip=False).decode()
    (family,) = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return {one.labels["api"]: one.value for one in family.samples if one.name == "calls_created"}


def publishing(outcome: PollOutcome) -> PollOutcome:
    """The same poll under a configuration that publishes when counters began."""
    assert outcome.result is not None
    return replace(outcome, result=replace(outcome.result, publishes_created=True))


def test_a_counter_s_start_is_that_of_the_period_its_total_is_of() -> None:
    """Also of a series that stands with the total of yesterday for one more interval: whoever adds a 0 at the start of
    a counter counts nothing twice. A series that is held, and one that is 0 first, began with the period, too."""
    store = Store(100)
    store.fold(ONE, TARGET, publishing(good(COUNTER, {"a": 5}, 600.0)), 0, 0)
    assert created(store) == {"a": 600.0}
    store.fold(ONE, TARGET, publishing(good(COUNTER, {"a": 4, "late": 7}, 600.0)), 1, 1)
    assert shown(store) == ['calls_total{api="a"} 5', 'calls_total{api="late"} 0']
    assert created(store) == {"a": 600.0, "late": 600.0}
    store.fold(ONE, TARGET, publishing(good(COUNTER, {"a": 1, "late": 2}, 1200.0)), 2, 2)
    assert shown(store) == ['calls_total{api="a"} 1', 'calls_total{api="late"} 7']
    assert created(store) == {"a": 1200.0, "late": 600.0}
    store.fold(ONE, TARGET, publishing(good(COUNTER, {"a": 1, "late": 2}, 1200.0)), 3, 3)
    assert created(store) == {"a": 1200.0, "late": 1200.0}


def test_only_counters_of_a_period_say_when_they_began() -> None:
    """A counter that the API keeps itself has no start that is known, and a gauge has none; nor is there one where the
    configuration does not want it."""
    store = Store(100)
    for outcome in (publishing(good(COUNTER, {"a": 5})), good(COUNTER, {"a": 5}, 600.0)):
        store.fold(ONE, TARGET, outcome, 0, 0)
        assert created(store) == {}
    store.fold(ONE, TARGET, publishing(good(GAUGE, {"a": 5}, 600.0)), 1, 1)
    assert "created" not in Joiner().join(store.page(), b"", Format.OPENMETRICS, gzip=False).decode()


def test_the_starts_of_counters_are_not_counted_as_series() -> None:
    """As many counters fit under `max_series` with their starts as without."""
    store = Store(2)
    outcome = store.fold(ONE, TARGET, publishing(good(COUNTER, {"a": 5, "b": 6}, 600.0)), 0, 0)
    assert outcome.result is not None
    assert created(store) == {"a": 600.0, "b": 600.0}
    assert store.state(ONE).series == 2
