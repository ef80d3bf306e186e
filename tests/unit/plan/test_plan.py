"""Plans: what a query reads and feeds, and what makes two of them the same."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations

import pytest

from exporter.plan.plan import Column, Hop, Plan, QueryPlan, Target, columns_of
from tests.support.plans import SOURCE, planned

TWO = """\
sources:
  - {name: one, url: "https://one.example/", labels: {s: "1"}}
  - {name: two, url: "https://two.example/", labels: {s: "2"}}
"""
LOOKUPS = """\
lookups:
  - {name: names, rows_of: titles, key: id, fields: {title: title}}
  - {name: codes, table: {"200": {text: OK}}}
"""
QUERIES = """
- {name: titles, document: "{ t { id title } }", rows: t}
- {name: apis, document: "{ api { id } }", rows: api}
- {name: envs, document: "{ env { id } }", rows: env}
- name: calls
  for_each: {x: [1, 2], env: envs}
  window: {length: 5m}
  period: day
  audit: {after: 2h}
  document: "{ calls { api at code count } }"
  rows: calls
  labels: {title: {lookup: names, key: api, field: title}, text: {lookup: codes, key: code, field: text}}
  metrics:
    - name: calls_total
      type: counter
      help: Calls.
      value: count
      labels: {api: api}
      bucket: {start: at, width: 5m}
    - name: known
      help: Known.
      value: 1
      labels: {api: api}
      missing: {rows_of: apis, labels: {api: id, title: id, text: id}}
"""


def found() -> Plan:
    return planned(QUERIES, SOURCE + LOOKUPS)


def query(name: str) -> QueryPlan:
    return next(query for query in found().queries if query.name == name)


def test_a_metric_reads_its_value_its_labels_and_its_bucket() -> None:
    """Of a label that is looked up, the key; of a constant metric, its record."""
    counter, known = query("calls").metrics
    api, code, at, count = (Column(1, (Hop(name),)) for name in ("api", "code", "at", "count"))
    assert list(columns_of(counter)) == [count, api, code, api, at]
    assert list(columns_of(known)) == [Column(1, ()), api, code, api]


def test_a_query_knows_who_feeds_it_and_whose_rows_it_reads() -> None:
    """A list of the file is no query, nor is a table."""
    calls = query("calls")
    assert calls.feeder == "envs"
    assert calls.counts_over == {"apis"}
    assert calls.reads == {"apis", "titles"}
    apis = query("apis")
    assert (apis.feeder, apis.counts_over, apis.reads) == (None, frozenset(), frozenset())


def test_a_plan_knows_whose_rows_are_read_and_whose_periods_are_audited() -> None:
    """By the names of the queries."""
    plan = found()
    assert plan.read_by_others == {"titles", "apis", "envs"}
    assert plan.audited == {"calls"}
    assert planned(QUERIES.replace("  audit: {after: 2h}\n", ""), SOURCE + LOOKUPS).audited == frozenset()


def test_a_query_on_a_source_is_the_same_whatever_other_sources_there_are() -> None:
    """A reload goes on with what did not change, and begins again with what did."""
    text = '- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}'
    both, one = planned(text, TWO), planned(text.replace("name: q,", "name: q, sources: [one],"), TWO)
    assert both.identities.keys() == {("q", "one"), ("q", "two")}
    assert one.identities.keys() == {("q", "one")}
    assert both.identities["q", "one"] == one.identities["q", "one"]
    assert both.identities["q", "two"] != both.identities["q", "one"]
    assert (both.queries[0], both.sources[0]) == both.identities["q", "one"]
    for change in (("{ n }", "{ n m }"), ("name: q,", "name: q, interval: 2m,"), ("help: N.", "help: M.")):
        assert planned(text.replace(*change), TWO).identities["q", "one"] != both.identities["q", "one"]
    moved = planned(text, TWO.replace("one.example", "three.example"))
    assert moved.identities["q", "one"] != both.identities["q", "one"]


def test_the_same_configuration_is_the_same_plan() -> None:
    """Whatever reads the answers follows from it."""
    assert found() == found()


TYPED = """
- name: q
  for_each: {x: [{a: EACH}]}
  document: "query ($v: JSON, $n: Int) { rows(v: $v, n: $n) { on n } }"
  variables: {v: {a: [VALUE], b: "{{ x.a }}"}, n: 1}
  metrics: [{name: m, help: M., value: rows.n, where: {rows.on: [CONDITION]}}]
"""


@pytest.mark.parametrize("place", ["EACH", "VALUE", "CONDITION", "n: 5"])
def test_a_value_of_another_type_is_a_change(place: str) -> None:
    """A reload that corrects 1 to true is followed."""

    def made(value: str) -> dict[tuple[str, str], object]:
        text, source = TYPED.replace(place, value), SOURCE.replace(place, f"n: {value}")
        for other in ("EACH", "VALUE", "CONDITION"):
            text = text.replace(other, "0")
        return dict(planned(text, source).identities)

    assert made("1") == made("1")
    found = [made(value) for value in ("1", "true", "1.0")]
    assert all(one != other for one, other in combinations(found, 2))


def test_the_order_of_variables_is_no_change() -> None:
    """A reload does not begin again what is only written in another order."""
    text = TYPED.replace("EACH", "1").replace("VALUE", "1").replace("CONDITION", "1")
    other = text.replace('v: {a: [1], b: "{{ x.a }}"}, n: 1', 'n: 1, v: {b: "{{ x.a }}", a: [1]}')
    assert other != text
    assert planned(text).identities == planned(other).identities


def test_targets_of_equal_values_are_one() -> None:
    """They are found by their key, and told apart by their values."""
    one, same, other = Target({"a": 1}, "k"), Target({"a": 1}, "k"), Target({"a": 2}, "k")
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert {one: 1, other: 2}[same] == 1


def test_windows_are_aligned_by_the_clock_of_each_source() -> None:
    """A day begins at another instant on the other side of the world; a query with a zone of its own has that."""
    sources = "".join(
        f'\n  - {{name: {name}, url: "https://api.example/graphql", labels: {{at: {name}}}, timezone: {zone}}}'
        for name, zone in (("tokyo", "Asia/Tokyo"), ("lima", "America/Lima"))
    )
    queries = """
    - name: each
      window: {length: 1d, align: 1d}
      document: "query ($from: String) { n(from: $from) }"
      variables: {from: "{{ window.start }}"}
      metrics: [{name: each, help: N., value: n}]
    - name: own
      timezone: UTC
      window: {length: 1d, align: 1d}
      document: "query ($from: String) { n(from: $from) }"
      variables: {from: "{{ window.start }}"}
      metrics: [{name: own, help: N., value: n}]
    """
    made = planned(queries, f"sources:{sources}\n")
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    found = {}
    for query in made.queries:
        for on_source, source in query.on_each():
            assert on_source.window is not None
            found[query.name, source.name] = on_source.window.at(now).end.astimezone(UTC).hour
    assert found == {("each", "tokyo"): 15, ("each", "lima"): 5, ("own", "tokyo"): 0, ("own", "lima"): 0}
