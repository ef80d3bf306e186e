"""Pages of every kind: a running exporter against a real server that has seven rows and gives at most three at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import pytest

from tests.support.json_server import json_server
from tests.support.processes import Exporter, Snapshot

IDS: Final = tuple(range(1, 8))
SIZE: Final = 3


class Way(NamedTuple):
    """One way to come in pages: the query's keys, the server's answer to variables, and the variables of each page."""

    declared: str
    selection: str
    answer: Callable[[Mapping[str, Any]], Any]
    expected: list[dict[str, Any]]
    more: str = ""


def rows(start: int, count: int = SIZE) -> list[dict[str, int]]:
    """The rows from a position on."""
    return [{"id": one} for one in IDS[start : start + count]]


def by_offset(variables: Mapping[str, Any]) -> dict[str, Any]:
    found = rows(variables["skip"], variables.get("take", SIZE))
    return {"total": len(IDS), "more": variables["skip"] + len(found) < len(IDS), "rows": found}


def by_page(first: int) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda variables: by_offset({"skip": (variables["page"] - first) * SIZE})


def by_token(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The page in the middle is empty, and the end is a token that is null."""
    pages = {None: (rows(0), "b"), "b": ([], "c"), "c": (rows(3), "d"), "d": (rows(6), None)}
    found, after = pages[variables.get("at")]
    return {"next": after, "rows": found}


def forwards(variables: Mapping[str, Any]) -> dict[str, Any]:
    start = int(variables.get("at", "0"))
    end = min(start + SIZE, len(IDS))
    return {"rows": rows(start), "pageInfo": {"hasNextPage": end < len(IDS), "endCursor": str(end)}}


def backwards(variables: Mapping[str, Any]) -> dict[str, Any]:
    end = int(variables.get("at", str(len(IDS))))
    start = max(end - SIZE, 0)
    return {"rows": rows(start, end - start), "pageInfo": {"hasPreviousPage": start > 0, "startCursor": str(start)}}


def after_row(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {"rows": rows(variables["at"])}


def at(name: str, *values: Any, **others: Any) -> list[dict[str, Any]]:
    """The variables of pages at these positions; nothing stands for no position."""
    return [others if value is None else {name: value, **others} for value in values]


WAYS: Final[dict[str, Way]] = {
    "offset_till_all": Way(
        "limit: take, offset: skip, total: box.total", "total rows { id }", by_offset, at("skip", 0, 3, 6, take=3)
    ),
    "offset_more": Way("offset: skip, more: box.more", "more rows { id }", by_offset, at("skip", 0, 3, 6)),
    "offset_alone": Way("offset: skip", "rows { id }", by_offset, at("skip", 0, 3, 6)),
    "offset_from_one": Way(
        "offset: skip", "rows { id }", lambda given: by_offset({"skip": given["skip"] - 1}),
        at("skip", 1, 4, 7), "variables: {skip: 1}",
    ),
    "page_till_all": Way("page: page, total: box.total", "total rows { id }", by_page(1), at("page", 1, 2, 3)),
    "page_more": Way("page: page, more: box.more", "more rows { id }", by_page(1), at("page", 1, 2, 3)),
    "page_alone": Way("page: page", "rows { id }", by_page(1), at("page", 1, 2, 3)),
    "page_from_zero": Way("page: page", "rows { id }", by_page(0), at("page", 0, 1, 2), "variables: {page: 0}"),
    "token": Way("cursor: at, next: box.next", "next rows { id }", by_token, at("at", None, "b", "c", "d")),
    "forwards": Way(
        "cursor: at, info: box.pageInfo", "rows { id } pageInfo { hasNextPage endCursor }", forwards,
        at("at", None, "3", "6"),
    ),
    "backwards": Way(
        "cursor: at, info: box.pageInfo", "rows { id } pageInfo { hasPreviousPage startCursor }", backwards,
        at("at", None, "4", "1"),
    ),
    "keyset": Way(
        'cursor: at, next: "box.rows[-1].id"', "rows { id }", after_row, at("at", 0, 3, 6), "variables: {at: 0}"
    ),
    "cut": Way(
        "offset: skip, total: box.total, max_rows: 4", "total rows { id }", by_offset, at("skip", 0, 3)
    ),
    "circle": Way(
        "cursor: at, next: box.next", "next rows { id }", lambda _: {"next": "b", "rows": rows(0)}, at("at", None, "b")
    ),
}  # fmt: skip
TYPES: Final = {"skip": "Int!", "page": "Int!", "take": "Int!", "at": "String"}


def query(name: str, way: Way) -> str:
    """The query of a way, as the configuration has it."""
    declared = {key: TYPES[key] for page in way.expected for key in page}
    if name == "keyset":
        declared["at"] = "Int!"
    return f"""
  - name: {name}
    interval: 30d
    document: |
      query ({", ".join(f"${key}: {kind}" for key, kind in declared.items())}) {{
        box(way: {name}, {", ".join(f"{key}: ${key}" for key in declared)}) {{ {way.selection} }}
      }}
    {way.more}
    pages: {{size: {SIZE}, {way.declared}}}
    rows: box.rows
    metrics: [{{name: {name}, help: Rows., value: id, labels: {{id: id}}}}]
"""


class Polled(NamedTuple):
    """The page after the first poll of each query, the variables that were sent for each, and the log."""

    page: Snapshot
    sent: dict[str, list[dict[str, Any]]]
    log: str


@pytest.fixture(scope="module")
def polled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polled]:
    """One exporter that polls all of them once."""
    folder = tmp_path_factory.mktemp("pages")
    sent: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}

    def answer(_: str, __: object, body: Any) -> Any:
        (name,) = [name for name in WAYS if f"way: {name}," in body["query"]]
        variables = body.get("variables") or {}
        sent[name].append(variables)
        return {"data": {"box": WAYS[name].answer(variables)}}

    with json_server(answer) as url:
        queries = "".join(query(name, way) for name, way in WAYS.items())
        (folder / "config.yaml").write_text(f"sources: [{{name: api, url: '{url}'}}]\nqueries:{queries}")
        with Exporter(folder / "config.yaml", folder / "log") as exporter:
            exporter.wait_until_ready()
            yield Polled(Snapshot(exporter.page()), sent, exporter.log)


@pytest.mark.parametrize("name", [name for name in WAYS if name not in ("cut", "circle")])
def test_every_row_of_every_page_comes(polled: Polled, name: str) -> None:
    """Whichever way an API comes in pages, all of them are asked for, from the right place, and none twice."""
    assert {labels["id"]: value for labels, value in polled.page.samples(name)} == {str(one): one for one in IDS}
    assert polled.sent[name] == WAYS[name].expected
    assert polled.page.total("insights_exporter_query_up", query=name) == 1


def test_rows_beyond_the_maximum_are_left_and_counted(polled: Polled) -> None:
    """max_rows is exact, no page is asked for in vain, and what is left is what the API's total says."""
    assert sorted(labels["id"] for labels, _ in polled.page.samples("cut")) == ["1", "2", "3", "4"]
    assert polled.sent["cut"] == WAYS["cut"].expected
    assert polled.page.total("insights_exporter_query_rows_cut_total", query="cut") == 3


def test_pages_that_go_in_a_circle_end(polled: Polled) -> None:
    """A cursor that comes again is a failure that says so, and not a poll without end."""
    assert not polled.page.samples("circle")
    assert polled.sent["circle"] == WAYS["circle"].expected
    assert polled.page.total("insights_exporter_query_up", query="circle") == 0
    assert any("query=circle" in line and "cursor" in line for line in polled.log.splitlines())
