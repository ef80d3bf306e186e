"""A counter's series that begin and end, however events and failures fall."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.model.samples import LabelValues, Number
from tests.unit.series.test_births import PERIOD, Watched, increase
from tests.unit.series.test_store import COUNTER, FAILED, good


@given(
    st.lists(st.sets(st.integers(PERIOD, 6 * PERIOD - 1), max_size=8), min_size=1, max_size=3),
    st.sets(st.integers(PERIOD, 6 * PERIOD), max_size=6),
    st.booleans(),
)
@example([{PERIOD - 1 + PERIOD}], set(), False)
@example([{2 * PERIOD - 1, 2 * PERIOD, 2 * PERIOD + 1}], set(), False)
def test_prometheus_counts_every_event(events: list[set[int]], failures: set[int], zeros: bool) -> None:
    """However events fall into periods, and whichever polls fail, the samples of a page that is scraped once a poll
    add up to as many as there were since the first poll: births and midnights lose none and count none twice."""
    watched = Watched()
    last = 8 * PERIOD
    pages: list[Mapping[LabelValues, Number]] = []
    end = 0
    while end < last:
        # as the schedule has it: the end of a period is never jumped over
        boundary = (end // PERIOD + 1) * PERIOD
        end = min(end + 1, boundary)
        if end in failures and end % PERIOD:
            watched.poll(FAILED)
        else:
            start = (end - 1) // PERIOD * PERIOD
            totals = {f"s{i}": len([e for e in happened if start <= e < end]) for i, happened in enumerate(events)}
            shown_series = {name: total for name, total in totals.items() if total or zeros}
            answer = good(COUNTER, shown_series, float(start), complete=end % PERIOD == 0)
            pages.append(watched.poll(answer))
    for number, happened in enumerate(events):
        assert increase([page.get((f"s{number}",)) for page in pages]) == len(happened)


@given(st.lists(st.tuples(st.dictionaries(st.sampled_from("ab"), st.integers(0, 9)), st.booleans()), max_size=12))
@example([({"a": 9}, True), ({}, True), ({"a": 8}, False)])
def test_within_a_period_no_series_falls(answers: list[tuple[dict[str, int], bool]]) -> None:
    """Whatever answers lack or correct downwards, whole ones or partial ones, Prometheus sees no reset."""
    watched = Watched()
    last: dict[LabelValues, Number] = {}
    for totals, is_partial in answers:
        answer = good(COUNTER, totals, 0.0)
        assert answer.result is not None
        page = watched.poll(replace(answer, result=replace(answer.result, partial=is_partial)))
        assert all(value >= last.get(key, 0) for key, value in page.items())
        last |= page
