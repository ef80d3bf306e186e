"""The running program under work: keeping up, the event loop, memory, the start."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx

from bench.answers import configuration
from bench.figures import Figure, at_most, limit, percentile, told
from bench.running import FIRST, INSTALLED, Upstream, cpu_seconds, exporter, forget_peak, memory_mb
from exporter.polling.ticks import phase_of
from exporter.series.store import Owner
from tests.support.processes import Exporter, eventually, free_port

_INTERVAL_SECONDS = 10.0
_SCRAPERS = 10
_SCRAPES_A_SECOND = 5
_SCRAPING_SECONDS = 31


def keeping_up(folder: Path) -> Iterator[Figure]:
    """1 000 queries every ten seconds at an upstream that takes 200 ms, on one processor, scraped every second."""
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream(folder))
        upstream.set(10, latency=0.2)
        config = folder / "keeping-up.yaml"
        config.write_text(configuration(upstream.url, 1000))
        running = stack.enter_context(Exporter(config, folder / "keeping-up.log", prefix=FIRST, python=INSTALLED))
        running.wait_until_ready()
        time.sleep(_INTERVAL_SECONDS)  # each query has come to its own tick
        upstream.set(10, latency=0.2)
        began, used, before = time.monotonic(), cpu_seconds(running), _overruns(running)
        scrapes = asyncio.run(_scraped(running.url, scrapers=1, rate=1, seconds=3 * _INTERVAL_SECONDS))
        taken, used = time.monotonic() - began, cpu_seconds(running) - used
        lags = [
            (at - phase_of(Owner(name, "bench", ""), _INTERVAL_SECONDS)) % _INTERVAL_SECONDS
            for name, at in upstream.arrivals()
        ]
        yield limit("1 000 queries every 10 s: missed ticks", _overruns(running) - before, 0, "ticks")
        yield limit("start lag of their polls, 99th percentile", percentile(lags, 99), 0.5, "s")
        yield told("polls a second in that run", f"{len(lags) / taken:.0f}")
        yield told("processor used in that run", f"{100 * used / taken:.0f} %")
        yield told("longest scrape in that run, own metrics of 1 000 queries", f"{1000 * max(scrapes):.0f} ms")


def event_loop(folder: Path) -> Iterator[Figure]:
    """Ten scrapers at a fixed rate while 100 000 rows come every ten seconds, beside the same without polls."""
    taken: dict[str, list[float]] = {}
    for interval in ("1h", "10s"):
        with exporter(folder, 100_000, interval=interval) as (running, _):
            time.sleep(2)
            scrapes = _scraped(running.url, scrapers=_SCRAPERS, rate=_SCRAPES_A_SECOND, seconds=_SCRAPING_SECONDS)
            taken[interval] = asyncio.run(scrapes)
    idle, polled = (1000 * percentile(taken[interval], 99) for interval in ("1h", "10s"))
    yield at_most("scrape, 99th percentile, with a poll of 100 000 rows every 10 s", polled, idle, 1.5, "ms", "without")
    yield told("longest scrape during polls of 100 000 rows", f"{1000 * max(taken['10s']):.0f} ms",
               f"{1000 * max(taken['1h']):.0f} ms (without)")  # fmt: skip


def memory(folder: Path) -> Iterator[Figure]:
    """Resident memory between polls, at the peak of a big one, and after it has shrunk."""
    with exporter(folder, 1, interval="3s") as (running, upstream):
        for series, most in ((1, 60), (10_000, 75), (100_000, 115)):
            upstream.set(series)
            forget_peak(running)
            _until_polled(running, upstream, series)
            what = f"{series:,} series".replace(",", " ") if series > 1 else "idle"
            yield limit(f"memory, {what}", memory_mb(running), most, "MB")
        yield limit("memory at the peak of a poll of 100 000 rows", memory_mb(running, peak=True), 130, "MB")
        upstream.set(1)
        _until_polled(running, upstream, 1)
        yield limit("memory, after a shrink to 1 series", memory_mb(running), 80, "MB")


def start(folder: Path) -> Iterator[Figure]:
    """From the start of the process to the first page, of a program that was installed, so that it is compiled."""
    config = folder / "start.yaml"
    config.write_text(configuration("http://127.0.0.1:9/", 1))
    seconds = [_start_seconds(config) for _ in range(7)]
    yield limit("start of the process to the first /metrics", statistics.median(seconds), 0.4, "s")
    code = "import exporter.cli.main, exporter.daemon.app, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run([INSTALLED, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    needless = [name for name in loaded if name.startswith(("exporter.simulator", "exporter.cli.output"))]
    yield limit("modules of demo, query or generate that are loaded", len(needless), 0, "modules")


def _start_seconds(config: Path) -> float:
    port = free_port()
    command = [*FIRST, INSTALLED, "-m", "exporter", f"--config.file={config}"]
    began = time.monotonic()
    running = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
    )
    try:
        with httpx.Client(timeout=5) as client:
            while True:
                try:
                    client.get(f"http://127.0.0.1:{port}/metrics").raise_for_status()
                except httpx.HTTPError:
                    assert running.poll() is None
                    time.sleep(0.005)
                else:
                    return time.monotonic() - began
    finally:
        running.terminate()
        running.wait()


def _until_polled(running: Exporter, upstream: Upstream, series: int) -> None:
    """Waits for three polls that have that many series; the upstream was told of them just before."""
    eventually(lambda: running.value("insights_exporter_query_series") == series, f"{series} series")
    seen = len(upstream.arrivals())
    eventually(lambda: len(upstream.arrivals()) >= seen + 3, "three polls")
    time.sleep(1)


def _overruns(running: Exporter) -> float:
    return running.value("insights_exporter_poll_overruns_total") or 0.0


async def _scraped(url: str, *, scrapers: int, rate: float, seconds: float) -> list[float]:
    """Seconds that each scrape took, of some scrapers at a fixed rate; a late one starts its clock when it was due."""
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})
    port = int(url.rpartition(":")[2])
    taken: list[float] = []

    async def scraper(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        began = time.monotonic() + number / scrapers / rate
        for at in range(int(seconds * rate)):
            due = began + at / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            writer.write(b"GET /metrics HTTP/1.1\r\nhost: bench\r\naccept-encoding: gzip\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            taken.append(time.monotonic() - due)
        writer.close()

    await asyncio.gather(*map(scraper, range(scrapers)))
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
    return taken
