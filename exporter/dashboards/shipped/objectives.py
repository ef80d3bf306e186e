"""Objectives: is the error budget enough, and is traffic as usual? What the recording rules know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from exporter.dashboards.links import api_of_cells, api_of_labels
from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import (
    BURN_RATE,
    GREY,
    GREY_LINE,
    LEFT,
    PER_MINUTE,
    SOME_IS_BAD,
    Column,
    Figure,
    Line,
    figures,
    table,
    time_series,
)
from exporter.dashboards.promql import added, highest, leading, of_apis, or_zero, own
from exporter.dashboards.shipped.words import API_LEGEND, API_PLACE_COLUMNS, dashboard
from exporter.dashboards.variables import apis, places

_OBJECTIVE: Final = "api:choreo_availability_objective:threshold"
# The windows of the rules, and the burn rate at which they alert in each.
WINDOWS: Final = (("1h", 14.4), ("6h", 6.0), ("1d", 3.0), ("3d", 1.0))
_SHORT: Final = ("5m", "30m", "2h")
_BUDGET_SECONDS: Final = 30 * 86_400
_BY: Final = ("api", "version", "environment", "organization")
_RULES: Final = "Empty where Prometheus has not loaded the rules."


def objectives() -> Dashboard:
    """What `prometheus/rules` knows: budgets, burn rates, what is usual; and the audit of the days' totals."""
    return dashboard(
        "objectives",
        "Is the error budget enough? The first figures and the table say for which API it is not, and when it ends; "
        "below, how fast it burns, whether traffic is as usual, and whether the days' totals were complete. "
        "Available is what is not answered with 5xx.",
        (*places(), apis()),
        ("api_traffic", "api_proxy_errors_today", "api_target_errors_today"),
        Row("", (_headlines(), _each_api(), *_charts())),
        Row("The audit of the totals", (_audit(),), collapsed=True),
    )


def budget_left(recorded_of: Callable[[str], str] = of_apis) -> str:
    """The part of the error budget of 30 days that is left, of each API; below 0, it is overspent. The rule
    `api:choreo_api_error_budget_left:ratio30d` in `prometheus/rules/slo.yaml` is the same.

    Days of which nothing is known count as days with as many requests and no error: a burst in the first hour after the
    rules were loaded spends an hour's part of the budget, and not all of it.
    """
    errors, requests = (
        f"{recorded_of(f'api:choreo_api_{what}:increase30m')}[30d:30m]" for what in ("errors", "requests")
    )
    known = f"count_over_time({requests}) / {_BUDGET_SECONDS // 1800}"
    spent = f"sum_over_time({errors}) / (sum_over_time({requests}) > 0) * ({known})"
    return f"(1 - {spent} / (1 - {recorded_of(_OBJECTIVE)}))"


def burn_rate(window: str) -> str:
    """How many times faster than the objective allows the budget of each API burnt in a window of the rules."""
    return f"{of_apis(f'api:choreo_api_errors:ratio{window}')} / (1 - {of_apis(_OBJECTIVE)})"


def _headlines() -> Panel:
    left = budget_left()
    fast = " or ".join(f"{burn_rate(window)} > {limit}" for window, limit in WINDOWS[:2])
    return figures(
        "Budgets",
        "What is left of the error budget of the last 30 days, of the API with the least left; the APIs that have "
        "spent "
        "it; and those that burn it so fast, in the last hour or the last six, that an alert of severity critical "
        f"follows. Then the strictest and the loosest objective of the chosen APIs. As of now. {_RULES}",
        Figure(f"min({left})", "least left", "percentunit", LEFT, 1),
        Figure(or_zero(f"count({left} <= 0)"), "APIs without budget", thresholds=SOME_IS_BAD, decimals=0),
        Figure(or_zero(f"count({fast})"), "APIs that burn fast", thresholds=SOME_IS_BAD, decimals=0),
        Figure(f"max({of_apis(_OBJECTIVE)})", "strictest objective", "percentunit", GREY, 2),
        Figure(f"min({of_apis(_OBJECTIVE)})", "loosest", "percentunit", GREY, 2),
        nothing="not known",
        height=4,
    )


