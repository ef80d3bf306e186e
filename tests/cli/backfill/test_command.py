"""`insights-exporter backfill`: the past as OpenMetrics, complete, resumable and within the limits."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from exporter.simulator import Settings, Simulator
from tests.conftest import StartInsights
from tests.support.configurations import APIS, ENVIRONMENTS, ROOT, choreo_environ, choreo_source
from tests.support.processes import eventually, finished

LABELS = ("--label", "job=insights", "--label", "instance=here")
YESTERDAY = (int(time.time()) // 86400 - 1) * 86400
HALF_AN_HOUR = (
    f"--from={datetime.fromtimestamp(YESTERDAY, UTC):%FT%TZ}",
    f"--to={datetime.fromtimestamp(YESTERDAY + 1800, UTC):%FT%TZ}",
)
TRAFFIC = """
  - name: traffic
    interval: 1m
    for_each: {environment: environments}
    window: {length: 5m, delay: 2m, align: 1m}
    period: 10m
    document: |
      query ($recent: TimeFilter!, $period: TimeFilter!, $data: DataFilter!) {
        recent: getTotalTraffic(filter: $recent, dataFilter: $data)
        total: getTotalTraffic(filter: $period, dataFilter: $data)
      }
    variables:
      recent: {from: "{{ window.start }}", to: "{{ window.end }}"}
      period: {from: "{{ period.start }}", to: "{{ window.end }}"}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    labels: {environment: "{{ environment.name }}"}
    metrics:
      - {name: choreo_window_requests, help: Requests., value: recent}
      - {name: choreo_requests_total, type: counter, help: Requests., value: total}
"""


def at(sample: Sample) -> float:
    """Unix seconds of a sample."""
    assert sample.timestamp is not None
    return float(str(sample.timestamp))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with environments and their traffic."""
    return configuration(tmp_path)


def configuration(folder: Path, extra: str = "", more: str = "") -> Path:
    file = folder / "config.yaml"
    file.write_text(choreo_source(extra) + (ENVIRONMENTS + TRAFFIC + more).replace("interval: 1s", "interval: 1m"))
    return file


def samples(file: Path, name: str) -> list[Sample]:
    """The samples of that name in an OpenMetrics file, as Prometheus' own client reads it."""
    families = text_string_to_metric_families(file.read_text())  # type: ignore[no-untyped-call]
    return [sample for family in families for sample in family.samples if sample.name == name]


