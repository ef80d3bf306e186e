"""Real processes for tests: the exporter as users start it, and Debian's Prometheus."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_SECONDS = 30.0
_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without authorities, whose loading takes longer than a scrape


def get(url: str, **more: Any) -> httpx.Response:
    """`httpx.get` from a server of the test, which answers late on a busy machine."""
    with http_client(**more) as client:
        return client.get(url)


def post(url: str, *, data: Mapping[str, str] | None = None, json: Any = None, **more: Any) -> httpx.Response:
    """The same with a body."""
    with http_client(**more) as client:
        return client.post(url, data=data, json=json)


def http_client(**more: Any) -> httpx.Client:
    """`httpx.Client` for servers of the test, which answer late on a busy machine."""
    return httpx.Client(**{"verify": _PLAIN, "timeout": PATIENCE_SECONDS, **more})


def eventually(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """The first true answer of `condition`; fails, saying what did not come, after that many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"within {seconds:g} s there was no {what}")


_CLAIMS_KEPT: Final = 200  # each takes a file descriptor, of which a process often has 1024
_claims: deque[socket.socket] = deque()


def free_port() -> int:
    """A port of the loopback address that nothing listens on, of those that no outgoing connection is given, and no
    other worker of this or of another run on this machine. What connects to it arrives: a rule that forwards it to a
    container, as a killed run leaves it behind, cannot be seen otherwise."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = random.randrange(20_000 + worker, 32_000, workers)  # the usual ephemeral ports begin at 32768
        with suppress(OSError), socket.socket() as listener, ExitStack() as if_taken:
            listener.bind(("127.0.0.1", port))
            listener.listen()
            listener.settimeout(1)
            with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
                accepted = listener.accept()[0]
                client.close()  # first, so that its end waits out TCP's time, and not the port's
                accepted.close()
            claim = if_taken.enter_context(socket.socket(socket.AF_UNIX))
            claim.bind(f"\0port-of-a-test-{port}")  # a name without a file, which ends with this process
            if_taken.pop_all()
            _claims.append(claim)
            if len(_claims) > _CLAIMS_KEPT:
                _claims.popleft().close()
            return port


def program(name: str) -> str:
    """The path of a system program; the test is skipped, saying so, where it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs the program {name}, which is not installed here")
    return path


def stopped_clock(moment: datetime) -> dict[str, str]:
    """The environment in which a program's wall clock stands still at that moment; its monotonic clock goes on."""
    command = [program("faketime"), "--exclude-monotonic", "-f", f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}", "env"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"}).stdout
    lines = (line.partition("=") for line in made.splitlines())
    wanted = ("LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC")
    return {"TZ": "UTC", **{name: value for name, _, value in lines if name in wanted}}


