"""Queries, ready to run: intervals, feeds, packs, pages, and what reads their answers."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from exporter.document.answer_shape import AnswerShape
from exporter.model.samples import Json
from exporter.model.window import Window
from exporter.plan.plan import Feed, Hop, PackPlan, PagesPlan
from tests.support.plans import SOURCE, plan_problems, planned, planned_query

METRIC = "metrics: [{name: n, help: N., value: n}]"


def test_what_is_written_is_what_is_run() -> None:
    """Durations are seconds; the window has the query's time zone."""
    query = planned_query("""
    - name: q
      interval: 90s
      timeout: 20s
      stale_after: 1h
      window: {length: 5m, delay: 2m, align: 1h}
      period: month
      audit: {after: 2h}
      timezone: Asia/Colombo
      max_calls: 7
      max_series: 8
      on_partial: publish
      document: "{ n }"
      metrics: [{name: n_total, type: counter, help: N., value: n}]
    """)
    zone = ZoneInfo("Asia/Colombo")
    assert (query.interval_seconds, query.timeout_seconds, query.stale_after_seconds) == (90.0, 20.0, 3600.0)
    assert query.window == Window(timedelta(minutes=5), timedelta(minutes=2), timedelta(hours=1), zone)
    assert (query.period, query.zone, query.audit_after_seconds) == ("month", zone, 7200.0)
    assert (query.max_calls, query.max_series, query.publishes_partial) == (7, 8, True)


def test_what_is_not_written_is_left_out() -> None:
    """A plain query has one call, no time and no pages, and keeps old values where an answer has errors."""
    query = planned_query(f'- {{name: q, document: "{{ n }}", {METRIC}}}')
    assert (query.window, query.period, query.audit_after_seconds) == (None, None, None)
    assert (query.feeds, query.needed, query.batch, query.pack, query.pages) == ((), frozenset(), None, None, None)
    assert query.rows is None
    assert not query.publishes_partial


def test_a_query_runs_for_each_item_of_a_list_or_row_of_a_query() -> None:
    """Scalars of a list are its items themselves; `where` goes along."""
    plan = planned(f"""
    - {{name: a, document: "{{ a {{ id kind }} }}", rows: a}}
    - {{name: q, for_each: {{x: [1, b], y: [{{id: 2}}], z: {{query: a, where: {{kind: [UP, DOWN]}}}}}},
       document: "{{ n }}",
       {METRIC}}}
    """)
    assert plan.queries[-1].feeds == (
        Feed("x", None, ({".": 1}, {".": "b"})),
        Feed("y", None, ({"id": 2},)),
        Feed("z", "a", (), {"kind": ("UP", "DOWN")}),
    )


def test_targets_of_a_pack_share_the_variables_that_only_the_source_decides() -> None:
    """Constants, too; what refers to a row or a time is each target's own, also where it stands deep."""
    query = planned_query(f"""
    - name: q
      for_each: {{x: [1]}}
      pack: 5
      window: {{length: 5m}}
      document: "query ($a: I, $b: I, $c: I, $d: I, $e: I) {{ n(a: $a, b: $b, c: $c, d: $d, e: $e) }}"
      variables: {{a: 1, b: "{{{{ source.n }}}}", c: {{k: ["{{{{ x }}}}"]}}, d: "{{{{ window.end }}}}",
                  e: "{{{{ source.n }}}}-{{{{ x }}}}"}}
      {METRIC}
    """)
    assert query.pack == PackPlan(5, frozenset({"a", "b"}))


OFFSET = """
- name: q
  document: "query ($limit: Int, $by: By) { calls(limit: $limit, by: $by) { rows { n } total } }"
  rows: calls.rows
  variables: {by: {}}
  pages: {size: 50, limit: limit, offset: by.offset, total: calls.total, max_rows: 70}
  metrics: [{name: n, help: N., value: n, aggregate: sum}]
"""
CURSOR = """
- name: q
  document: "query ($limit: Int, $after: String) { calls(limit: $limit, after: $after) { rows { n } page { PAGE } } }"
  rows: calls.rows
  pages: {size: 50, limit: limit, cursor: after, info: calls.page}
  metrics: [{name: n, help: N., value: n, aggregate: sum}]
"""


