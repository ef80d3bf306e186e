"""The answer to one operation: in one page or in many, under one deadline."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from exporter.model.errors import Failure, Reason, ResultFailure, UpstreamFailure
from exporter.model.outcome import Operation, Response
from exporter.model.samples import Json
from exporter.plan.operation import Moment
from exporter.plan.plan import QueryPlan
from exporter.polling.pagination import Conversation, PageMemory, Pages, refuse_partial
from exporter.series.extraction import extract
from exporter.series.label_texts import Surroundings
from exporter.upstream.rate_limit import Pace
from tests.support.plans import planned_query
from tests.support.polls import Answer, Api, partial

PLAIN = planned_query('- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}')
OFFSET = planned_query("""
- name: q
  document: "query ($limit: Int, $from: Int) { calls(limit: $limit, from: $from) { rows { n } total } }"
  rows: calls.rows
  pages: {size: 2, limit: limit, offset: from, total: calls.total, max_rows: 5}
  metrics: [{name: n, help: N., value: n, aggregate: sum}]
""")
CURSOR = planned_query("""
- name: q
  document: "query ($limit: Int, $from: String) { calls(limit: $limit, from: $from) { rows { n } info { hasNextPage endCursor } } }"
  rows: calls.rows
  pages: {size: 2, limit: limit, cursor: from, info: calls.info, max_rows: 5}
  metrics: [{name: n, help: N., value: n, aggregate: sum}]
