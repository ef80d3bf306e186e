"""Fixtures for rows that need an exporter of their own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.faults.configuration import written
from tests.faults.invariants import breaches
from tests.support.certificates import authority_file
from tests.support.processes import Exporter
from tests.support.upstream import Upstream


class Start(Protocol):
    """Starts an exporter; at the end of the test it is held to what must hold whatever goes wrong, if it still runs."""

    def __call__(
        self,
        sources: list[dict[str, Any]],
        queries: list[dict[str, Any]],
        *flags: str,
        environ: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> Exporter: ...


@pytest.fixture
def canary() -> str:
    """Part of every secret and token of a test, and of nothing else."""
    return f"canary{secrets.token_hex(12)}"


@pytest.fixture
def start_upstream(stack: ExitStack, canary: str) -> Callable[[], Upstream]:
    """Starts an upstream whose tokens bear the canary."""
    return lambda: stack.enter_context(Upstream(token_prefix=f"{canary}-"))


@pytest.fixture
def upstream(start_upstream: Callable[[], Upstream]) -> Upstream:
    return start_upstream()


@pytest.fixture
def start(stack: ExitStack, tmp_path: Path, canary: str) -> Iterator[Start]:
    started: list[Exporter] = []
    authorities = str(authority_file(tmp_path))  # one, which is read faster than the system's

    def start(
        sources: list[dict[str, Any]],
        queries: list[dict[str, Any]],
        *flags: str,
        environ: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> Exporter:
        config = written(tmp_path / "config.yaml", sources, queries)
        exporter = Exporter(
            config,
            tmp_path / "log",
            "--log.level=debug",
            *flags,
            environ={"CANARY_SECRET": canary, "SSL_CERT_FILE": authorities, **(environ or {})},
            prefix=prefix,
        )
        started.append(stack.enter_context(exporter))
        return exporter

    yield start
    for exporter in started:
        if exporter.popen.poll() is None:
            assert not breaches(exporter, canary)
