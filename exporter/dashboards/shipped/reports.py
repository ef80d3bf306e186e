"""Reports: who used which API how much? For bills and plans."""

from __future__ import annotations

from exporter.dashboards.links import api_of_cells, api_of_labels
from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import GREY, LATENCY, SOME_IS_4XX, Column, Figure, Line, figures, table, time_series
from exporter.dashboards.promql import (
    a_week_before,
    highest,
    in_range,
    leading_a_minute,
    others_a_minute,
    ratio,
    selector,
    series,
    total,
)
from exporter.dashboards.shipped.words import (
    API,
    API_COLUMNS,
    API_LEGEND,
    API_PLACE_COLUMNS,
    RANGE,
    dashboard,
)
from exporter.dashboards.variables import apis, applications, places

_DAY = "in the last 24 whole hours"
_COUNTER = "choreo_api_application_requests_total"
_USAGE = in_range(_COUNTER, "api", "application")
_WINDOW = series("choreo_window_api_application_requests", "api", "application")
_BY = (*API, "application")
_ON_PREMISE = ("organization", "api", "application")


def reports() -> Dashboard:
    """Choreo's page Reports, as far as it can be polled."""
    return dashboard(
        "reports",
        "Who used which API how much? The figure and the table are of the chosen APIs and applications in the chosen "
        "range: take a month for a bill. The table can be saved as CSV (Inspect, Data).",
        (*places(), apis(), applications()),
        ("usage_report", "api_report"),
        Row("", (_headlines(), _usage(), *_charts())),
        Row("All applications: the last 24 hours of each API", (_last_day(),)),
        Row("On-premise environments, with an on-premise key", _on_premise(), collapsed=True),
    )


def _headlines() -> Panel:
    def used(*by: str) -> str:
        return f"count({total(_USAGE, *by)} > 0) or vector(0)"

    before = a_week_before(
        _COUNTER,
        variables=(
            "api",
            "application",
        ),
    )
    return figures(
        "Usage",
        f"Requests of the chosen applications to the chosen APIs {RANGE}, and in the same range a week before; the "
        "APIs that were called, and the applications that called them.",
        Figure(total(_USAGE), "requests in the range", decimals=0),
        Figure(before, "a week before", thresholds=GREY, decimals=0),
        Figure(used(*API), "APIs in the range", decimals=0),
        Figure(used("application"), "applications in the range", decimals=0),
        height=4,
    )


def _usage() -> Panel:
    return table(
        "Usage by API and application",
        f"Requests of each application to each API {RANGE}, and their share of all requests of the choice. (Console: "
        "Reports.)",
        {**API_COLUMNS, "application": "Application"},
        Column("Requests", total(_USAGE, *_BY), bar=True),
        Column(
            "Share",
            f"{total(_USAGE, *_BY)} / on () group_left () ({total(_USAGE)} > 0)",
            unit="percentunit",
            decimals=1,
        ),
        links={"API": (api_of_cells(API_COLUMNS),)},
        height=12,
    )


def _charts() -> tuple[Panel, ...]:
    return (
        time_series(
            "Usage over time",
            "Requests per minute of each application to each API, from windows of five minutes. The ten largest over "
            "the whole range; the rest is Others.",
            Line(leading_a_minute(_WINDOW, *_BY), f"{{{{application}}}} to {API_LEGEND}"),
            Line(others_a_minute(_WINDOW, *_BY), "Others", "#8e8e8e"),
            stacked=True,
            width=24,
            links=(api_of_labels(API),),
            interval="5m",
        ),
    )


def _last_day() -> Panel:
    labels = API_PLACE_COLUMNS
    requests, errors, latency = (
        series(f"choreo_{metric}", "api")
        for metric in ("window_24h_api_requests", "window_24h_api_proxy_errors", "api_response_latency_24h_p95_seconds")
    )
    return table(
        "Each API, last 24 hours",
        "Requests, errors that the gateway itself answered (4xx and 5xx), their share, and the 95th percentile of "
        f"the latency, {_DAY}, of all applications.",
        labels,
        Column("Requests", total(requests, *labels), bar=True),
        Column("Gateway's own errors", total(errors, *labels), thresholds=SOME_IS_4XX),
        Column("Share", ratio(total(errors, *labels), total(requests, *labels)), unit="percentunit", decimals=2),
        Column("p95", highest(latency, *labels), unit="s", thresholds=LATENCY),
        links={"API": (api_of_cells(labels),)},
        height=10,
    )


def _on_premise() -> tuple[Panel, ...]:
    """Their metrics have no environment: Choreo does not say which one a request went to."""
    window = selector("choreo_window_on_premise_successful_requests", *_ON_PREMISE)
    counted = f"increase({selector('choreo_on_premise_successful_requests_total', *_ON_PREMISE)}[$__range])"
    return (
        table(
            "Successful requests, all environments",
            f"Successful requests of each application to each API of the on-premise environments {RANGE}, and per "
            "minute now. Choreo does not say in which environment.",
            {**API_COLUMNS, "application": "Application"},
            Column("Requests", total(counted, *_BY), bar=True),
            Column("Per minute now", f"{total(window, *_BY)} / 5", unit="none", decimals=1),
            links={"API": (api_of_cells(API_COLUMNS),)},
        ),
    )
