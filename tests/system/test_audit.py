"""The audit: what came too late for the page is told, to the request."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import httpx

from exporter.simulator import Settings, Simulator
from tests.conftest import StartExporter, StartInsights
from tests.support.configurations import ENVIRONMENTS
from tests.support.processes import PATIENCE_SECONDS, Exporter, Snapshot
from tests.support.standstill import access_token

AFTER_SECONDS = 6
COUNTED = f"""
  - name: counted
    interval: 1s
    for_each: {{environment: {{query: environments, where: {{name: Production}}}}}}
    window: {{length: 5s, delay: 1s, align: 1s}}
    period: 10s
    audit: {{after: {AFTER_SECONDS}s}}
    document: |
      query ($period: TimeFilter!, $data: DataFilter!) {{ total: getTotalTraffic(filter: $period, dataFilter: $data) }}
    variables:
      period: {{from: "{{{{ period.start }}}}", to: "{{{{ window.end }}}}"}}
      data: {{orgId: "{{{{ source.org_id }}}}", environmentId: "{{{{ environment.id }}}}", tenant: carbon.super}}
    labels: {{environment_id: "{{{{ environment.id }}}}"}}
    metrics:
      - {{name: choreo_requests_total, type: counter, help: Requests., value: total}}
"""
LATE = Settings(
    apis=2, applications=1, rate=100, daily_rhythm=False, delay_seconds=0, late_share=0.2, late_by_seconds=3
)
DIFFERENCE = "insights_exporter_audit_difference"


def test_what_came_late_is_told_to_the_request(start_insights: StartInsights, start_exporter: StartExporter) -> None:
    """A fifth of the requests is counted three seconds late: the difference is exactly what the API says later of that
    period, less what the page said at its end. Of the period in which the exporter started nothing wrong is said."""
    insights = start_insights(LATE)
    exporter = start_exporter(insights, ENVIRONMENTS + COUNTED).wait_until_ready()
    at_end, page = _until_audited(exporter)
    labels = {"source": "acme", "query": "counted"}
    audited_time = page.total("insights_exporter_audit_timestamp_seconds", **labels)
    end = (audited_time - AFTER_SECONDS) // 10 * 10
    settled = _requests(insights, end - 10, end)
    [(found, difference)] = page.samples(DIFFERENCE)
    assert found == {**labels, "metric": "choreo_requests_total"}
    assert difference == settled - at_end[end]
    assert difference > 0
    assert page.total(f"{DIFFERENCE}_ratio", **labels) == difference / at_end[end]


def _until_audited(exporter: Exporter) -> tuple[dict[float, float], Snapshot]:
    """The total on the page at the end of each period, before it fell, and the first page with an audit."""
    totals: dict[float, float] = {}
    before = 0.0
    until = time.monotonic() + 3 * PATIENCE_SECONDS
    while time.monotonic() < until:
        page = Snapshot(exporter.page())
        total = page.total("choreo_requests_total")
        if total < before:
            totals[time.time() // 10 * 10] = before
        before = total
        if page.samples(DIFFERENCE):
            return totals, page
        time.sleep(0.1)
    raise AssertionError(f"there was no audit; the log is: {exporter.log}")


def _requests(insights: Simulator, start: float, end: float) -> int:
    """What the API says now of the environment."""
    organization = insights.model.organizations[0]
    document = "query ($f: TimeFilter!, $d: DataFilter!) { getTotalTraffic(filter: $f, dataFilter: $d) }"
    times = {"from": _iso(start), "to": _iso(end)}
    [environment] = [each for each in organization.environments if each.name == "Production"]
    data = {"orgId": organization.uuid, "environmentId": environment.id, "tenant": "carbon.super"}
    answer = httpx.post(
        insights.url,
        json={"query": document, "variables": {"f": times, "d": data}},
        headers={"authorization": f"Bearer {access_token(insights)}"},
        timeout=PATIENCE_SECONDS,
    )
    return int(answer.raise_for_status().json()["data"]["getTotalTraffic"])


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
