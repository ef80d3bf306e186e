"""Rows of answers that are small on the wire and large in memory, or made to spoil a log line or a page."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import pytest

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.memory_limits import forget_highest, memory_bytes, memory_limit
from tests.support.processes import Exporter, eventually, get
from tests.support.upstream import Behaviour, Upstream, reply

LIMIT_BYTES: Final = 256 * 2**20  # what deploy/kubernetes gives it
BODY_BYTES: Final = 8 * 2**20  # the default of max_body_size
TARGETS: Final = 10
SLOWEST_SECONDS: Final = 3.0  # one is promised; machines that run tests stand still for two now and then
SOUND: Final = json.dumps({"data": {"rows": [{"id": "a", "value": 1}]}}).encode()


def filled(head: bytes, part: bytes, tail: bytes, *, size: int = BODY_BYTES) -> bytes:
    """A body of that size: the head, as many parts as there is room for, and the tail without the last comma."""
    return head + (part * ((size - len(head) - len(tail)) // len(part))).rstrip(b",") + tail


def numbered(head: bytes, part: str, tail: bytes, *, size: int = BODY_BYTES) -> bytes:
    """The same of parts that all differ, by a number of eight digits."""
    many = (size - len(head) - len(tail)) // len(part % 0)
    return head + ",".join([part % number for number in range(many)]).encode() + tail


def hostile() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names and bodies; those are made where they are needed, as together they take 200 MiB."""
    rows, end = b'{"data":{"rows":[', b"]}}"
    yield "empty_lists", partial(filled, rows, b"[],", end)
    yield "empty_objects", partial(filled, rows, b"{},", end)
    yield "rows", partial(filled, rows, b'{"id":"aa","value":1000},', end)
    yield "rows_that_differ", partial(numbered, rows, '{"id":"%08d","value":1}', end)
    yield "keys", partial(numbered, b'{"data":{"rows":[{', '"k%08d":1', b"}]}}")
    yield "keys_at_the_top", partial(numbered, b'{"data":{', '"k%08d":1', b"}}")
    yield "texts_in_a_value", partial(numbered, b'{"data":{"rows":[{"id":"a","value":[', '"%08d"', b"]}]}}")
    yield "numbers_in_a_value", partial(filled, b'{"data":{"rows":[{"id":"a","value":[', b"1000,", b"]}]}}")
    yield "errors", partial(filled, b'{"data":null,"errors":[', b"1,", b"]}")
    yield "errors_that_say_nothing", partial(filled, b'{"errors":[', b"{},", b"]}")
    yield "error_path", partial(filled, b'{"errors":[{"message":"x","path":[', b"1,", b"]}]}")
    yield "nests", partial(filled, b'{"data":{"rows":', b"[", b"}}")
    yield "nested_objects", partial(filled, b'{"data":{"rows":', b'{"rows":', b"}}")
    yield "nests_in_what_is_not_used", partial(filled, b'{"data":{"other":', b"[", b"}}")
    yield "text", partial(filled, b'{"data":{"rows":[{"value":1,"id":{"x":"', b"a", b'"}}]}}')
    yield "number", partial(filled, b'{"data":{"rows":[{"id":"a","value":', b"9", b"}]}}")
    yield "fraction", partial(filled, b'{"data":{"rows":[{"id":"a","value":0.', b"9", b"e}]}}")
    yield "escapes", partial(filled, b'{"data":{"rows":[{"value":{},"id":"', b"\\u0041", b'"}]}}')
    yield "wide_letters", partial(filled, b'{"data":{"rows":[{"value":{},"id":"', "🦊".encode(), b'"}]}}')
    yield "a_wide_text", partial(filled, '{"data":{"rows":[{"value":{},"id":"🦊'.encode(), b"a", b'"}]}}')
    yield "spaces", partial(filled, b'{"data":{"rows":', b" ", b"}}")
    yield "halves_of_pairs", partial(filled, b'{"data":{"rows":[{"value":{},"id":"', b"\\ud800", b'"}]}}')
    yield "not_a_number", partial(filled, rows, b'{"value":NaN},', end, size=BODY_BYTES // 2)
    yield "too_long", partial(filled, rows, b"[],", end, size=4 * BODY_BYTES)


HOSTILE: Final = dict(hostile())
# One of each kind in every run: containers, keys, objects, errors, depth, texts, numbers and plain size.
IN_EVERY_RUN: Final = frozenset(
    {"empty_lists", "rows_that_differ", "keys", "errors", "nests", "escapes", "not_a_number", "too_long"}
)


def packed(body: bytes) -> Behaviour:
    """The answer as a server sends it that means harm: as little as possible on the wire."""
    packing = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return reply(packing.compress(body) + packing.flush(), headers={"content-encoding": "gzip"})


def watched(start: Start, stack: ExitStack, upstream: Upstream, sound: bytes = SOUND, **more: Any) -> Exporter:
    """An exporter in its limit of memory whose query has ten targets, all well, beside a query that stays well."""
    prefix = stack.enter_context(memory_limit(LIMIT_BYTES))
    upstream.operation("large").always(reply(sound))
    large = query(
        "large",
        "2s",
        timeout="2s",
        rows="rows",
        for_each={"number": list(range(TARGETS))},
        labels={"id": "id", "number": "{{ number }}"},
        **{"document": "query large { rows { id value } }", **more},
    )
    exporter = start([source_of(upstream)], [query("sound", "2s"), large], prefix=prefix)
    exporter.wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == 2, "good start")
    return exporter


