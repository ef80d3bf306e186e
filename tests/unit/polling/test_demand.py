"""How many calls a minute a configuration makes, told before it runs."""

from __future__ import annotations

from exporter.polling.demand import Demand, demand_report, present_demand
from tests.support.plans import planned

SOURCES = """\
sources:
  - {name: acme, url: "https://api.example/graphql", labels: {o: a}, rate_limit: {requests: 5, per: 10s}}
  - {name: globex, url: "https://api.example/graphql", labels: {o: g}, rate_limit: {requests: 30, per: 1m}}
  - {name: other, url: "https://api.example/graphql", labels: {o: o}}
"""
QUERIES = """
- {name: environments, interval: 10m, document: "{ e { id type } }", rows: e}
- {name: steady, interval: 5s, document: "{ n }", metrics: [{name: n, help: N., value: n}]}
- name: overview
  interval: 20s
  for_each: {environment: environments}
  document: "query ($e: ID) { o(e: $e) }"
  variables: {e: "{{ environment.id }}"}
  labels: {e: "{{ environment.id }}"}
  metrics: [{name: o, help: O., value: o}]
- name: apis
  interval: 10m
  for_each: {environment: {query: environments, where: {type: [ON_PREM, EDGE]}}}
  document: "query ($e: ID) { a(e: $e) { id } }"
  variables: {e: "{{ environment.id }}"}
  rows: a
- name: latency
  interval: 1m
  for_each: {api: apis}
  batch: 5
  document: "query ($a: [ID]) { l(a: $a) { id n } }"
  variables: {a: "{{ api.id }}"}
  metrics: [{name: l, help: L., value: l.n, labels: {a: id}}]
- name: usage
  interval: 5m
  for_each: {api: apis, kind: [PROXY, TARGET]}
  pack: 20
  document: "query ($a: ID, $k: Kind) { u(a: $a, k: $k) }"
  variables: {a: "{{ api.id }}", k: "{{ kind }}"}
  labels: {a: "{{ api.id }}", k: "{{ kind }}"}
  metrics: [{name: u, help: U., value: u}]
- name: listed
  sources: [acme]
  for_each: {number: [1, 2, 3, 4, 5]}
  pack: 2
  document: "query ($n: Int) { m(n: $n) }"
  variables: {n: "{{ number }}"}
  labels: {number: "{{ number }}"}
  metrics: [{name: m, help: M., value: m}]
- name: day
  sources: [other]
  interval: 10m
  for_each: {environment: environments}
  window: {length: 10m}
  period: 2h
  audit: {after: 1h}
  document: "query ($f: String, $e: ID) { t(from: $f, e: $e) }"
  variables: {f: "{{ period.start }}", e: "{{ environment.id }}"}
  labels: {e: "{{ environment.id }}"}
  metrics: [{name: t_total, type: counter, help: T., value: t}]
- name: details
  sources: [other]
  for_each: {api: environments}
  pages: {size: 10, limit: l, offset: o, total: d.total}
  document: "query ($l: Int, $o: Int) { d(l: $l, o: $o) { total rows { n } } }"
  rows: d.rows
  labels: {e: "{{ api.id }}"}
  metrics: [{name: d, help: D., value: n, aggregate: sum}]
"""


def test_the_check_tells_the_calls_of_each_query_and_their_sum() -> None:
    """Intervals, batches, packs, lists and filters count; sources that are asked otherwise are told apart. An
    audit is one round more in each period."""
    assert (
        "\n".join(demand_report(planned(QUERIES, SOURCES)))
        == """\
calls per minute to acme:
  environments  0.1
  steady        12
  overview      3 per environment
  apis          0.1 per environment with type ON_PREM or EDGE
  latency       0.2 per api
  usage         0.02 per api
  listed        3
  in all        15.1 + 3 per environment + 0.1 per environment with type ON_PREM or EDGE + 0.22 per api, at least
  rate_limit    30
calls per minute to globex:
  environments  0.1
  steady        12
  overview      3 per environment
  apis          0.1 per environment with type ON_PREM or EDGE
  latency       0.2 per api
  usage         0.02 per api
  in all        12.1 + 3 per environment + 0.1 per environment with type ON_PREM or EDGE + 0.22 per api, at least
  rate_limit    30
calls per minute to other:
  environments  0.1
  steady        12
  overview      3 per environment
  apis          0.1 per environment with type ON_PREM or EDGE
  latency       0.2 per api
  usage         0.02 per api
  day           0.108 per environment, with its audit
  details       1 per environment, and further pages
  in all        12.1 + 4.11 per environment + 0.1 per environment with type ON_PREM or EDGE + 0.22 per api, at least"""
    )


def test_sources_that_are_asked_alike_are_told_together() -> None:
    """Ten organizations with the same queries take no more lines than one."""
    source = """\
sources:
  - {name: acme, url: "https://api.example/graphql", labels: {o: a}}
  - {name: globex, url: "https://api.example/graphql", labels: {o: g}}
"""
    lines = list(
        demand_report(planned("- {name: q, document: '{ n }', metrics: [{name: n, help: N., value: n}]}", source))
    )
    assert lines == ["calls per minute to acme, globex, to each:", "  q  1", "  in all  1, at least"]


def test_rows_of_two_queries_that_are_called_alike_are_told_apart() -> None:
    """`per item of a` is not added to `per item of b`."""
    lines = list(
        demand_report(
            planned("""
    - {name: a, document: "{ a { id } }", rows: a}
    - {name: b, document: "{ b { id } }", rows: b}
    - {name: c, for_each: {item: a}, document: "{ c }", metrics: [{name: c, help: C., value: c}]}
    - {name: d, for_each: {item: b}, document: "{ d }", metrics: [{name: d, help: D., value: d}]}
    """)
        )
    )
    assert lines[-1] == "  in all  2 + 1 per item of a + 1 per item of b, at least"


def test_the_present_demand_is_compared_with_the_limit() -> None:
    """A ratio above 1 means that polls fall behind; the dearest queries are named with their calls a minute."""
    plan = planned(QUERIES, SOURCES)
    rounds = {"environments": 1, "steady": 1, "overview": 10, "apis": 10, "latency": 30, "usage": 6, "listed": 3}
    acme, other = plan.sources[0], plan.sources[2]
    queries = [query for query in plan.queries if acme in query.sources]
    demand = present_demand(queries, acme, lambda query, source: rounds[query] if source == "acme" else 0)
    assert demand is not None
    assert demand.dearest() == "latency 30, overview 30, steady 12"
    assert demand.limit == 30
    assert round(demand.ratio, 3) == round((0.1 + 12 + 30 + 1 + 30 + 1.2 + 3) / 30, 3)
    assert present_demand(queries, other, lambda query, source: 1) is None
    assert Demand({}, 60.0).ratio == 0
