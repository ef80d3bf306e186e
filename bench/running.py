"""What is measured, running: the exporter and its peers, each bound to the first processor, and what asks them."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.answers import configuration
from tests.support.processes import Exporter, Process, eventually, free_port, get

FIRST = ("taskset", "-c", "0")
INSTALLED = str(Path(__file__).parents[1] / "build" / "installed" / "bin" / "python")  # without the development tools
OTHERS = ("taskset", "-c", "1-63" if (os.cpu_count() or 1) > 1 else "0")  # those of them that there are
_CLIENT_SERVER = """
import sys, threading
from prometheus_client import CollectorRegistry, Gauge, start_http_server
registry = CollectorRegistry()
gauge = Gauge("bench_window_requests", "Requests.", ["api", "application", "method", "code"], registry=registry)
for at in range(int(sys.argv[2])):
    gauge.labels(f"api-{at // 40:06d}", f"application-{at // 8 % 5}", f"m{at // 4 % 2}", f"c{at % 4}").set(at)
start_http_server(int(sys.argv[1]), registry=registry)
threading.Event().wait()
"""
_NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type "text/plain; version=0.0.4";
  client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
  uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t; open_file_cache max=100;
  server {{ listen 127.0.0.1:{port}; root {folder}; gzip_static on; }}
}}
"""


def program(name: str) -> str:
    """The path of a program; ends with what to do where it is missing."""
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
    if found is None:
        sys.exit(f"{name} is not installed; `make bench` installs it")
    return found


class Upstream(Process):
    """The API of `bench.upstream`."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/graphql"
        command = [*OTHERS, sys.executable, "-m", "bench.upstream", str(port)]
        super().__init__(command, folder / f"upstream-{port}.log")
        eventually(lambda: _answers(self.url), "upstream")

    def set(self, rows: int, latency: float = 0.0) -> None:
        """From now on it answers so many rows after so many seconds."""
        httpx.post(self.url.replace("/graphql", "/set"), json={"rows": rows, "latency": latency}, timeout=60)

    def arrivals(self) -> list[tuple[str, float]]:
        """Each query since then, and when it came (monotonic seconds)."""
        return [(name, at) for name, at in get(self.url.replace("/graphql", "/arrivals")).json()]


@contextmanager
def exporter(folder: Path, rows: int, *, queries: int = 1, interval: str = "1h") -> Iterator[tuple[Exporter, Upstream]]:
    """The exporter with a page of so many rows of each query, and its upstream."""
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream(folder))
        upstream.set(rows)
        config = folder / f"config-{rows}-{queries}-{interval}.yaml"
        config.write_text(configuration(upstream.url, queries, interval=interval))
        running = stack.enter_context(Exporter(config, config.with_suffix(".log"), prefix=FIRST, python=INSTALLED))
        running.wait_until_ready()
        eventually(lambda: (running.value("insights_exporter_query_series") or 0) >= rows * queries, "series")
        yield running, upstream


@contextmanager
def nginx(folder: Path, page: bytes) -> Iterator[Process]:
    """nginx with one process, with these bytes compressed as a static file; its URL is in `url_of`."""
    port = free_port()
    site = folder / f"nginx-{port}"
    site.mkdir()
    folder.chmod(0o755)
    site.chmod(0o755)
    (site / "metrics").write_bytes(gzip.decompress(page))
    (site / "metrics.gz").write_bytes(page)
    config = site / "nginx.conf"
    config.write_text(f"user root;{_NGINX.format(folder=site, port=port)}")
    with Process([*FIRST, program("nginx"), "-c", str(config)], site / "log") as running:
        yield _named(running, f"http://127.0.0.1:{port}/metrics")


@contextmanager
def client_server(folder: Path, series: int) -> Iterator[Process]:
    """prometheus_client's own server with so many series."""
    port = free_port()
    command = [*FIRST, sys.executable, "-c", _CLIENT_SERVER, str(port), str(series)]
    with Process(command, folder / f"client-{port}.log") as running:
        yield _named(running, f"http://127.0.0.1:{port}/metrics")


@contextmanager
def pushgateway(folder: Path, page: str) -> Iterator[Process]:
    """Pushgateway, which was given this page."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    command = [*FIRST, program("prometheus-pushgateway"), f"--web.listen-address={address}"]
    with Process(command, folder / f"pushgateway-{port}.log") as running:
        _named(running, f"http://{address}/metrics")
        httpx.put(f"http://{address}/metrics/job/bench", content=page.encode(), timeout=60).raise_for_status()
        yield running


@contextmanager
def textfile_collector(folder: Path, page: str) -> Iterator[Process]:
    """node_exporter, with this page in the folder of its textfile collector and no other collector."""
    port = free_port()
    texts = folder / f"textfiles-{port}"
    texts.mkdir()
    (texts / "page.prom").write_text(page)
    flags = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={texts}"]
    command = [*FIRST, program("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}", *flags]
    with Process(command, folder / f"node_exporter-{port}.log") as running:
        yield _named(running, f"http://127.0.0.1:{port}/metrics")


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw."""

    requests_per_second: float
    p99_seconds: float


def load(url: str, seconds: int, connections: int = 4) -> Load:
    """What comes of scraping as fast as it goes, compressed, from the other processors."""
    command = [*OTHERS, program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "60s"]
    done = subprocess.run([*command, "-H", "Accept-Encoding: gzip", url], capture_output=True, text=True, check=True)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", done.stdout)
    if rate is None or p99 is None or "Non-2xx" in done.stdout:
        raise AssertionError(f"wrk on {url}: {done.stdout}")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[p99[2]]
    return Load(float(rate[1]), float(p99[1]) * unit)


def slow_rate(url: str, connections: int = 4) -> float:
    """Requests a second of a server that takes seconds for one: each connection asks twice."""

    def ask(_: int) -> None:
        with httpx.Client(timeout=120) as client:
            for _ in range(2):
                client.get(url).raise_for_status()

    with ThreadPoolExecutor(connections) as pool:
        began = time.monotonic()
        for _ in pool.map(ask, range(connections)):
            pass
        return 2 * connections / (time.monotonic() - began)


def url_of(running: Process) -> str:
    """Where its page is."""
    if isinstance(running, Exporter):
        return f"{running.url}/metrics"
    return _URLS[running]


def compressed_page(url: str) -> bytes:
    """The page as it is sent in gzip."""
    with httpx.stream("GET", url, headers={"accept-encoding": "gzip"}, timeout=60) as response:
        assert response.headers.get("content-encoding") == "gzip", url
        return b"".join(response.iter_raw())


def cpu_seconds(running: Process) -> float:
    """What it has used so far, with threads that have ended; to 10 ms."""
    fields = Path("/proc", str(running.popen.pid), "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def memory_mb(running: Process, peak: bool = False) -> float:
    """Its resident memory in MB (10^6 bytes); the highest since `forget_peak`."""
    status = Path("/proc", str(running.popen.pid), "status").read_text()
    found = re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def forget_peak(running: Process) -> None:
    """Lets the highest memory be that of now."""
    Path("/proc", str(running.popen.pid), "clear_refs").write_text("5")


_URLS: dict[Process, str] = {}


def _named(running: Process, url: str) -> Process:
    _URLS[running] = url
    try:
        eventually(lambda: _answers(url), f"answer of {url}: {running.log}", 60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {running.log}") from None
    return running


def _answers(url: str) -> bool:
    try:
        return get(url).status_code < 500
    except httpx.HTTPError:
        return False
