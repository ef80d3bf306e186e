"""A query at a moment: which calls it makes, with which variables, about which time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from zlib import crc32

import pytest

from exporter.model.errors import SecretUnreadable
from exporter.model.outcome import Operation
from exporter.model.samples import Json
from exporter.plan.operation import (
    FeedingRow,
    Moment,
    TooManyTargets,
    first_position,
    label_values,
    moment_at,
    operation,
    secret_values,
    targets,
)
from exporter.plan.plan import Plan, Target
from tests.support.plans import planned, planned_query

CHAIN = """
- {name: tenants, document: "{ t { id } }", rows: t}
- name: environments
  for_each: {tenant: tenants}
  document: "query ($t: ID) { e(t: $t) { id name } }"
  variables: {t: "{{ tenant.id }}"}
  rows: e
- name: apis
  for_each: {environment: environments}
  document: "query ($t: ID, $e: ID) { n(t: $t, e: $e) }"
  variables: {t: "{{ environment.tenant.id }}", e: "{{ environment.id }}"}
  metrics: [{name: n, help: N., value: n}]
"""
MOST = 100  # targets

TIMES = """
- name: q
  interval: 1m
  window: {length: 5m, delay: 2m}
  period: day
  document: "query ($f: X, $t: X, $p: X) { n(f: $f, t: $t, p: $p) }"
  variables:
    f: "{{ window.start }}"
    t: [{u: "{{ window.end_unix }}"}]
    p: "{{ period.start }}/{{ period.start_unix }}"
  metrics: [{name: n_total, type: counter, help: N., value: n}]
"""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def values(plan: Plan, query: int, rows: list[FeedingRow]) -> list[Mapping[str, Json]]:
    return [target.values for target in targets(plan.queries[query], rows, MOST)]


def test_a_query_without_for_each_is_one_call() -> None:
    """It has one target, without values."""
    assert targets(planned(CHAIN).queries[0], (), MOST) == (Target({}),)


def test_there_is_one_call_for_each_row_and_the_outer_levels_come_along() -> None:
    """Three levels: the innermost query knows its environment and the environment's tenant."""
    plan = planned(CHAIN)
    assert values(plan, 1, [FeedingRow({"id": "t1"}, {}), FeedingRow({"id": "t2"}, {})]) == [
        {"tenant.id": "t1"}, {"tenant.id": "t2"}
    ]  # fmt: skip
    assert values(plan, 2, [FeedingRow({"id": "e1"}, {"tenant.id": "t1"})]) == [
        {"environment.id": "e1", "environment.tenant.id": "t1"}
    ]


def test_rows_that_mean_the_same_call_are_one_call() -> None:
    """The same environment listed twice is not asked for twice."""
    plan = planned(CHAIN)
    assert len(values(plan, 1, [FeedingRow({"id": "t"}, {})] * 3)) == 1
    assert values(plan, 1, []) == []


def test_a_target_is_known_by_its_values() -> None:
    """Equal values are the same target at the next round, whatever the order of the rows."""
    plan = planned(CHAIN)
    rows = [FeedingRow({"id": "t1"}, {}), FeedingRow({"id": "t2"}, {})]
    assert set(targets(plan.queries[1], rows, MOST)) == set(targets(plan.queries[1], reversed(rows), MOST))
    keys = {
        target.key for target in targets(plan.queries[1], [FeedingRow({"id": id_}, {}) for id_ in (1, "1", None)], MOST)
    }
    assert len(keys) == 3


def test_lists_in_the_file_are_multiplied() -> None:
    """Two lists are every pair of their items."""
    query = planned_query("""
    - name: q
      for_each: {region: [eu, us], tier: [{id: 1}, {id: 2}]}
      document: "query ($r: X, $t: X) { n(r: $r, t: $t) }"
      variables: {r: "{{ region }}", t: "{{ tier.id }}"}
      metrics: [{name: n, help: N., value: n, labels: {region: "{{ region }}", tier: "{{ tier.id }}"}}]
    """)
    assert [dict(target.values) for target in targets(query, (), MOST)] == [
        {"region": region, "tier.id": tier} for region in ("eu", "us") for tier in (1, 2)
    ]


MANY = """
- name: q
  for_each: {a: &many [%s], b: *many, c: *many, d: *many}
  document: "query ($a: Int, $b: Int, $c: Int, $d: Int) { n(a: $a, b: $b, c: $c, d: $d) }"
  variables: {a: "{{ a }}", b: "{{ b }}", c: "{{ c }}", d: "{{ d }}"}
  metrics: [{name: n, help: N., value: n, labels: {a: "{{ a }}", b: "{{ b }}", c: "{{ c }}", d: "{{ d }}"}}]
"""


