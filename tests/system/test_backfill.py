"""The past from `backfill` and the present from scrapes, in one real Prometheus."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.simulator import Settings, Simulator
from tests.conftest import StartExporter, StartInsights
from tests.support.configurations import ENVIRONMENTS, ROOT, choreo_environ
from tests.support.processes import Exporter, Prometheus, eventually, finished, get, program

PAST_SECONDS = 600
TRAFFIC = """
  - name: overview
    interval: 5s
    for_each: {environment: environments}
    window: {length: 10s, align: 1s}
    period: day
    document: |
      query ($recent: TimeFilter!, $today: TimeFilter!, $data: DataFilter!) {
        recent: getTotalTraffic(filter: $recent, dataFilter: $data)
        today: getTotalTraffic(filter: $today, dataFilter: $data)
      }
    variables:
      recent: {from: "{{ window.start }}", to: "{{ window.end }}"}
      today: {from: "{{ period.start }}", to: "{{ window.end }}"}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    labels: {environment_id: "{{ environment.id }}"}
    metrics:
      - {name: choreo_window_requests, help: Requests., value: recent}
      - {name: choreo_requests_total, type: counter, help: Requests., value: today}
"""


def panel_expression(**variables: str) -> str:
    """The expression of the dashboard's panel for the requests of the chosen range."""
    dashboard = json.loads((ROOT / "grafana" / "dashboards" / "choreo-insights-overview.json").read_text())
    (panel,) = [
        each for each in dashboard["panels"] if (each["title"], each["type"]) == ("Requests in the range", "stat")
    ]
    expression = panel["targets"][0]["expr"]
    for name, value in variables.items():
        expression = expression.replace(f"${name}", value)
    return str(expression)


def with_past(insights: Simulator, exporter: Exporter, folder: Path) -> tuple[float, Prometheus]:
    """A Prometheus whose storage has the past up to now, and when that was; it scrapes the exporter from now on."""
    seam = float(int(time.time()))
    run = finished(
        "backfill", f"--config.file={folder / 'config.yaml'}", "--step=10s",
        f"--from={datetime.fromtimestamp(seam - PAST_SECONDS, UTC):%FT%TZ}",
        f"--to={datetime.fromtimestamp(seam, UTC):%FT%TZ}",
        "--label=job=insights", f"--label=instance=127.0.0.1:{exporter.port}", "--label=environment=of the target",
        environ=choreo_environ(insights), cwd=folder,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    made = subprocess.run(
        [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", folder / "backfill.om", folder / "data"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return seam, Prometheus(folder, f"127.0.0.1:{exporter.port}")


@pytest.mark.timeout(240)
def test_the_seam_of_past_and_present_is_exact(
    start_insights: StartInsights, start_exporter: StartExporter, tmp_path: Path
) -> None:
    """The past and the present are one series: over the seam, a panel of the dashboard, the counter's samples and the
    gauge all equal the model's single requests."""
    program("prometheus")
    insights = start_insights(Settings(delay_seconds=0, rate=2, daily_rhythm=False))
    queries = ENVIRONMENTS.replace("interval: 1s", "interval: 5s") + TRAFFIC  # which is the deadline as well
    exporter = start_exporter(insights, queries).wait_until_ready()
    environment = insights.model.organizations[0].environments[0]
    selector = f'{{environment_id="{environment.id}"}}'

    def made(start: float, end: float) -> int:
        return sum(1 for _ in insights.model.requests(environment.id, "carbon.super", start, end))

    seam, prometheus = with_past(insights, exporter, tmp_path)
    with prometheus:
        eventually(
            lambda: prometheus.query(f"count_over_time(choreo_requests_total{selector}[10s]) > 8"), "ten scrapes", 90
        )
        now = time.time()
        answer = get(
            f"http://127.0.0.1:{prometheus.port}/api/v1/query",
            params={"query": f"choreo_requests_total{selector}[1h]", "time": now},
        ).json()
        (series,) = answer["data"]["result"]
        samples = [(float(at), float(value)) for at, value in series["values"]]
        assert sum(at < seam for at, _ in samples) == PAST_SECONDS / 10
        assert sum(at >= seam for at, _ in samples) > 8
        increase = sum(later - earlier if later >= earlier else later for (_, earlier), (_, later) in pairwise(samples))
        first, last = samples[0][0], samples[-1][0]
        window_end = 'insights_exporter_query_window_end_timestamp_seconds{query="overview"}'
        ((_, oldest),) = prometheus.query(window_end, at=last)  # of the targets; ours may be newer
        assert made(first, oldest) <= increase <= made(first, last)

        expression = panel_expression(
            job="insights", instance=".*", organization=".*", environment=".*", __range=f"{PAST_SECONDS // 2}s"
        ).replace("{", f'{{environment_id="{environment.id}",', 1)
        ((_, shown),) = prometheus.query(expression, at=now)
        start = now - PAST_SECONDS // 2
        slack = 10 + now - oldest  # `increase` reaches from samples, ten seconds apart, to the ends of the range
        assert made(start + slack, now - slack) <= shown <= made(start - slack, now + slack)

        past = [at for at, _ in samples if at < seam]
        for at in (past[len(past) // 2], past[-1]):
            ((_, gauge),) = prometheus.query(f"choreo_window_requests{selector}", at=at)
            assert gauge == made(at - 10, at)
        ((_, gauge),) = prometheus.query(f"choreo_window_requests{selector}", at=last)
        assert gauge in {made(second - 10, second) for second in range(int(oldest), int(last) + 1)}
