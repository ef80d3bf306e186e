"""Latency: percentiles of each API by hop, and the slowest APIs. Hops overlap; percentiles are never averaged."""

from __future__ import annotations

from typing import Final

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import LATENCY, Column, bar_gauge, stat, table, time_series
from exporter.dashboards.promql import highest, largest, series
from exporter.dashboards.shipped.words import (
    API,
    API_COLUMNS,
    PLACE,
    PLACE_COLUMNS,
    PLACE_LEGEND,
    TWENTY,
    age_of,
    dashboard,
)
from exporter.dashboards.variables import apis, places

_QUARTER: Final = "in the newest whole quarter of an hour"
_LEGEND: Final = "{{api}} {{version}} ({{environment}})"
# Metrics by percentile, and by hop: the metric's name, the hop's, and what of a request it is.
_HOPS_P95: Final = (
    ("choreo_api_response_latency_p95_seconds", "Response", "the whole request"),
    ("choreo_api_backend_latency_p95_seconds", "Backend", "the backend's part"),
    ("choreo_api_request_mediation_latency_p95_seconds", "Request mediation", "the gateway's part before the backend"),
    ("choreo_api_response_mediation_latency_p95_seconds", "Response mediation", "the gateway's part after the backend"),
)
_HOPS_P50: Final = (
    ("choreo_api_response_latency_p50_seconds", "Response", "the whole request"),
    ("choreo_api_backend_latency_p50_seconds", "Backend", "the backend's part"),
    ("choreo_api_request_mediation_latency_p50_seconds", "Request mediation", "the gateway's part before the backend"),
    ("choreo_api_response_mediation_latency_p50_seconds", "Response mediation", "the gateway's part after the backend"),
)


def latency() -> Dashboard:
    """Choreo's page Latency."""
    return dashboard(
        "latency",
        "95th percentile and median of the latency of each API, by hop. Hops overlap, so they are not stacked.",
        (*places(), apis()),
        Row("Headlines", _headlines()),
        Row("Slowest APIs", _slowest()),
        Row("95th percentile by hop", tuple(_over_time("95th percentile", hop) for hop in _HOPS_P95)),
        Row("Median by hop", tuple(_over_time("Median", hop) for hop in _HOPS_P50)),
        Row("Each API", _tables()),
    )


def _headlines() -> tuple[Panel, ...]:
    environment = highest(series("choreo_response_latency_p95_seconds"))

    def api(metric: str) -> str:
        return highest(series(metric, "api"))

    def figure(title: str, text: str, expr: str) -> Panel:
        return stat(title, f"{text}, {_QUARTER}.", expr, unit="s", thresholds=LATENCY)

    return (
        stat(
            "95th percentile latency",
            "Response latency of all requests in the last 5 minutes; of several environments, the highest.",
            environment,
            unit="s",
            thresholds=LATENCY,
        ),
        figure("Slowest API, 95th percentile", "The highest of the chosen APIs", api(_HOPS_P95[0][0])),
        figure("Slowest API, median", "The highest of the chosen APIs", api(_HOPS_P50[0][0])),
        figure("Slowest backend, 95th percentile", "The highest of the chosen APIs", api(_HOPS_P95[1][0])),
        figure("Slowest backend, median", "The highest of the chosen APIs", api(_HOPS_P50[1][0])),
        age_of("slowest_apis", "api_latency"),
    )


def _slowest() -> tuple[Panel, ...]:
    slowest = series("choreo_slowest_api_response_latency_p95_seconds", "api")
    environment = series("choreo_response_latency_p95_seconds")
    return (
        bar_gauge(
            "Top 10 slowest APIs",
            "95th percentile of the response latency in the last 5 minutes.",
            largest(highest(slowest, "environment", *API), 10),
            _LEGEND,
            unit="s",
            thresholds=LATENCY,
        ),
        time_series(
            "95th percentile latency of each environment",
            "95th percentile of the response latency of all requests in windows of 5 minutes.",
            (highest(environment, *PLACE, "tenant"), f"{PLACE_LEGEND} {{{{tenant}}}}"),
            unit="s",
        ),
    )


def _over_time(percentile: str, hop: tuple[str, str, str]) -> Panel:
    metric, name, part = hop
    return time_series(
        f"{name}: {percentile.lower()}",
        f"{percentile} of {part}, of each API in each whole quarter of an hour. {TWENTY}",
        (largest(highest(series(metric, "api"), "environment", *API)), _LEGEND),
        unit="s",
    )


def _tables() -> tuple[Panel, ...]:
    labels = {**API_COLUMNS, **PLACE_COLUMNS}

    def of_each(percentile: str, hops: tuple[tuple[str, str, str], ...]) -> Panel:
        columns = [
            Column(name, highest(series(metric, "api"), *labels), unit="s", thresholds=LATENCY)
            for metric, name, _ in hops
        ]
        return table(f"{percentile} of each API", f"{percentile} by hop, {_QUARTER}.", labels, *columns)

    return of_each("95th percentile", _HOPS_P95), of_each("Median", _HOPS_P50)
