"""A fault in the API makes exactly its alerts fire, in a real Prometheus, and reach a real Alertmanager.

The rules are the shipped ones with every duration divided by code, and so are the intervals, windows and periods of the
catalogue that the exporter polls.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.alerting import HEALTHY, AlertingStack, Alertmanager, alerting_stack, divided_expression
from tests.support.processes import eventually

GROUPS = ("choreo/overview", "choreo/traffic", "choreo/errors", "choreo/cache", "choreo/alerts")
ERRORS = {"ChoreoApiErrorRatioHigh", "ChoreoApiErrorBudgetBurn"}


def assert_exactly(running: AlertingStack, expected: set[str], seconds: float) -> None:
    """Waits until the expected alerts have fired and reached Alertmanager, and holds that no others have."""
    eventually(lambda: expected <= running.fired(), f"alert of {expected}; fired: {running.fired()}", seconds)
    eventually(lambda: expected <= running.alertmanager.names(), f"arrival of {expected}", seconds)
    assert running.fired() == expected
    assert running.alertmanager.names() == expected
    assert running.failing_rules() == []


def alert_of(running: AlertingStack, **labels: str) -> dict[str, Any]:
    """The alert with these labels, once it has come to Alertmanager."""

    def found() -> list[dict[str, Any]]:
        return [alert for alert in running.alertmanager.alerts() or () if labels.items() <= alert["labels"].items()]

    return eventually(found, f"alert {labels}", 120)[0]  # type: ignore[no-any-return]


@pytest.mark.timeout(300)
def test_errors_are_reported_to_the_team_of_the_api(tmp_path: Path) -> None:
    """A fifth of all requests fails: the error ratio and the burn of the budget are alerted on, to the API's team."""
    with alerting_stack(tmp_path, 20, groups=("choreo/traffic", "choreo/errors")) as running:
        running.wait_for_evaluations(10)
        assert running.fired() == set()
        running.stack.insights.faults.set(error_ratio=0.2)
        assert_exactly(running, ERRORS, 120)
        receivers = alert_of(running, alertname="ChoreoApiErrorRatioHigh", api="Orders API")["receivers"]
        assert receivers == [{"name": "team-fulfilment"}]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("fault", "expected"),
    [({"error_ratio": 0.2}, ERRORS), ({"throttle_ratio": 0.1}, {"ChoreoApiThrottling"})],
    ids=["errors at 20 %", "throttling at 10 %"],
)
def test_a_fault_of_the_apis_makes_exactly_its_alerts_fire(
    tmp_path: Path, fault: dict[str, float], expected: set[str]
) -> None:
    """After minutes without an alert, a fault fires its own alerts and no others, and they end with it."""
    with alerting_stack(tmp_path, 20, groups=GROUPS) as running:
        running.wait_for_evaluations(60)
        assert running.fired() == set()
        running.stack.insights.faults.set(**fault)
        assert_exactly(running, expected, 240)
        running.stack.insights.faults.clear()
        ended = 'ALERTS{alertstate="firing",long_window!~"6h|1d|3d"}'
        eventually(lambda: not running.prometheus.query(ended), "end of the alerts", 240)
        assert running.fired() == expected


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_api_without_requests_is_gone(tmp_path: Path) -> None:
    """An API that answers no row any more: its traffic is gone, and nothing else is wrong.

    But Choreo itself may say so, too: the simulated one raises such an alert at every tenth minute of the clock.
    """
    with alerting_stack(tmp_path, 20, groups=GROUPS) as running:
        running.wait_for_evaluations(120)
        assert running.fired() == set()
        began = time.time()
        running.stack.insights.faults.set(silent_apis=("Orders API",))
        eventually(lambda: "ChoreoApiTrafficGone" in running.fired(), f"alert; fired: {running.fired()}", 240)
        raised = {"ChoreoAlertRaised"} if time.time() // 600 > began // 600 else set()
        assert running.fired() - raised == {"ChoreoApiTrafficGone"}
        gone = running.prometheus.query('ALERTS{alertname="ChoreoApiTrafficGone",alertstate="firing"}')
        assert {labels["api"] for labels, _ in gone} == {"Orders API"}
        eventually(lambda: "ChoreoApiTrafficGone" in running.alertmanager.names(), "arrival")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_stopped_token_endpoint_is_noticed_before_polls_fail(tmp_path: Path) -> None:
    """Renewals fail first; when the last token has expired, queries fail and their figures become stale."""
    settings = dataclasses.replace(HEALTHY, token_lifetime_seconds=40.0)
    with alerting_stack(tmp_path, 20, settings, GROUPS) as running:
        running.wait_for_evaluations(60)
        assert running.fired() == set()
        running.stack.insights.faults.set(token_endpoint="error503")
        eventually(running.fired, "alert", 120)
        assert running.fired() == {"InsightsExporterTokenRenewalsFailing"}
        following = {"InsightsExporterQueryFailing", "InsightsExporterDataStale"}
        assert_exactly(running, {"InsightsExporterTokenRenewalsFailing"} | following, 240)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_stopped_exporter_is_down(tmp_path: Path) -> None:
    """The exporter stops: that it is down is all there is to say."""
    with alerting_stack(tmp_path, 20, groups=GROUPS) as running:
        running.wait_for_evaluations(60)
        assert running.fired() == set()
        assert running.stack.exporter.stopped(30) == 0
        assert_exactly(running, {"InsightsExporterDown"}, 120)
        assert alert_of(running, alertname="InsightsExporterDown")["receivers"] == [{"name": "team-platform"}]


