"""Answers become series: rows, labels and values as the configuration says, or a failure that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import GraphQLError, Response, Result
from exporter.model.samples import Json, LabelValues, Number
from exporter.model.window import TimeRange
from exporter.plan.operation import Moment, label_values
from exporter.plan.plan import Target
from exporter.series.extraction import extract
from exporter.series.label_texts import Surroundings
from tests.support.plans import planned

END = datetime(2021, 8, 16, 12, 7, tzinfo=UTC)
MOMENT = Moment(TimeRange(END - timedelta(minutes=5), END), datetime(2021, 8, 16, tzinfo=UTC))


def result(
    query: str, data: Mapping[str, Json] | None, *errors: GraphQLError, target: Mapping[str, Json] = {}
) -> Result:
    """What comes of an answer to the last query."""
    plan = planned(query)
    values = label_values(plan.sources[0], Target(target))
    response = Response(None if data is None else dict(data), errors)
    return extract(plan.queries[-1], [response], Surroundings(values), MOMENT)


def series(query: str, data: Mapping[str, Json] | None, **more: Mapping[str, Json]) -> Mapping[LabelValues, Number]:
    """The series of the one family, without the label of the source, which stands last or first by its name."""
    (samples,) = result(query, data, **more).samples
    place = samples.family.label_names.index("organization")
    assert all(key[place] == "acme" for key in samples.series)
    return {(*key[:place], *key[place + 1 :]): value for key, value in samples.series.items()}


def failure(query: str, data: Mapping[str, Json] | None) -> ResultFailure:
    with pytest.raises(ResultFailure) as failed:
        result(query, data)
    return failed.value


ROWS = """
- name: calls
  document: "{ org { name apis { id tags { key } usage { code count } } } }"
  rows: org.apis
  metrics:
    - {name: calls, help: Calls., value: usage.count, labels: {api: id, code: code, org: name, tag: "tags[0].key"}}
"""


def test_lists_explode_into_rows_at_any_depth() -> None:
    """Each innermost element is a row; labels are found in it or outwards; an element that is not there is empty."""
    data: dict[str, Json] = {
        "org": {
            "name": "Acme",
            "apis": [
                {
                    "id": "a",
                    "tags": [{"key": "x"}, {"key": "y"}],
                    "usage": [{"code": 200, "count": 5}, {"code": 404, "count": 1}],
                },
                {"id": "b", "tags": [], "usage": [{"code": None, "count": 7}]},
                {"id": "c", "tags": None, "usage": []},
                {"id": "d", "tags": [None], "usage": None},
                None,
            ],
        }
    }  # fmt: skip
    assert series(ROWS, data) == {
        ("a", "200", "Acme", "x"): 5, ("a", "404", "Acme", "x"): 1, ("b", "", "Acme", ""): 7
    }  # fmt: skip
    assert result(ROWS, data).row_count == 4


@pytest.mark.parametrize(
    "data", [{"org": None}, {"org": {"name": "a", "apis": None}}, {"org": {"name": "a", "apis": []}}]
)
def test_null_on_the_way_is_no_row(data: dict[str, Json]) -> None:
    """An empty answer is a good answer without series."""
    assert series(ROWS, data) == {}


def test_null_is_no_sample() -> None:
    """A value that is null is not 0."""
    query = (
        '- {name: q, document: "{ a { id n } }", rows: a, metrics: [{name: n, help: N., value: n, labels: {id: id}}]}'
    )
    assert series(query, {"a": [{"id": 1, "n": None}, {"id": 2, "n": 0}]}) == {("2",): 0}


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"org": {}},
        {"org": 5},
        {"org": "apis"},
        {"org": {"name": "a", "apis": [7]}},
        {"org": {"name": "a", "apis": [{"usage": [{"code": 1, "count": 1}], "tags": []}]}},
        {"org": {"name": "a", "apis": [{"id": 1, "usage": [{"code": 1, "count": 1}], "tags": {}}]}},
        {"org": {"name": "a", "apis": [{"id": 1, "usage": [{"code": 1, "count": {}}], "tags": []}]}},
        {"org": {"name": "a", "apis": [{"id": [], "usage": [{"code": 1, "count": 1}], "tags": []}]}},
        {"org": {"name": {}, "apis": [{"id": 1, "usage": [{"code": 1, "count": 1}], "tags": []}]}},
    ],
)
def test_an_answer_of_another_shape_is_a_failure(data: dict[str, Json] | None) -> None:
    """An API that changed is said to have, with reason `schema`; nothing wrong is published."""
    assert failure(ROWS, data).reason is Reason.SCHEMA


def test_what_cannot_be_converted_is_left_out_and_counted() -> None:
    """A bad value costs its own sample, not the others'."""
    query = (
        '- {name: q, document: "{ a { id n } }", rows: a, metrics: [{name: n, help: N., value: n, labels: {id: id}}]}'
    )
    data: dict[str, Json] = {
        "a": [{"id": 1, "n": "x"}, {"id": 2, "n": True}, {"id": 3, "n": float("nan")}, {"id": 4, "n": 1}]
    }
    found = result(query, data)
    assert found.skipped == {"not_a_number": 2, "not_finite": 1}
    assert found.series_count == 1


