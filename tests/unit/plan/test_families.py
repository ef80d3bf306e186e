"""Families: all that publish one agree on it, and its help says how it is made."""

from __future__ import annotations

import pytest

from exporter.model.samples import MetricType
from tests.support.plans import plan_problems, planned


def helps(queries: str) -> dict[str, str]:
    """The help of each family."""
    return {family.name: family.help for family in planned(queries).families}


@pytest.mark.parametrize(
    ("times", "type_", "made"),
    [
        ("interval: 90s", "gauge", "polled every 1m30s"),
        ("window: {length: 5m}", "gauge", "polled every 1m, window 5m"),
        ("window: {length: 5m, delay: 2m}", "gauge", "polled every 1m, window 5m, 2m late"),
        ("window: {length: 5m, delay: 2m}, period: day", "gauge", "polled every 1m, window 5m, 2m late"),
        ("window: {length: 5m}, period: day", "counter", "polled every 1m, counted from the start of each day"),
        ("window: {length: 5m, delay: 1m}, period: 6h", "counter",
         "polled every 1m, counted from the start of each 6h, 1m late"),
    ],
)  # fmt: skip
def test_help_says_how_a_family_is_made(times: str, type_: str, made: str) -> None:
    """How often it is polled, over which time, and how late."""
    name = "n_total" if type_ == "counter" else "n"
    query = (
        f'- {{name: q, {times}, document: "{{ n }}", metrics: [{{name: {name}, help: N., type: {type_}, value: n}}]}}'
    )
    assert helps(query) == {name: f"N. ({made})"}


def test_help_names_each_way_once() -> None:
    """Two queries that are polled alike make a family in one way, a third in another."""
    query = (
        '- {{name: {}, interval: {}, document: "{{ n }}", metrics: [{{name: n, help: N., value: n, labels: {}}}]}}\n'
    )
    queries = "".join(query.format(name, every, "{q: n}") for name, every in (("a", "1m"), ("b", "1m"), ("c", "2m")))
    assert helps(queries) == {"n": "N. (polled every 1m; polled every 2m)"}


def test_a_family_is_one_for_all_that_publish_it() -> None:
    """Families are sorted by name, and the metrics have the family of the plan."""
    plan = planned("""
    - {name: b, document: "{ n m }", metrics: [{name: n, help: N., value: n}, {name: a, help: A., value: m}]}
    - {name: a, document: "{ n }", metrics: [{name: n, help: N., value: n}]}
    """)
    assert [family.name for family in plan.families] == ["a", "n"]
    used = [metric.family for query in plan.queries for metric in query.metrics if metric.family.name == "n"]
    assert all(family is plan.families[1] for family in used)
    assert len(used) == 2


def test_another_help_or_other_labels_are_refused_with_the_line_of_the_first() -> None:
    """Each that differs from the first is named."""
    problems = plan_problems("""
    - name: a
      document: "{ n m }"
      metrics:
        - {name: n, help: N., value: n}
        - {name: n, help: Another., value: m}
        - {name: n, help: N., value: n, labels: {m: m}}
    """)
    assert problems == [
        "queries[0].metrics[1].name: n has another help than on line 8; use the same (N.), or another name",
        "queries[0].metrics[2].name: n has other label names than on line 8; use the same (organization),"
        " or another name",
    ]


def test_families_without_labels_agree_on_none() -> None:
    """The remedy says so."""
    source = 'sources: [{name: acme, url: "https://api.example/graphql"}]\n'
    query = """
    - {name: a, document: "{ n m }",
       metrics: [{name: n, help: N., value: n}, {name: n, help: N., value: n, labels: {m: m}}]}
    """
    (problem,) = plan_problems(query, source)
    assert problem.endswith("; use the same (none), or another name")


def test_names_that_openmetrics_takes_for_one_are_refused() -> None:
    """`n` and `n_total` are one family there; a gauge beside another counter is none."""
    query = """
    - name: a
      window: {{length: 5m}}
      period: day
      document: "{{ n }}"
      metrics:
        - {{name: n_total, type: counter, help: N., value: n}}
        - {{name: {}, help: N., value: n}}
    """
    assert plan_problems(query.format("n")) == [
        "queries[0].metrics[0].name: n_total and n are one family in OpenMetrics; rename one of the two"
    ]
    assert plan_problems(query.format("nn")) == []
    assert [family.type for family in planned(query.format("m")).families] == [MetricType.GAUGE, MetricType.COUNTER]