@pytest.mark.parametrize(("shares", "count"), [(1, 8_100_000_000), (3, 2_700_000_000)])
def test_more_targets_than_are_wanted_are_not_made(shares: int, count: int) -> None:
    """Nor are billions counted one by one: a reload with four long lists would take all memory."""
    query = planned_query(MANY % ", ".join(map(str, range(300))))
    with pytest.raises(TooManyTargets) as raised:
        targets(query, (), MOST, lambda _: True, shares)
    assert raised.value.calls == count


def test_what_several_share_is_counted_by_each() -> None:
    """Of 81 targets each of two takes its own, which are few enough; all of them would not be."""
    query = planned_query(MANY % "1, 2, 3")
    taken = targets(query, (), 50, lambda key: crc32(key.encode()) % 2 == 0, 2)
    assert 30 < len(taken) < 50
    with pytest.raises(TooManyTargets):
        targets(query, (), 50)
    with pytest.raises(TooManyTargets):
        targets(query, (), 50, lambda _: True, 2)


def test_batches_are_sorted_and_of_one_outer_target_each() -> None:
    """`batch: 2` groups ids, sorted and each once, and never mixes two environments in a call."""
    plan = planned("""
    - {name: environments, document: "{ e { id } }", rows: e}
    - name: apis
      for_each: {environment: environments}
      document: "query ($e: ID) { a(e: $e) { id } }"
      variables: {e: "{{ environment.id }}"}
      rows: a
    - name: q
      for_each: {api: apis}
      batch: 2
      document: "query ($e: ID, $i: [ID!]) { n(e: $e, i: $i) { id n } }"
      variables: {e: "{{ api.environment.id }}", i: "{{ api.id }}"}
      rows: n
      labels: {environment: "{{ api.environment.id }}"}
      metrics: [{name: n, help: N., value: n, labels: {api: id}}]
    """)
    rows = [
        FeedingRow({"id": api}, {"environment.id": env})
        for env, api in [("e1", "c"), ("e2", "x"), ("e1", "a"), ("e1", "b"), ("e1", "a")]
    ]
    assert values(plan, 2, rows) == [
        {"api.environment.id": "e1", "api.id": ["a", "b"]},
        {"api.environment.id": "e1", "api.id": ["c"]},
        {"api.environment.id": "e2", "api.id": ["x"]},
    ]


def test_variables_are_bound_to_the_moment() -> None:
    """Times go out in ISO 8601 with milliseconds and offset, or in Unix seconds, at any depth of the variables."""
    plan = planned(TIMES)
    query = plan.queries[0]
    moment = moment_at(query, utc("2021-08-16T12:07:31"), None)
    sent = operation(query, plan.sources[0], Target({}), moment, {})
    assert sent.document == query.document.text
    assert sent.variables == {
        "f": "2021-08-16T12:00:00.000+00:00",
        "t": [{"u": 1629115500.0}],
        "p": "2021-08-16T00:00:00.000+00:00/1629072000",
    }


def test_a_query_without_window_has_no_time() -> None:
    """Nothing is made up."""
    assert moment_at(planned(CHAIN).queries[0], utc("2021-08-16T12:00:00"), None) == Moment()


@pytest.mark.parametrize(
    ("now", "published", "end", "start"),
    [
        ("2021-08-16T12:07:31", "2021-08-16T12:04:00", "2021-08-16T12:05:00", "2021-08-16T00:00:00"),
        ("2021-08-17T00:03:05", "2021-08-16T23:59:00", "2021-08-17T00:00:00", "2021-08-16T00:00:00"),
        ("2021-08-17T00:03:05", "2021-08-17T00:00:00", "2021-08-17T00:01:00", "2021-08-17T00:00:00"),
        ("2021-08-17T00:02:00", "2021-08-16T23:59:00", "2021-08-17T00:00:00", "2021-08-16T00:00:00"),
        ("2021-08-17T00:03:05", None, "2021-08-17T00:01:00", "2021-08-17T00:00:00"),
        ("2021-08-19T10:00:00", "2021-08-16T23:00:00", "2021-08-17T00:00:00", "2021-08-16T00:00:00"),
        ("2021-08-18T10:00:00", "2021-08-17T00:00:00", "2021-08-18T00:00:00", "2021-08-17T00:00:00"),
        ("2021-08-19T10:00:00", "2021-08-17T00:00:00", "2021-08-19T09:58:00", "2021-08-19T00:00:00"),
        ("2021-08-15T10:00:00", "2021-08-16T23:00:00", "2021-08-15T09:58:00", "2021-08-15T00:00:00"),
    ],
)
def test_the_end_of_a_period_is_not_jumped_over(now: str, published: str | None, end: str, start: str) -> None:
    """The full total of a day is published before the next day begins, even if the tick would jump over midnight; days
    of which nothing was published are not made up for, and a clock that was set back is believed."""
    published_end = None if published is None else utc(published).timestamp()
    moment = moment_at(planned(TIMES).queries[0], utc(now), published_end)
    assert moment.window is not None
    assert (moment.window.end, moment.period_start) == (utc(end), utc(start))


