"""What a start refuses, and what a limit on requests does."""

from __future__ import annotations

from pathlib import Path

from exporter.simulator import Simulator
from tests.conftest import StartExporter
from tests.daemon.test_app import command
from tests.support.configurations import ENVIRONMENTS, choreo_environ, choreo_source, fan_out
from tests.support.processes import eventually


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


def test_a_rate_limit_holds_and_its_waiting_shows(insights: Simulator, start_exporter: StartExporter) -> None:
    """Requests beyond the limit wait for their time, which a metric shows; polls do not fail for it."""
    source = choreo_source("rate_limit: {requests: 5, per: 1s}")
    exporter = start_exporter(insights, fan_out(20, "10s"), source=source).wait_until_ready()
    times = [entry.time for entry in insights.journal.entries("graphql")]
    assert len(times) >= 20
    assert times[19] - times[0] > 2  # four lots of five, a second apart; the wire may bring them closer together
    eventually(lambda: (exporter.value("insights_exporter_rate_limit_wait_seconds_total") or 0) > 10, "waiting")
    assert exporter.value("insights_exporter_poll_failures_total") is None