def test_alertmanager_tells_the_nearest_cause_to_whom_it_concerns(tmp_path: Path) -> None:
    """With the shipped routes, what follows from something else is held back, and the rest goes to its team."""
    api = {"job": "insights-exporter", "organization": "acme", "environment_id": "1", "tenant": "t", "api_id": "2"}
    source = {"job": "insights-exporter", "source": "acme"}
    with Alertmanager(tmp_path) as running:
        running.wait_until_ready().told(
            {"alertname": "ChoreoApiTrafficGone", "severity": "critical", "team": "payments", **api},
            {"alertname": "ChoreoCacheHitRatioLow", "severity": "info", "job": "another"},
            {"alertname": "InsightsExporterTokenRenewalsFailing", "severity": "critical", "team": "platform", **source},
            {"alertname": "InsightsExporterQueryFailing", "severity": "warning", "query": "q", **source},
            {"alertname": "InsightsExporterDown", "severity": "critical", "job": "another"},
        )
        seen = {
            alert["labels"]["alertname"]: (alert["status"]["state"], alert["receivers"][0]["name"])
            for alert in eventually(running.processed, "alerts")
        }
        assert seen == {
            "ChoreoApiTrafficGone": ("active", "team-payments"),
            "ChoreoCacheHitRatioLow": ("suppressed", "nobody"),
            "InsightsExporterTokenRenewalsFailing": ("active", "team-platform"),
            "InsightsExporterQueryFailing": ("suppressed", "everyone"),
            "InsightsExporterDown": ("active", "everyone"),
        }


def test_a_cause_in_one_exporter_holds_back_nothing_of_another(tmp_path: Path) -> None:
    """Of several exporters of one source, one whose renewals fail does not hide that the polls of another fail."""
    common = {"job": "insights-exporter", "source": "acme", "severity": "critical", "query": "q"}
    causes = ("InsightsExporterTokenBlocked", "InsightsExporterTokenRenewalsFailing", "InsightsExporterDataStale")
    following = [{"alertname": "InsightsExporterQueryFailing", "instance": name, **common} for name in ("one", "two")]
    with Alertmanager(tmp_path) as running:
        of_one = ({"alertname": cause, "instance": "one", **common} for cause in causes)
        running.wait_until_ready().told(*of_one, *following)
        seen = {
            (alert["labels"]["alertname"], alert["labels"]["instance"]): alert["status"]["state"]
            for alert in eventually(running.processed, "alerts")
        }
        assert seen.pop(("InsightsExporterQueryFailing", "two")) == "active"
        assert seen.pop(("InsightsExporterTokenBlocked", "one")) == "active"
        assert set(seen.values()) == {"suppressed"}


def test_durations_of_an_expression_are_divided_wherever_they_stand() -> None:
    """Ranges, resolutions of subqueries and offsets, and nothing else."""
    given = 'sum_over_time(x:increase5m{a="[1h]"}[3d:5m]) or avg_over_time(y[1h] offset 167h30m) > 14.4 * z'
    expected = 'sum_over_time(x:increase5m{a="[1h]"}[1h12m:5s]) or avg_over_time(y[1m] offset 2h47m30s) > 14.4 * z'
    assert divided_expression(given, 60) == expected
