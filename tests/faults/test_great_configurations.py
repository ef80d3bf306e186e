"""Rows of configurations that are far larger than usual: they start, reload and are scraped in time."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.config.yaml_reader import parse_nodes
from tests.faults.configuration import query, source_of, written
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.memory_limits import memory_bytes
from tests.support.processes import Exporter, eventually, get
from tests.support.upstream import Upstream

BOUND_SECONDS: Final = 3.0  # one is promised; machines that run tests stand still for two now and then
QUERY_BYTES: Final = 20 * 1024
_UP: Final = re.compile(rf"^{OWN}query_up\{{.*\}} 1\.0$", re.MULTILINE)
_LABELS: Final = 60


@dataclass(frozen=True, slots=True)
class Great:
    """A configuration with so many sources and queries."""

    sources: int
    queries: int
    labels: int = 0

    def parts(self, upstream: Upstream, text: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        sources = [source_of(upstream, f"api_{number}") for number in range(self.sources)]
        names = [one["name"] for one in sources]
        queries = [query(f"query_{number}", "60s", timeout="30s") for number in range(self.queries)]
        for number, one in enumerate(queries):
            one["sources"] = [names[number % len(names)]]
            one["metrics"][0] |= {"help": text, "labels": {f"label_{at}": {"const": "x"} for at in range(self.labels)}}
        return sources, queries


SIZES: Final = {
    "queries": Great(1, 1000),
    "sources": Great(200, 200),
    "labels": Great(1, 20, _LABELS),
    "ten_thousand_queries": Great(1, 10_000),
    "thousand_sources": Great(1000, 1000),
}
_IN_FULL: Final = ("queries", "sources", "ten_thousand_queries", "thousand_sources")


def slowest_scrape(exporter: Exporter, until: Callable[[str], bool]) -> float:
    """Seconds of the slowest scrape until a page is as it should be."""
    slowest, deadline = 0.0, time.monotonic() + 600
    while True:
        assert time.monotonic() < deadline, exporter.log[-2000:]
        began = time.monotonic()
        page = get(f"{exporter.url}/metrics", timeout=60)
        took = time.monotonic() - began
        slowest = max(slowest, took)
        assert page.status_code == 200
        if until(page.text):
            return slowest
        time.sleep(max(0.1, took))  # so that the polls, which are waited for, have their time on a busy machine


def test_a_configuration_of_ten_thousand_queries_is_read() -> None:
    """A file may be as long as thousands of queries need; only what aliases make of a few lines is bounded tightly."""
    metric = "{name: m, help: Text., value: value, labels: {a: a, b: b, c: c, d: d}}"
    one = f"  - {{name: q, interval: 60s, document: x, rows: rows, labels: {{e: e, f: f}}, metrics: [{metric}]}}"
    value = parse_nodes("\n".join(["queries:", *[one] * 10_000]), "config.yaml").value
    assert isinstance(value, dict)
    assert isinstance(value["queries"], list)
    assert len(value["queries"]) == 10_000


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in _IN_FULL else ()) for name in SIZES]
)
@pytest.mark.timeout(1500)
def test_row_109_great_configuration(name: str, start: Start, upstream: Upstream, tmp_path: Path) -> None:
    """Thousands of queries or sources, and metrics of many labels, start and reload; every scrape meanwhile is answered
    within a second, and a query takes 20 KB at most."""
    great = SIZES[name]
    sources, queries = great.parts(upstream, "Before.")
    exporter = start(sources, queries)
    eventually(exporter.answers, "answer", 120)
    starting = slowest_scrape(exporter, lambda page: len(_UP.findall(page)) == great.queries)
    taken = memory_bytes(exporter, "VmRSS")
    written(tmp_path / "config.yaml", *great.parts(upstream, "After."))
    exporter.popen.send_signal(signal.SIGHUP)
    reloading = slowest_scrape(exporter, lambda page: page.count(" After.") == great.queries)
    print(f"{name}: {starting:.2f} s, {reloading:.2f} s, {taken / 2**20:.0f} MiB")  # shown where it fails
    assert starting <= BOUND_SECONDS
    assert reloading <= BOUND_SECONDS
    assert taken <= 75 * 2**20 + great.queries * QUERY_BYTES + great.sources * 4 * QUERY_BYTES
    assert exporter.value(f"{OWN}poll_failures_total") is None
