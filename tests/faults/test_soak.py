"""The soak: tokens of two seconds, 20 polls a second, faults at random, and nothing that grows.

What must not fail has five seconds for each poll: machines that run tests stand still for two now and then.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.experiment import who_is_known
from tests.faults.invariants import OWN
from tests.support.processes import Exporter, Snapshot, eventually, get
from tests.support.upstream import (
    Behaviour,
    Call,
    Upstream,
    answer,
    close,
    dribble,
    grants,
    gzipped,
    oauth_error,
    oddly,
    raw,
    reply,
    reset,
    silence,
    status,
)

SOUND_QUERIES: Final = 50
SHAKY_QUERIES: Final = 20
PATIENT: Final = "5s"
GROWTH_BYTES: Final = 5 * 2**20
LONG_SECONDS: Final = 300
_ESTABLISHED: Final = "01"
_GOOD: Final = b'{"data":{"value":1}}'
_SOUND: Final = who_is_known(answer({"data": {"value": 1}}))
_SPREADING_SECONDS: Final = 0.5


def _says(code: str, message: str = "no", **extensions: object) -> Behaviour:
    """A GraphQL error that is classed so."""
    return answer({"data": None, "errors": [{"message": message, "extensions": {"code": code, **extensions}}]})


async def _says_back(call: Call) -> None:
    """An error with all the credentials of the request."""
    sent = call.request.headers.get("authorization", "")
    await answer({"errors": [{"message": sent, "path": [call.request.bearer], "extensions": {sent: sent}}]})(call)


async def _learns_late(call: Call) -> None:
    """An API that knows each token only after a while."""
    granted_at = call.upstream.granted.get(call.request.bearer, 0.0) - LIFETIME_SECONDS
    is_known = granted_at + _SPREADING_SECONDS < call.upstream.monotonic()
    await (_SOUND if is_known else status(401))(call)


def _in_members() -> bytes:
    return gzip.compress(_GOOD[:9]) + bytes(64) + gzip.compress(_GOOD[9:]) + gzip.compress(b"")


# Those of the first 80 rows of the matrix, then those of rows 81 to 103.
_FAULTS_OF_THE_API: Final[tuple[Behaviour, ...]] = (
    reset,
    close,
    silence,
    status(401),
    status(403),
    status(502),
    reply(b"{"),
    raw(b"SSH-2.0\r\n"),
    dribble(b"HTTP/1.1 200 OK\r\n" * 99, pause_seconds=0.1),
    gzipped(b'{"data":{"rows":[' + b"[]," * 300_000 + b"[]]}}"),
    gzipped(b" " * 10**7),
    oddly(reply(_GOOD)),
    reply(_GOOD, content_type="text/html"),
    reply(_in_members(), headers={"content-encoding": "gzip"}),
    status(421),
    _says("UNAUTHENTICATED"),
    reply(b"{}", code=403, headers={"www-authenticate": 'Bearer error="invalid_token"'}),
    _learns_late,
    reply(b"{}", code=403, headers={"retry-after": "1"}),
    reply(_GOOD, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}),
    _says("THROTTLED", retryAfter=1),
    answer({"errors": [{"message": "the server's own words"}]}, code=422),
    _says_back,
    _says("X", "\x1b]52;c;ZXZpbA==\x07 \u202e \x9b31m" + "m" * 100_000),
    reply(b'{"data":null,"errors":[{"message":"\\ud800","path":[' + b"1," * 20_000 + b"1]}]}"),
)
_FAULTS_OF_TOKENS: Final[tuple[Behaviour, ...]] = (
    *(status(503), silence, reset, reply(b"{"), answer({"error": "x"})),
    oauth_error("temporarily_unavailable", code=503),
    status(429, retry_after="1"),
)
_HALF_REQUESTS: Final = (b"", b"GET /metrics HTTP/1.1\r\n", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n")
LIFETIME_SECONDS: Final = 2
# How tokens are granted: all of these are taken.
_GRANTS: Final[tuple[Behaviour, ...]] = (
    grants(lifetime_seconds=LIFETIME_SECONDS),
    grants(lifetime_seconds=LIFETIME_SECONDS, error=None),
    oddly(grants(lifetime_seconds=LIFETIME_SECONDS)),
)


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
    return [pytest.param(5.0, id="quick"), pytest.param(float(LONG_SECONDS), id="full", marks=long)]


@pytest.mark.parametrize("seconds", soak_seconds())
def test_nothing_grows_and_no_sound_poll_fails(
    seconds: float, start: Start, start_upstream: Callable[[], Upstream]
) -> None:
    """While one source has every fault there is, another's polls never fail; afterwards both work, and the process
    holds no more memory, descriptors, connections or tasks than before."""
    sound, shaky = start_upstream(), start_upstream()
    exporter = started(start, sound, shaky)
    each_once(shaky)  # what is made at the first fault of a kind is no leak
    misbehaving(shaky, min(seconds / 5, 30), exporter)
    before = rested(exporter, sound, shaky)
    cancelled = misbehaving(shaky, seconds, exporter)
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
    reloads: int, start: Start, start_upstream: Callable[[], Upstream], tmp_path: Path
) -> None:
    """After many reloads, each of which changes a query and how a source is reached, the process holds no more than
    before, and no poll has failed."""
    sound, shaky = start_upstream(), start_upstream()
    exporter = started(start, sound, shaky, PATIENT)
    config = tmp_path / "config.yaml"
    good = json.loads(config.read_text())

    def reload(number: int) -> None:
        changed = {**good, "queries": [*good["queries"], query("changed", f"{5 + number % 2}s", sources=["shaky"])]}
        changed["sources"][1]["http_headers"] = {"x-reload": f"number {number % 2}"}
        config.write_text(json.dumps(changed))
        loaded = exporter.log.count("was loaded again")
        exporter.popen.send_signal(signal.SIGHUP)
        eventually(lambda: exporter.log.count("was loaded again") > loaded, "reload")

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
    requests: int, start: Start, start_upstream: Callable[[], Upstream]
) -> None:
    """After many polls that were cut at their deadline, the process holds no more than before, and polls work."""
    sound, shaky = start_upstream(), start_upstream()
    exporter = started(start, sound, shaky, "500ms")

    def cut() -> float:
        return exporter.value(f"{OWN}poll_failures_total", reason="timeout") or 0

    def cut_so_often(count: float) -> None:
        until = cut() + count
        shaky.api.always(silence)
        eventually(lambda: cut() >= until, "polls that were cut", 120)
        shaky.api.always(_SOUND)

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


def started(start: Start, sound: Upstream, shaky: Upstream, interval: str = "2s") -> Exporter:
    """An exporter with queries on both upstreams, all well; those on the shaky one are polled that often."""
    for upstream in (sound, shaky):
        upstream.token.always(_GRANTS[0])
        upstream.api.always(_SOUND)
    sources = {"sound": source_of(sound, "sound"), "shaky": source_of(shaky, "shaky", timeout="1s")}
    queries = [
        query(f"{name}_{number}", interval, timeout=interval, sources=[name])
        for name, count, interval in (("sound", SOUND_QUERIES, PATIENT), ("shaky", SHAKY_QUERIES, interval))
        for number in range(count)
    ]
    exporter = start(list(sources.values()), queries).wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == len(queries), "good start")
    return exporter


def each_once(shaky: Upstream) -> None:
    """Has each fault of the API, and each way in which a token is granted, for a few requests."""
    for number, fault in enumerate(_FAULTS_OF_THE_API):
        shaky.token.always(_GRANTS[number % len(_GRANTS)])
        shaky.api.always(fault)
        _until_asked(shaky, len(shaky.api.journal) + len(shaky.token.journal) + 3, time.monotonic() + 2)


def misbehaving(shaky: Upstream, seconds: float, exporter: Exporter) -> int:
    """Has one fault after the other for so long, then none. Returns how many polls ended at their deadline."""
    chance = random.Random(7)
    until = time.monotonic() + seconds
    with ExitStack() as clients:
        while time.monotonic() < until:
            if chance.random() < 0.3:
                clients.pop_all().close()
                _misuse(exporter, chance, clients)
            _misbehave(shaky, chance, until)
    shaky.api.always(_SOUND)
    shaky.token.always(_GRANTS[0])
    return int(Snapshot(exporter.page()).total(f"{OWN}poll_failures_total", reason="timeout"))


def _misbehave(shaky: Upstream, chance: random.Random, until: float) -> None:
    """Has one fault for a moment."""
    shaky.api.always(chance.choice([_SOUND, *_FAULTS_OF_THE_API]))
    has_no_token = chance.random() < 0.1  # seldom, as it is back-off that follows, in which the API is not asked
    shaky.token.always(chance.choice(_FAULTS_OF_TOKENS if has_no_token else _GRANTS))
    if chance.random() < 0.3:
        shaky.close_connections(reset=True)
    if chance.random() < 0.2:
        shaky.revoke_all()
    asked = len(shaky.api.journal) + len(shaky.token.journal)
    _until_asked(shaky, asked + chance.randint(1, 2 * SHAKY_QUERIES), min(until, time.monotonic() + 3))


def _misuse(exporter: Exporter, chance: random.Random, clients: ExitStack) -> None:
    """Clients of the exporter's own pages: one that says half of a request and stays, and a page of another site."""
    address = urlsplit(exporter.url)
    for first in chance.choices(_HALF_REQUESTS, k=20):
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
        upstream.close_connections()
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