def test_the_past_is_what_the_exporter_would_have_published(insights: Simulator, config: Path, tmp_path: Path) -> None:
    """Every minute of every environment has the window's figure, and the counter its total since the period's start,
    each equal to a count of the single requests; at the end of a period its full total stands there."""
    run = finished(
        "backfill", f"--config.file={config}", *HALF_AN_HOUR, *LABELS, environ=choreo_environ(insights), cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert re.search(r"Written: backfill.om \(2 families, 8 series, 240 samples\)", run.stdout)
    assert "promtool tsdb create-blocks-from openmetrics backfill.om" in run.stdout
    environments = {one.name: one.id for one in insights.model.organizations[0].environments}

    def made(sample: Sample, start: float, end: float) -> int:
        return sum(
            1 for _ in insights.model.requests(environments[sample.labels["environment"]], "carbon.super", start, end)
        )

    gauges, counters = (
        samples(tmp_path / "backfill.om", name) for name in ("choreo_window_requests", "choreo_requests_total")
    )
    for sample in gauges[::7]:
        end = at(sample) - 120
        assert sample.value == made(sample, end - 300, end)
    for sample in counters[::3]:
        end = at(sample) - 120
        start = (end - 1) // 600 * 600
        assert sample.value == made(sample, start, end)
    assert {sample.labels["job"] for sample in gauges + counters} == {"insights"}
    assert {sample.labels["instance"] for sample in gauges + counters} == {"here"}
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_the_end_of_a_period_is_never_jumped_over(insights: Simulator, config: Path, tmp_path: Path) -> None:
    """Where a step would pass the end of a period, the full total of that period stands there, as in the running
    exporter; the next sample is of the new period."""
    run = finished(
        "backfill", f"--config.file={config}", *HALF_AN_HOUR, *LABELS, "--step=4m",
        environ=choreo_environ(insights), cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    environment = insights.model.organizations[0].environments[0]
    values = {
        at(sample) - YESTERDAY: sample.value
        for sample in samples(tmp_path / "backfill.om", "choreo_requests_total")
        if sample.labels["environment"] == environment.name
    }

    def made(start: float, end: float) -> int:
        return sum(
            1 for _ in insights.model.requests(environment.id, "carbon.super", YESTERDAY + start, YESTERDAY + end)
        )

    # the windows end two minutes earlier: at 18, at 20 in place of 22, at 26 minutes
    assert [values[minutes * 60] for minutes in (20, 24, 28)] == [made(600, 1080), made(600, 1200), made(1200, 1560)]


# who runs tests in the background has them ignore SIGINT, and what they start as well
INTERRUPTIBLE = """
import signal
from exporter.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def test_a_stopped_run_goes_on_where_it_was(start_insights: StartInsights, config: Path, tmp_path: Path) -> None:
    """Killed in the middle and started again, the run ends with the file of a run that was never stopped, and asks for
    little twice."""
    insights = start_insights(Settings(delay_seconds=0, latency_seconds=0.3))
    environ = choreo_environ(insights)
    whole = [f"--config.file={config}", *HALF_AN_HOUR, *LABELS]
    assert finished("backfill", *whole, "--output=whole.om", environ=environ, cwd=tmp_path).returncode == 0
    before = insights.journal.count("graphql")
    killed = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "backfill", *whole],
        cwd=tmp_path, stderr=subprocess.PIPE, env={"PYTHONPATH": str(ROOT), **environ},
    )  # fmt: skip
    eventually(lambda: insights.journal.count("graphql") > before + 60, "half of the requests")
    killed.send_signal(signal.SIGINT)
    _, told = killed.communicate(timeout=30)
    assert killed.returncode == 130
    assert b"give the same command again" in told
    asked = insights.journal.count("graphql") - before
    assert not (tmp_path / "backfill.om").exists()
    other = finished("backfill", *whole, "--step=5m", environ=environ, cwd=tmp_path)
    assert other.returncode == 1
    assert "another step; write --force" in other.stderr
    again = finished("backfill", *whole, environ=environ, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "backfill.om").read_bytes() == (tmp_path / "whole.om").read_bytes()
    assert insights.journal.count("graphql") - before < 120 + asked / 2 + 20
    third = finished("backfill", *whole, environ=environ, cwd=tmp_path)
    assert third.returncode == 1
    assert "backfill.om is there already" in third.stderr


def test_a_run_with_force_goes_on_without_it(start_insights: StartInsights, config: Path, tmp_path: Path) -> None:
    """Before it starts, it says how many requests there are and about how long they take. Stopped, it says how to go
    on: with the same command without --force, which replaces the file as the first one would have."""
    insights = start_insights(Settings(delay_seconds=0, latency_seconds=0.3))
    environ, output = choreo_environ(insights), tmp_path / "backfill.om"
    output.write_text("old")
    command = [f"--config.file={config}", *HALF_AN_HOUR, *LABELS]
    stopped = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "backfill", *command, "--force"],
        cwd=tmp_path, stderr=subprocess.PIPE, env={"PYTHONPATH": str(ROOT), **environ},
    )  # fmt: skip
    eventually(lambda: insights.journal.count("graphql") > 30, "some requests")
    stopped.send_signal(signal.SIGINT)
    _, told = stopped.communicate(timeout=30)
    assert re.search(rb"4 targets, 120 requests, about \d+s\n", told)
    assert b"give the same command again, without --force, to go on" in told
    assert output.read_text() == "old"
    again = finished("backfill", *command, environ=environ, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "going on with backfill.om.partial" in again.stderr
    assert len(samples(output, "choreo_window_requests")) == 120


def test_what_dashboards_and_rules_show_comes_first(insights: Simulator, tmp_path: Path) -> None:
    """Before it starts, it says how much of it the shipped dashboards and rules show, and asks for that first."""
    own = TRAFFIC.replace("name: traffic", "name: own").replace("name: choreo_", "name: own_")
    config = configuration(tmp_path, "concurrency: 1", own.replace("getTotalTraffic(", "getTotalErrors("))
    run = finished(
        "backfill", f"--config.file={config}", *HALF_AN_HOUR, *LABELS, "--step=10m",
        environ=choreo_environ(insights), cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert re.search(r": 2 queries, 8 targets, 24 requests, about \d+s\n", run.stderr)
    shown = r"first what the shipped dashboards and rules show: 1 query, 4 targets, 12 requests, about \d+s; then"
    assert re.search(shown, run.stderr)
    sent = [
        next(iter(entry.operations)) for entry in insights.journal.entries("graphql") if "recent" in entry.variables
    ]
    assert sent == ["getTotalTraffic"] * 12 + ["getTotalErrors"] * 12


def test_an_upstream_that_is_away_for_a_while_leaves_no_gap(
    start_insights: StartInsights, config: Path, tmp_path: Path
) -> None:
    """Failures that pass are waited out: nothing is missing in the file."""
    insights = start_insights(Settings(delay_seconds=0, latency_seconds=0.3))
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "backfill", f"--config.file={config}", *HALF_AN_HOUR, *LABELS],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), **choreo_environ(insights)},
    ) as run:  # fmt: skip
        eventually(lambda: insights.journal.count("graphql") > 30, "some requests")
        insights.faults.set(api="error503")
        seen = len([entry for entry in insights.journal.entries("graphql") if entry.status == 503])
        eventually(lambda: len([e for e in insights.journal.entries("graphql") if e.status == 503]) > seen, "a failure")
        insights.faults.set(api="ok")
        assert run.wait(60) == 0
    assert len(samples(tmp_path / "backfill.om", "choreo_window_requests")) == 120


def test_a_refused_query_is_told_and_the_others_are_written(start_insights: StartInsights, tmp_path: Path) -> None:
    """What the API refuses is given up after three tries and told with exit code 1; the file has all the rest."""
    insights = start_insights(Settings(delay_seconds=0, refused_operations=("getTotalErrors",)))
    refused = TRAFFIC.replace("name: traffic", "name: errors").replace("getTotalTraffic", "getTotalErrors")
    config = configuration(tmp_path, more=refused.replace("requests", "errors"))
    run = finished(
        "backfill", f"--config.file={config}", *HALF_AN_HOUR, *LABELS, environ=choreo_environ(insights), cwd=tmp_path
    )
    assert run.returncode == 1
    told = re.search(r"error: errors: (\d+) times graphql: getTotalErrors is not permitted", run.stderr)
    assert told
    assert 4 * 3 <= int(told[1]) <= 4 * 3 + 10  # those that were under way may fail too
    assert len(samples(tmp_path / "backfill.om", "choreo_window_requests")) == 120
    assert not samples(tmp_path / "backfill.om", "choreo_window_errors")
    only = finished(
        "backfill", f"--config.file={config}", *HALF_AN_HOUR, *LABELS, "--query=traffic", "--force",
        environ=choreo_environ(insights), cwd=tmp_path,
    )  # fmt: skip
    assert only.returncode == 0, only.stderr


def test_limits_hold(insights: Simulator, tmp_path: Path) -> None:
    """Never more requests at once than `concurrency`, never more in a time than `rate_limit`."""
    config = configuration(tmp_path, "rate_limit: {requests: 10, per: 1s}")
    config.write_text(config.read_text().replace("    values:", "    concurrency: 2\n    values:"))
    run = finished(
        "backfill", f"--config.file={config}", *HALF_AN_HOUR, *LABELS, "--step=2m",
        environ=choreo_environ(insights), cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert insights.journal.max_in_flight("graphql") <= 2
    times = [entry.time for entry in insights.journal.entries("graphql")]
    assert len(times) > 60
    assert times[60] - times[0] > 4  # six lots of ten, a second apart; the wire may bring them closer together


def test_by_itself_it_ends_where_it_is_safe(insights: Simulator, config: Path, tmp_path: Path) -> None:
    """Without `--to` it ends at the start of a block that no running Prometheus still writes to, and says when the
    rest can be had."""
    began_at = time.time()
    run = finished(
        "backfill", f"--config.file={config}", "--from=6h", "--step=5m", *LABELS,
        environ=choreo_environ(insights), cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    # a block may have begun while it ran
    starts = [(moment - 3 * 3600) // 7200 * 7200 for moment in (began_at, time.time())]
    safe = next(start for start in starts if f"--from={datetime.fromtimestamp(start, UTC):%FT%TZ} --to=" in run.stdout)
    last = max(at(sample) for sample in samples(tmp_path / "backfill.om", "choreo_window_requests"))
    assert safe - 300 <= last < safe
    assert f"--from={datetime.fromtimestamp(safe, UTC):%FT%TZ} --to=THE TIME OF THAT SAMPLE" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("--from=30d",), "--label job=… and --label instance=… missing"),
        (("--from=30d", "--label", "job"), "write NAME=VALUE"),
        (("--from=30d", *LABELS, "--label", "job=b"), "--label job=…: is given twice; keep one"),
        (("--from=yesterday", *LABELS), "--from yesterday: not a time; write 2026-10-25"),
        (("--from=1d", "--to=2d", *LABELS), "is not before the end"),
        (("--from=1d", "--step=5", *LABELS), "--step 5: not a duration"),
        (("--from=1d", "--query=environments", *LABELS), "the query environments has no window"),
        (("--from=1d", "--query=nothing", *LABELS), "there is no query nothing"),
    ],
)
def test_what_cannot_be_is_said(arguments: tuple[str, ...], wrong: str, tmp_path: Path) -> None:
    """A wrong argument is named with what would be right, before anything is asked or written."""
    config = configuration(tmp_path, more=APIS)
    environ = {
        "CHOREO_INSIGHTS_URL": "http://localhost:1/",
        "CHOREO_TOKEN_URL": "http://localhost:1/",
        **dict.fromkeys(("CHOREO_CONSUMER_KEY", "CHOREO_CONSUMER_SECRET", "CHOREO_ORG_HANDLE", "CHOREO_ORG_ID"), "x"),
    }
    run = finished("backfill", f"--config.file={config}", *arguments, environ=environ, cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith("error: ")
    assert wrong in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
