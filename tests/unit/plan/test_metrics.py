"""Metrics: where their values stand, how they are read, and what they need."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from exporter.model.template import Reference
from exporter.plan.plan import (
    Bound,
    BucketPlan,
    Column,
    Constant,
    Hop,
    LookupColumn,
    MetricPlan,
    MissingPlan,
    TopPlan,
)
from tests.support.plans import SOURCE, plan_problems, planned

SDL = """
type Query { calls: [Call]  n: Int }
type Call { i: Int  f: Float  b: Boolean  s: String  d: ID  e: Kind  c: Odd  o: Call }
enum Kind { UP DOWN }
scalar Odd
"""
APIS = '- {name: apis, document: "{ api { id owner } }", rows: api}\n'
LOOKUP = "lookups: [{name: codes, table: {a: {text: A}}}]\n"


def query(metric: str, more: str = "") -> str:
    """A query with rows and one metric."""
    document = "{ calls { api code at count usage { n list { m } } } }"
    return f'- {{name: q, document: "{document}", rows: calls{more}, metrics: [{{name: calls, help: C., {metric}}}]}}\n'


def made(metric: str, more: str = "", before: str = "", source: str = SOURCE) -> MetricPlan:
    """The plan of the metric."""
    (found,) = planned(before + query(metric, more), source).queries[-1].metrics
    return found


def problems(metric: str, more: str = "", before: str = "", source: str = SOURCE) -> list[str]:
    """What is wrong, without the key of the metric."""
    found = plan_problems(before + query(metric, more), source)
    number = before.count("- {")
    return [problem.removeprefix(f"queries[{number}].metrics[0].") for problem in found]


def test_a_value_stands_below_the_records_on_its_way() -> None:
    """Each list on the way to it makes records of its own; the last name is the value."""
    found = made("value: usage.list.m")
    assert ([hop.name for hop in found.walk], found.leaf) == (["calls", "usage", "list"], (Hop("m"),))
    assert found.constant is None
    plain = made("value: count")
    assert (plain.walk, plain.leaf) == ((Hop("calls"),), (Hop("count"),))


def test_a_number_is_the_value_of_each_row() -> None:
    """As for the families that only have names."""
    found = made("value: 1")
    assert (found.walk, found.leaf, found.constant) == ((Hop("calls"),), (), 1)


def test_a_row_can_be_the_value() -> None:
    """A list of numbers has one for each."""
    plan = planned('- {name: q, document: "{ sizes }", rows: sizes, metrics: [{name: n, help: N., value: .}]}')
    (found,) = plan.queries[0].metrics
    assert (found.walk, found.leaf) == ((Hop("sizes"),), ())


def test_a_value_is_no_object() -> None:
    """Nor is the row, where it has fields."""
    assert problems("value: usage") == ["value: usage ends in an object; go on to one of: list, n"]
    assert problems("value: .") == ["value: . ends in an object; go on to one of: api, at, code, count, usage"]
    assert problems("value: cuont") == ["value: cuont is not selected by the document; did you mean count?"]


@pytest.mark.parametrize(
    ("field", "readable"),
    [
        ("i", "number"),
        ("f", "number"),
        ("b", "boolean"),
        ("s", "string timestamp enum"),
        ("d", "string enum"),
        ("e", "enum"),
        ("c", "number string boolean enum timestamp"),
    ],
)
def test_with_a_schema_a_value_is_read_as_its_type_can_be(tmp_path: Path, field: str, readable: str) -> None:
    """Each way that the type does not have is refused with those that it has; an API's own scalar has all."""
    (tmp_path / "s.graphql").write_text(SDL)
    source = f'sources: [{{name: acme, url: "https://api.example/graphql", schema: {tmp_path}/s.graphql}}]\n'
    refused = {}
    for way in ("number", "string", "boolean", "enum", "timestamp"):
        more = ", map: {UP: 1}" if way == "enum" else ""
        text = f'- {{name: q, document: "{{ calls {{ {field} }} }}", rows: calls, metrics: [{{name: n, help: N., '
        refused[way] = plan_problems(f"{text}value: {field}, from: {way}{more}}}]}}", source)
    assert {way for way, found in refused.items() if not found} == set(readable.split())
    for way, found in refused.items():
        if found:
            (problem,) = found
            if way == "enum":  # which any type may be, by its own words
                assert "map.UP: UP is no " in problem
                continue
            assert f"read as {way}; write from: " in problem
            assert set(problem.partition("write from: ")[2].split(" or ")) == set(readable.split())