def slowest_scrape(exporter: Exporter, upstream: Upstream, requests: int) -> float:
    """Seconds of the slowest scrape until the query has been asked so many times more."""
    route, slowest = upstream.operation("large"), 0.0
    before, until = len(route.journal), time.monotonic() + 60
    while len(route.journal) < before + requests:
        assert time.monotonic() < until, exporter.log[-2000:]
        began = time.monotonic()
        assert get(f"{exporter.url}/metrics").status_code == 200
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.01)
    return slowest


@pytest.mark.parametrize(
    "name", [name if name in IN_EVERY_RUN else pytest.param(name, marks=pytest.mark.long) for name in HOSTILE]
)
def test_row_81_large_in_memory(name: str, start: Start, stack: ExitStack, upstream: Upstream) -> None:
    """Ten answers at once that are made to fill the memory are refused, in the memory that our manifests give; scrapes
    go on in time, and so do the other queries and what was published before."""
    exporter = watched(start, stack, upstream)
    series, idle = exporter.samples("large"), memory_bytes(exporter, "VmRSS")
    forget_highest(exporter)
    upstream.operation("large").always(packed(HOSTILE[name]()))
    slowest = slowest_scrape(exporter, upstream, 3 * TARGETS)
    grown = memory_bytes(exporter, "VmHWM") - idle
    print(f"{name}: {grown / 2**20:.0f} MiB, slowest scrape {slowest:.2f} s")  # shown where it fails
    assert exporter.samples("large") == series
    assert exporter.value(f"{OWN}query_up", query="sound") == 1
    assert exporter.value(f"{OWN}poll_failures_total", query="sound") is None
    reasons = {labels["reason"] for labels, value in exporter.samples(f"{OWN}poll_failures_total") if value}
    refused = {"too_large", "schema", "json", "graphql", "cardinality", "duplicate_series"}
    assert reasons <= refused | {"timeout"}  # of those that wait until there is memory for them
    assert reasons
    assert grown <= 100 * 2**20, f"{grown / 2**20:.0f} MiB"
    assert slowest <= SLOWEST_SECONDS


@pytest.mark.long
@pytest.mark.parametrize("size", [2**18, BODY_BYTES])
def test_large_pages_without_end_are_refused(size: int, start: Start, stack: ExitStack, upstream: Upstream) -> None:
    """Ten answers at once, each of pages without end with one row and a text whose letters take four bytes each, are
    refused in the same memory, and the other query is polled."""
    sound = b'{"data":{"rows":[{"id":"a","value":1}],"more":false}}'
    exporter = watched(
        start,
        stack,
        upstream,
        sound,
        document="query large($at: Int) { rows(at: $at) { id value } more }",
        pages={"size": 1, "page": "at", "more": "more"},
    )
    series, idle = exporter.samples("large"), memory_bytes(exporter, "VmRSS")
    forget_highest(exporter)
    page = filled('{"data":{"more":true,"rows":[{"value":1,"id":"🦊'.encode(), b"a", b'"}]}}', size=size)
    upstream.operation("large").always(packed(page))
    eventually(
        lambda: (exporter.value(f"{OWN}poll_failures_total", query="large", reason="too_large") or 0) >= TARGETS,
        "refusals of all",
        60,
    )
    grown = memory_bytes(exporter, "VmHWM") - idle
    assert exporter.samples("large") == series
    assert exporter.value(f"{OWN}query_up", query="sound") == 1
    assert exporter.value(f"{OWN}poll_failures_total", query="sound") is None
    assert grown <= 100 * 2**20, f"{grown / 2**20:.0f} MiB"