class Process:
    """A program under test; its output goes to a file."""

    def __init__(
        self, command: list[str], log: Path, environ: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()
    ) -> None:
        self.log_file = log
        self._output = log.open("wb")
        self.popen = subprocess.Popen(
            command,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
            pass_fds=pass_fds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        for left in ("faketime_shm_", "sem.faketime_sem_"):  # libfaketime's: the next of that number would fail
            Path("/dev/shm", f"{left}{self.popen.pid}").unlink(missing_ok=True)
        self._output.close()

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self.log_file.read_text(errors="replace")

    def stopped(self, seconds: float = 7.0) -> int:
        """Asks it to stop with SIGTERM and gives its exit code; fails if it takes longer."""
        self.popen.terminate()
        return self.popen.wait(seconds)


class Snapshot:
    """A page of `/metrics`, read by Prometheus' own parser."""

    def __init__(self, page: str) -> None:
        """Raises `ValueError` for what is not in the text format."""
        self.page = page
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def samples(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every sample of that name that has these labels."""
        return [found for found in self._samples.get(name, ()) if labels.items() <= found[0].items()]

    def total(self, name: str, **labels: str) -> float:
        """The sum of those samples; 0 if there are none."""
        return sum(value for _, value in self.samples(name, **labels))


def lines_of(name: str, page: str) -> str:
    """What a page says of the samples of that name, or of those that match it, as to parse all takes long."""
    return "".join(re.findall(rf"^{name}[{{ ].*\n", page, re.MULTILINE))


class Exporter(Process):
    """A running exporter."""

    def __init__(
        self,
        config: Path,
        log: Path,
        *flags: str,
        environ: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        python: str = sys.executable,
    ) -> None:
        """`prefix` comes before the command, as in `nice exporter`; `python` is that of another installation."""
        self.port = free_port()
        below = next((flag.partition("=")[2] for flag in flags if flag.startswith("--web.route-prefix=")), "")
        self.url = f"http://127.0.0.1:{self.port}{below}"
        command = [*prefix, python, "-m", "exporter", f"--config.file={config}"]
        super().__init__([*command, f"--web.listen-address=127.0.0.1:{self.port}", *flags], log, environ)

    def page(self) -> str:
        """`/metrics` in the text format."""
        return get(f"{self.url}/metrics").raise_for_status().text

    def samples(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every sample of that name that has these labels; none while it does not answer.

        Tests that wait ask for this again and again, and to parse a page of thousands of lines takes a second.
        """
        try:
            return Snapshot(lines_of(name, self.page())).samples(name, **labels)
        except httpx.HTTPError:
            return []

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of those samples; None if there are none."""
        found = self.samples(name, **labels)
        return sum(value for _, value in found) if found else None

    def everything_shown(self) -> list[str]:
        """All that this process shows to those who may see it: its pages, and its line in the list of processes."""
        paths = ("/", "/metrics", "/-/healthy", "/-/ready", "/config", "/status")
        pages = [get(self.url + path).text for path in paths]
        pages.append(get(f"{self.url}/metrics", headers={"accept": "application/openmetrics-text"}).text)
        process = Path("/proc", str(self.popen.pid))
        return [*pages, *((process / name).read_text(errors="replace") for name in ("cmdline", "comm"))]

    def answers(self) -> bool:
        """Whether it serves; fails where it has ended."""
        assert self.popen.poll() is None, self.log
        try:
            return get(f"{self.url}/-/healthy").status_code == 200
        except httpx.HTTPError:
            return False

    def wait_until_ready(self, seconds: float = 3 * PATIENCE_SECONDS) -> Self:
        """Waits until every query has been tried; fails after that many seconds."""

        def ready() -> bool:
            assert self.popen.poll() is None, self.log
            try:
                return get(f"{self.url}/-/ready").status_code == 200
            except httpx.HTTPError:
                return False

        eventually(ready, f"readiness; the log is: {self.log}", seconds)
        return self


class Prometheus(Process):
    """A real Prometheus that scrapes one address every second, and evaluates rules as often.

    `itself` is the job as which it scrapes itself, too, if it has a name; `scrape` are further keys of its scrape
    configuration; `retention` is how long it keeps samples; `binary` is the program, else the one that is installed.
    """

    def __init__(
        self,
        folder: Path,
        target: str,
        *,
        job: str = "insights",
        itself: str = "",
        rule_files: Sequence[Path] = (),
        alertmanager: str | None = None,
        alert_relabel_configs: Sequence[Mapping[str, Any]] = (),
        scrape: Mapping[str, Any] | None = None,
        retention: str = "15d",
        binary: Path | None = None,
        features: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = folder / "prometheus.yml"
        sections: dict[str, Any] = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file) for file in rule_files],
            "scrape_configs": [
                {
                    "job_name": job,
                    "honor_labels": True,
                    "static_configs": [{"targets": [target], "labels": {"environment": "of the target"}}],
                    **(scrape or {}),
                }
            ],
        }
        if itself:
            of_itself = {"job_name": itself, "static_configs": [{"targets": [f"127.0.0.1:{self.port}"]}]}
            sections["scrape_configs"].append(of_itself)
        if alertmanager is not None:
            sections["alerting"] = {
                "alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}],
                "alert_relabel_configs": list(alert_relabel_configs),
            }
        config.write_text(json.dumps(sections))
        super().__init__(
            [
                str(binary or program("prometheus")),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--storage.tsdb.retention.time={retention}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                *(f"--enable-feature={name}" for name in features),
            ],
            folder / "prometheus.log",
        )

    def query(self, expression: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every element of an instant query."""
        parameters: dict[str, Any] = {"query": expression, **({"time": at} if at is not None else {})}
        try:
            answer = get(f"{self.url}/api/v1/query", params=parameters)
        except httpx.HTTPError:
            return []
        if answer.status_code == 503:
            return []
        content = answer.raise_for_status().json()
        return [(one["metric"], float(one["value"][1])) for one in content["data"]["result"]]


def finished(
    *arguments: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """A finished run of the command line, in an environment of its own; `given` is its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_SECONDS,
        check=False,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **(environ or {})},
    )
