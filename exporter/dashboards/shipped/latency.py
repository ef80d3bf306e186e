"""Latency: which API is slow, and in which hop. Hops overlap; percentiles are never averaged."""

from __future__ import annotations

from typing import Final

from exporter.dashboards.links import api_of_cells, api_of_labels
from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import (
    GREY,
    GREY_LINE,
    LATENCY,
    SOME_IS_BAD,
    Column,
    Figure,
    Line,
    bar_gauge,
    figures,
    table,
    time_series,
)
from exporter.dashboards.promql import WEEK, highest, highest_over_range, largest, leading, of_apis, series
from exporter.dashboards.shipped.words import (
    API,
    API_LEGEND,
    API_PLACE_COLUMNS,
    ENVIRONMENT_LEGEND,
    LAST_WEEK,
    P95,
    P95_THRESHOLD,
    dashboard,
)
from exporter.dashboards.variables import apis, places

_QUARTER: Final = "in the newest whole quarter of an hour, as of now"
_BY: Final = (*API, "environment", "organization")
_P50: Final = "choreo_api_response_latency_p50_seconds"
_SLOWEST: Final = "choreo_slowest_api_response_latency_p95_seconds"


def hops(percentile: str) -> tuple[tuple[str, str], ...]:
    """The metrics of each hop and the hops' names; the first is the whole response."""
    return (
        (f"choreo_api_response_latency_{percentile}_seconds", "Response"),
        (f"choreo_api_backend_latency_{percentile}_seconds", "Backend"),
        (f"choreo_api_request_mediation_latency_{percentile}_seconds", "Request mediation"),
        (f"choreo_api_response_mediation_latency_{percentile}_seconds", "Response mediation"),
    )


def latency() -> Dashboard:
    """Choreo's page Latency."""
    return dashboard(
        "latency",
        "Which API is slow, and in which hop? The first figures are of the slowest of the chosen APIs, the table "
        "shows each with its hops. Hops overlap, and percentiles are never added or averaged: of several, the "
        "highest is shown.",
        (*places(), apis()),
        ("slowest_apis", "api_latency"),
        Row("", (_headlines(), *_charts(), _hops())),
        Row("All APIs", _all(), collapsed=True),
    )


def _headlines() -> Panel:
    def slowest(metric: str, ago: str = "") -> str:
        return highest(series(metric, "api") + ago)

    by = ", ".join(_BY)
    slow = (
        f"count({highest(series(P95, 'api'), *_BY)} > on ({by}) {highest(of_apis(P95_THRESHOLD), *_BY)}) or vector(0)"
    )
    return figures(
        "The slowest API now",
        f"Of the slowest of the chosen APIs, {_QUARTER}: the 95th percentile of the response, and the same a week "
        "before; the median; the 95th percentile of the backend's part. Then the APIs whose 95th percentile is above "
        "their threshold in thresholds.yaml.",
        Figure(slowest(P95), "p95, quarter of an hour", "s", LATENCY),
        Figure(slowest(P95, WEEK), "a week before", "s", GREY),
        Figure(slowest(_P50), "median", "s", GREY),
        Figure(slowest(hops("p95")[1][0]), "p95 of the backend", "s", GREY),
        Figure(slow, "APIs above threshold now", thresholds=SOME_IS_BAD, decimals=0),
        height=4,
    )


def _charts() -> tuple[Panel, ...]:
    metric = series(P95, "api")
    return (
        bar_gauge(
            "Slowest APIs, last 5 minutes",
            "95th percentile of the response latency in the last 5 minutes, of the ten slowest. (Console: Top 10 "
            "Slowest APIs.)",
            largest(highest(series(_SLOWEST, "api"), "environment", *API)),
            f"{API_LEGEND} ({ENVIRONMENT_LEGEND})",
            unit="s",
            thresholds=LATENCY,
            links=(api_of_labels(("environment", "api")),),
            width=8,
        ),
        time_series(
            "95th percentile by API",
            "95th percentile of the response in whole quarters of an hour, of the ten APIs that are slowest over the "
            "whole range; the dashed line is the lowest threshold of the chosen APIs.",
            Line(leading(highest(metric, *API), API, highest_over_range(metric, *API)), API_LEGEND),
            Line(f"min({of_apis(P95_THRESHOLD)})", "threshold", "red", dashed=True),
            unit="s",
            links=(api_of_labels(API),),
            width=16,
        ),
    )


def _hops() -> Panel:
    def column(metric: str, name: str, percentile: str) -> Column:
        thresholds = LATENCY if name == "Response" else None
        return Column(f"{name} {percentile}", highest(series(metric, "api"), *_BY), unit="s", thresholds=thresholds)

    return table(
        "Latency by hop",
        "95th percentile and median of the response and of each hop: the backend's part, and the gateway's before "
        f"and after it; {_QUARTER}. (Console: Latencies By Category; over time on the page of the API.)",
        API_PLACE_COLUMNS,
        *(column(metric, name, percentile) for percentile in ("p95", "p50") for metric, name in hops(percentile)),
        links={"API": (api_of_cells(API_PLACE_COLUMNS),)},
        height=12,
    )


def _all() -> tuple[Panel, ...]:
    environment = series("choreo_response_latency_p95_seconds")
    return (
        time_series(
            "95th percentile of all APIs by environment",
            "95th percentile of the response latency of all requests in windows of five minutes, by environment and "
            f"tenant. {LAST_WEEK} It is the highest of all.",
            Line(highest(environment, "environment", "tenant"), f"{ENVIRONMENT_LEGEND} {{{{tenant}}}}"),
            Line(highest(environment + WEEK), "a week before", GREY_LINE, dashed=True),
            unit="s",
            width=24,
        ),
    )
