"""From flags to a running process: what a start refuses, and in which words."""

from __future__ import annotations

import socket
from pathlib import Path

from exporter.simulator import Simulator
from tests.daemon.test_app import command
from tests.support.configurations import ENVIRONMENTS, choreo_environ, choreo_source


def test_a_port_in_use_is_one_clear_line(insights: Simulator, tmp_path: Path) -> None:
    """Where the port is taken the start fails with exit code 1 and a line that says so."""
    config = tmp_path / "config.yaml"
    config.write_text(choreo_source() + ENVIRONMENTS)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"--web.listen-address=127.0.0.1:{taken.getsockname()[1]}"
        run = command(f"--config.file={config}", address, environ=choreo_environ(insights))
    assert run.returncode == 1
    assert "cannot listen" in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_every_fault_of_a_configuration_is_said_at_once(tmp_path: Path) -> None:
    """The start is refused with exit code 1 and a line for each fault: file, line, key and remedy."""
    config = tmp_path / "config.yaml"
    config.write_text(
        """\
sources:
  - name: acme
    url: https://api.example/graphql
    oauth2: {token_url: "https://sts.example/token", client_id: id, client_secret: "${NOT_SET_HERE}"}
    colour: blue
queries:
  - name: things
    interval: 30
    document: "{ things { id size } }"
    rows: things
    metrics:
      - {name: things_size, help: Size., value: size, labels: {id: id}}
  - name: more
    document: "{ things { id size } }"
    rows: things
    metrics:
      - {name: 9things, help: Size., value: size}
      - {name: more_size, help: Size., value: seize, labels: {id: id}}
      - {name: more_total, type: counters, help: Size., value: size, labels: {id: id}}
"""
    )
    run = command(f"--config.file={config}")
    assert run.returncode == 1
    lines = [line.removeprefix(f"error: {config}:") for line in run.stderr.splitlines()]
    assert [line.split(" ")[0] for line in lines] == ["4:", "5:", "8:", "17:", "18:", "19:"], run.stderr
    for line, part in zip(
        lines, ("NOT_SET_HERE", "unknown key", "30s", "metric name", "size?", "counter"), strict=True
    ):
        assert part in line


def test_files_that_cannot_be_read_are_refused_at_the_start(insights: Simulator, tmp_path: Path) -> None:
    """A secret's file that is missing and a CA that is none are named, with line and remedy; the check only warns."""
    (tmp_path / "ca.pem").write_text("this is no certificate")
    source = choreo_source("tls_config: {ca_file: ca.pem}").replace(
        "client_secret: ${CHOREO_CONSUMER_SECRET}", "client_secret_file: secret.txt"
    )
    config = tmp_path / "config.yaml"
    config.write_text(source + ENVIRONMENTS)
    run = command(f"--config.file={config}", environ=choreo_environ(insights))
    assert run.returncode == 1
    assert "oauth2.client_secret_file: cannot read" in run.stderr
    assert "sources[0].tls_config: its certificates cannot be used" in run.stderr
    assert "Traceback" not in run.stderr
    check = command("--config.check", f"--config.file={config}", environ=choreo_environ(insights))
    assert check.returncode == 0
    assert check.stderr.count("warning:") == 2


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """A configuration that does not exist is said in one line."""
    run = command(f"--config.file={tmp_path / 'nowhere.yaml'}")
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert "cannot be read" in run.stderr
    assert run.stderr.endswith("; name a file with --config.file, or let insights-exporter init write one\n")