""")  # noqa: E501
SENT = Operation("{ n }", {"other": 1})


def by_offset(rows: int, total: Callable[[int], int]) -> Api:
    """An API with so many rows, that says the total of each request by its number."""

    def answer(operation: Operation) -> Answer:
        start, limit = operation.variables.get("from", 0), operation.variables["limit"]
        assert isinstance(start, int)
        assert isinstance(limit, int)
        page: list[Json] = [{"n": number} for number in range(start, min(start + limit, rows))]
        return {"calls": {"rows": page, "total": total(len(api.sent))}}

    api = Api(answer)
    return api


def by_cursor(rows: int) -> Api:
    """An API with so many rows, whose cursor is the number of the next."""

    def answer(operation: Operation) -> Answer:
        start, limit = int(str(operation.variables.get("from") or 0)), operation.variables["limit"]
        assert isinstance(limit, int)
        end = min(start + limit, rows)
        page: list[Json] = [{"n": number} for number in range(start, end)]
        return {"calls": {"rows": page, "info": {"hasNextPage": end < rows, "endCursor": str(end)}}}

    return Api(answer)


def talk(
    api: Api, query: object = OFFSET, sent: Mapping[str, Json] = {}, **more: object
) -> tuple[list[list[int]], int]:
    """The numbers on each page, and how many rows were left behind, which is known exactly."""
    pages, left, at_least = talk_whole(api, query, sent, **more)
    assert not at_least
    return pages, left


def talk_whole(
    api: Api, query: object, sent: Mapping[str, Json] = {}, **more: object
) -> tuple[list[list[int]], int, bool]:
    """The numbers on each page, how many rows were left behind, and whether there may be more of them."""
    operation = Operation("{ n }", {"other": 1, **sent})

    async def run() -> Pages:
        settings = {"pace": None, "deadline_at": 10.0, "monotonic": lambda: 0.0, **more}
        return await Conversation(query, api, **settings).answer(operation)  # type: ignore[arg-type]

    found = asyncio.run(run())
    pages: Any = [[row["n"] for row in one.data["calls"]["rows"]] for one in found.responses]  # type: ignore
    return pages, found.rows_cut, found.at_least


def test_a_query_without_pages_sends_its_operation_once() -> None:
    """As it is, with all the time that there is."""
    api = Api(lambda _: {"n": 1})

    async def run() -> Pages:
        return await Conversation(PLAIN, api, None, 12.0, lambda: 2.0).answer(SENT)

    assert asyncio.run(run()) == Pages([Response({"n": 1})])
    assert (api.sent, api.deadlines) == ([SENT], [10.0])


@pytest.mark.parametrize(
    ("rows", "pages", "left"),
    [
        (0, [[]], 0),
        (1, [[0]], 0),
        (2, [[0, 1]], 0),
        (3, [[0, 1], [2]], 0),
        (4, [[0, 1], [2, 3]], 0),
        (5, [[0, 1], [2, 3], [4]], 0),
        (6, [[0, 1], [2, 3], [4, 5]], 1),
        (9, [[0, 1], [2, 3], [4, 5]], 4),
    ],
)
def test_pages_are_read_until_all_rows_are_there(rows: int, pages: list[list[int]], left: int) -> None:
    """By offset and by cursor; beyond `max_rows` no page is asked for, and what is left behind is counted. A cursor
    says that there is more, and not how much: at least the rows beyond on the last page, and one."""
    api = by_offset(rows, lambda _: rows)
    assert talk(api) == (pages, left)
    assert [sent.variables.get("from", 0) for sent in api.sent] == [2 * number for number in range(len(pages))]
    assert all(sent.variables["limit"] == 2 and sent.variables["other"] == 1 for sent in api.sent)
    assert talk_whole(by_cursor(rows), CURSOR) == (pages, min(left, 2), rows > 6)


def test_pages_of_different_moments_are_read_again() -> None:
    """Where the total changes meanwhile, the pages do not belong together; it is tried three times in all."""
    api = by_offset(4, lambda request: 3 if request == 1 else 4)
    assert talk(api) == ([[0, 1], [2, 3]], 0)
    assert len(api.sent) == 4
    restless = by_offset(4, lambda request: 4 + request)
    with pytest.raises(
        ResultFailure, match="the total changed while the pages were read, three times in a row"
    ) as failed:
        talk(restless)
    assert failed.value.reason is Reason.SCHEMA
    assert len(restless.sent) == 6


def test_a_page_without_rows_is_the_last() -> None:
    """An API that says there is more, and gives nothing, is not asked for ever."""
    assert talk(by_offset(3, lambda _: 100)) == ([[0, 1], [2], []], 97)

    def empty(_: Operation) -> Answer:
        return {"calls": {"rows": [], "info": {"hasNextPage": True, "endCursor": "x"}}}

    assert talk(Api(empty), CURSOR) == ([[]], 0)


@functools.cache
def numbered(pages: str, fields: str) -> QueryPlan:
    """A query in pages of things, whose variable `at` says where a page begins."""
    return planned_query(f"""
    - name: q
      document: "query ($limit: Int, $at: ID) {{ calls(limit: $limit, at: $at) {{ rows {{ n id }} {fields} }} }}"
      rows: calls.rows
      pages: {{size: 2, limit: limit, max_rows: 90, {pages}}}
      metrics: [{{name: n, help: N., value: n, aggregate: sum}}]
    """)


def listed(rows: int, more: Callable[[int, Json], Mapping[str, Json]], *, by_page: int | None = None) -> Api:
    """An API with so many rows, which begins at an offset, or at a page of which the first has that number. `more` is
    what stands beside the rows, by the number of rows until the page's end and by where it began."""

    def answer(operation: Operation) -> Answer:
        at = operation.variables.get("at", 0)
        start = int(str(at)) if by_page is None else (int(str(at)) - by_page) * 2
        page: list[Json] = [{"n": n, "id": str(n + 1)} for n in range(start, min(start + 2, rows))]
        return {"calls": {"rows": page, **more(start + len(page), at)}}

    return Api(answer)


def ats(api: Api) -> list[Json]:
    """Where each request began."""
    return [sent.variables.get("at") for sent in api.sent]


@pytest.mark.parametrize(
    ("rows", "pages", "left"),
    [(0, [[]], 0), (2, [[0, 1]], 0), (3, [[0, 1], [2]], 0), (4, [[0, 1], [2, 3]], 0), (5, [[0, 1], [2, 3], [4]], 0)],
)
def test_what_a_page_tells_ends_the_pages(rows: int, pages: list[list[int]], left: int) -> None:
    """The number of rows, or whether there is more, by offset and by the page's number; a token whose null is the
    end, and one that is no text."""
    for end, fields in (
        ("total: calls.total", "total"),
        ("more: calls.more", "more"),
        ("more: calls.i.on", "i { on }"),
    ):

        def told(until: int, _: Json) -> Mapping[str, Json]:
            return {"total": rows, "more": until < rows, "i": {"on": until < rows}}

        api = listed(rows, told)
        assert talk(api, numbered(f"offset: at, {end}", fields)) == (pages, left)
        assert ats(api) == [2 * number for number in range(len(pages))]
        api = listed(rows, told, by_page=1)
        assert talk(api, numbered(f"page: at, {end}", fields)) == (pages, left)
        assert ats(api) == list(range(1, len(pages) + 1))
        api = listed(rows, told, by_page=0)
        assert talk(api, numbered(f"page: at, {end}", fields), sent={"at": 0}) == (pages, left)
        assert ats(api) == list(range(len(pages)))
    for none in (None, ""):
        for token in (str, int):

            def led(until: int, _: Json, token: Callable[[int], Json] = token, end: Json = none) -> Mapping[str, Json]:
                return {"token": token(until) if until < rows else end}

            api = listed(rows, led)
            assert talk(api, numbered("cursor: at, next: calls.token", "token")) == (pages, left)
            assert ats(api) == [None, *(token(2 * number) for number in range(1, len(pages)))]