def test_ten_honest_answers_of_two_mebibytes_at_once_are_taken(
    start: Start, stack: ExitStack, upstream: Upstream
) -> None:
    """What comes all at once, and is what was asked for, is published in full within 200 MiB: 100 000 series."""
    rows = [
        {"id": f"{at:06}", "value": at, **{name: f"{name}-{at % 40:050}" for name in "abc"}} for at in range(10_000)
    ]
    body = json.dumps({"data": {"rows": rows}}).encode()
    assert len(body) >= 2 * 2**20
    upstream.operation("large").always(reply(body))
    large = query(
        "large",
        "10s",
        document="query large { rows { id value a b c } }",
        rows="rows",
        for_each={"number": list(range(TARGETS))},
        labels={**{name: name for name in ("id", "a", "b", "c")}, "number": "{{ number }}"},
    )
    prefix = stack.enter_context(memory_limit(LIMIT_BYTES))
    exporter = start([source_of(upstream)], [query("sound", "10s"), large], prefix=prefix)
    eventually(lambda: exporter.value(f"{OWN}query_series", query="large") == TARGETS * len(rows), "all series", 60)
    slowest_scrape(exporter, upstream, TARGETS)
    assert exporter.value(f"{OWN}poll_failures_total") is None
    highest = memory_bytes(exporter, "VmHWM")
    print(f"{highest / 2**20:.0f} MiB")  # shown where it fails
    assert highest <= 200 * 2**20


_LONG_PATH: Final = [f"step{number}" for number in range(20_000)]
ERRORS: Final[dict[str, Any]] = {
    "path": {"message": "no", "path": _LONG_PATH},
    "long_steps": {"message": "no", "path": ["x" * 100_000] * 50},
    "message": {"message": "m" * 1_000_000},
    "line_ends": {"message": "one\n" * 10_000},
    "clipboard": {"message": "\x1b]52;c;ZXZpbA==\x07 \x1b[2J \x9b31m"},
    "bidi": {"message": "\u202eevil\u2066", "path": ["\u202edlrow", "\x1b[31m"]},
    "halves": {"message": "\ud800" * 1000, "path": ["\ud800"]},
    "numbers": {"message": "no", "path": [10**400, -(10**400), 1.5, None, {}, []]},
}
LINE_BYTES: Final = 4096
_UNFIT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_row_94_long_and_wild_errors(start: Start, upstream: Upstream) -> None:
    """Whatever an API writes into its errors, a log line has 4 KiB at most, the status page stays small, and neither
    has a character that a terminal would obey."""
    exporter = start([source_of(upstream)], [query("sound", "2s"), *(query(name, "2s") for name in ERRORS)])
    exporter.wait_until_ready()
    small = len(get(f"{exporter.url}/").content)
    for name, error in ERRORS.items():
        body = json.dumps({"data": None, "errors": [error] * 3}).encode()
        upstream.operation(name).always(reply(body))

    def failing() -> set[str]:
        return {labels["query"] for labels, _ in exporter.samples(f"{OWN}poll_failures_total")}

    eventually(lambda: failing() >= ERRORS.keys(), "a failure of each")
    page = get(f"{exporter.url}/").text
    assert len(page.encode()) <= small + len(ERRORS) * LINE_BYTES
    assert not _UNFIT.search(page)
    log = exporter.log
    assert all(len(line.encode()) <= LINE_BYTES for line in log.split("\n"))
    assert not _UNFIT.search(log)
    reasons = {labels["reason"] for labels, _ in exporter.samples(f"{OWN}poll_failures_total")}
    assert reasons <= {"graphql", "json", "too_large"}  # a path of 20 000 steps has more values than the limits allow
    assert exporter.value(f"{OWN}poll_failures_total", query="sound") is None


ALIKE: Final = {
    "halves_of_pairs": ("a\\ud800", "a\\udfff"),
    "half_and_its_sign": ("a\\ud800", "a\\ufffd"),
    "halves_in_the_wrong_order": ("\\udc00\\ud800", "\\ufffd\\ufffd"),
}
WILD: Final = ("\\r", "\\u2028", "\\u2029", "\\u000b", "\\u000c", "\\u0000", "\\u0085", "\\n", "\\\\n", "\\u001c")


def test_row_103_texts_that_look_alike(start: Start, upstream: Upstream) -> None:
    """Labels that a page would show as the same text are refused as one series twice; those with line ends of any kind
    are each one series on one line, also of the status page."""
    document = "query {} {{ rows {{ id value }} }}".format
    more = {"rows": "rows", "labels": {"id": "id"}}
    queries = [query(name, "2s", document=document(name), **more) for name in (*ALIKE, "wild")]
    for name, texts in {**ALIKE, "wild": WILD}.items():
        rows = ",".join(f'{{"id":"{text}","value":1}}' for text in texts)
        upstream.operation(name).always(reply(f'{{"data":{{"rows":[{rows}]}}}}'.encode()))
    exporter = start([source_of(upstream)], queries).wait_until_ready()
    for name in ALIKE:
        assert exporter.value(f"{OWN}poll_failures_total", query=name, reason="duplicate_series")
        assert not exporter.samples(name)
    assert {labels["id"] for labels, _ in exporter.samples("wild")} == {json.loads(f'"{text}"') for text in WILD}
    lines = [line for line in exporter.page().split("\n") if line.startswith("wild{")]
    assert len(lines) == len(WILD)
    assert get(f"{exporter.url}/?q=wild").text.count("wild{") >= len(WILD)
