"""Rows of the name service: the exporter runs with a resolver of the test's, below Python."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import Exporter, eventually, program
from tests.support.upstream import Upstream, answer, status

INTERVAL = "2s"


class Resolver:
    """What names that end in .shim.test are: `known`, `unknown`, at an address, or such that the look-up will
    `hang`."""

    def __init__(self, folder: Path) -> None:
        self._mode = folder / "mode"
        library = folder / "resolver.so"
        source = Path(__file__).with_name("resolver.c")
        subprocess.run([program("gcc"), "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.environ = {"LD_PRELOAD": str(library), "RESOLVER_MODE_FILE": str(self._mode)}
        self.becomes("known")

    def becomes(self, mode: str) -> None:
        self._mode.write_text(mode)


@pytest.fixture
def resolver(tmp_path: Path) -> Resolver:
    return Resolver(tmp_path)


@pytest.fixture
def exporter(start: Start, upstream: Upstream, resolver: Resolver) -> Exporter:
    """An exporter with one query on a named host and one on an address, both well."""
    upstream.operation("named").always(answer({"data": {"value": 1}}))
    named = {"name": "named", "url": f"http://api.shim.test:{upstream.port}/graphql", "labels": {"of": "named"}}
    exporter = start(
        [source_of(upstream), named],
        [query("sound", INTERVAL, sources=["api"]), query("named", INTERVAL, sources=["named"])],
        environ=resolver.environ,
    )
    exporter.wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == 2, "good start")
    return exporter


def failures(exporter: Exporter, reason: str) -> float:
    return exporter.value(f"{OWN}poll_failures_total", query="named", reason=reason) or 0


def wait_for_failures(exporter: Exporter, upstream: Upstream, reason: str) -> None:
    """Waits until two polls needed a connection of their own, and failed."""

    def has_failed() -> bool:
        upstream.close_idle_connections()
        return failures(exporter, reason) >= 2

    eventually(has_failed, "failures")


def check_neighbour(exporter: Exporter) -> None:
    polls = exporter.value(f"{OWN}polls_total", query="sound") or 0
    eventually(lambda: (exporter.value(f"{OWN}polls_total", query="sound") or 0) > polls + 1, "polls of other hosts")
    assert exporter.value(f"{OWN}poll_failures_total", query="sound") is None


def test_row_02_name_unknown(exporter: Exporter, resolver: Resolver, upstream: Upstream) -> None:
    """A name that does not resolve is said to be the reason; the last good value stays until it resolves again."""
    resolver.becomes("unknown")
    wait_for_failures(exporter, upstream, "dns")
    assert exporter.value("named") == 1
    check_neighbour(exporter)
    resolver.becomes("known")
    eventually(lambda: exporter.value(f"{OWN}query_up", query="named"), "recovery")


def test_row_03_resolver_hangs(exporter: Exporter, resolver: Resolver, upstream: Upstream) -> None:
    """A resolver that does not answer holds up neither the polls of other hosts nor the end of the program."""
    resolver.becomes("hang")
    wait_for_failures(exporter, upstream, "timeout")
    assert exporter.value("named") == 1
    check_neighbour(exporter)
    assert exporter.stopped(5) == 0


ELSEWHERE = "127.0.0.2"
FOLLOWED_SECONDS = 300 + 60


@pytest.mark.parametrize(
    "code",
    [503, 500, 421, pytest.param(200, marks=pytest.mark.long), pytest.param(404, marks=pytest.mark.long)],
)
@pytest.mark.timeout(600)
def test_row_84_name_moves(
    exporter: Exporter, resolver: Resolver, upstream: Upstream, stack: ExitStack, code: int
) -> None:
    """A name that moves is followed at the next poll where the old server answers 5xx or 421, and within five minutes
    where it answers as if nothing had happened; the old server is not asked again."""
    old = upstream.operation("named")
    with Upstream(host=ELSEWHERE) as new:
        new.port = upstream.port
        new.stop_listening()
        new.listen()
        new.operation("named").always(answer({"data": {"value": 2}}))
        resolver.becomes(ELSEWHERE)
        moved_at, asked = time.monotonic(), len(old.journal)
        if code != 200:
            old.always(status(code))
        new.operation("named").wait_for(1, within_seconds=FOLLOWED_SECONDS)
        eventually(lambda: exporter.value("named") == 2, "figures of the new server")
        if code in (200, 404):
            assert time.monotonic() - moved_at < FOLLOWED_SECONDS
        else:
            assert len(old.journal) <= asked + 2  # one that was under way, one that said so
        of_old = len(old.journal)
        new.operation("named").wait_for(4)
        assert len(old.journal) == of_old
    check_neighbour(exporter)