@pytest.mark.parametrize(
    ("rows", "pages"), [(0, [[]]), (1, [[0]]), (2, [[0, 1], []]), (3, [[0, 1], [2]]), (4, [[0, 1], [2, 3], []])]
)
def test_a_short_page_is_the_last_where_nothing_tells(rows: int, pages: list[list[int]]) -> None:
    """By offset, by the page's number, and by the last row's own cursor, which says nothing of what follows."""
    api = listed(rows, lambda *_: {})
    assert talk(api, numbered("offset: at", "x")) == (pages, 0)
    assert ats(api) == [2 * number for number in range(len(pages))]
    api = listed(rows, lambda *_: {}, by_page=1)
    assert talk(api, numbered("page: at", "x")) == (pages, 0)
    api = listed(rows, lambda *_: {})
    assert talk(api, numbered("cursor: at, next: 'calls.rows[-1].id'", "x")) == (pages, 0)
    assert ats(api) == [None, *(str(2 * number) for number in range(1, len(pages)))]


def with_gaps(nulls: Collection[int], ask: str, fields: str) -> tuple[Api, QueryPlan]:
    """An API with ten rows, four a page, of which these are null."""

    def answer(operation: Operation) -> Answer:
        at = operation.variables.get("at")
        start = int(str(at or 0)) if ask != PAGE else (int(str(at)) - 1) * 4
        end = min(start + 4, 10)
        page: list[Json] = [None if n in nulls else {"n": n} for n in range(start, end)]
        return {"calls": {"rows": page, "total": 10, "more": end < 10, "token": str(end) if end < 10 else None}}

    query = numbered(ask, fields)
    assert query.pages is not None
    return Api(answer), dataclasses.replace(query, pages=replace(query.pages, size=4))


PAGE = "page: at"


@pytest.mark.parametrize("nulls", [{0}, {1}, {3}, {4}, {9}, {2, 6}, {0, 1, 2, 3}, {4, 5, 6, 7}, set(range(10))])
@pytest.mark.parametrize(
    ("ask", "fields"),
    [
        ("offset: at", "x"),
        (PAGE, "x"),
        ("offset: at, total: calls.total", "total"),
        ("offset: at, more: calls.more", "more"),
        ("cursor: at, next: calls.token, more: calls.more", "token more"),
    ],
)
def test_rows_that_are_null_move_no_page(nulls: Collection[int], ask: str, fields: str) -> None:
    """An API that gives null for what may not be seen counts it all the same: each other row is read once."""
    api, query = with_gaps(nulls, ask, fields)

    async def run() -> Pages:
        return await Conversation(query, api, None, 10.0, lambda: 0.0).answer(SENT)

    found = asyncio.run(run())
    data: list[Any] = [one.data for one in found.responses]
    rows = [row for one in data for row in one["calls"]["rows"]]
    assert rows == [None if n in nulls else {"n": n} for n in range(10)]
    assert (found.rows_cut, found.at_least, len(api.sent)) == (0, False, 3)


def test_the_first_page_is_where_the_variables_say() -> None:
    """An offset or a number that is written is the first, and the others follow from it."""
    api = listed(6, lambda *_: {"total": 6})
    assert talk(api, numbered("offset: at, total: calls.total", "total"), sent={"at": 2}) == ([[2, 3], [4, 5]], 0)
    assert ats(api) == [2, 4]
    api = listed(4, lambda until, _: {"token": str(until) if until < 4 else None})
    query = numbered("cursor: at, next: calls.token", "token")
    assert talk(api, query, sent={"at": "0"}) == ([[0, 1], [2, 3]], 0)
    assert ats(api) == ["0", "2"]