def _each_api() -> Panel:
    def lowest(expression: str) -> str:
        return f"min by ({', '.join(_BY)}) ({expression})"

    left = budget_left()
    ends = f"{left} * {_BUDGET_SECONDS} / ({burn_rate('6h')} > 0)"
    return table(
        "Budget of each API",
        "What is left of the error budget of the last 30 days, when it ends at the rate of the last six hours, and "
        "the burn rates in the windows of the rules, as of now: 1 is as fast as the objective allows. Alerts begin "
        "at " + ", ".join(f"{limit:g} in {window}" for window, limit in WINDOWS) + f". {_RULES}",
        API_PLACE_COLUMNS,
        Column("Left", lowest(left), unit="percentunit", thresholds=LEFT, decimals=1),
        Column("Ends in", lowest(f"({ends}) >= 0"), unit="dtdurations"),
        Column("Objective", lowest(of_apis(_OBJECTIVE)), unit="percentunit", decimals=2),
        *(
            Column(f"Burn {window}", highest(burn_rate(window), *_BY), unit="none", thresholds=BURN_RATE, decimals=2)
            for window, _ in WINDOWS
        ),
        sort_by="Left",
        ascending=True,
        links={"API": (api_of_cells(API_PLACE_COLUMNS),)},
        height=10,
    )


def _charts() -> tuple[Panel, ...]:
    by = ("api", "version")
    hour = highest(burn_rate("1h"), *by)
    rank = highest(f"max_over_time({of_apis('api:choreo_api_errors:ratio1h')}[$__range] @ end())", *by)
    minutes = " / 5"
    usual = "api:choreo_window_api_requests"
    return (
        time_series(
            "Burn rates",
            "How many times faster the budget burns than the objective allows: of the API that burns fastest, in "
            "each window of the rules. The horizontal lines are the burn rates at which alerts begin in three days, a "
            "day and six hours.",
            *(Line(f"max({burn_rate(window)})", window) for window in (*_SHORT, *(window for window, _ in WINDOWS))),
            unit="none",
            calcs=("lastNotNull", "max"),
            thresholds=(("transparent", None), ("orange", 1.0), ("orange", 3.0), ("red", 6.0)),
        ),
        time_series(
            "Burn rate of each API, last hour",
            "How many times faster the budget of each API burned in the last hour than the objective allows. The ten "
            "with the highest in the range.",
            Line(leading(hour, by, rank), API_LEGEND),
            unit="none",
            calcs=("lastNotNull", "max"),
            links=(api_of_labels(by),),
        ),
        time_series(
            "Requests and what is usual",
            "Requests per minute, and what is usual at that time: the hour around it a week ago, or the hour before. "
            f"Also the mean of the hour before, with which the alert on spikes compares. {_RULES}",
            Line(added(of_apis(f"{usual}:max")) + minutes, "requests"),
            Line(added(of_apis(f"{usual}:usual")) + minutes, "usual", GREY_LINE, dashed=True),
            Line(added(of_apis(f"{usual}:avg1h")) + minutes, "the hour before", "#5794f2", dashed=True),
            unit=PER_MINUTE,
        ),
        time_series(
            "Least budget left",
            "What was left of the error budget of 30 days at each moment, of the API that had least. Days without "
            "data count as days without errors.",
            Line(f"min({budget_left()})", "left"),
            unit="percentunit",
            signed=True,
            calcs=("lastNotNull",),
            interval="30m",
        ),
    )


def _audit() -> Panel:
    by, of = ("source", "query", "metric"), ("source", "query")
    return table(
        "Audit of the totals",
        "The API's totals of the last audited period minus the totals published at its end: what was counted late. "
        "Of queries with the key audit: the targets that were compared and when, as of now; and failed "
        "calls of audits in the chosen time range. For all APIs.",
        {"source": "Source", "query": "Query", "metric": "Metric"},
        Column("Came too late", highest(own("audit_difference"), *by)),
        Column("Share", highest(own("audit_difference_ratio"), *by), unit="percentunit", decimals=3),
        Column("Targets", highest(own("audit_targets"), *of)),
        Column("Audited", f"{highest(own('audit_timestamp_seconds'), *of)} * 1000", unit="dateTimeFromNow"),
        Column("Failed calls", added(f"increase({own('audit_failures_total')}[$__range])", *of)),
        nothing="no query has audit",
        height=7,
    )