def test_a_counter_of_rows_needs_a_period_and_a_bucket_a_window() -> None:
    """Without them it is not known what they are of. The API's own counter needs none."""
    counter = '- {{name: q{}, document: "{{ n }}", metrics: [{{name: n_total, type: counter, help: N., {}}}]}}'
    times = ", window: {length: 5m}, period: day"
    for value in ("value: 1, aggregate: sum", "value: n, aggregate: count"):
        assert plan_problems(counter.format("", value)) == [
            "queries[0].metrics[0].type: a counter of rows needs the query's period, from whose start it counts;"
            " add period: day, or make it a gauge"
        ]
        assert plan_problems(counter.format(times, value)) == []
    assert plan_problems(counter.format("", "value: n")) == []
    bucket = "value: count, bucket: {start: at, width: 5m}"
    assert problems(bucket) == ["bucket: a bucket needs the query's window; add window:"]
    assert problems(bucket, times) == []


def test_a_bucket_has_the_column_of_its_start() -> None:
    """A start that the document does not have is a problem, and the metric is not planned."""
    found = made("value: count, bucket: {start: at, width: 5m}", ", window: {length: 5m}")
    assert found.bucket == BucketPlan(Column(1, (Hop("at"),)), timedelta(minutes=5))
    (problem,) = problems("value: count, bucket: {start: att, width: 5m}", ", window: {length: 5m}")
    assert problem.startswith("bucket.start: att is not selected")


def test_the_largest_are_of_a_label_of_the_metric() -> None:
    """It is known by its position among the labels, which are sorted."""
    found = made("value: count, labels: {api: api, zone: code}, top: {n: 3, label: zone, rest: Rest}")
    assert found.top == TopPlan(3, 2, "Rest")
    assert problems("value: count, labels: {api: api}, top: {n: 3, label: code}") == [
        "top.label: code is not a label of this metric; it has: api, organization"
    ]
    bare = 'sources: [{name: acme, url: "https://api.example/graphql"}]\n'
    (problem,) = problems("value: count, top: {n: 3, label: code}", source=bare)
    assert problem.endswith("; it has: none")


def test_missing_rows_have_a_value_for_each_label() -> None:
    """From the other query's rows, or from the label's own plan where that does not need the answer."""
    written = """value: count, labels: {api: api, c: {const: x}, s: "{{ source.org }}",
    l: {lookup: codes, key: "{{ source.org }}", field: text}}, missing: {rows_of: apis, labels: {api: id}, value: 7}"""
    found = made(written, before=APIS, source=SOURCE + LOOKUP)
    assert found.family.label_names == ("api", "c", "l", "organization", "s")
    assert found.missing == MissingPlan(
        "apis",
        (
            "id",
            Constant("x"),
            LookupColumn("codes", Bound(Reference("source.org")), "text"),
            Bound(Reference("source_label.organization")),
            Bound(Reference("source.org")),
        ),
        7,
    )


def test_missing_rows_need_all_that_the_answer_would_have_said() -> None:
    """A label from the answer, or looked up by it, has no value without a path of the other rows."""
    looked_up = "l: {lookup: codes, key: code, field: text}"
    found = problems(
        f"value: count, labels: {{api: api, {looked_up}}}, missing: {{rows_of: apis, labels: {{x: id}}}}",
        before=APIS,
        source=SOURCE + LOOKUP,
    )
    assert sorted(found) == [
        "missing.labels.x: is not a label of this metric; it has: organization, api, l",
        "missing.labels: does not say where the label api comes from; add api: and a path of the rows of apis",
        "missing.labels: does not say where the label l comes from; add l: and a path of the rows of apis",
    ]
    (problem,) = problems(
        "value: count, labels: {api: api}, missing: {rows_of: apis, labels: {api: uuid}}", before=APIS
    )
    assert problem.startswith("missing.labels.api: uuid is not selected by the document")


def test_missing_rows_come_from_a_query_with_rows_and_the_same_targets() -> None:
    """One that runs once has them for all."""
    missing = "value: count, labels: {api: api}, missing: {rows_of: apis, labels: {api: id}}"
    each = ", for_each: {x: [1, 2]}"
    no_rows = "missing.rows_of: there is no query apis with rows; name one that has rows"
    assert problems(missing) == [no_rows]
    rowless = '- {name: apis, document: "{ n }", metrics: [{name: n, help: N., value: n}]}\n'
    assert problems(missing, before=rowless) == [no_rows]
    assert problems(missing, each, before=APIS) == []
    fed = APIS.replace("rows: api", "rows: api, for_each: {x: [1, 2]}")
    assert problems(missing, each, before=fed) == []
    assert problems(missing, before=fed) == [
        "missing.rows_of: apis has another for_each; use one with the same, or with none"
    ]


def test_a_metric_that_cannot_be_planned_hides_nothing_of_the_others() -> None:
    """All problems of all metrics come at once."""
    found = plan_problems("""
    - name: q
      document: "{ n m }"
      metrics:
        - {name: a, help: A., value: x}
        - {name: b, help: B., value: n, labels: {l: y}}
        - {name: c, help: C., value: m, top: {n: 1, label: z}}
    """)
    assert [problem.split(":")[0] for problem in found] == [
        "queries[0].metrics[0].value",
        "queries[0].metrics[1].labels.l",
        "queries[0].metrics[2].top.label",
    ]
