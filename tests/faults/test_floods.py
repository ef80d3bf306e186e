"""Rows of clients that want more than they may have: one that takes all, crowds of one address, crowds for pages."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.faults.test_clients import Site, ready, started
from tests.support.memory_limits import memory_bytes
from tests.support.processes import Exporter, eventually
from tests.support.upstream import Upstream, reply

MIB: Final = 2**20
BOUND_SECONDS: Final = 25.0  # a scrape may take ten; machines that run tests have their processors busy otherwise
ELSEWHERE: Final = "127.0.0.2"
GET: Final = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED: Final = b"POST /metrics HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


def large(series: int, interval: str) -> dict[str, object]:
    return query(
        "large",
        interval,
        document="query large { items { id value } }",
        rows="items",
        labels={"id": "id"},
        max_series=series,
    )


def with_series(start: Start, upstream: Upstream, series: int, interval: str = "3s") -> Exporter:
    """An exporter with so many series, scraped in every form once."""
    items = [{"id": f"{number:06}-of-the-large-page", "value": number} for number in range(series)]
    upstream.operation("large").always(reply(json.dumps({"data": {"items": items}}).encode()))
    exporter = start([source_of(upstream)], [query("sound", "3s"), large(series, interval)])
    exporter.wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_series", query="large") == series, "series")
    for coding in ("gzip", "identity"):
        ask(exporter, "/metrics", coding)
    return exporter


def ask(exporter: Exporter, path: str, coding: str = "gzip", **fields: str) -> int:
    client = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=30)
    client.request("GET", path, headers={"accept-encoding": coding, **fields})
    answer = client.getresponse()
    answer.read()
    client.close()
    return answer.status


def connected(port: int, source: str = ELSEWHERE, receive_buffer: int = 4096) -> socket.socket:
    """A connection from that address, which takes little before it is read."""
    with ExitStack() as if_refused:
        client = if_refused.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(30)
        client.bind((source, 0))
        client.connect(("127.0.0.1", port))
        if_refused.pop_all()
    return client


@contextmanager
def scraped(site: Site) -> Iterator[list[float]]:
    """Scrapes and probes again and again meanwhile, each on a connection of its own; the seconds that each took."""
    done, seconds, failures = threading.Event(), list[float](), list[str]()

    def scrape() -> None:
        while not done.is_set():
            for path in ("/metrics", "/-/ready"):
                begun_at = time.monotonic()
                try:
                    code, _ = site.get(path)
                except (OSError, http.client.HTTPException) as error:
                    failures.append(repr(error))
                else:
                    if code != 200:
                        failures.append(str(code))
                seconds.append(time.monotonic() - begun_at)
            time.sleep(0.02)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield seconds
    finally:
        done.set()
        thread.join()
    assert not failures, failures[:3]
    assert seconds
    assert max(seconds) < BOUND_SECONDS


@contextmanager
def grows_by(exporter: Exporter, most_bytes: int) -> Iterator[None]:
    """The memory meanwhile is at most so much higher than now."""
    before = memory_bytes(exporter, "VmRSS")
    Path("/proc", str(exporter.popen.pid), "clear_refs").write_text("5")  # forget the highest so far
    yield
    grown = memory_bytes(exporter, "VmHWM") - before
    assert grown <= most_bytes, f"{grown / MIB:.1f} MiB"


GREEDY: Final = {
    "endless trailers": (CHUNKED + b"0\r\n", b"x-%07d: " + b"y" * 1000 + b"\r\n"),
    "endless chunk extensions": (CHUNKED + b"1", b";x%07d=" + b"y" * 1000),
    "endless small chunks": (CHUNKED, b"1;%07d\r\nx\r\n" * 50),
    "endless empty lines": (b"", b"\r\n" * 500 + b"%.0d"),
}


def refusals(exporter: Exporter) -> float:
    return sum(exporter.value(f"{OWN}web_requests_total", code=code) or 0 for code in ("413", "431"))


@pytest.mark.parametrize("what", GREEDY)
def test_row_97_greedy_client(start: Start, upstream: Upstream, what: str) -> None:
    """Whatever part of a request has no end, it is cut at the limit, and memory stays."""
    exporter = with_series(start, upstream, 10, "10m")
    first, again = GREEDY[what]
    with grows_by(exporter, 16 * MIB), ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(connected(exporter.port))
            with suppress(ConnectionError):
                client.sendall(first)
                for number in range(1000):
                    client.sendall(again.replace(b"%07d", b"%07d" % number).replace(b"%.0d", b""))
        eventually(lambda: refusals(exporter) == 20, "refusals")
        eventually(lambda: exporter.value(f"{OWN}web_connections") == 1, "end of the connections")


def test_row_97_greedy_client_that_pipelines(start: Start, upstream: Upstream) -> None:
    """100 connections on which one client asks for thousands of pages and reads none cost little memory, and end."""
    exporter = with_series(start, upstream, 10_000, "10m")
    with grows_by(exporter, 16 * MIB), ExitStack() as stack:
        for _ in range(100):
            client = stack.enter_context(connected(exporter.port))
            client.setblocking(False)
            with suppress(BlockingIOError):
                for _ in range(100):
                    client.sendall(GET * 500)
        assert ask(exporter, "/metrics") == 200
        eventually(lambda: exporter.value(f"{OWN}web_connections") == 1, "end of the connections", 60)


def test_row_98_crowd_that_never_reads(start: Start, upstream: Upstream) -> None:
    """1 024 connections of one address that read nothing: scrapers and probes of another are all answered."""
    exporter = with_series(start, upstream, 5_000)
    site = Site(exporter, exporter.log_file.parent, tls=False)
    with scraped(site), ExitStack() as stack:
        for _ in range(1024):
            client = stack.enter_context(connected(exporter.port))
            with suppress(ConnectionError):
                client.sendall(GET * 20)
        asked = len(upstream.api.journal)
        eventually(lambda: len(upstream.api.journal) > asked + 3, "polls meanwhile")
        eventually(lambda: 100 <= (exporter.value(f"{OWN}web_connections") or 0) <= 600, "the crowd")
    assert memory_bytes(exporter, "VmHWM") < 256 * MIB
    assert exporter.value(f"{OWN}poll_failures_total") is None


def test_row_98_crowd_silent_over_tls(tmp_path: Path, upstream: Upstream) -> None:
    """5 000 connections of one address to the TLS port that say nothing, where there are 256 file descriptors."""
    prefix = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
    with ExitStack() as stack:
        exporter = stack.enter_context(started(tmp_path, upstream, tls=True, interval="2s", prefix=prefix))
        site = Site(exporter, tmp_path, tls=True)
        eventually(lambda: ready(site), "readiness", 60)
        with scraped(site):
            for _ in range(5000):
                with suppress(ConnectionError):
                    stack.enter_context(connected(exporter.port))
            asked = len(upstream.api.journal)
            assert 10 <= site.value("web_connections") <= 80  # at once, as they are closed after ten seconds
            eventually(lambda: len(upstream.api.journal) > asked + 3, "polls meanwhile")
        assert memory_bytes(exporter, "VmHWM") < 256 * MIB
        assert site.value("poll_failures_total") == 0


@pytest.mark.parametrize(("series", "interval"), [(20_000, "3s"), pytest.param(80_000, "5s", marks=pytest.mark.long)])
def test_row_99_crowd_for_pages(series: int, interval: str, start: Start, upstream: Upstream) -> None:
    """1 000 clients ask for `/config` and for different searches at once, and go: scrapes are in time, no page is made
    for who has gone, and no poll is missed."""
    exporter = with_series(start, upstream, series, interval)
    site = Site(exporter, exporter.log_file.parent, tls=False)
    overruns = exporter.value(f"{OWN}poll_overruns_total") or 0
    with scraped(site):
        for number in range(1000):
            path = b"/config" if number % 2 else b"/?q=%d" % number
            with connected(exporter.port) as client:
                client.sendall(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path)
        begun_at = time.monotonic()
        eventually(lambda: ask(exporter, "/?q=mine") == 200, "a search after the crowd's")
        assert time.monotonic() - begun_at < BOUND_SECONDS
    assert (exporter.value(f"{OWN}poll_overruns_total") or 0) == overruns


def test_row_106_other_sites_pages(start: Start, upstream: Upstream) -> None:
    """A page of another site can neither reload nor renew, nor read a page under a name that leads here."""
    exporter = start([source_of(upstream)], [query("sound", "1s")], "--web.enable-lifecycle").wait_until_ready()

    def post(path: str, **fields: str) -> int:
        answer = httpx.post(f"{exporter.url}{path}", data={"a": "b"}, headers=fields, timeout=30, verify=False)
        return answer.status_code

    for path in ("/-/reload", "/-/renew-token"):
        assert post(path, origin="http://evil.example") == 403
        assert post(path, **{"sec-fetch-site": "cross-site"}) == 403
        assert post(path) in (200, 502)
    for path in ("/", "/config"):
        assert ask(exporter, path, host="evil.example") == 403
        assert ask(exporter, path, host=f"127.0.0.1:{exporter.port}") == 200
    assert ask(exporter, "/metrics", host="evil.example") == 200
    assert exporter.value(f"{OWN}web_requests_total", code="403") == 6
