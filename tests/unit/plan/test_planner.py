"""Plans: what can be known before the first poll is known, and right."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.model.errors import ConfigError
from exporter.model.samples import MetricType
from exporter.model.template import Reference
from exporter.plan.plan import Bound, Column, Constant, Hop
from tests.support.plans import planned, planned_query


def test_queries_stand_after_those_that_feed_them() -> None:
    """The first round runs in the order of `for_each`, however the file is ordered."""
    plan = planned("""
    - {name: c, for_each: {x: b}, document: "{ c }", metrics: [{name: c, help: C., value: c}]}
    - {name: b, for_each: {x: a}, document: "{ b { id } }", rows: b}
    - {name: a, document: "{ a { id } }", rows: a}
    - {name: d, document: "{ d }", metrics: [{name: d, help: D., value: d}]}
    """)
    names = [query.name for query in plan.queries]
    assert names.index("a") < names.index("b") < names.index("c")
    assert sorted(names) == ["a", "b", "c", "d"]


def test_a_metric_has_its_walk_its_value_and_its_labels_resolved() -> None:
    """Lists on the way explode, labels are columns at their own depth, in the order of the family's names."""
    query = planned_query("""
    - name: q
      document: "{ org { name apis { id usage { code count } } } }"
      rows: org.apis
      labels: {kind: {const: k}}
      metrics:
        - {name: n, help: N., value: usage.count, labels: {api: id, code: code, org: name, src: "{{ source.n }}"}}
    """)
    (metric,) = query.metrics
    assert metric.family.label_names == ("api", "code", "kind", "org", "organization", "src")
    assert [hop.name for hop in metric.walk] == ["org", "apis", "usage"]
    assert metric.leaf == (Hop("count"),)
    assert metric.labels == (
        Column(2, (Hop("id"),)),
        Column(3, (Hop("code"),)),
        Constant("k"),
        Column(1, (Hop("name"),)),
        Bound(Reference("source_label.organization")),
        Bound(Reference("source.n")),
    )


@pytest.mark.parametrize(
    ("label", "column"),
    [
        ("id", None),
        (".id", Column(2, (Hop("id"),))),
        ("a.id", Column(1, (Hop("id"),))),
        ("a.b.id", Column(2, (Hop("id"),))),
        ("top", Column(0, (Hop("top"),))),
        ("a.o.p", Column(1, (Hop("o"), Hop("p")))),
        ("o.p", Column(1, (Hop("o"), Hop("p")))),
        ("'l[1].p'", Column(2, (Hop("l", (1,)), Hop("p")))),
    ],
)
def test_a_name_is_looked_up_outwards_once(label: str, column: Column | None) -> None:
    """The innermost selection that has the name counts; one that is selected twice must be told apart."""
    query = f"""
    - name: q
      document: "{{ top a {{ id o {{ p }} b {{ id n l {{ p }} }} }} }}"
      metrics: [{{name: n, help: N., value: a.b.n, labels: {{x: {label}}}}}]
    """
    if column is None:
        with pytest.raises(ConfigError, match=r"id is selected at two levels; write \.id for the innermost, or a\.id"):
            planned(query)
    else:
        assert planned_query(query).metrics[0].labels[1] == column


def test_aliases_count_and_fields_do_not() -> None:
    """A path is a path of the answer."""
    planned('- {name: q, document: "{ now: calls { n: count } }", metrics: [{name: n, help: N., value: now.n}]}')
    with pytest.raises(ConfigError, match=r"calls\.count is not selected by the document; selected there: now"):
        planned('- {name: q, document: "{ now: calls { n } }", metrics: [{name: n, help: N., value: calls.count}]}')