def test_the_same_series_twice_is_a_failure_that_says_what_to_do() -> None:
    """Two rows with the same labels do not overwrite each other."""
    query = (
        '- {name: q, document: "{ a { id n } }", rows: a, metrics: [{name: n, help: N., value: n, labels: {id: id}}]}'
    )
    found = failure(query, {"a": [{"id": 1, "n": 1}, {"id": 1, "n": 2}]})
    assert found.reason is Reason.DUPLICATE_SERIES
    assert found.detail == (
        "n has two values for one set of labels (id, organization); add a label that tells them apart,"
        " or write aggregate: sum"
    )


@pytest.mark.parametrize(("how", "value"), [("sum", 9), ("max", 5), ("min", 1), ("last", 3)])
def test_rows_of_one_series_are_aggregated_as_configured(how: str, value: int) -> None:
    """`aggregate` says what several rows of one series are together; null does not count."""
    query = '- {name: q, document: "{ a { n } }", rows: a, metrics: [{name: n, help: N., value: n, aggregate: HOW}]}'
    query = query.replace("HOW", how)
    assert series(query, {"a": [{"n": 1}, {"n": None}, {"n": 5}, {"n": 3}]}) == {(): value}


def test_a_counter_is_never_negative() -> None:
    """Such a total is left out, as no reader of OpenMetrics takes its page; a gauge may be negative."""
    query = """
    - name: q
      period: day
      window: {length: 1h}
      document: "{ a { of n } }"
      rows: a
      labels: {of: of}
      metrics:
        - {name: n_total, type: counter, help: N., value: n}
        - {name: now, help: N., value: n}
    """
    found = result(query, {"a": [{"of": "x", "n": -1}, {"of": "y", "n": -0.0}, {"of": "z", "n": 2}]})
    assert {one.family.name: {key[0]: number for key, number in one.items()} for one in found.samples} == {
        "n_total": {"y": -0.0, "z": 2},
        "now": {"x": -1, "y": -0.0, "z": 2},
    }
    assert found.skipped == {"negative": 1}
    assert found.first_skipped == "-1"


@pytest.mark.parametrize("numbers", [[1e308, 1e308], [10**308, 10**308, 1.0], [1e308, 10**308, 10**308]])
def test_a_sum_that_no_float_can_hold_is_left_out(numbers: list[Json]) -> None:
    """A sum is never published as infinite."""
    query = '- {name: q, document: "{ a { n } }", rows: a, metrics: [{name: n, help: N., value: n, aggregate: sum}]}'
    found = result(query, {"a": [{"n": number} for number in numbers]})
    assert found.series_count == 0
    assert found.skipped == {"not_finite": 1}


def test_the_value_itself_can_be_a_list() -> None:
    """A list of numbers is as many rows; `[0]` picks one; `.` is the row itself."""
    query = """
    - name: q
      document: "{ a b { id n } }"
      rows: ROWS
      metrics: [{name: n, help: N., value: VALUE, aggregate: sum}]
    """
    data: dict[str, Json] = {"a": [1, 2, [3]], "b": [{"id": 1, "n": [4, None, 5]}]}
    assert series(query.replace("ROWS", "a").replace("VALUE", '"."'), data) == {(): 6}
    assert series(query.replace("ROWS", "b").replace("VALUE", "n"), data) == {(): 9}
    assert series(query.replace("ROWS", "b").replace("VALUE", '"n[2]"'), data) == {(): 5}


