"""Extraction: whatever an API answers, it becomes series or a failure with a reason."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model.errors import ResultFailure
from exporter.model.outcome import Response, Result
from exporter.model.samples import Json
from exporter.model.window import TimeRange
from exporter.plan.operation import Moment
from exporter.plan.plan import QueryPlan
from exporter.series.extraction import extract
from exporter.series.label_texts import Surroundings
from tests.support.plans import planned

PLAN = planned("""
- name: rows
  window: {length: 5m}
  period: day
  document: "{ a { b { c d e @include(if: true) f } g } }"
  rows: a.b
  metrics:
    - {name: plain, help: Plain., value: c, labels: {d: d, e: e}}
    - {name: summed, help: Summed., value: c, aggregate: sum, from_unit: minutes}
    - {name: text, help: Text., value: d, from: string, aggregate: max, labels: {g: "g[0]"}}
    - {name: time, help: Time., value: d, from: timestamp, aggregate: last}
    - {name: bucket, help: Bucket., value: c, aggregate: min, bucket: {start: f, width: 5m}}
    - {name: known, help: Known., value: 1, labels: {d: d}}
    - {name: counted_total, type: counter, help: Counted., value: f, labels: {c: c}, aggregate: sum}
- name: feeding
  for_each: {row: rows}
  document: "query ($x: ID) { h(x: $x) }"
  variables: {x: "{{ row.c }}"}
  metrics:
    - {name: fed, help: Fed., value: h, labels: {row: "{{ row.c }}"}, aggregate: sum}
""")
ROWS: QueryPlan = PLAN.queries[0]
END = datetime(2021, 8, 16, 12, 5, tzinfo=UTC)
MOMENT = Moment(TimeRange(END - timedelta(minutes=5), END), datetime(2021, 8, 16, tzinfo=UTC))
AROUND = Surroundings({"source_label.organization": "acme"})

leaves: st.SearchStrategy[Json] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**308, -(10**308), 10**400])
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["2021-08-16T12:00:00Z", "1e308", "9" * 5000, "0001-01-01T00:00:00+23:59"])
)
names = st.sampled_from("abcdefg")
anything: st.SearchStrategy[Json] = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=7), max_leaves=20
)
scalars = leaves | st.lists(leaves, max_size=2)
row = st.fixed_dictionaries({"c": scalars, "d": leaves, "f": scalars}, optional={"e": leaves})
shaped: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"b": st.lists(row | st.none(), max_size=4), "g": st.lists(leaves, max_size=2) | st.none()}
)
answers = st.builds(lambda a: {"a": a}, shaped | st.lists(shaped, max_size=3)) | st.dictionaries(names, anything)


def check(result: Result) -> None:
    for samples in result.samples:
        for key, value in samples.series.items():
            assert math.isfinite(value)
            assert len(key) == len(samples.family.label_names)
            assert all(isinstance(text, str) for text in key)


@given(answers | st.none())
@example({"a": {"b": [{"c": 10**308, "d": "", "f": 1}, {"c": 1.5, "d": "x", "f": 1}] * 2, "g": None}})
@example({"a": {"b": [{"c": 1, "d": "\ud800", "f": 1}], "g": []}})
def test_an_answer_becomes_finite_series_or_a_failure_with_a_reason(data: dict[str, Json] | None) -> None:
    """No answer breaks the exporter, and what is published is finite and has all its labels."""
    with suppress(ResultFailure):
        check(extract(ROWS, [Response(data)], AROUND, MOMENT))


@given(st.lists(answers, max_size=3))
def test_pages_become_finite_series_or_a_failure_with_a_reason(pages: list[dict[str, Json]]) -> None:
    """The same holds for an answer in pages."""
    with suppress(ResultFailure):
        check(extract(ROWS, [Response(page) for page in pages], AROUND, MOMENT))


@given(st.lists(st.integers(-(2**40), 2**40) | st.none(), max_size=20))
def test_a_sum_is_the_sum(numbers: list[int | None]) -> None:
    """`aggregate: sum` loses and doubles nothing."""
    data: dict[str, Json] = {"h": list(numbers)}
    around = Surroundings({**AROUND.values, "row.c": "x"})
    result = extract(PLAN.queries[1], [Response(data)], around, MOMENT)
    values = [value for samples in result.samples for value in samples.series.values()]
    assert values == ([sum(number for number in numbers if number is not None)] if set(numbers) - {None} else [])
