"""Answers read by their shape: the same comes of them as of a tree of dictionaries."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.model.errors import Failure
from exporter.model.outcome import Operation, Response, Result
from exporter.model.window import TimeRange
from exporter.plan.operation import Moment
from exporter.plan.plan import QueryPlan
from exporter.series import extraction, page_state
from exporter.series.label_texts import Surroundings
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.transport import Transport, WireResponse
from tests.property import old_extraction
from tests.support.plans import planned

PLAN: Final = planned("""
- name: rows
  window: {length: 5m}
  period: day
  document: "{ a { b { c d e @include(if: true) f } g h { c d } } }"
  rows: a.b
  metrics:
    - {name: plain, help: Plain., value: c, labels: {d: d, e: e}}
    - {name: summed, help: Summed., value: c, aggregate: sum, from_unit: minutes}
    - {name: text, help: Text., value: d, from: string, aggregate: max, labels: {g: "a.g[0]"}}
    - {name: time, help: Time., value: d, from: timestamp, aggregate: last}
    - {name: bucket, help: Bucket., value: c, aggregate: min, bucket: {start: f, width: 5m}}
    - {name: known, help: Known., value: 1, labels: {d: d}, aggregate: sum}
    - {name: counted_total, type: counter, help: Counted., value: f, labels: {c: c}, aggregate: sum}
- name: inner
  document: "{ a { d b { c } g } c }"
  metrics:
    - {name: inner, help: Inner., value: a.b.c, labels: {d: d, outer: a.d}, aggregate: sum}
    - {name: picked, help: Picked., value: "a.b[1].c", aggregate: max}
    - {name: leaf, help: Leaf., value: a.g, aggregate: sum}
- name: kinds
  document: "{ a { ... on B { b { c } d } ...F } } fragment F on G { g { c } f }"
  rows: a
  metrics:
    - {name: of_b, help: B., value: b.c, labels: {d: d}, aggregate: sum}
    - {name: of_g, help: G., value: g.c, labels: {f: f}, aggregate: sum}
    - {name: many, help: Many., value: 1, aggregate: sum}
- name: rowless
  document: "{ a { b { c } } }"
  rows: a.b
  metrics: [{name: rowless, help: Rows., value: 1, aggregate: sum}]
- name: fed
  for_each: {row: rowless}
  document: "query ($x: ID) { h(x: $x) }"
  variables: {x: "{{ row.c }}"}
  metrics: [{name: fed, help: Fed., value: h, labels: {row: "{{ row.c }}"}, aggregate: sum}]
""")
PAGES: Final = planned("""
- name: by_total
  document: "query ($n: Int, $at: Int) { a(n: $n, at: $at) { b { c } d } }"
  rows: a.b
  pages: {size: 5, limit: n, offset: at, total: a.d, max_rows: 10}
  metrics: [{name: c, help: C., value: c, aggregate: sum}]
- name: by_cursor
  document: "query ($n: Int, $at: ID) { a(n: $n, at: $at) { b { c } d { hasNextPage endCursor } } }"
  rows: a.b
  pages: {size: 5, limit: n, cursor: at, info: a.d, max_rows: 10}
  metrics: [{name: e, help: C., value: c, aggregate: sum}]
""")
END: Final = datetime(2021, 8, 16, 12, 5, tzinfo=UTC)
MOMENT: Final = Moment(TimeRange(END - timedelta(minutes=5), END), datetime(2021, 8, 16, tzinfo=UTC))
AROUND: Final = Surroundings({"source_label.organization": "acme", "row.c": "x"})


@dataclass(frozen=True, slots=True)
class Pairs:
    """An object as it is written: a key may stand in it twice."""

    pairs: tuple[tuple[str, Tree], ...]


Tree: TypeAlias = "None | bool | int | float | str | list[Tree] | Pairs"

leaves: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**308, 10**400, -(10**30)])
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["2021-08-16T12:00:00Z", "1e308", "\ud800", "🦊", '"\\', "a\u2028\r\0b", "9" * 5000])
)
NAMES: Final = "abcdefgh"


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with some of the names, now and then twice or another."""
    pair = st.tuples(st.sampled_from(NAMES) | st.sampled_from(["x", "__class__", "c\ud800"]), inner)
    return st.lists(pair, max_size=8).map(lambda found: Pairs(tuple(found)))


anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | objects(inner), max_leaves=15)


