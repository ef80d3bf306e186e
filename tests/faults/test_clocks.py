"""Rows of clocks that jump and processes that sleep."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import Exporter, eventually, program
from tests.support.upstream import Call, Request, Upstream, answer, answers_who_is_known, grants, when

INTERVAL_SECONDS = 2
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
    value = query("value", f"{INTERVAL_SECONDS}s")
    exporter = start([source_of(upstream)], [value], environ=faked(wall_clock)).wait_until_ready()
    first_at = upstream.token.journal[0].at
    for offset in ("+1h", "-1h", "-1d", "+1d", "+0"):
        begun_at, renewals, before = time.monotonic(), len(upstream.token.journal), polls(exporter)
        wall_clock.write_text(offset)
        eventually(lambda before=before: polls(exporter) >= before + 2, "polls")  # type: ignore[misc]
        made, renewed = polls(exporter) - before, len(upstream.token.journal) - renewals
        seconds = time.monotonic() - begun_at
        assert made <= seconds / INTERVAL_SECONDS + 3, f"a burst of polls at {offset}"
        assert renewed <= seconds / RENEWED_EVERY_SECONDS + 1, f"early at {offset}"
    elapsed_seconds = time.monotonic() - first_at
    eventually(lambda: len(upstream.token.journal) >= elapsed_seconds / LIFETIME_SECONDS, "renewals in time")
    assert exporter.value(f"{OWN}poll_failures_total") is None


COUNTER = {
    "name": "counter",
    "interval": "2s",
    "timeout": "2s",
    "window": {"length": "1m", "align": "1s"},
    "period": "day",
    "document": "query counter($from: String, $to: String) { value(from: $from, to: $to) }",
    "variables": {"from": "{{ period.start }}", "to": "{{ window.end }}"},
    "metrics": [{"name": "counted_total", "type": "counter", "help": "Counted.", "value": "value"}],
}
TO_1970 = f"-{int(time.time()) - 3600}"
JUMPS = {
    "a month forward": ("+0", "+30d", 1),
    "a week of sleep": ("+0", "+7d", 1),
    "two minutes forward": ("+0", "+120", 1),
    "a day back": ("+0", "-1d", 1),
    "put right after a start in 1970": (TO_1970, "+0", 1),
    "put right after a start a month ahead": ("+30d", "+0", 1),
}


def ends(requests: list[Request]) -> list[float]:
    """The window ends that were asked for, in Unix seconds."""
    return [datetime.fromisoformat(request.json["variables"]["to"]).timestamp() for request in requests]


def wrong_by(offset: str) -> float:
    return float(offset.removesuffix("d")) * (86_400 if offset.endswith("d") else 1)


@pytest.mark.parametrize(("before", "after", "jumps"), JUMPS.values(), ids=JUMPS)
def test_row_83_clock_set(
    before: str, after: str, jumps: int, start: Start, upstream: Upstream, wall_clock: Path
) -> None:
    """The clock is put forward or back, or the machine has slept: the period that was open is closed once at most, and
    then the present is asked for. No old figures stay; a log line and a metric tell of it."""
    wall_clock.write_text(before)
    exporter = start([source_of(upstream)], [COUNTER], environ=faked(wall_clock)).wait_until_ready()
    eventually(lambda: (exporter.value(f"{OWN}polls_total", query="counter") or 0) >= 3, "polls")
    asked = len(upstream.api.journal)
    wall_clock.write_text(after)
    jumped_at = time.time()
    eventually(lambda: exporter.value(f"{OWN}clock_jumps_total") == jumps, "notice of the jump")
    upstream.api.wait_for(asked + 6)
    since = [end - request_time for end, request_time in _ends_and_times(upstream.api.journal[asked:], wrong_by(after))]
    assert sum(abs(late) > 5 for late in since) <= 2  # the poll that was under way, and the period's end
    assert all(abs(late) <= 5 for late in since[3:])
    shown = exporter.value(f"{OWN}query_window_end_timestamp_seconds", query="counter")
    assert shown is not None
    assert abs(shown - time.time() - wrong_by(after)) < 5
    assert exporter.value("counted_total") == 1
    assert exporter.log.count("the clock was set") == jumps
    assert exporter.value(f"{OWN}poll_failures_total") is None
    assert time.time() - jumped_at < 60


def _ends_and_times(requests: list[Request], wrong_seconds: float) -> list[tuple[float, float]]:
    """Which window ends were asked for, and what the time was then by the clock that is wrong by so much."""
    offset = time.time() - time.monotonic() + wrong_seconds
    return [(end, request.at + offset) for end, request in zip(ends(requests), requests, strict=True)]


def test_row_83_clock_set_while_an_answer_comes(start: Start, upstream: Upstream, wall_clock: Path) -> None:
    """What was asked for before the clock was put right is not published after it: it is asked for again at once."""
    wall_clock.write_text(TO_1970)
    asked, is_right = threading.Event(), threading.Event()

    async def answers_when_the_clock_is_right(call: Call) -> None:
        asked.set()
        await when(is_right, answer({"data": {"value": 99}}))(call)

    upstream.api.once(answers_when_the_clock_is_right)
    exporter = start(
        [source_of(upstream)], [{**COUNTER, "interval": "30s", "timeout": "30s"}], environ=faked(wall_clock)
    )
    assert asked.wait(30)
    wall_clock.write_text("+0")
    is_right.set()
    eventually(lambda: exporter.value("counted_total") is not None, "figures")
    assert exporter.value("counted_total") == 1
    assert abs(ends(upstream.api.journal)[-1] - time.time()) < 10


@pytest.mark.parametrize("seconds", [pytest.param(9, id="quick"), pytest.param(60, id="full", marks=pytest.mark.long)])
def test_row_61_process_suspended(seconds: int, start: Start, upstream: Upstream) -> None:
    """After a sleep each query is polled once, not once for every poll that was missed, and with a fresh token."""
    upstream.token.always(grants(lifetime_seconds=LIFETIME_SECONDS))
    exporter = start([source_of(upstream)], [query("value", f"{INTERVAL_SECONDS}s")]).wait_until_ready()
    ended = polls(exporter)
    eventually(lambda: polls(exporter) > ended, "poll")  # just ended: one under way would have the token of before
    exporter.popen.send_signal(signal.SIGSTOP)
    before = len(upstream.api.journal)
    wakes_at = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > wakes_at, "end of the sleep", seconds + 10)
    exporter.popen.send_signal(signal.SIGCONT)
    eventually(lambda: len(upstream.api.journal) >= before + 3, "polls after the sleep")
    since = [request.at - wakes_at for request in upstream.api.journal[before:]]
    assert sum(at < 0.9 for at in since) <= 2, "the missed polls were made up for"
    assert (exporter.value(f"{OWN}poll_overruns_total", query="value") or 0) >= seconds / INTERVAL_SECONDS - 2
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
