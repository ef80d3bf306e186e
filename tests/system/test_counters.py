"""Counters that are a function of time: what Prometheus adds up equals the model."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import httpx

from exporter.simulator import Settings
from tests.conftest import StartExporter, StartInsights
from tests.support.configurations import ENVIRONMENTS, choreo_source
from tests.support.processes import Exporter, Prometheus, eventually

COUNTER = """
  - name: counted
    interval: 1s
    for_each: {environment: environments}
    window: {length: 5s, align: 1s}
    period: 8s
    document: |
      query ($period: TimeFilter!, $data: DataFilter!) { total: getTotalTraffic(filter: $period, dataFilter: $data) }
    variables:
      period: {from: "{{ period.start }}", to: "{{ window.end }}"}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    labels: {environment_id: "{{ environment.id }}"}
    metrics:
      - {name: choreo_requests_total, type: counter, help: Requests., value: total}
"""


def test_a_counter_over_many_periods_adds_up_to_the_model(
    start_insights: StartInsights, start_exporter: StartExporter, start_prometheus: Callable[[Exporter], Prometheus]
) -> None:
    """Over several periods, the increase that Prometheus sees equals the requests that were made: nothing is lost at
    the end of a period, and nothing counted twice after it."""
    insights = start_insights(Settings(delay_seconds=0, rate=200, daily_rhythm=False))
    exporter = start_exporter(insights, ENVIRONMENTS + COUNTER, source=choreo_source()).wait_until_ready()
    prometheus = start_prometheus(exporter)
    eventually(lambda: prometheus.query("choreo_requests_total"), "scrape")
    environment = insights.model.organizations[0].environments[0]
    began = time.time()
    eventually(lambda: time.time() - began > 34, "four periods and more", 60)
    answer = httpx.get(
        f"http://127.0.0.1:{prometheus.port}/api/v1/query",
        params={"query": f'choreo_requests_total{{environment_id="{environment.id}"}}[60s]'},
    ).json()
    samples = [(at, float(value)) for at, value in answer["data"]["result"][0]["values"]]
    values = [value for _, value in samples]
    resets = sum(later < earlier for earlier, later in pairwise(values))
    increase = sum(later - earlier if later >= earlier else later for earlier, later in pairwise(values))
    assert resets >= 4

    def made(start: float, end: float) -> int:
        return sum(1 for _ in insights.model.requests(environment.id, "carbon.super", start, end))

    first, last = samples[0][0], samples[-1][0]
    # a sample shows a window that ended at most 3 s before the scrape, and a period's end is shown for a second longer
    assert made(first, last - 3) <= increase <= made(first - 3, last)