def listed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """That, or lists of it, as deep as an answer's are."""
    return inner | st.lists(inner | st.none(), max_size=4) | st.lists(st.lists(inner, max_size=2), max_size=2)


def shaped(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with all of these fields, mostly."""
    whole = st.fixed_dictionaries(fields).map(lambda found: Pairs(tuple(found.items())))
    return st.one_of(whole, whole, whole, objects(anything), leaves)


scalars = leaves | st.lists(leaves, max_size=2)
row = shaped(c=scalars, d=leaves, e=leaves, f=scalars)
a = shaped(b=listed(row), g=scalars, d=leaves, h=row, f=leaves)
data = shaped(a=listed(a), c=leaves, h=scalars) | objects(anything)
errors = st.none() | st.lists(objects(anything) | leaves, max_size=2)
contents = st.one_of(
    data.map(lambda found: Pairs((("data", found),))),
    data.map(lambda found: Pairs((("data", found),))),
    st.builds(lambda found, beside: Pairs((("errors", beside), ("data", found))), data, errors),
    anything,
)


def text(tree: Tree) -> str:
    """The tree in JSON, and what Python takes for it."""
    match tree:
        case Pairs(pairs):
            return "{" + ",".join(f"{json.dumps(key)}:{text(inner)}" for key, inner in pairs) + "}"
        case list():
            return "[" + ", ".join(map(text, tree)) + "]"
        case _:
            return json.dumps(tree)


ODD: Final = Pairs((("data", Pairs((("a", Pairs((("b", Pairs((("c", math.nan), ("d", "\ud800"), ("f", 1)))),))),))),))


class _Answering(Transport):
    """A transport that has the answer already."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def post(self, *_: object, **__: object) -> WireResponse:
        return WireResponse(200, {}, self._body)


def response(body: bytes, query: QueryPlan | None) -> Response:
    """The response in a body, as any JSON or by the shape of a query."""
    operation = Operation("", {}, None if query is None else query.shape)
    return asyncio.run(GraphQLClient("http://a/", _Answering(body), None).execute(operation, deadline_seconds=1))


def outcome(read: Callable[[], object]) -> object:
    """What came of it, to be compared."""
    try:
        found = read()
    except Failure as failure:
        return failure.reason, failure.detail
    if not isinstance(found, Result):
        return found
    series = {one.family: list(one.items()) for one in found.samples}
    known = replace(
        found, samples=(), first_skipped="", nulls={}, publishes_created=False
    )  # which the old reader lacks
    return series, repr(known)  # as text, in which NaN is NaN


def check_same(query: QueryPlan, bodies: Sequence[bytes]) -> None:
    old = outcome(lambda: old_extraction.extract(query, [response(body, None) for body in bodies], AROUND, MOMENT))
    for query.shape.by_columns_bytes in (2**30, 0):  # rows as objects, and as those of a big answer
        new = outcome(lambda: extraction.extract(query, [response(body, query) for body in bodies], AROUND, MOMENT))
        assert old == new


@pytest.mark.parametrize("query", PLAN.queries, ids=lambda query: query.name)
@given(content=contents)
@example(
    Pairs((("data", Pairs((("a", Pairs((("b", [Pairs((("c", float("nan")), ("d", "\ud800"), ("f", 1)))]),))),))),))
)
def test_an_answer_yields_what_it_always_did(query: QueryPlan, content: Tree) -> None:
    """Whatever an API answers, the series and the reasons are those of a reader that knows nothing of the document."""
    check_same(query, [text(content).encode()])


@pytest.mark.parametrize("query", PAGES.queries, ids=lambda query: query.name)
@given(pages=st.lists(contents, min_size=1, max_size=3))
def test_pages_yield_what_they_always_did(query: QueryPlan, pages: Sequence[Tree]) -> None:
    """The same holds for an answer in pages, and for what a page says of the others."""
    bodies = [text(page).encode() for page in pages]
    check_same(query, bodies)
    paged = query.pages
    assert paged is not None
    old = outcome(lambda: old_extraction.pages_told(paged, response(bodies[0], None)))
    assert old == outcome(lambda: page_state.page_state(query, paged, response(bodies[0], query)))
    old = outcome(lambda: old_extraction.row_count(query, response(bodies[0], None)))
    assert old == outcome(lambda: page_state.row_count(query, response(bodies[0], query)))
