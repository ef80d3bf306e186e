"""Rows of answers that are too much: memory stays bounded, and nothing of them is taken."""

from __future__ import annotations

import json
import zlib
from typing import Any

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.memory_limits import forget_highest, memory_bytes
from tests.support.processes import Exporter, eventually
from tests.support.upstream import HEAD, Behaviour, Upstream, answers_who_is_known, endless, reply

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
    assert exporter.value(f"{OWN}poll_failures_total") == failures()
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
