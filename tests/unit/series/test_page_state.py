"""What a page says of the others: whether the exporter asks for a further one, and from where."""

from __future__ import annotations

import pytest

from exporter.document.answer_shape import AnswerShape
from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import Response
from exporter.model.samples import Json
from exporter.plan.plan import PagesPlan, QueryPlan
from exporter.series.page_state import PageRows, PageState, page_bytes, page_rows, page_state, row_count
from tests.support.plans import planned_query

QUERY = """
- name: q
  document: "query ($at: AT) {{ box(at: $at) {{ total more next rows {{ id }} }} }}"
  pages: {pages}
  rows: box.rows
  on_bad_row: skip
  metrics: [{{name: n, help: N., value: 1, labels: {{id: id}}}}]
"""
TOTAL = "{size: 2, offset: at, total: box.total}"
MORE = "{size: 2, page: at, more: box.more}"
NEXT = "{size: 2, cursor: at, next: box.next}"
CURSOR_OF_ROW = '{size: 2, cursor: at, next: "box.rows[-1].id"}'
SHORT = "{size: 2, offset: at}"


def query_and_pages(pages: str) -> tuple[QueryPlan, PagesPlan]:
    kind = "String" if "cursor" in pages else "Int"
    query = planned_query(QUERY.format(pages=pages).replace("AT", kind))
    assert query.pages is not None
    return query, query.pages


def box(*ids: Json, **more: Json) -> Response:
    return Response({"box": {"total": None, "more": None, "next": None, **more, "rows": [{"id": one} for one in ids]}})


@pytest.mark.parametrize(
    ("pages", "answer", "state", "goes_on"),
    [
        (TOTAL, box(1, 2, total=3), PageState(total=3), True),
        (TOTAL, box(1, 2, total=2), PageState(total=2), False),
        (TOTAL, box(total=9), PageState(total=9), False),
        (MORE, box(1, more=True), PageState(more=True), True),
        (MORE, box(more=True), PageState(more=True), False),
        (MORE, box(1, 2, more=False), PageState(more=False), False),
        (NEXT, box(next="b"), PageState(next_cursor="b"), True),
        (NEXT, box(1, 2, next=""), PageState(), False),
        (NEXT, box(1, 2), PageState(), False),
        (CURSOR_OF_ROW, box("x", "y"), PageState(next_cursor="y"), True),
        (CURSOR_OF_ROW, box("x"), PageState(next_cursor="x"), False),
        (SHORT, box(1, 2), PageState(), True),
        (SHORT, box(1), PageState(), False),
    ],
)
def test_a_page_says_whether_there_is_a_further_one(
    pages: str, answer: Response, state: PageState, goes_on: bool
) -> None:
    """Pages are read until the API says that there are no more, in whichever way it says so."""
    query, plan = query_and_pages(pages)
    assert page_state(query, plan, answer) == state
    assert state.goes_on(plan, 0, row_count(query, answer)) is goes_on


def test_the_rows_of_the_pages_before_count() -> None:
    """The total is that of all pages."""
    _, plan = query_and_pages(TOTAL)
    assert PageState(total=5).goes_on(plan, 2, 2)
    assert not PageState(total=5).goes_on(plan, 3, 2)


@pytest.mark.parametrize(
    ("pages", "answer", "wrong"),
    [
        (TOTAL, box(1, total="3"), "box.total is not a number of rows"),
        (TOTAL, box(1, total=True), "box.total is not a number of rows"),
        (MORE, box(1, more=1), "box.more is not true or false"),
        (NEXT, box(1, next=False), "box.next is not a cursor"),
        (NEXT, box(1, next=["b"]), "box.next is not a cursor"),
    ],
)
def test_a_page_that_says_nothing_readable_is_a_failure(pages: str, answer: Response, wrong: str) -> None:
    """An API that changed is not taken for one without further pages."""
    query, plan = query_and_pages(pages)
    with pytest.raises(ResultFailure, match=wrong) as failed:
        page_state(query, plan, answer)
    assert failed.value.reason is Reason.SCHEMA


