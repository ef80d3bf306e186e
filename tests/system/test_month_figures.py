"""The figures of the dashboards over a week and a month, against a count of single requests and against each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator import Settings, Simulator
from exporter.simulator.model import Request
from tests.support.figures import code
from tests.support.grafana import expression_of, shipped
from tests.support.month import DAY_SECONDS, DELAY_SECONDS, STEP_SECONDS, write_blocks, write_month
from tests.support.processes import Prometheus, eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

DAYS: Final = 31
DASHBOARDS: Final = shipped()
SETTINGS: Final = Settings(apis=4, applications=3, rate=0.4, error_share=0.4)
# What each figure or sum of a table shows: page, title, number of the target; on the pages that have a choice of APIs.
REQUESTS: Final = (
    ("traffic", "Requests", 0),
    ("traffic", "APIs", 0),
    ("traffic", "Requests by resource", 0),
    ("api", "Requests in the range", 0),
    ("api", "Resources", 0),
    ("reports", "Usage", 0),
    ("reports", "Usage by API and application", 0),
)
REQUESTS_OF_ALL: Final = (("overview", "Requests in the range", 0), ("overview", "Environments", 0))
FAILED: Final = (("errors", "Errors by API, application and reason", 0),)
FAILED_OF_ALL: Final = (("overview", "Environments", 1), ("errors", "Environments by category, all APIs", 0))
SERVER_ERRORS: Final = (("errors", "Errors", 0),)
SERVER_ERRORS_OF_ALL: Final = (("overview", "APIs, the worst first", 7),)
CALLER_ERRORS: Final = (("errors", "Errors", 2),)
PER_MINUTE: Final = ("overview", "APIs, the worst first", 5)
MINUTES_OF_A_DAY: Final = 24 * 60


@dataclass(frozen=True)
class Counts:
    """How many requests of a range there were, and how many of them failed."""

    requests: int
    failed: int
    server_errors: int

    @classmethod
    def of(cls, made: Sequence[Request]) -> Counts:
        """Counts single requests."""
        failed = [one for one in made if one.failed]
        return cls(len(made), len(failed), sum(code(one) >= 500 for one in failed))


@dataclass(frozen=True)
class Month:
    """A Prometheus with a month, asked for a moment that is no step's."""

    insights: Simulator
    prometheus: Prometheus
    at: float

    def figure(self, page: str, title: str, number: int, range_: str, api: str = "") -> float:
        """The sum of what a panel's target yields."""
        expr = expression_of(DASHBOARDS[f"choreo-insights-{page}.json"], title, number, range_, api or ".+")
        return sum(value for _, value in self.prometheus.query(expr, self.at))

    @cached_property
    def _all(self) -> list[Request]:
        organization = self.insights.model.organizations[0]
        environment = organization.environment("Production").id
        begin = self.at - (DAYS - 1) * DAY_SECONDS - DELAY_SECONDS
        return list(self.insights.model.requests(environment, organization.tenants[0], begin, self.at - DELAY_SECONDS))

    def requests(self, seconds: float, api: str, end: float) -> list[Request]:
        """The single requests of a range of the samples that ends at a Unix time."""
        begin = end - seconds - DELAY_SECONDS
        return [one for one in self._all if begin <= one.time < end - DELAY_SECONDS and api in ("", one.api.name)]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """A month that ended a moment ago."""
    folder: Path = tmp_path_factory.mktemp("month")
    end = int(time.time()) // STEP_SECONDS * STEP_SECONDS
    insights = Simulator(SETTINGS)
    labels = {"job": "insights", "instance": "exporter"}
    file = write_month(insights, "Production", end - DAYS * DAY_SECONDS, end, folder, labels)
    write_blocks(file, folder)
    with Prometheus(folder, "127.0.0.1:9", retention="60d") as prometheus:
        eventually(lambda: prometheus.query("choreo_window_api_requests", end - STEP_SECONDS), "the past", 60)
        yield Month(insights, prometheus, end - STEP_SECONDS + 100)


@pytest.mark.parametrize(("range_", "days"), [("24h", 1), ("7d", 7), ("30d", 30)])
@pytest.mark.parametrize("api", ["", "Orders API"])
def test_a_day_a_week_and_a_month_are_counted_alike_on_all_pages(
    month: Month, range_: str, days: int, api: str
) -> None:
    """Requests, failed requests, 5xx and 4xx are the simulator's own count within 1 %, on every page that shows them,
    as figures and as sums of tables, with one API chosen and with none; midnights of a month lose nothing. A figure
    that is put together from whole windows counts a range that begins and ends up to two windows earlier: those that
    had been published in the second before the last step."""
    exact, whole_windows = (
        Counts.of(month.requests(days * DAY_SECONDS, api, end))
        for end in (month.at, (month.at // STEP_SECONDS - 1) * STEP_SECONDS)
    )
    wrong = {
        panel: (figure, expected(exact), expected(whole_windows))
        for panel, (figure, expected) in _figures(month, range_, days, api).items()
        if all(abs(figure / expected(counts) - 1) > 0.01 for counts in (exact, whole_windows))
    }
    assert wrong == {}


def _figures(
    month: Month, range_: str, days: int, api: str
) -> dict[tuple[str, str, int], tuple[float, Callable[[Counts], float]]]:
    """What each panel shows, and how it follows from the counts."""
    panels: tuple[tuple[tuple[tuple[str, str, int], ...], Callable[[Counts], float]], ...] = (
        (REQUESTS if api else REQUESTS + REQUESTS_OF_ALL, lambda of: of.requests),
        (FAILED if api else FAILED + FAILED_OF_ALL, lambda of: of.failed),
        (SERVER_ERRORS if api else SERVER_ERRORS + SERVER_ERRORS_OF_ALL, lambda of: of.server_errors),
        (CALLER_ERRORS, lambda of: of.failed - of.server_errors),
        ((("api" if api else "overview", "5xx in the range", 0),), lambda of: of.server_errors / of.requests),
        (() if api else (PER_MINUTE,), lambda of: of.requests / days / MINUTES_OF_A_DAY),
    )
    found = {panel: (month.figure(*panel, range_, api), of) for group, of in panels for panel in group}
    codes = [month.figure("errors", f"{who} errors by API and status code", 0, range_, api)
             for who in ("Gateway's own", "Backends'")]  # fmt: skip
    found["errors", "by API and status code", 0] = sum(codes), lambda of: of.failed
    if not api:
        sides = [month.figure("overview", "Environments", number, range_) for number in (3, 4)]
        found["overview", "Environments", 3] = sum(sides), lambda of: of.server_errors
    return found
