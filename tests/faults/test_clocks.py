"""Rows of clocks that jump and processes that sleep."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import Exporter, eventually, program
from tests.support.upstream import Call, Upstream, answers_who_is_known, grants, when

LIFETIME_SECONDS = 8
RENEWED_EVERY_SECONDS = LIFETIME_SECONDS / 2


def polls(exporter: Exporter) -> float:
    return exporter.value(f"{OWN}polls_total", query="value") or 0


@pytest.fixture
def wall_clock(tmp_path: Path) -> Path:
    """A file that says by how much the wall clock of the exporter is wrong."""
    file = tmp_path / "clock"
    file.write_text("+0")
    return file


def faked(wall_clock: Path) -> dict[str, str]:
    """The environment in which the wall clock is wrong, and the monotonic one is not."""
    shown = [program("faketime"), "-f", "+0", "printenv", "LD_PRELOAD"]
    preload = subprocess.run(shown, check=True, capture_output=True, text=True).stdout.strip()
    return {
        "LD_PRELOAD": preload,
        "FAKETIME_TIMESTAMP_FILE": str(wall_clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def test_row_60_clock_jumps(start: Start, upstream: Upstream, wall_clock: Path) -> None:
    """However the wall clock jumps, tokens are renewed when half their life is over, and polls keep their pace."""
    upstream.token.always(grants(lifetime_seconds=LIFETIME_SECONDS))
    exporter = start([source_of(upstream)], [query("value", "1s")], environ=faked(wall_clock)).wait_until_ready()
    first_at = upstream.token.journal[0].at
    for offset in ("+1h", "-1h", "-1d", "+1d", "+0"):
        begun_at, renewals, before = time.monotonic(), len(upstream.token.journal), polls(exporter)
        wall_clock.write_text(offset)
        eventually(lambda before=before: polls(exporter) >= before + 2, "polls")  # type: ignore[misc]
        made, renewed = polls(exporter) - before, len(upstream.token.journal) - renewals
        seconds = time.monotonic() - begun_at
        assert made <= seconds + 3, f"a burst of polls at {offset}"
        assert renewed <= seconds / RENEWED_EVERY_SECONDS + 1, f"early at {offset}"
    elapsed_seconds = time.monotonic() - first_at
    eventually(lambda: len(upstream.token.journal) >= elapsed_seconds / LIFETIME_SECONDS, "renewals in time")
    assert exporter.value(f"{OWN}poll_failures_total") is None


@pytest.mark.parametrize("seconds", [pytest.param(9, id="quick"), pytest.param(60, id="full", marks=pytest.mark.long)])
def test_row_61_process_suspended(seconds: int, start: Start, upstream: Upstream) -> None:
    """After a sleep each query is polled once, not once for every poll that was missed, and with a fresh token."""
    upstream.token.always(grants(lifetime_seconds=LIFETIME_SECONDS))
    exporter = start([source_of(upstream)], [query("value", "1s")]).wait_until_ready()
    eventually(lambda: polls(exporter) >= 2, "polls")
    exporter.popen.send_signal(signal.SIGSTOP)
    before = len(upstream.api.journal)
    wakes_at = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > wakes_at, "end of the sleep", seconds + 10)
    exporter.popen.send_signal(signal.SIGCONT)
    eventually(lambda: len(upstream.api.journal) >= before + 3, "polls after the sleep")
    since = [request.at - wakes_at for request in upstream.api.journal[before:]]
    assert sum(at < 0.9 for at in since) <= 2, "the missed polls were made up for"
    assert (exporter.value(f"{OWN}poll_overruns_total", query="value") or 0) >= seconds - 3
    assert exporter.value(f"{OWN}poll_failures_total") is None
    assert exporter.value(f"{OWN}token_forced_renewals_total") == 0


def test_row_61_process_suspended_while_an_answer_comes(start: Start, upstream: Upstream) -> None:
    """A poll whose answer comes while the process sleeps succeeds, although its deadline passes in the sleep."""
    exporter = start([source_of(upstream)], [query("value", "3s", timeout="3s")]).wait_until_ready()
    asked, suspended, answered = threading.Event(), threading.Event(), threading.Event()

    async def answers_meanwhile(call: Call) -> None:
        asked.set()
        await when(suspended, answers_who_is_known)(call)
        answered.set()

    upstream.api.once(answers_meanwhile)
    assert asked.wait(30)
    before = polls(exporter)
    exporter.popen.send_signal(signal.SIGSTOP)
    suspended.set()
    assert answered.wait(30)
    wakes_at = time.monotonic() + 4
    eventually(lambda: time.monotonic() > wakes_at, "end of the sleep")
    exporter.popen.send_signal(signal.SIGCONT)
    eventually(lambda: polls(exporter) > before, "the poll's end")
    assert exporter.value(f"{OWN}poll_failures_total") is None
