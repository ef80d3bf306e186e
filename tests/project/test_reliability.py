"""docs/reliability.md: every row of the fault matrix has a test, and the table says what the tests say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from exporter.config.query import Pages, Query
from exporter.config.schema import Config
from exporter.config.source import Source
from exporter.upstream.deadline import GRACE_SECONDS
from exporter.web.guard import ClientLimits
from tests.faults.report import DOCUMENT, collected, table
from tests.faults.rows import ROWS

ROOT = Path(__file__).parents[2]


def test_the_table_is_that_of_the_tests() -> None:
    """Each row has its texts, a test that exists, and its result; if not: `make reliability`."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", "tests/faults"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    made = table(collected(line for line in listed.splitlines() if "::" in line))
    assert made in DOCUMENT.read_text("utf-8")


def test_the_number_of_rows_is_told_right() -> None:
    """The document says how many things that go wrong are tried."""
    assert f"one of the {len(ROWS)} faults below" in DOCUMENT.read_text("utf-8")


def test_the_limits_are_those_of_the_program() -> None:
    """The defaults in the table of limits are those in the code."""
    text = DOCUMENT.read_text("utf-8")
    limits = {line.split("|")[1].strip(): line.split("|")[3].strip() for line in text.splitlines() if "| " in line}
    web = ClientLimits()
    assert limits["answer body"] == f"{_default(Source, 'max_body_size') // 2**20} MiB"
    assert limits["series of a query"] == f"{_default(Query, 'max_series'):,}".replace(",", " ")
    assert limits["series in all"] == f"{_default(Config, 'max_series'):,}".replace(",", " ")
    assert limits["calls of a query and round"] == f"{_default(Query, 'max_calls'):,}".replace(",", " ")
    assert limits["rows of all pages"] == f"{_default(Pages, 'max_rows'):,}".replace(",", " ")
    assert limits["polls of a source at once"] == str(_default(Source, "concurrency"))
    assert (
        limits["reading an answer that arrived while the exporter was blocked beyond a deadline"]
        == f"{GRACE_SECONDS:g} s"
    )
    assert limits["a scraper's request, or its TLS handshake"] == f"{web.request_seconds:g} s"
    assert limits["a scraper that takes its answer"] == f"{web.response_seconds:g} s"
    assert limits["an idle scraper's connection"] == f"{web.idle_seconds:g} s"
    assert limits["a scraper's header"] == f"{web.head_bytes // 1024} KiB"
    assert limits["a scraper's body"] == f"{web.body_bytes // 1024} KiB"


def _default(model: type[Config | Source | Query | Pages], name: str) -> int:
    return int(model.model_fields[name].default)
