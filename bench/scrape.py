"""Scrapes: requests a second beside nginx and other exporters, and the processor time of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx

from bench.figures import Figure, at_least, at_most, compared
from bench.running import (
    client_server,
    compressed_page,
    cpu_seconds,
    exporter,
    load,
    nginx,
    pushgateway,
    slow_rate,
    textfile_collector,
    url_of,
)
from tests.support.processes import Process

_SECONDS = 2
_ROUNDS = 9
_SCRAPES = 10_000


def scrape(folder: Path) -> Iterator[Figure]:
    """Compressed pages of 10 000 and 100 000 series over four connections, in turns with nginx."""
    for series in (10_000, 100_000):
        with ExitStack() as stack:
            ours, _ = stack.enter_context(exporter(folder, series))
            page = compressed_page(url_of(ours))
            static = stack.enter_context(nginx(folder, page))
            rounds = [(load(url_of(ours), _SECONDS), load(url_of(static), _SECONDS)) for _ in range(1 + _ROUNDS)]
            del rounds[0]  # both had just started
            where = f"scrape of {series:,} series".replace(",", " ")
            rates = _median_round([(mine.requests_per_second, theirs.requests_per_second) for mine, theirs in rounds])
            goal = 0.4 if series == 10_000 else 0.8
            yield at_least(f"{where}, 4 connections", *rates, goal, "a second", "nginx")
            p99s = _median_round([(1000 * mine.p99_seconds, 1000 * theirs.p99_seconds) for mine, theirs in rounds])
            yield compared(f"{where}, 99th percentile", *p99s, "ms", "nginx")
            text = httpx.get(url_of(ours), timeout=60).text
            if series == 10_000:
                peer = stack.enter_context(client_server(folder, series))
                yield _beside(where, ours, peer, 500, "prometheus_client's server")
            else:
                text = "".join(line for line in text.splitlines(keepends=True) if "bench_" in line)
                peer = stack.enter_context(pushgateway(folder, text))
                yield _beside(where, ours, peer, 200, "Pushgateway")
                peer = stack.enter_context(textfile_collector(folder, text))
                yield _beside(where, ours, peer, 200, "node_exporter's textfile collector")


def cpu(folder: Path) -> Iterator[Figure]:
    """Processor time of a scrape, by the size of the page, beside nginx with the same bytes."""
    for series in (1_000, 10_000, 100_000):
        with ExitStack() as stack:
            ours, _ = stack.enter_context(exporter(folder, series))
            page = compressed_page(url_of(ours))
            static = stack.enter_context(nginx(folder, page))
            mine, theirs = (1e6 * _scrape_seconds(running) for running in (ours, static))
            size = f"{series:,} series ({len(page) // 1000} kB)".replace(",", " ")
            what = f"processor time of a scrape, {size}"
            if series == 1_000:  # of a small page it is that of any request
                yield compared(what, mine, theirs, "µs", "nginx")
            else:
                yield at_most(what, mine, theirs, 3, "µs", "nginx")


def _scrape_seconds(running: Process) -> float:
    with httpx.Client(timeout=60) as client:
        began = cpu_seconds(running)
        for _ in range(_SCRAPES):
            with client.stream("GET", url_of(running), headers={"accept-encoding": "gzip"}) as response:
                for _ in response.iter_raw():
                    pass
        return (cpu_seconds(running) - began) / _SCRAPES


def _beside(where: str, ours: Process, peer: Process, goal: float, name: str) -> Figure:
    theirs = slow_rate(url_of(peer))
    mine = load(url_of(ours), _SECONDS).requests_per_second
    return at_least(f"{where} compared with {name}", mine, theirs, goal, "a second", name)


def _median_round(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    """The round whose ratio is the median of all: its two figures come of the same seconds of a machine that is now
    faster, now slower."""
    return sorted(rounds, key=lambda each: each[0] / each[1])[len(rounds) // 2]
