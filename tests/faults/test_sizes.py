"""Rows of answers that are too much: memory stays bounded, and nothing of them is taken."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.memory_limits import forget_highest, memory_bytes
from tests.support.processes import Exporter, Snapshot, eventually, finished
from tests.support.upstream import HEAD, Behaviour, Call, Upstream, answer, answers_who_is_known, endless, reply

CAP_BYTES = 8 * 2**20
GROWTH_BYTES = 4 * CAP_BYTES  # what all big answers share


def started(start: Start, upstream: Upstream, **more: Any) -> Exporter:
    """An exporter with one query that will have the fault and one that will not, both well."""
    exporter = start([source_of(upstream)], [query("sound", "2s"), query("large", "10s", **more)])
    exporter.wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == 2, "good start")
    return exporter


def check_refused(
    exporter: Exporter, upstream: Upstream, behaviour: Behaviour, reason: str, growth_bytes: int = GROWTH_BYTES
) -> None:
    """The answer is refused for this reason, the series stay, and so does the memory, but for so much."""
    sound = upstream.operation("large").behaviour
    before = exporter.samples("large")
    assert before
    memory_before = memory_bytes(exporter, "VmRSS")
    forget_highest(exporter)
    upstream.operation("large").always(behaviour)

    def failures() -> float:
        return exporter.value(f"{OWN}poll_failures_total", query="large", reason=reason) or 0

    eventually(lambda: failures() >= 2, f"failures for {reason}", 60)
    page = Snapshot(exporter.page())
    of_this = page.total(f"{OWN}poll_failures_total", query="large", reason=reason)
    assert page.total(f"{OWN}poll_failures_total") == of_this >= 2
    assert exporter.samples("large") == before
    grown = memory_bytes(exporter, "VmHWM") - memory_before
    assert grown <= growth_bytes, f"{grown / 2**20:.0f} MiB"
    upstream.operation("large").always(sound)
    eventually(lambda: exporter.value(f"{OWN}query_up", query="large"), "recovery")
    eventually(lambda: exporter.samples("large") == before, "good answer")


def gzip_bomb() -> bytes:
    """About 400 KB of gzip that become 400 MB."""
    packing = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    parts = [packing.compress(b'{"data":{"value":1')]
    parts += [packing.compress(b" " * 10**6) for _ in range(400)]
    return b"".join([*parts, packing.compress(b"}}"), packing.flush()])


def test_row_15_endless_body(start: Start, upstream: Upstream) -> None:
    """A body without end is cut at max_body_size and its connection closed, so that memory stays bounded."""
    upstream.operation("large").always(answers_who_is_known)
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    flood = endless(chunk, first=HEAD + b"transfer-encoding: chunked\r\n\r\n")
    check_refused(started(start, upstream), upstream, flood, "too_large")
    eventually(lambda: upstream.open_connections <= 3, "end of the flooded connections")


def test_row_17_gzip_bomb(start: Start, upstream: Upstream) -> None:
    """A small answer that would become a huge one is inflated up to max_body_size and no further."""
    upstream.operation("large").always(answers_who_is_known)
    bomb = gzip_bomb()
    assert len(bomb) < 500_000
    check_refused(started(start, upstream), upstream, reply(bomb, headers={"content-encoding": "gzip"}), "too_large")


def test_row_35_too_many_rows(start: Start, upstream: Upstream) -> None:
    """More series than max_series are refused as a whole: none of them comes, and none of the old ones goes."""
    few = json.dumps({"data": {"items": [{"id": str(number), "value": 1} for number in range(100)]}})
    many = json.dumps({"data": {"items": [{"id": str(number), "value": 2} for number in range(100_000)]}})
    upstream.operation("large").always(reply(few.encode()))
    shape = {
        "document": "query large { items { id value } }",
        "rows": "items",
        "labels": {"id": "id"},
        "max_series": 10_000,
    }
    exporter = started(start, upstream, **shape)
    check_refused(exporter, upstream, reply(many.encode()), "cardinality", growth_bytes=48 * 2**20)
    assert exporter.value(f"{OWN}query_series", query="large") == 100


def pages_of(rows: int, write: Callable[[list[Any], int], dict[str, Any]]) -> Behaviour:
    """An API with so many rows in pages; `write` makes the data of a page's rows and of its end."""

    async def behaviour(call: Call) -> None:
        variables = call.request.json["variables"]
        start = int(variables.get("from") or 0)
        end = min(start + variables["limit"], rows)
        await answer({"data": write([{"id": str(number), "value": 1} for number in range(start, end)], end)})(call)

    return behaviour


PAGES_OF: Final[Mapping[str, tuple[str, dict[str, Any], Callable[[list[Any], int], dict[str, Any]]]]] = {
    "by_offset": (
        "query by_offset($limit: Int, $from: Int) { items(limit: $limit, from: $from) { id value } total }",
        {"offset": "from", "total": "total"},
        lambda rows, _: {"items": rows, "total": 23},
    ),
    "by_cursor": (
        "query by_cursor($limit: Int, $from: String)"
        " { items(limit: $limit, from: $from) { id value } info { hasNextPage endCursor } }",
        {"cursor": "from", "info": "info"},
        lambda rows, end: {"items": rows, "info": {"hasNextPage": end < 23, "endCursor": str(end)}},
    ),
    "to_the_end": (
        "query to_the_end($limit: Int, $from: String)"
        " { items(limit: $limit, from: $from) { id value } info { hasNextPage endCursor } }",
        {"cursor": "from", "info": "info"},
        lambda rows, end: {"items": rows, "info": {"hasNextPage": end < 15, "endCursor": str(end)}},
    ),
    "in_lists": (
        "query in_lists($limit: Int, $from: Int) { groups(limit: $limit, from: $from) { items { id value } } total }",
        {"offset": "from", "total": "total"},
        lambda rows, _: {"groups": [{"items": rows[:2]}, {"items": rows[2:]}], "total": 23},
    ),
}


def test_row_110_max_rows(start: Start, upstream: Upstream, canary: str, tmp_path: Path) -> None:
    """Of 23 rows in pages of five, `max_rows: 12` lets in the first twelve, whatever form the pages have. The eleven
    others are counted where the API gives the total; else the three that came are, and one more if there is more."""
    queries = []
    for name, (document, pages, write) in PAGES_OF.items():
        upstream.operation(name).always(pages_of(15 if name == "to_the_end" else 23, write))
        more = {"document": document, "pages": {"size": 5, "limit": "limit", "max_rows": 12, **pages}}
        rows = "groups.items" if name == "in_lists" else "items"
        queries.append(query(name, "30d", rows=rows, labels={"id": "id"}, **more))
    exporter = start([source_of(upstream)], queries).wait_until_ready()
    for name, left in {"by_offset": 11, "by_cursor": 4, "to_the_end": 3, "in_lists": 11}.items():
        eventually(lambda name=name: exporter.samples(name), f"rows of {name}")  # type: ignore[misc]
        assert {labels["id"] for labels, _ in exporter.samples(name)} == set(map(str, range(12))), name
        assert exporter.value(f"{OWN}query_rows_cut_total", query=name) == left
        assert len(upstream.operation(name).journal) == 3
    for name, told in {"by_offset": "11", "by_cursor": "at least 4", "to_the_end": "3"}.items():
        run = finished("query", name, f"--config.file={tmp_path / 'config.yaml'}", environ={"CANARY_SECRET": canary})
        assert f"not read: {told}\n" in run.stdout, run.stdout + run.stderr
