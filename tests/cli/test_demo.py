"""`insights-exporter simulate` and `demo`: the simulated API for whoever tries the exporter."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.support.processes import Process, eventually, finished, get


def test_what_it_tells_is_enough_to_begin(tmp_path: Path) -> None:
    """The line that it prints, given to a shell, makes `init` write a configuration that works."""
    with Process([sys.executable, "-m", "exporter", "simulate"], tmp_path / "log") as simulator:
        lines = eventually(
            lambda: [line for line in simulator.log.splitlines() if line.startswith("export ")], "line to export"
        )
        environ = dict(word.split("=", 1) for word in shlex.split(lines[0])[1:])
        written = finished("init", environ=environ, cwd=tmp_path)
        assert (written.returncode, written.stderr) == (0, "")
        asked = finished("query", "overview", environ=environ, cwd=tmp_path)
        assert (asked.returncode, asked.stderr) == (0, "")
        assert simulator.stopped() == 0


def test_the_demo_prints_where_its_page_is(tmp_path: Path) -> None:
    """The printed address is that of the page, also where the system chooses the port; Ctrl-C stops the demo."""
    command = [sys.executable, "-m", "exporter", "demo", "--web.listen-address=127.0.0.1:0"]
    with Process(command, tmp_path / "log") as demo:
        found = eventually(lambda: re.search(r"^Open (http://127.0.0.1:[1-9]\d*/) in a browser", demo.log, re.M), "URL")
        assert "Stop the demo with Ctrl-C." in demo.log
        assert "<h1>Insights Exporter</h1>" in get(found[1]).text
        demo.popen.send_signal(signal.SIGINT)
        assert demo.popen.wait(30) == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("simulate", "--port={taken}"), "cannot listen on 127.0.0.1:{taken}: Address already in use; give another"),
        (("demo", "--web.listen-address=127.0.0.1:{taken}"), "give another --web.listen-address"),
        (("demo", "--web.listen-address=localhost:http"), "'localhost:http' is not a listen address; write :PORT"),
    ],
)
def test_an_address_that_cannot_be_used_is_said(command: tuple[str, ...], said: str) -> None:
    """A wrong or taken address is one clear line, not a traceback, and says what to give instead."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        run = finished(*(word.format(taken=taken) for word in command))
    assert run.returncode != 0
    assert said.format(taken=taken) in run.stderr
    assert "in a browser" not in run.stderr
    assert "Traceback" not in run.stderr