def test_secret_values_go_out_and_are_not_among_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is read at each use, sent in variables, and cannot be named by a label."""
    source = (
        'sources:\n  - {name: a, url: "https://a.example/", values: {n: 5}, secret_values: {key: {env: KEY_OF_A}}}\n'
    )
    plan = planned(
        """
        - name: q
          document: "query ($k: X) { n(k: $k) }"
          variables: {k: "{{ source.key }}"}
          metrics: [{name: n, help: N., value: n}]
        """,
        source,
    )
    monkeypatch.setenv("KEY_OF_A", "hunter2")
    secrets = asyncio.run(secret_values(plan.sources[0]))
    assert operation(plan.queries[0], plan.sources[0], Target({}), Moment(), secrets).variables == {"k": "hunter2"}
    assert label_values(plan.sources[0], Target({"x": 1})) == {"source.n": 5, "x": 1}
    monkeypatch.delenv("KEY_OF_A")
    with pytest.raises(SecretUnreadable):
        asyncio.run(secret_values(plan.sources[0]))


def test_where_takes_the_rows_that_have_one_of_the_values() -> None:
    """`where` compares a row's own fields and those of the rows it came from, and takes values as they are."""
    plan = planned("""
    - {name: environments, document: "{ e { id type } }", rows: e}
    - name: tenants
      for_each: {environment: environments}
      document: "query ($e: ID) { t(e: $e) { name on n } }"
      variables: {e: "{{ environment.id }}"}
      rows: t
    - name: q
      for_each: {tenant: {query: tenants, where: {environment.type: [ON_PREM, EDGE], on: true, n: [1, null]}}}
      document: "query ($n: ID) { n(n: $n) }"
      variables: {n: "{{ tenant.name }}"}
      metrics: [{name: n, help: N., value: n}]
    """)
    assert plan.queries[1].needed == {"environment.type", "environment.id"}
    rows = [
        FeedingRow({"name": name, "on": on, "n": n}, {"environment.type": kind})
        for name, on, n, kind in [
            ("a", True, 1, "ON_PREM"), ("b", True, None, "EDGE"), ("c", True, 2, "EDGE"), ("d", 1, 1, "EDGE"),
            ("e", True, True, "EDGE"), ("f", True, 1, "CLOUD"), ("g", None, 1, "EDGE"),
        ]
    ]  # fmt: skip
    assert values(plan, 2, rows) == [{"tenant.name": "a"}, {"tenant.name": "b"}]


@pytest.mark.parametrize(
    ("variables", "by", "first"),
    [
        ({}, "page: at.page", 1),
        ({}, "offset: at.page", 0),
        ({"at": {"page": 0}}, "page: at.page", 0),
        ({"at": {"page": 40}}, "offset: at.page", 40),
        ({"at": {"page": None}}, "page: at.page", 1),
        ({"at": {"page": False}}, "page: at.page", 1),
        ({"at": {"page": True}}, "offset: at.page", 0),
        ({"at": 7}, "offset: at.page", 0),
    ],
)
def test_the_first_page_begins_where_the_variables_say(variables: dict[str, Json], by: str, first: int) -> None:
    """If they have a number there; else with page 1, or offset 0."""
    pages = planned_query(f"""
    - name: q
      document: "query ($at: At) {{ a(at: $at) {{ n }} }}"
      rows: a
      pages: {{size: 2, {by}}}
      metrics: [{{name: n, help: N., value: n, aggregate: sum}}]
    """).pages
    assert pages is not None
    assert first_position(Operation("", variables), pages) == first
