"""The soak: tokens of two seconds, 20 polls a second, faults at random, and nothing that grows.

What must not fail has five seconds for each poll: machines that run tests stand still for two now and then.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.faults.configuration import query, source, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.faults.soak_faults import (
    FAULTS_OF_FILES,
    FAULTS_OF_THE_API,
    FAULTS_OF_TOKENS,
    GRANTS,
    HALF_REQUESTS,
    PAGED,
    SOUND,
    pages,
)
from tests.faults.test_files import restore
from tests.support.processes import Exporter, Snapshot, eventually, get
from tests.support.upstream import Upstream, silence

SOUND_QUERIES: Final = 50
SHAKY_QUERIES: Final = 20
PATIENT: Final = "5s"
GROWTH_BYTES: Final = 5 * 2**20
LONG_SECONDS: Final = 300
_ESTABLISHED: Final = "01"


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a process holds. Its open connections to the upstreams do not count, as a busy moment needs more of them."""

    memory_bytes: int
    descriptors: int
    tasks: int

    @classmethod
    def of(cls, exporter: Exporter, *upstreams: Upstream) -> Holdings:
        folder = Path("/proc", str(exporter.popen.pid))
        pages = int((folder / "statm").read_text().split()[1])
        targets = {str(entry.readlink()) for entry in (folder / "fd").iterdir()}
        connections = _open_connections(folder, {upstream.port for upstream in upstreams})
        tasks = int(exporter.value(f"{OWN}tasks") or 0)
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), len(targets - connections), tasks)


def _open_connections(process: Path, ports: set[int]) -> set[str]:
    """The established connections to these ports, as `/proc/PID/fd` names them (proc(5), /proc/net/tcp). One that the
    other side has closed is not among them: whoever keeps it leaks it."""
    rows = [line.split() for line in (process / "net" / "tcp").read_text().splitlines()[1:]]
    return {
        f"socket:[{row[9]}]" for row in rows if row[3] == _ESTABLISHED and int(row[2].rpartition(":")[2], 16) in ports
    }


def soak_seconds() -> list[object]:
    """How long: a moment, minutes in the long run, and as long as `make soak` says."""
    said = os.environ.get("SOAK_SECONDS")
    if said:
        return [pytest.param(float(said), id="soak", marks=pytest.mark.timeout(float(said) + 300))]
    long = [pytest.mark.long, pytest.mark.timeout(LONG_SECONDS + 300)]
    quick = pytest.param(5.0, id="quick", marks=pytest.mark.timeout(300))
    return [quick, pytest.param(float(LONG_SECONDS), id="full", marks=long)]


@pytest.fixture
def secret_file(tmp_path: Path, canary: str) -> Path:
    file = tmp_path / "secret"
    file.write_text(canary)
    return file


@pytest.mark.parametrize("seconds", soak_seconds())
def test_nothing_grows_and_no_sound_poll_fails(
    seconds: float, start: Start, start_upstream: Callable[[], Upstream], secret_file: Path, tmp_path: Path
) -> None:
    """While one source has every fault there is, another's polls never fail; afterwards both work, and the process
    holds no more memory, descriptors, connections or tasks than before."""
    sound, shaky = start_upstream(), start_upstream()
    exporter = started(start, sound, shaky, secret_file)
    files = (secret_file, tmp_path / "config.yaml")
    each_once(shaky, files, exporter)  # what is made at the first fault of a kind is no leak
    misbehaving(shaky, min(seconds / 5, 30), exporter, files)
    before = rested(exporter, sound, shaky)
    cancelled = misbehaving(shaky, seconds, exporter, files)
    after = rested(exporter, sound, shaky)
    page = Snapshot(exporter.page())
    failed = page.samples(f"{OWN}poll_failures_total", source="sound")
    assert not [(labels["query"], labels["reason"], count) for labels, count in failed if count]
    renewals = page.total(f"{OWN}token_renewals_total", source="sound", result="ok")
    polls = page.total(f"{OWN}polls_total", source="sound")
    print(f"{seconds:g} s; on the sound source {polls:g} polls and {renewals:g} renewals")
    print(f"{cancelled} polls cut at their deadline; {before} -> {after}")
    assert renewals >= seconds / 2
    assert page.total(f"{OWN}token_renewals_total", source="sound", result="error") == 0
    check_holdings(before, after)