def test_nulls_and_odd_rows_are_no_rows_of_a_page() -> None:
    """The number of rows is that of the objects, and a null list has none."""
    query, _ = query_and_pages(SHORT)
    assert row_count(query, Response({"box": {"rows": [{"id": 1}, None, {"id": 2}]}})) == 2
    assert row_count(query, Response({"box": {"rows": None}})) == 0


EDGES = """
- name: q
  document: "query ($at: Int) { boxes(at: $at) { edges { node { id } } } }"
  pages: {size: 2, offset: at}
  rows: boxes.edges.node
  on_bad_row: skip
  metrics: [{name: n, help: N., value: 1, labels: {id: id}}]
"""
NODE: Json = {"node": {"id": 1}}


@pytest.mark.parametrize(
    ("edges", "rows", "items"),
    [
        ([NODE, None, NODE], 2, 3),
        ([NODE, {"node": None}, NODE], 2, 3),
        ([{"node": None}, {"node": None}], 0, 2),
        ([NODE, {}], 1, 2),
        ([NODE, [None, [NODE]]], 2, 3),
        ([], 0, 0),
        (None, 0, 0),
    ],
)
def test_what_takes_the_place_of_a_row_counts_as_an_item(edges: Json, rows: int, items: int) -> None:
    """The API counts them where it cuts its pages, be they nulls in the list, or objects without the row."""
    query = planned_query(EDGES)
    alone: Json = {"edges": edges}
    among_others: Json = [None, {"edges": edges}, {"edges": []}]
    for boxes in (alone, among_others):
        assert page_rows(query, Response({"boxes": boxes})) == PageRows(rows, items)


def test_a_short_page_in_a_list_that_is_picked_is_not_the_last() -> None:
    """A cursor of its own beside the rows, in the first of several boxes, says more than how many rows there are."""
    query = planned_query("""
- name: q
  document: "query ($at: String) { boxes(at: $at) { next rows { id } } }"
  pages: {size: 2, cursor: at, next: "boxes[0].next"}
  rows: boxes.rows
  metrics: [{name: n, help: N., value: 1, labels: {id: id}}]
""")
    plan = query.pages
    assert plan is not None
    answers = [Response({"boxes": [{"next": after, "rows": [{"id": "x"}]}]}) for after in ("b", None)]
    states = [page_state(query, plan, answer) for answer in answers]
    assert states == [PageState(next_cursor="b"), PageState()]
    assert [state.goes_on(plan, 0, row_count(query, one)) for state, one in zip(states, answers, strict=True)] == [
        True,
        False,
    ]


NUMBERS = ",".join(10_000 * ["1.5"])
LISTS = ",".join(1_000 * ['{"id": [[]]}'])
TABLE = ",".join(5_000 * ['{"id": 1234567890.5}'])


@pytest.mark.parametrize(
    ("rows", "least", "most"),
    [
        ("[]", 0, 1_000),
        (f'[{{"id": "{100_000 * "x"}"}}]', 100_000, 101_000),
        (f'[{{"id": "\N{GRINNING FACE}{99_999 * "x"}"}}]', 400_000, 401_000),
        (f'[{{"id": [{NUMBERS}]}}]', 320_000, 350_000),
        (f"[{LISTS}]", 100_000, 250_000),
        (f"[{TABLE}]", 160_000, 250_000),  # as columns
    ],
    ids=["nothing", "a text", "a wide text", "numbers", "lists", "a table"],
)
def test_a_page_is_as_large_as_what_python_keeps_of_it(rows: str, least: int, most: int) -> None:
    """Texts by the width of their widest letter, and each object and list with what it takes itself."""
    shape = AnswerShape([("box", "rows", "id")], max_values=1, rows_at=("box", "rows"))
    read = shape.decode(f'{{"data": {{"box": {{"rows": {rows}}}}}}}'.encode())
    assert least <= page_bytes(Response(None, shaped=read.data)) <= most
