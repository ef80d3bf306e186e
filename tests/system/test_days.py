"""The shipped rules over whole days of simulated traffic, with its nights, week-ends and midnights."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.simulator import Settings, Simulator
from tests.support.days import DELAY_MINUTES, rules_test, series_of
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
    """A whole week with its week-end, and two days more that are compared with the week before: not one alert. The
    backends fail as often as spends half of the error budget: as usual, they spend so nearly all of it that some days
    deserve an alert."""
    healthy = Simulator(Settings(error_share=Settings().error_share / 2))
    assert_fired(tmp_path / "week.json", healthy, range(MONDAY, MONDAY + 9 * 1440), "5m", {})


BURNED: Final = "Payments API"
BURN_RATES: Final = {  # by the long window: burn rate, long and short window and `for`, in minutes
    "1h": (14.4, 60, 5, 2),
    "6h": (6.0, 360, 30, 15),
    "1d": (3.0, 1440, 120, 60),
}
LATE: Final = {"1h": 4, "6h": 10, "1d": 40}  # minutes: the rules add up pieces of five minutes, or of half an hour
OBJECTIVE: Final = 0.995
MINIMUM_ERRORS: Final = 10


def deserved(insights: Simulator, minutes: range) -> dict[str, int]:
    """The burn rates that the errors of the burned API deserve an alert for, by a count of single requests, each with
    the minute from which it is deserved. Nothing before the minutes is known."""
    organization = insights.model.organizations[0]
    made, failed = Counter[int](), Counter[int]()
    environment = organization.environment("Production").id
    for one in insights.model.requests(environment, organization.tenants[0], minutes.start * 60, minutes.stop * 60):
        if one.api.name == BURNED:
            made[one.time_ms // 60_000] += 1
            failed[one.time_ms // 60_000] += (one.target_status_code or one.status_code) >= 500

    def share(end: int, length: int) -> float:
        window = range(max(end - length, minutes.start), end)
        return sum(failed[at] for at in window) / max(1, sum(made[at] for at in window))

    found = {}
    for name, (rate, long, short, lasting) in BURN_RATES.items():
        held = 0
        for minute in minutes:
            end, allowed = minute - DELAY_MINUTES, rate * (1 - OBJECTIVE)
            enough = sum(failed[at] for at in range(max(end - long, minutes.start), end)) >= MINIMUM_ERRORS
            held = held + 1 if enough and min(share(end, long), share(end, short)) > allowed else 0
            if held > lasting:
                found[name] = minute
                break
    return found


@pytest.mark.parametrize(
    ("begin", "length", "ratio", "restart", "windows"),
    [
        pytest.param(600, 20, 0.7, None, {"1h", "6h", "1d"}, id="in the middle of the day"),
        pytest.param(
            600, 20, 0.7, 611, {"1h", "6h", "1d"}, id="with a restart of the exporter in it", marks=pytest.mark.long
        ),
        pytest.param(1434, 20, 0.7, None, {"1h", "6h", "1d"}, id="over midnight", marks=pytest.mark.long),
        pytest.param(1434, 20, 0.7, 1446, {"1h", "6h", "1d"}, id="over midnight, with a restart after it"),
        pytest.param(600, 60, 0.06, None, {"6h", "1d"}, id="slower", marks=pytest.mark.long),
        pytest.param(600, 1, 0.9, None, {"1h", "6h"}, id="so short that the first errors decide"),
        pytest.param(1439, 1, 0.9, None, {"1h", "6h"}, id="in the last minute of a day", marks=pytest.mark.long),
        pytest.param(600, 4, 0.01, None, set(), id="too few"),
    ],
)
def test_a_burst_fires_the_alert_that_its_burn_rate_deserves(
    begin: int, length: int, ratio: float, restart: int | None, windows: set[str], tmp_path: Path
) -> None:
    """The 5xx of an API that had none before count from the first on: the alerts of the error budget fire that a count
    of single requests deserves, soon after it is deserved, and no others; at midnight and after a restart, too."""
    clock = [(MONDAY + begin) * 60.0]
    settings = Settings(apis=2, applications=2, rate=4, daily_rhythm=False, error_share=0)
    insights = Simulator(settings, now=lambda: clock[0])
    insights.faults.set(error_ratio=ratio, only_apis=[BURNED])
    clock[0] += length * 60
    insights.faults.clear()
    before, after = (3, 50) if length == 1 else (10, 90)  # minutes without an error
    minutes = range(MONDAY + begin - before, MONDAY + begin + length + after)
    due = deserved(insights, minutes)
    assert due.keys() == windows
    burns = 'ALERTS{alertname="ChoreoApiErrorBudgetBurn", alertstate="firing"}'
    fired = f"count by (api, long_window) (max_over_time({burns}[1d]))"
    series = series_of(insights, "Production", minutes, restart=None if restart is None else MONDAY + restart)

    def check(minute: int, names: Iterable[str]) -> dict[str, Any]:
        expected = [{"labels": f'{{api="{BURNED}", long_window="{name}"}}', "value": 1} for name in sorted(names)]
        return {"expr": fired, "eval_time": f"{minute - minutes.start}m", "exp_samples": expected}

    in_time = [check(at + LATE[window], [n for n in due if due[n] <= at]) for window, at in due.items()]
    rules_test(tmp_path / "burst.json", series, "1m", [*in_time, check(minutes.stop - 1, due)])
    command = [program("promtool"), "test", "rules", str(tmp_path / "burst.json")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