@pytest.mark.parametrize(
    "reloads",
    [pytest.param(10, id="quick"), pytest.param(1000, id="full", marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
)
def test_reloads_leave_nothing_behind(
    reloads: int, start: Start, start_upstream: Callable[[], Upstream], secret_file: Path, tmp_path: Path
) -> None:
    """After many reloads, each of which changes a query and how a source is reached, the process holds no more than
    before, and no poll has failed."""
    sound, shaky = start_upstream(), start_upstream()
    exporter = started(start, sound, shaky, secret_file, PATIENT)
    config = tmp_path / "config.yaml"
    good = json.loads(config.read_text())

    def reload(number: int) -> None:
        changed = {**good, "queries": [*good["queries"], query("changed", f"{5 + number % 2}s", sources=["shaky"])]}
        changed["sources"][1]["http_headers"] = {"x-reload": f"number {number % 2}"}
        config.write_text(json.dumps(changed))
        loaded = exporter.log.count("was reloaded")
        exporter.popen.send_signal(signal.SIGHUP)
        eventually(lambda: exporter.log.count("was reloaded") > loaded, "reload")

    for number in range(reloads // 2):  # so many, until the allocator of the loading thread has what it needs
        reload(number)
    before = rested(exporter, sound, shaky, more_queries=1)
    for number in range(reloads):
        reload(number)
    after = rested(exporter, sound, shaky, more_queries=1)
    print(f"{reloads} reloads; {before} -> {after}")
    check_holdings(before, after)
    assert not exporter.samples(f"{OWN}poll_failures_total")


@pytest.mark.parametrize(
    "requests", [pytest.param(100, id="quick"), pytest.param(1000, id="full", marks=pytest.mark.long)]
)
def test_cancelled_requests_leave_nothing_behind(
    requests: int, start: Start, start_upstream: Callable[[], Upstream], secret_file: Path
) -> None:
    """After many polls that were cut at their deadline, the process holds no more than before, and polls work."""
    sound, shaky = start_upstream(), start_upstream()
    exporter = started(start, sound, shaky, secret_file, "500ms")

    def cut() -> float:
        return exporter.value(f"{OWN}poll_failures_total", reason="timeout") or 0

    def cut_so_often(count: float) -> None:
        until = cut() + count
        shaky.api.always(silence)
        eventually(lambda: cut() >= until, "polls that were cut", 120)
        shaky.api.always(SOUND)

    cut_so_often(2 * SHAKY_QUERIES)
    before = rested(exporter, sound, shaky)
    cut_so_often(requests)
    after = rested(exporter, sound, shaky)
    print(f"{requests} polls cut at their deadline; {before} -> {after}")
    check_holdings(before, after)


def check_holdings(before: Holdings, after: Holdings) -> None:
    assert after.memory_bytes - before.memory_bytes <= GROWTH_BYTES, (before, after)
    assert after.descriptors <= before.descriptors + 5, (before, after)
    assert after.tasks <= before.tasks + 3, (before, after)


def started(start: Start, sound: Upstream, shaky: Upstream, secret_file: Path, interval: str = "2s") -> Exporter:
    """An exporter with queries on both upstreams, all well; those on the shaky one are polled that often, with a
    secret of that file."""
    for upstream in (sound, shaky):
        upstream.token.always(GRANTS[0])
        upstream.api.always(SOUND)
    shaky.operation("paged").always(pages)
    of_shaky = [
        source(name, shaky.api_url, shaky.token_url, {"client_secret_file": str(secret_file)})
        for name in ("shaky", "twin")  # sources of one client, which share its token
    ]
    for one in of_shaky:
        one["oauth2"]["timeout"] = "1s"
    queries = [
        *(query(f"sound_{number}", PATIENT, timeout=PATIENT, sources=["sound"]) for number in range(SOUND_QUERIES)),
        *(
            query(f"shaky_{number}", interval, timeout=interval, sources=[("shaky", "twin")[number % 2]])
            for number in range(SHAKY_QUERIES - 1)
        ),
        query("paged", interval, timeout=interval, sources=["shaky"], **PAGED),
    ]
    exporter = start([source_of(sound, "sound"), *of_shaky], queries).wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == len(queries), "good start")
    return exporter


def each_once(shaky: Upstream, files: Sequence[Path], exporter: Exporter) -> None:
    """Has each fault of the API and of files, and each way in which a token is granted, for a few requests."""
    for number, fault in enumerate(FAULTS_OF_THE_API):
        shaky.token.always(GRANTS[number % len(GRANTS)])
        shaky.api.always(fault)
        _until_asked(shaky, len(shaky.api.journal) + len(shaky.token.journal) + 3, time.monotonic() + 2)
    for spoil in FAULTS_OF_FILES:
        with spoilt(files, spoil, exporter):
            shaky.revoke_all()
            _until_asked(shaky, len(shaky.api.journal) + SHAKY_QUERIES, time.monotonic() + 1)


@contextmanager
def spoilt(files: Iterable[Path], spoil: Callable[[Path], None], exporter: Exporter) -> Iterator[None]:
    """These files are spoilt, then as before; each time the configuration is loaded."""
    good = {file: file.read_text() for file in files}
    for file in good:
        spoil(file)
    exporter.popen.send_signal(signal.SIGHUP)
    try:
        yield
    finally:
        for file, text in good.items():
            restore(file, text)
        exporter.popen.send_signal(signal.SIGHUP)


def misbehaving(shaky: Upstream, seconds: float, exporter: Exporter, files: Sequence[Path]) -> int:
    """Has one fault after the other for so long, then none. Returns how many polls ended at their deadline."""
    chance = random.Random(7)
    until = time.monotonic() + seconds
    with ExitStack() as clients:
        while time.monotonic() < until:
            if chance.random() < 0.3:
                clients.pop_all().close()
                _misuse(exporter, chance, clients)
            with ExitStack() as spoilt_files:
                if chance.random() < 0.1:
                    spoilt_files.enter_context(spoilt([chance.choice(files)], chance.choice(FAULTS_OF_FILES), exporter))
                _misbehave(shaky, chance, until)
    shaky.api.always(SOUND)
    shaky.token.always(GRANTS[0])
    return int(Snapshot(exporter.page()).total(f"{OWN}poll_failures_total", reason="timeout"))


def _misbehave(shaky: Upstream, chance: random.Random, until: float) -> None:
    """Has one fault for a moment."""
    shaky.api.always(chance.choice([SOUND, *FAULTS_OF_THE_API]))
    has_no_token = chance.random() < 0.1  # seldom, as it is back-off that follows, in which the API is not asked
    shaky.token.always(chance.choice(FAULTS_OF_TOKENS if has_no_token else GRANTS))
    if chance.random() < 0.3:
        shaky.close_connections(reset=True)
    if chance.random() < 0.2:
        shaky.revoke_all()
    asked = len(shaky.api.journal) + len(shaky.token.journal)
    _until_asked(shaky, asked + chance.randint(1, 2 * SHAKY_QUERIES), min(until, time.monotonic() + 3))


def _misuse(exporter: Exporter, chance: random.Random, clients: ExitStack) -> None:
    """Clients of the exporter's own pages: one that says half of a request and stays, and a page of another site."""
    address = urlsplit(exporter.url)
    for first in chance.choices(HALF_REQUESTS, k=20):
        client = clients.enter_context(socket.create_connection((address.hostname, address.port), 5))
        client.sendall(first)
    foreign = get(f"{exporter.url}/config", headers={"Host": "evil.example"})
    assert foreign.status_code == 403


def _until_asked(upstream: Upstream, count: int, until: float) -> None:
    while time.monotonic() < until and len(upstream.api.journal) + len(upstream.token.journal) < count:
        time.sleep(0.05)


def rested(exporter: Exporter, sound: Upstream, shaky: Upstream, *, more_queries: int = 0) -> Holdings:
    """What the process holds once every query works again, without the idle connections of its busiest moment; the
    least of some rounds."""
    queries = SOUND_QUERIES + SHAKY_QUERIES + more_queries
    eventually(lambda: exporter.value(f"{OWN}query_up") == queries, "recovery of every query", 90)
    for upstream in (sound, shaky):
        upstream.close_idle_connections()
    found = []
    for _ in range(3):
        asked = len(sound.api.journal)
        eventually(lambda asked=asked: len(sound.api.journal) > asked + SHAKY_QUERIES, "more polls")  # type: ignore[misc]
        found.append(Holdings.of(exporter, sound, shaky))
    return Holdings(
        min(each.memory_bytes for each in found),
        min(each.descriptors for each in found),
        min(each.tasks for each in found),
    )