def test_help_says_how_a_family_is_made() -> None:
    """HELP ends with interval, window and delay; a family of two queries has both."""
    plan = planned("""
    - name: a
      interval: 90s
      window: {length: 1h30m, delay: 2m}
      document: "{ n }"
      metrics: [{name: n, help: N., value: n, labels: {q: {const: a}}}]
    - name: b
      document: "{ n m }"
      metrics: [{name: n, help: N., value: n, labels: {q: {const: b}}}, {name: m, help: M., value: m}]
    """)
    assert {family.name: family.help for family in plan.families} == {
        "m": "M. (polled every 1m)",
        "n": "N. (polled every 1m30s, window 1h30m, 2m late; polled every 1m)",
    }


def test_one_family_is_one_object_wherever_it_stands() -> None:
    """Two queries that publish one family agree on it; families are sorted by name."""
    plan = planned("""
    - {name: b, document: "{ n }", metrics: [{name: z, help: Z., value: n, labels: {q: {const: b}}}]}
    - name: a
      document: "{ n }"
      metrics: [{name: z, help: Z., value: n, labels: {q: {const: a}}}, {name: y, help: Y., value: n}]
    """)
    assert plan.queries[0].metrics[0].family is plan.queries[1].metrics[0].family
    assert [family.name for family in plan.families] == ["y", "z"]
    assert {family.type for family in plan.families} == {MetricType.GAUGE}


def test_only_what_is_referred_to_is_exported() -> None:
    """A feeding query hands on the fields that the queries below it name, its own outer ones carried along."""
    plan = planned("""
    - {name: tenants, document: "{ t { id name } }", rows: t}
    - {name: environments, for_each: {tenant: tenants}, document: "{ e { id name } }", rows: e}
    - name: q
      for_each: {environment: environments}
      document: "query ($x: X) { n(x: $x) }"
      variables: {x: ["{{ environment.id }}", "{{ environment.tenant.name }}"]}
      metrics: [{name: n, help: N., value: n}]
    """)
    tenants, environments, query = plan.queries
    assert tenants.rows is not None
    assert environments.rows is not None
    assert set(tenants.rows.exports) == {"name"}
    assert set(environments.rows.exports) == {"id"}
    assert environments.needed == {"tenant.name"}
    assert query.needed == {"environment.id", "environment.tenant.name"}


def test_the_row_itself_can_be_exported_and_be_a_value() -> None:
    """A list of texts feeds a query through its bare name; a list of numbers is a metric through `.`."""
    plan = planned("""
    - {name: names, document: "{ names }", rows: names, metrics: [{name: s, help: S., value: ".", aggregate: sum}]}
    - name: q
      for_each: {name: names}
      document: "query ($x: X) { n(x: $x) }"
      variables: {x: "{{ name }}"}
      metrics: [{name: n, help: N., value: n, labels: {name: "{{ name }}"}}]
    """)
    assert plan.queries[0].rows is not None
    assert set(plan.queries[0].rows.exports) == {"."}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("count", None),
        ("name, from: string", None),
        ("count, from: string", "count is Int, read as string; write from: number"),
        ("name", "name is String, read as number; write from: string or timestamp or enum"),
        ("name, from: boolean", "name is String, read as boolean"),
        ("state, from: enum, map: {UP: 1}", None),
        ("state", "state is State, read as number; write from: enum"),
        ("on", "on is Boolean, read as number; write from: boolean"),
    ],
)
def test_with_a_schema_a_value_must_be_readable_as_declared(tmp_path: Path, value: str, fault: str | None) -> None:
    """A String is not read as a number by accident: the load error says which `from` fits."""
    schema = tmp_path / "schema.graphql"
    schema.write_text(
        "type Query { rows: [Row] }\ntype Row { name: String! count: Int! state: State on: Boolean }\nenum State { UP }"
    )
    source = f'sources:\n  - {{name: acme, url: "https://api.example/graphql", schema: {schema}}}\n'
    query = f"""
    - name: q
      document: "{{ rows {{ name count state on }} }}"
      rows: rows
      metrics: [{{name: n, help: N., value: {value}, aggregate: max}}]
    """
    if fault is None:
        assert planned(query, source).queries
    else:
        with pytest.raises(ConfigError, match=fault):
            planned(query, source)