def test_pages_are_turned_by_offset_or_by_cursor() -> None:
    """Where size and position go, and where the answer says how it goes on."""
    total = (Hop("calls"), Hop("total"))
    assert planned_query(OFFSET).pages == PagesPlan(50, ("limit",), "offset", ("by", "offset"), 70, total)
    for fields, backwards in (("hasNextPage endCursor", False), ("hasPreviousPage startCursor", True)):
        more, following = ((Hop("calls"), Hop("page"), Hop(name)) for name in fields.split())
        cursor = planned_query(CURSOR.replace("PAGE", fields))
        expected = PagesPlan(50, ("limit",), "cursor", ("after",), 5000, None, more, following, backwards)
        assert cursor.pages == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("limit: limit,", "limit: limits,"),
            "limit: limits begins with no variable of the document; did you mean limit?",
        ),
        (("by.offset", "skip"), "offset: skip begins with no variable of the document; it has: limit, by"),
        (("by.offset", "."), "offset: . begins with no variable of the document; it has: limit, by"),
        (
            ("calls.total,", "calls.totl,"),
            "total: calls.totl is not selected by the document; did you mean calls.total?",
        ),
    ],
)
def test_pages_that_cannot_be_turned_are_refused(change: tuple[str, str], said: str) -> None:
    """The place says which of the keys is wrong."""
    assert plan_problems(OFFSET.replace(*change)) == [f"queries[0].pages.{said}"]


def test_pages_need_variables() -> None:
    """A document that declares none cannot be turned."""
    query = """
    - name: q
      document: "{ calls { rows { n } total } }"
      rows: calls.rows
      pages: {size: 50, limit: limit, offset: skip, total: calls.total}
      metrics: [{name: n, help: N., value: n, aggregate: sum}]
    """
    assert plan_problems(query) == [
        "queries[0].pages.limit: limit begins with no variable of the document; it has: none",
        "queries[0].pages.offset: skip begins with no variable of the document; it has: none",
    ]


@pytest.mark.parametrize("fields", ["hasNextPage", "endCursor", "x"])
def test_a_cursor_needs_both_of_its_fields(fields: str) -> None:
    """Without one of them it is not known whether there is more, or where."""
    assert plan_problems(CURSOR.replace("PAGE", fields)) == [
        "queries[0].pages.info: calls.page does not select hasNextPage and endCursor; select both"
    ]
    (problem,) = plan_problems(CURSOR.replace("PAGE", "hasNextPage endCursor").replace("calls.page}", "calls.pag}"))
    assert problem.startswith("queries[0].pages.info: calls.pag is not selected")
    (problem,) = plan_problems(
        CURSOR.replace("PAGE", "hasNextPage endCursor").replace("cursor: after", "cursor: before")
    )
    assert problem.startswith("queries[0].pages.cursor: before begins with no variable")


def test_an_answer_is_read_as_far_as_it_is_used() -> None:
    """Values, labels, buckets, rows for other queries and what pages say; the rest of the document is skipped."""
    shape = (
        planned("""
    - name: q
      window: {length: 5m}
      document: "query ($l: Int, $o: Int) { calls(l: $l, o: $o) { rows { api { id name } n at unused } total } other }"
      rows: calls.rows
      pages: {size: 50, limit: l, offset: o, total: calls.total}
      metrics:
        - {name: n, help: N., value: n, labels: {name: api.name}, bucket: {start: at, width: 5m}, aggregate: sum}
    - {name: fed, for_each: {x: q}, document: "query ($i: ID) { m(i: $i) }", variables: {i: "{{ x.api.id }}"},
       metrics: [{name: m, help: M., value: m}]}
    """)
        .queries[0]
        .shape
    )
    content: dict[str, Json] = {
        "calls": {"rows": [{"api": {"id": {"any": 1}, "name": "A"}, "n": 1, "at": "t", "unused": 2}], "total": 9}
    }
    assert plain(shape.data({**content, "other": 1})) == {
        "calls": {"rows": [{"api": {"id": {"any": 1}, "name": "A"}, "n": 1, "at": "t"}], "total": 9}
    }
    assert shape.in_pages


def test_rows_are_read_to_be_counted_even_where_nobody_refers_to_them() -> None:
    """The objects are there, without their fields."""
    shape = planned_query('- {name: q, document: "{ a { b { c } } other }", rows: a.b}').shape
    assert plain(shape.data({"a": {"b": [{"c": 1}, {"c": 2}]}, "other": 5})) == {"a": {"b": [{}, {}]}}


def test_a_page_by_cursor_is_read_as_well() -> None:
    """Both fields of it."""
    shape = planned_query(CURSOR.replace("PAGE", "hasNextPage endCursor x")).shape
    page: dict[str, Json] = {"hasNextPage": True, "endCursor": "c", "x": 1}
    assert plain(shape.data({"calls": {"rows": [], "page": page}})) == {
        "calls": {"rows": [], "page": {"hasNextPage": True, "endCursor": "c"}}
    }


