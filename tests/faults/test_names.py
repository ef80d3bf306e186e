"""Rows of the name service: the exporter runs with a resolver of the test's, below Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import Exporter, eventually, program
from tests.support.upstream import Upstream, answer

INTERVAL = "2s"


class Resolver:
    """What names that end in .shim.test are: `known`, `unknown`, or such that the look-up will `hang`."""

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


def check_neighbour(exporter: Exporter) -> None:
    polls = exporter.value(f"{OWN}polls_total", query="sound") or 0
    eventually(lambda: (exporter.value(f"{OWN}polls_total", query="sound") or 0) > polls + 1, "polls of other hosts")
    assert exporter.value(f"{OWN}poll_failures_total", query="sound") is None


def test_row_02_name_unknown(exporter: Exporter, resolver: Resolver, upstream: Upstream) -> None:
    """A name that does not resolve is said to be the reason; the last good value stays until it resolves again."""
    resolver.becomes("unknown")
    upstream.close_connections()
    eventually(lambda: failures(exporter, "dns") >= 2, "failures")
    assert exporter.value("named") == 1
    check_neighbour(exporter)
    resolver.becomes("known")
    eventually(lambda: exporter.value(f"{OWN}query_up", query="named"), "recovery")


def test_row_03_resolver_hangs(exporter: Exporter, resolver: Resolver, upstream: Upstream) -> None:
    """A resolver that does not answer holds up neither the polls of other hosts nor the end of the program."""
    resolver.becomes("hang")
    upstream.close_connections()
    eventually(lambda: failures(exporter, "timeout") >= 2, "failures")
    assert exporter.value("named") == 1
    check_neighbour(exporter)
    assert exporter.stopped(5) == 0
