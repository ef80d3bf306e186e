"""Counters whose series begin while they are watched: what Prometheus adds up is what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from msgspec.structs import replace

from exporter.model.outcome import PollOutcome, Result
from exporter.model.samples import Family, LabelValues, MetricType, Number
from exporter.series.births import MOST_GONE
from exporter.series.store import Owner, State, Store, next_state
from tests.unit.series.test_store import COUNTER, FAILED, TARGET, good, shown

ERRORS = Family("errors_total", MetricType.COUNTER, "Errors.", ("api",))
PERIOD = 5  # polls
ONE = Owner("q1", "acme", "")


class Watched:
    """A query and target over several polls, and what is published of it."""

    def __init__(self) -> None:
        self.state = State()
        self.at = 0.0

    def poll(self, outcome: PollOutcome) -> Mapping[LabelValues, Number]:
        """What is published of the first family after a poll; nothing new after a failed one."""
        self.at += 60
        self.state, samples = next_state(self.state, outcome, self.at, self.at)
        return samples[0].series if samples else {}

    def answer(self, period: float | None = 0.0, **series: Number) -> Mapping[LabelValues, Number]:
        """The same after an answer with these totals."""
        return self.poll(good(COUNTER, series, period))


def increase(values: Sequence[Number | None]) -> float:
    """What Prometheus adds up of samples, without the part that it estimates: a fall is a reset."""
    seen = [value for value in values if value is not None]
    return sum(now - before if now >= before else now for before, now in pairwise(seen))


def test_a_series_begins_at_0() -> None:
    """The first error of a day counts in everybody's alerts: its series is 0 for a poll, then what it is."""
    watched = Watched()
    assert watched.answer(a=7) == {("a",): 7}
    assert watched.answer(a=8, b=3) == {("a",): 8, ("b",): 0}
    assert watched.answer(a=8, b=3) == {("a",): 8, ("b",): 3}
    assert watched.answer(a=9, b=2) == {("a",): 9, ("b",): 3}


def test_a_restart_counts_nothing_twice() -> None:
    """After a start, after a time without figures, and after a reload, the totals are what they are: they may have
    been on the page before."""
    assert Watched().answer(a=7) == {("a",): 7}
    store = Store(100)
    store.fold(ONE, TARGET, good(COUNTER, {"a": 5}, 0.0), 0, 0)
    store.leave_over(ONE.query, ONE.source)
    store.fold(ONE, TARGET, good(COUNTER, {"a": 5, "b": 2}, 0.0), 60, 60)
    assert shown(store) == ['calls_total{api="a"} 5', 'calls_total{api="b"} 2']


def test_a_failed_poll_changes_nothing() -> None:
    """A series that begins while polls fail is 0 at the next that works; one that stands as 0 stays so until then."""
    watched = Watched()
    watched.answer(a=1)
    watched.poll(FAILED)
    assert watched.answer(a=1, b=3) == {("a",): 1, ("b",): 0}
    watched.poll(FAILED)
    assert watched.answer(a=1, b=4) == {("a",): 1, ("b",): 4}


def test_what_was_away_counts_nothing_twice() -> None:
    """An answer that lacks a series for a moment, all of them even, does not make it a new one."""
    watched = Watched()
    watched.answer(a=50, b=1)
    assert watched.answer() == {}
    assert watched.answer(a=51, b=1) == {("a",): 51, ("b",): 1}


def test_what_was_away_comes_back_no_lower() -> None:
    """An answer that lacks a series for a moment, and one from an older copy after it, are no reset; more than once."""
    watched = Watched()
    watched.answer(a=1000, b=1)
    assert watched.answer(b=1) == {("b",): 1}
    assert watched.answer(b=1) == {("b",): 1}
    assert watched.answer(a=990, b=1) == {("a",): 1000, ("b",): 1}
    assert watched.state.decreases == 1
    assert watched.answer(b=1) == {("b",): 1}
    assert watched.answer(a=995, b=1) == {("a",): 1000, ("b",): 1}
    assert watched.answer(a=1001, b=1) == {("a",): 1001, ("b",): 1}
    assert watched.answer(86400.0, a=3, b=2) == {("a",): 3, ("b",): 0}


def test_what_was_away_at_midnight_is_seen_as_a_new_day() -> None:
    """Its total of the new day may have reached that of the old one, on which it stood last."""
    watched = Watched()
    watched.answer(a=2, b=1)
    partial = good(COUNTER, {"b": 1}, 0.0)
    assert partial.result is not None
    watched.poll(replace(partial, result=replace(partial.result, partial=True)))
    assert watched.answer(86400.0, a=3) == {("a",): 0}
    assert watched.answer(86400.0, a=3) == {("a",): 3}