def test_an_api_without_a_size_gets_none() -> None:
    """Pages of the API's own size: only the position is set."""
    api = listed(3, lambda until, _: {"token": until if until < 3 else None})
    query = numbered("cursor: at, next: calls.token", "token")
    assert query.pages is not None
    assert talk(api, dataclasses.replace(query, pages=replace(query.pages, limit=None))) == ([[0, 1], [2]], 0)
    assert [dict(sent.variables) for sent in api.sent] == [{"other": 1}, {"other": 1, "at": 2}]


def test_pages_go_backwards() -> None:
    """From the last page to the first; the rows are then in the API's order, so `aggregate: last` is its last."""
    fields = "info { hasPreviousPage startCursor }"
    query = numbered("cursor: at, info: calls.info", fields)
    query = dataclasses.replace(query, metrics=(replace(query.metrics[0], aggregate="last"),))

    def answer(operation: Operation) -> Answer:
        end = int(str(operation.variables.get("at", 5)))
        start = max(0, end - 2)
        page: list[Json] = [{"n": n} for n in range(start, end)]
        return {"calls": {"rows": page, "info": {"hasPreviousPage": start > 0, "startCursor": str(start)}}}

    api = Api(answer)
    assert talk(api, query) == ([[3, 4], [1, 2], [0]], 0)
    assert ats(api) == [None, "3", "1"]
    pages = [Response(dict(answer(sent))) for sent in api.sent]  # type: ignore[arg-type]
    (samples,) = extract(query, pages, Surroundings({"source_label.organization": "acme"}), Moment()).samples
    assert dict(samples.series) == {("acme",): 4}


def test_a_filtered_page_may_be_empty_and_not_the_last() -> None:
    """An API that filters what it has read gives pages without rows, and a token that leads on."""
    api = listed(0, lambda _, at: {"token": int(str(at)) + 1 if int(str(at)) < 5 else None})
    assert talk(api, numbered("cursor: at, next: calls.token", "token")) == ([[]] * 6, 0)


def test_empty_pages_count_from_the_last_row_on() -> None:
    """So many in all may be empty as there are, if there are rows between them."""

    def answer(operation: Operation) -> Answer:
        at = int(str(operation.variables.get("at", 0)))
        rows: list[Json] = [{"n": at}] if at % 60 == 0 else []
        return {"calls": {"rows": rows, "token": at + 1 if at < 170 else None}}

    pages, cut = talk(Api(answer), numbered("cursor: at, next: calls.token", "token"))
    assert ([row for page in pages for row in page], len(pages), cut) == ([0, 60, 120], 171, 0)


@pytest.mark.parametrize(
    ("token", "requests", "said"),
    [
        (lambda at: "same", 2, "a cursor was repeated, so the pages would never end"),
        (lambda at: at + 1, 100, "100 pages in a row have no rows"),
        (lambda at: True, 1, "calls.token is not a cursor"),
        (lambda at: [1], 1, "calls.token is not a cursor"),
    ],
)
def test_pages_without_end_fail_the_poll(token: Callable[[int], Json], requests: int, said: str) -> None:
    """An API that does not look at the cursor, or leads on for ever, is left alone soon, in words."""
    api = Api(lambda _: {"calls": {"rows": [], "token": token(len(api.sent))}})
    with pytest.raises(ResultFailure, match=said) as failed:
        talk(api, numbered("cursor: at, next: calls.token", "token"))
    assert (failed.value.reason, len(api.sent)) == (Reason.SCHEMA, requests)


@pytest.mark.parametrize("more", [None, "yes", 1])
def test_more_is_true_or_false(more: Json) -> None:
    """What an API says else is no word on its pages."""
    with pytest.raises(ResultFailure, match=r"calls\.more is not true or false"):
        talk(listed(3, lambda *_: {"more": more}), numbered("offset: at, more: calls.more", "more"))


def test_all_pages_have_one_deadline() -> None:
    """Each gets what is left of it; when nothing is left, the next is not asked for."""
    times = iter([0.0, 4.0, 10.0])
    api = by_offset(9, lambda _: 9)
    with pytest.raises(UpstreamFailure, match="not all pages arrived in time") as failed:
        talk(api, monotonic=lambda: next(times))
    assert failed.value.reason is Reason.TIMEOUT
    assert api.deadlines == [10.0, 6.0]


