"""Great work of the running program: many large answers at once, thousands of queries; and what a page weighs."""

from __future__ import annotations

import gzip
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx

from bench.answers import configuration
from bench.figures import Figure, at_most, limit
from bench.running import FIRST, INSTALLED, Upstream, compressed_page, exporter, memory_mb, url_of
from tests.support.processes import Exporter, eventually

_ROWS_OF_2_MIB: Final = 21_000
_QUERIES: Final = 10_000
_UP: Final = re.compile(r'^insights_exporter_query_up\{.*"\} 1\.0$', re.MULTILINE)
_LOADED: Final = re.compile(r"^insights_exporter_config_last_reload_success_timestamp_seconds (\S+)$", re.MULTILINE)


def honest_answers(folder: Path) -> Iterator[Figure]:
    """Ten answers of 2 MiB that come at once, 210 000 series in all."""
    with exporter(folder, _ROWS_OF_2_MIB, queries=10, interval="5s") as (running, upstream):
        seen = len(upstream.arrivals())
        eventually(lambda: len(upstream.arrivals()) >= seen + 20, "two rounds")
        what = "memory at the peak of ten answers of 2 MiB at once, 210 000 series"
        yield limit(what, memory_mb(running, peak=True), 210, "MB")


def ten_thousand_queries(folder: Path) -> Iterator[Figure]:
    """10 000 queries of one series each, on one processor: start, reload and memory."""
    with ExitStack() as stack:
        idle, _ = stack.enter_context(exporter(folder, 1))
        least = memory_mb(idle)
        upstream = stack.enter_context(Upstream(folder))
        upstream.set(1)
        config = folder / "great.yaml"
        text = configuration(upstream.url, _QUERIES, interval="5m")
        config.write_text(text)
        running = stack.enter_context(Exporter(config, folder / "great.log", prefix=FIRST, python=INSTALLED))
        eventually(running.answers, "answer", 120)
        starting = _slowest_scrape(running, lambda page: len(_UP.findall(page)) == _QUERIES)
        yield limit("10 000 queries: slowest scrape while they start", starting, 1, "s")
        taken = 1000 * (memory_mb(running) - least) / _QUERIES
        yield limit("10 000 queries: memory of each, of one series", taken, 20, "kB")
        before = _loaded(running.url)
        config.write_text(text.replace("help: Requests.", "help: Other."))
        running.popen.send_signal(signal.SIGHUP)
        reloading = _slowest_scrape(running, lambda page: _LOADED.findall(page) != before and "Requests." not in page)
        yield limit("10 000 queries: slowest scrape while they are loaded again", reloading, 1, "s")


def weight(folder: Path) -> Iterator[Figure]:
    """The compressed page of 20 000 series beside what gzip makes of the same bytes."""
    with exporter(folder, 20_000) as (running, _):
        ours = compressed_page(url_of(running))
        theirs = gzip.compress(gzip.decompress(ours), 6)
        yield at_most("page of 20 000 series in gzip", len(ours) / 1000, len(theirs) / 1000, 1.1, "kB", "gzip -6")


def _slowest_scrape(running: Exporter, until: Callable[[str], bool]) -> float:
    """Seconds of the slowest scrape, ten a second, until a page is as it should be."""
    slowest, deadline = 0.0, time.monotonic() + 600
    with httpx.Client(timeout=60) as client:
        while time.monotonic() < deadline:
            began = time.monotonic()
            page = client.get(f"{running.url}/metrics")
            slowest = max(slowest, time.monotonic() - began)
            if until(page.text):
                return slowest
            time.sleep(0.1)
    raise AssertionError(f"the pages are not as they should be: {running.log[-1000:]}")


def _loaded(url: str) -> list[str]:
    return _LOADED.findall(httpx.get(f"{url}/metrics", timeout=60).text)
