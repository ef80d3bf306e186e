"""The figures of the dashboards against the simulator's own count of single requests and alerts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pytest

from exporter.simulator import Settings, Simulator
from exporter.simulator.model import Request
from tests.support.configurations import choreo_environ, choreo_source
from tests.support.figures import code
from tests.support.grafana import expression_of, shipped
from tests.support.processes import Prometheus, eventually, finished, program

pytestmark = pytest.mark.timeout(300)

STEP: Final = 300
DAY: Final = 86400
HALF_PAST_ONE: Final = 5400
QUERIES: Final = ("api_traffic", "api_proxy_errors", "api_target_errors", "errors_by_reason", "alerts")
GROUPS: Final = ("traffic", "errors", "alerts")
SETTINGS: Final = Settings(
    delay_seconds=0, apis=4, applications=3, rate=0.2, daily_rhythm=False, error_share=0.05, alerts_per_day=200
)
DASHBOARDS: Final = shipped()


@dataclass(frozen=True, slots=True)
class Past:
    """A Prometheus with a past of the simulated API, asked for a moment that is no poll's."""

    insights: Simulator
    prometheus: Prometheus
    at: float

    def figure(self, page: str, title: str, number: int, range_: str, api: str = ".+") -> float:
        """The sum of what a panel's target yields for a range that ends at the moment."""
        expr = expression_of(DASHBOARDS[f"choreo-insights-{page}.json"], title, number, range_, api)
        return sum(value for _, value in self.prometheus.query(expr, self.at))

    def requests(self, start: float, end: float, api: str = "") -> Iterator[Request]:
        """The single requests of the organization."""
        for environment, tenant in self.places():
            for request in self.insights.model.requests(environment, tenant, start, end):
                if not api or request.api.name == api:
                    yield request

    def places(self) -> list[tuple[str, str]]:
        """Every environment with every tenant."""
        organization = self.insights.model.organizations[0]
        return [(one.id, tenant) for one in organization.environments for tenant in organization.tenants]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """Two hours and a half, backfilled, up to half past one of the last day (UTC) that has come so far. It is always
    the same time of day, as counters of a day begin anew at midnight: the longer range has a midnight, and no range
    begins in the steps that still see the day before."""
    program("promtool")
    folder = tmp_path_factory.mktemp("past")
    end = (time.time() - HALF_PAST_ONE) // DAY * DAY + HALF_PAST_ONE
    with Simulator(SETTINGS) as insights:
        included = ", ".join(f"choreo/{group}" for group in GROUPS)
        source = choreo_source().removesuffix("queries:").rstrip()
        (folder / "config.yaml").write_text(f"{source}\ninclude: [{included}]\n")
        run = finished(
            "backfill", f"--config.file={folder / 'config.yaml'}", f"--step={STEP}s",
            *(f"--query={name}" for name in QUERIES),
            f"--from={datetime.fromtimestamp(end - 9000, UTC):%FT%TZ}",
            f"--to={datetime.fromtimestamp(end, UTC):%FT%TZ}",
            "--label=job=insights", "--label=instance=exporter",
            environ=choreo_environ(insights), cwd=folder,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "backfill.om", "data"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        with Prometheus(folder, "127.0.0.1:9") as prometheus:
            eventually(lambda: prometheus.query("choreo_window_api_requests", end - STEP), "the past", 60)
            yield Past(insights, prometheus, end - STEP + 100)


@pytest.mark.parametrize(("range_", "seconds"), [("1h", 3600), ("2h", 7200)])
@pytest.mark.parametrize("api", ["", "Orders API"])
def test_every_error_is_counted(past: Past, range_: str, seconds: float, api: str) -> None:
    """The figures and tables of errors are the simulator's own count to the unit, also of codes and reasons that came
    once; with one API chosen, they are of that API alone."""
    steps = -(-(past.at - seconds) // STEP) * STEP, past.at // STEP * STEP
    # each step sees the window that was polled at the step before, and that ended two minutes before that
    made = list(past.requests(steps[0] - 2 * STEP - 120, steps[1] - STEP - 120, api))
    failed = [request for request in made if request.failed]
    server = [request for request in failed if code(request) >= 500]
    chosen = api or ".+"
    assert len(server) > 0
    assert past.figure("errors", "Errors", 0, range_, chosen) == len(server)
    assert past.figure("errors", "Errors", 2, range_, chosen) == len(failed) - len(server)
    assert past.figure("errors", "Errors by API, application and reason", 0, range_, chosen) == len(failed)
    codes = [past.figure("errors", f"{who} errors by API and status code", 0, range_, chosen)
             for who in ("Gateway's own", "Backends'")]  # fmt: skip
    assert sum(codes) == len(failed)
    if not api:
        assert past.figure("overview", "APIs, the worst first", 7, range_) == len(server)
    figure = past.figure("traffic", "Requests", 0, range_, chosen)
    assert figure == pytest.approx(len(list(past.requests(past.at - seconds - 120, past.at - 120, api))), rel=0.1)


@pytest.mark.parametrize(("range_", "seconds"), [("1h", 3600), ("2h", 7200)])
def test_every_alert_of_choreo_is_counted(past: Past, range_: str, seconds: float) -> None:
    """Choreo's alerts are counted from the first of each kind on, to the unit; figure and table agree."""
    first, last = -(-(past.at - seconds) // STEP) * STEP, past.at // STEP * STEP
    begin, end = int(first - STEP - 120) * 1000, int(last - 120) * 1000
    raised = sum(
        len(past.insights.model.alerts.between(environment, tenant, begin, end, int(past.at * 1000)))
        for environment, tenant in past.places()
    )
    assert raised > 10
    assert past.figure("alerts", "Raised", 0, range_) == raised
    assert past.figure("alerts", "Alerts by kind", 0, range_) == raised