def test_what_the_rate_limit_takes_is_not_taken_from_the_deadline() -> None:
    """The upstream has its whole time, however long requests wait for their turn."""
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(1, 60.0, monotonic=lambda: now[0], sleep=sleep)
    api = by_offset(4, lambda _: 4)
    assert talk(api, pace=pace, monotonic=lambda: now[0]) == ([[0, 1], [2, 3]], 0)
    assert now == [60.0]
    assert api.deadlines == [10.0, 10.0]


def test_errors_beside_data_fail_the_poll_unless_they_are_to_be_published() -> None:
    """The first of them is the detail, with where it is and what would take the rest; all are counted."""
    response = partial({"n": 1}, "no such API", "another")
    with pytest.raises(UpstreamFailure) as failed:
        refuse_partial(PLAIN, response)
    assert failed.value.reason is Reason.GRAPHQL
    assert failed.value.detail == "no such API at a.0 (the answer also has data; on_partial: publish would use it)"
    refuse_partial(dataclasses.replace(PLAIN, publishes_partial=True), response)
    refuse_partial(PLAIN, Response({"n": 1}))
    without_place = dataclasses.replace(response, errors=(replace(response.errors[0], path=()),))
    with pytest.raises(UpstreamFailure, match=r"no such API \(the answer also has data"):
        refuse_partial(PLAIN, without_place)


def test_errors_of_all_answers_are_counted() -> None:
    """Those of the answer that failed the poll, too."""
    answers = iter([partial({"n": 1}, "one"), partial({"n": 1}, "two", "three")])
    api = Api(lambda _: next(answers))

    async def run() -> list[int]:
        query = dataclasses.replace(PLAIN, publishes_partial=True)
        first = Conversation(query, api, None, 9.0, lambda: 0.0)
        await first.answer(SENT)
        second = Conversation(PLAIN, api, None, 9.0, lambda: 0.0)
        with pytest.raises(Failure):
            await second.answer(SENT)
        return [first.graphql_errors, second.graphql_errors]

    assert asyncio.run(run()) == [1, 2]


WIDE = "\N{GRINNING FACE}" + 99_999 * "x"  # a letter of four bytes has all others take four


def of_large_pages(text: str = WIDE, pages: int = 100, errors: int = 0) -> Api:
    """An API whose pages have one row each, with this text beside it, and so many errors with it."""

    def answer(operation: Operation) -> Answer:
        number = int(str(operation.variables.get("from") or 1))
        calls: Json = {
            "rows": [{"n": 1}],
            "info": {"hasNextPage": number < pages, "endCursor": str(number + 1)},
            "text": "" if errors else text,
        }
        return partial({"calls": calls}, *errors * [text])

    return Api(answer)


def of_pages(pages: int) -> QueryPlan:
    query = dataclasses.replace(CURSOR, publishes_partial=True)
    assert query.pages is not None
    return dataclasses.replace(query, pages=replace(query.pages, max_rows=pages))


@pytest.mark.parametrize("errors", [0, 1])
def test_pages_that_are_large_in_memory_together_are_refused(errors: int) -> None:
    """However small each of them is: the third of 400 kB, data or errors, is too much for one MiB."""
    api, memory = of_large_pages(errors=errors), PageMemory(2**20)
    with pytest.raises(UpstreamFailure) as caught:
        talk(api, of_pages(100), memory=memory)
    assert caught.value.reason is Reason.TOO_LARGE
    assert caught.value.detail == (
        "the pages take 1 MiB together, with 3 rows; 1 KiB a row and 1 MiB that all polls share are allowed"
    )
    assert len(api.sent) == 3


def test_what_rows_usually_take_is_always_there() -> None:
    """A kilobyte for each row on the pages is allowed beside what all polls share, which may be spent."""
    assert talk(by_cursor(200), of_pages(200), memory=PageMemory(0))[1] == 0


def test_polls_share_the_memory_of_their_pages() -> None:
    """Two answers of 800 kB do not fit into one MiB at the same time, but one after the other."""
    memory = PageMemory(2**20)

    async def ask() -> Pages:
        return await Conversation(of_pages(2), of_large_pages(pages=2), None, 9.0, lambda: 0.0, memory).answer(SENT)

    first = asyncio.run(ask())
    with pytest.raises(UpstreamFailure) as caught:
        asyncio.run(ask())
    assert caught.value.reason is Reason.TOO_LARGE
    assert len(first.responses) == 2
    del first
    caught.value.__traceback__ = None
    assert len(asyncio.run(ask()).responses) == 2