def test_a_query_may_have_so_many_values_as_its_limits_allow() -> None:
    """Ten rows of all selected fields for each series, at least for those of the default; pages may have more rows."""
    small = planned_query(f'- {{name: q, max_series: 5, document: "{{ n }}", {METRIC}}}').shape
    assert (small.max_values, small.in_pages) == (250_000, False)
    wide = planned_query(f'- {{name: q, max_series: 5, document: "{{ a {{ b c }} n }}", {METRIC}}}').shape
    assert wide.max_values == 10 * 20_000 * 4
    assert wide.max_values_reason == "10 rows of 4 values for each of 20000 series (max_series)"
    large = planned_query(f'- {{name: q, max_series: 30000, document: "{{ n m }}", {METRIC}}}').shape
    assert large.max_values == 10 * 30_000 * 2
    paged = planned_query(OFFSET.replace("max_rows: 70", "max_rows: 50000")).shape
    assert paged.max_values == 10 * 50_000 * 4


def test_a_query_has_its_metrics_on_its_sources() -> None:
    """All of them, unless it names some."""
    two = SOURCE + '  - {name: beta, url: "https://beta.example/", labels: {organization: beta}}\n'
    query = f'- {{name: q, document: "{{ n }}", {METRIC}}}'
    assert [source.name for source in planned(query, two).queries[0].sources] == ["acme", "beta"]
    one = query.replace("name: q,", "name: q, sources: [beta],")
    assert [source.name for source in planned(one, two).queries[0].sources] == ["beta"]


def plain(node: object) -> object:
    """An answer's objects as mappings."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if hasattr(node, "__struct_fields__"):
        return {
            name.removeprefix("f_"): plain(getattr(node, name))
            for name in node.__struct_fields__
            if repr(getattr(node, name)) != "UNSET"
        }
    return node


def test_the_shape_is_made_for_the_query() -> None:
    """It follows from the rest, and decides nothing about what is the same after a reload."""
    text = f'- {{name: q, document: "{{ n }}", {METRIC}}}'
    one, two = planned_query(text), planned_query(text)
    assert isinstance(one.shape, AnswerShape)
    assert one.shape is not two.shape
    assert one == two


@pytest.mark.parametrize(
    ("lists", "keys", "limit"),
    [
        ("{n: [1, 2, 3], m: [1, 2, 3, 4]}", "", 12),
        ("{n: [1, 2, 3], m: [1, 2, 2, 4]}", "", 9),
        ("{n: [1, 2, 3], m: [1, 2, 3, 4]}", "pack: 5", 3),
        ("{n: [1, 2, 3, 4, 5, 6, 7], m: [1]}", "pack: 3", 3),
    ],
)
def test_lists_that_need_more_calls_than_there_may_be_are_warned_of(lists: str, keys: str, limit: int) -> None:
    """As many as there are different targets, in packs; several shards may share them, so that it is no error."""

    def warnings(max_calls: int) -> list[str]:
        made = planned(f"""
        - name: q
          for_each: {lists}
          {keys}
          max_calls: {max_calls}
          document: "query ($n: Int, $m: Int) {{ n(n: $n, m: $m) }}"
          variables: {{n: "{{{{ n }}}}", m: "{{{{ m }}}}"}}
          labels: {{n: "{{{{ n }}}}", m: "{{{{ m }}}}"}}
          {METRIC}
        """)
        return [f"{problem.key}: {problem.wrong}" for problem in made.warnings]

    said = f"its lists need {limit} calls in a round, and max_calls is {limit - 1}, so that it is not polled"
    assert warnings(limit - 1) == [f"queries[0].max_calls: {said}"]
    assert not warnings(limit)


def test_a_batch_is_one_call() -> None:
    """A list of thousands may be asked for in few calls; one that nobody refers to is one target."""
    text = f"""
    - name: q
      for_each: {{n: {list(range(5000))}}}
      batch: SIZE
      document: "query ($n: [Int]) {{ a(n: $n) {{ n }} }}"
      variables: {{n: "{{{{ n }}}}"}}
      metrics: [{{name: n, help: N., value: a.n}}]
    """
    assert [problem.key for problem in planned(text.replace("SIZE", "4")).warnings] == ["queries[0].for_each"]
    assert not planned(text.replace("SIZE", "5")).warnings
    assert not planned(text.replace("batch: SIZE", "").replace('"{{ n }}"', "1")).warnings