def test_labels_can_be_constants_and_references() -> None:
    """Constants, the source's values and the target's stand beside paths."""
    query = """
    - name: q
      document: "{ n }"
      for_each: {region: [eu]}
      labels: {region: "{{ region }}"}
      metrics: [{name: n, help: N., value: n, labels: {kind: {const: k}, source: "{{ source.org }}/{{ source.n }}"}}]
    """
    assert series(query, {"n": 1}, target={"region": "eu"}) == {("k", "eu", "o-1/5"): 1}


def test_only_the_last_whole_bucket_is_taken() -> None:
    """Of an answer in buckets of 5 minutes at 12:07, only 12:00 counts, in whatever offset it is written."""
    query = """
    - name: q
      window: {length: 1h}
      document: "{ a { timeSpan n } }"
      rows: a
      metrics: [{name: n, help: N., value: n, bucket: {start: timeSpan, width: 5m}, aggregate: sum}]
    """
    times: list[Json] = ["2021-08-16T11:55:00Z", "2021-08-16T12:00:00Z", "2021-08-16T17:30:00.000+05:30",
                         "2021-08-16T12:05:00Z", None, 7, "noon"]  # fmt: skip
    assert series(query, {"a": [{"timeSpan": time, "n": 10**n} for n, time in enumerate(times)]}) == {(): 110}


def test_more_series_than_allowed_is_a_failure_that_names_the_label() -> None:
    """A label that explodes is stopped, and named."""
    query = """
    - {name: q, document: "{ a { id k n } }", rows: a, max_series: 3, metrics: [
        {name: n, help: N., value: n, labels: {k: k, id: id}}]}
    """
    found = failure(query, {"a": [{"id": n, "k": n % 2, "n": 1} for n in range(4)]})
    assert found.reason is Reason.CARDINALITY
    assert found.detail == "more than max_series (3): n has 4; its label id has the most values"


def test_rows_are_exported_for_the_queries_that_they_feed() -> None:
    """A feeding query hands on what is referred to, with types kept, and only that."""
    plan = planned("""
    - {name: environments, document: "{ e { id name n } }", rows: e}
    - name: q
      for_each: {environment: environments}
      document: "query ($e: ID, $n: Int) { a(e: $e, n: $n) }"
      variables: {e: "{{ environment.id }}", n: "{{ environment.n }}"}
      metrics: [{name: a, help: A., value: a}]
    """)
    data: dict[str, Json] = {"e": [{"id": "1", "name": "x", "n": 7}, {"id": "2", "name": "y", "n": None}]}
    assert extract(plan.queries[0], [Response(data)], Surroundings(), Moment()).rows == (
        {"id": "1", "n": 7},
        {"id": "2", "n": None},
    )


def test_what_may_be_left_out_may_be_left_out() -> None:
    """A field behind `@include` is null where it is absent."""
    query = """
    - name: q
      document: "{ a { id @include(if: true) n } }"
      rows: a
      metrics: [{name: n, help: N., value: n, labels: {id: id}}]
    """
    assert series(query, {"a": [{"n": 1}]}) == {("",): 1}


def test_errors_beside_data_are_counted() -> None:
    """A partial answer is known to be one."""
    query = '- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}'
    found = result(query, {"n": 1}, GraphQLError("x"), GraphQLError("y"))
    assert (found.partial, found.graphql_errors, found.series_count) == (True, 2, 1)


def test_a_result_says_which_time_it_is_about() -> None:
    """Window and period go with the result, in Unix seconds; a window's length is real time."""
    query = '- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}'
    found = result(query, {"n": 1})
    assert (found.window_seconds, found.window_end_time) == (300.0, END.timestamp())
    assert found.period_start_time == datetime(2021, 8, 16, tzinfo=UTC).timestamp()


def test_a_null_below_a_row_is_not_one_on_the_way_to_the_rows() -> None:
    """A row whose inner list is null is there; only what takes rows away is counted, and can fail the poll."""
    query = """
    - name: q
      document: "{ shops { name items { stock } } }"
      rows: shops
      on_null: fail
      metrics: [{name: n, help: N., value: items.stock, aggregate: sum, labels: {shop: name}}]
    """
    data: dict[str, Json] = {"shops": [{"name": "a", "items": None}, {"name": "b", "items": [{"stock": 4}]}]}
    found = result(query, data)
    assert (found.nulls, found.row_count, found.series_count) == ({}, 2, 1)
    assert failure(query, {"shops": None}).reason is Reason.SCHEMA
