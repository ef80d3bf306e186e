"""The shipped rules over whole days of simulated traffic, with its nights, week-ends and midnights."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.simulator import Settings, Simulator
from tests.support.days import rules_test, series_of
from tests.support.processes import program

MONDAY = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) // 60


def assert_fired(file: Path, insights: Simulator, minutes: range, evaluation: str, alerts: dict[str, int]) -> None:
    """Holds that these alerts, each for so many APIs, and no others, fired at any time in these minutes."""
    count = len(insights.model.organizations[0].apis())
    end = f"{len(minutes) - 1}m"
    fired = 'count by (alertname) (count by (alertname, api) (max_over_time(ALERTS{alertstate="firing"}[10d])))'
    judged = "count(api:choreo_api_errors:ratio1h) + count(api:choreo_window_api_requests:usual)"
    expected = [{"labels": f'{{alertname="{name}"}}', "value": number} for name, number in alerts.items()]
    rules_test(
        file,
        series_of(insights, "Production", minutes),
        evaluation,
        [
            {"expr": fired, "eval_time": end, "exp_samples": expected},
            {"expr": judged, "eval_time": end, "exp_samples": [{"labels": "{}", "value": 2 * count}]},
        ],
    )
    run = subprocess.run([program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_nothing_fires_in_a_healthy_night(tmp_path: Path) -> None:
    """From the evening, over midnight, where all counters begin anew, until the small hours, nobody is woken."""
    insights = Simulator(Settings(apis=6))
    assert_fired(tmp_path / "night.json", insights, range(MONDAY + 1290, MONDAY + 1290 + 270), "1m", {})


def test_midnight_does_not_hide_an_outage(tmp_path: Path) -> None:
    """Errors from ten minutes before midnight on fire as at any other time, for every API."""
    clock = [(MONDAY + 1430) * 60.0]
    insights = Simulator(Settings(apis=6, rate=6), now=lambda: clock[0])
    insights.faults.set(error_ratio=0.2)
    clock[0] += 40 * 60
    insights.faults.clear()
    minutes = range(MONDAY + 1380, MONDAY + 1380 + 90)
    assert_fired(
        tmp_path / "outage.json", insights, minutes, "1m", {"ChoreoApiErrorRatioHigh": 6, "ChoreoApiErrorBudgetBurn": 6}
    )


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_nothing_fires_in_a_healthy_week(tmp_path: Path) -> None:
    """A whole week with its week-end, and two days more that are compared with the week before: not one alert."""
    assert_fired(tmp_path / "week.json", Simulator(Settings()), range(MONDAY, MONDAY + 9 * 1440), "5m", {})