def named(names: Mapping[str, str], series: Mapping[str, Number], misses: int = 0, period: float = 0.0) -> PollOutcome:
    """An answer whose series have these names, and what the lookup knows by their ids."""
    answer = good(COUNTER, series, period)
    assert answer.result is not None
    known = {"api": {key: {"name": name} for key, name in names.items()}}
    return replace(answer, result=replace(answer.result, names=known, lookup_misses=misses))


def test_a_series_that_is_renamed_counts_nothing_twice() -> None:
    """A lookup that knows another name for an id makes another series of the same total; so does one that no longer
    knows it."""
    for names in ({"1": "b", "2": "z"}, {"2": "z"}):
        watched = Watched()
        watched.poll(named({"1": "a", "2": "z"}, {"a": 50}))
        assert watched.poll(named(names, {"b": 51})) == {("b",): 51}
        assert watched.poll(named(names, {"b": 52, "c": 1})) == {("b",): 52, ("c",): 0}


def test_a_series_whose_name_comes_late_counts_nothing_twice() -> None:
    """It is there without its name first, with the same total."""
    watched = Watched()
    watched.poll(named({}, {"": 50}, misses=1))
    assert watched.poll(named({"1": "a"}, {"a": 51})) == {("a",): 51}


def test_a_new_name_is_no_other_name() -> None:
    """What the lookup knows before it is first asked for begins at 0, and so does each series of a new period."""
    watched = Watched()
    watched.poll(named({"1": "a"}, {"a": 50}))
    assert watched.poll(named({"1": "a", "2": "b"}, {"a": 50, "b": 2})) == {("a",): 50, ("b",): 0}
    watched.poll(named({"1": "a", "2": "b"}, {"a": 50, "b": 2}))
    assert watched.poll(named({"1": "a", "2": "c"}, {"c": 3}, period=86400.0)) == {("c",): 0}


def test_an_answer_that_was_not_whole_makes_no_births() -> None:
    """What an answer left out may have been there: a partial one, one whose pages were cut, one with values that
    cannot be read, one of which the largest series alone are kept."""
    for wrong in (
        {"partial": True},
        {"rows_cut": 2},
        {"skipped": {"not_a_number": 1}},
        {"largest_only": frozenset({COUNTER})},
    ):
        watched = Watched()
        answer = good(COUNTER, {"a": 5}, 0.0)
        assert isinstance(answer.result, Result)
        watched.poll(replace(answer, result=replace(answer.result, **wrong)))
        assert watched.answer(a=5, b=9) == {("a",): 5, ("b",): 9}, wrong
        assert watched.answer(a=5, b=9, c=1)[("c",)] == 0


def test_what_is_remembered_has_an_end() -> None:
    """An upstream that names other series each time does not fill the memory; then nothing is taken for a birth."""
    watched = Watched()
    for number in range(4):
        watched.answer(**{f"s{number}-{index}": 1 for index in range(MOST_GONE // 2)})
    assert sum(map(len, watched.state.births.gone.values())) <= MOST_GONE
    assert watched.answer(new=3) == {("new",): 3}
    watched.answer(86400.0)
    assert watched.answer(86400.0, later=3) == {("later",): 0}


def test_a_birth_in_the_last_poll_of_a_period_is_counted() -> None:
    """An error a second before midnight is published with its day's total after midnight, also if the new day has
    none of its kind, or has reached as much."""
    for after, then in (({}, {}), ({"a": 1}, {"a": 0}), ({"a": 3}, {"a": 0})):
        watched = Watched()
        watched.answer(0.0)
        assert watched.poll(good(COUNTER, {"a": 1}, 0.0, complete=True)) == {("a",): 0}
        assert watched.state.closed is not None
        assert watched.state.closed.totals == {"calls_total": 1}
        assert watched.answer(86400.0, **after) == {("a",): 1}
        assert watched.answer(86400.0, **after) == {(name,): value for name, value in then.items()}
        assert watched.answer(86400.0, **after) == {(name,): value for name, value in after.items()}


def test_a_day_that_has_reached_the_last_one_is_seen_as_a_new_one() -> None:
    """One error on each of two days are two, although the counter never falls."""
    watched = Watched()
    values = [
        watched.answer(period, a=value)[("a",)]
        for period, value in ((0.0, 0), (0.0, 1), (86400.0, 1), (86400.0, 1), (86400.0, 2))
    ]
    assert values == [0, 1, 0, 1, 2]


def test_a_counter_without_a_period_comes_as_it_is() -> None:
    """An API's own counter may be older than its series here: what that began with was not counted meanwhile."""
    watched = Watched()
    watched.answer(None, a=5)
    assert watched.answer(None, a=4, b=2) == {("a",): 4, ("b",): 2}
    assert watched.answer(None, a=4, b=2) == {("a",): 4, ("b",): 2}
