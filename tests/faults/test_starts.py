"""Rows of bad starts, and of a log that goes nowhere."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.daemon.test_app import command
from tests.faults.configuration import query, source_of, written
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import eventually, get
from tests.support.upstream import Upstream, grants, status


def test_row_48_token_endpoint_down_at_the_start(start: Start, upstream: Upstream) -> None:
    """Without a token endpoint the exporter starts, says what is wrong, and polls as soon as there is one."""
    upstream.token.always(status(503))
    exporter = start([source_of(upstream)], [query("value", "1s")]).wait_until_ready()
    assert exporter.value(f"{OWN}token_valid") == 0
    assert exporter.value(f"{OWN}query_up") == 0
    eventually(lambda: exporter.value(f"{OWN}poll_failures_total", reason="token"), "failures")
    assert not upstream.api.journal
    upstream.token.always(grants())
    eventually(lambda: exporter.value(f"{OWN}query_up"), "recovery")
    assert exporter.value(f"{OWN}token_valid") == 1


BAD_STARTS = {
    "a port in use": ("--web.listen-address=127.0.0.1:{taken}", "127.0.0.1:{taken}: Address already in use"),
    "an address of another machine": ("--web.listen-address=192.0.2.1:0", "192.0.2.1:0: Cannot assign"),
    "a host that is none": ("--web.listen-address=nowhere.invalid:0", "nowhere.invalid:0: "),
}


@pytest.mark.parametrize(("flag", "said"), BAD_STARTS.values(), ids=BAD_STARTS.keys())
def test_row_78_bad_start_of_the_server(flag: str, said: str, upstream: Upstream, tmp_path: Path) -> None:
    """Where the exporter cannot listen it does not start: exit code 1, and one line that says where and why."""
    config = written(tmp_path / "config.yaml", [source_of(upstream)], [query("value", "1s")])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        run = command(f"--config.file={config}", flag.format(taken=taken), environ={"CANARY_SECRET": "c"})
    check_refused(run.returncode, run.stderr, said.format(taken=taken))
    assert not upstream.token.journal


def test_row_78_bad_start_without_its_secret(upstream: Upstream, tmp_path: Path) -> None:
    """A secret that cannot be read is named with file and key."""
    source = source_of(upstream)
    del source["oauth2"]["client_secret"]
    source["oauth2"]["client_secret_file"] = "secret"
    config = written(tmp_path / "config.yaml", [source], [query("value", "1s")])
    run = command(f"--config.file={config}")
    check_refused(run.returncode, run.stderr, f"client_secret_file: cannot read {tmp_path / 'secret'}: No such file")


def check_refused(code: int, text: str, said: str) -> None:
    assert code == 1
    assert said in text
    assert len(text.splitlines()) == 1
    assert "Traceback" not in text


CLOSED = 'exec "$@" >&- 2>&-'
FULL = 'exec "$@" 2>"$PIPE"'


@pytest.mark.parametrize("how", ["closed", "unread"])
def test_row_79_log_goes_nowhere(how: str, start: Start, upstream: Upstream, tmp_path: Path) -> None:
    """An exporter whose log is closed, or goes into a pipe that nobody empties, polls and serves as ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # it reads nothing
    try:
        exporter = start(
            [{**source_of(upstream), "concurrency": 100}],
            [query(f"value_{number}", "500ms", timeout="500ms") for number in range(60)],
            environ={"PIPE": str(pipe)},
            prefix=["sh", "-c", CLOSED if how == "closed" else FULL, "sh"],
        )

        def polls() -> float:
            return exporter.value(f"{OWN}polls_total") or 0

        eventually(lambda: polls() > 800, "polls, whose log lines fill the pipe", 60)  # each writes about 100 bytes
        eventually(lambda: polls() > 1200, "polls after that", 60)
        assert get(f"{exporter.url}/-/healthy").status_code == 200
        assert exporter.stopped(5) == 0
    finally:
        os.close(reader)
