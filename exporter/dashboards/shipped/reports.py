"""Reports: usage by API and application, and the last 24 hours of each API."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import ERROR_RATIO, LATENCY, Column, bar_gauge, stat, table, time_series
from exporter.dashboards.promql import highest, in_range, largest, ratio, selector, series, total
from exporter.dashboards.shipped.words import (
    API,
    API_COLUMNS,
    API_LEGEND,
    FIRST_SEEN,
    PLACE_COLUMNS,
    RANGE,
    TWENTY,
    age_of,
    dashboard,
)
from exporter.dashboards.variables import apis, applications, places

_DAY = "in the last 24 whole hours"
_USAGE = in_range("choreo_api_application_requests_total", "api", "application")
_DAY_REQUESTS = series("choreo_window_24h_api_requests", "api")
_DAY_ERRORS = series("choreo_window_24h_api_proxy_errors", "api")
_DAY_LATENCY = series("choreo_api_response_latency_24h_p95_seconds", "api")
_HOURS = (("green", None), ("orange", 7200.0), ("red", 14400.0))


def reports() -> Dashboard:
    """Choreo's page Reports, as far as it can be polled."""
    return dashboard(
        "reports",
        "Usage by API and application, and requests, errors and latency of each API in the last 24 hours.",
        (*places(), apis(), applications()),
        Row("Headlines", _headlines()),
        Row("Usage", _usage()),
        Row("The last 24 hours of each API", _last_day()),
        Row("On-premise environments (with an on-premise key)", _on_premise(), collapsed=True),
    )


def _headlines() -> tuple[Panel, ...]:
    errors, requests = total(_DAY_ERRORS), total(_DAY_REQUESTS)
    return (
        stat("Requests", f"Requests of the chosen applications to the chosen APIs {RANGE}.", total(_USAGE), decimals=0),
        stat("Requests, last 24 hours", f"Requests to the chosen APIs {_DAY}.", requests, decimals=0),
        stat("Gateway errors, last 24 hours", f"Errors that the gateway itself answered {_DAY}.", errors, decimals=0),
        stat(
            "Gateway error ratio, last 24 hours",
            f"Errors that the gateway itself answered, divided by the requests, {_DAY}.",
            ratio(errors, requests),
            unit="percentunit",
            thresholds=ERROR_RATIO,
            decimals=2,
        ),
        stat(
            "Slowest API, last 24 hours",
            f"The highest 95th percentile of the response latency of the chosen APIs {_DAY}.",
            highest(_DAY_LATENCY),
            unit="s",
            thresholds=LATENCY,
        ),
        age_of("usage_report", "api_report", thresholds=_HOURS),
    )


def _usage() -> tuple[Panel, ...]:
    by = (*API, "application")
    window = series("choreo_window_api_application_requests", "api", "application")
    return (
        time_series(
            "Usage by API and application, over time",
            f"Requests in windows of 5 minutes. {TWENTY}",
            (largest(total(window, *by)), "{{application}} to {{api}} {{version}}"),
            width=24,
        ),
        table(
            "Usage by API and application",
            f"Requests of each application to each API {RANGE}, and in the last 5 minutes. {FIRST_SEEN}",
            {**API_COLUMNS, "application": "Application"},
            Column("Requests", total(_USAGE, *by), decimals=0),
            Column("Last 5 minutes", total(window, *by), decimals=0),
        ),
    )


def _last_day() -> tuple[Panel, ...]:
    labels = {**API_COLUMNS, **PLACE_COLUMNS}
    errors, requests = total(_DAY_ERRORS, *labels), total(_DAY_REQUESTS, *labels)
    return (
        bar_gauge(
            "Top 10 APIs",
            f"Requests to each API {_DAY}.",
            largest(total(_DAY_REQUESTS, *API), 10),
            API_LEGEND,
        ),
        bar_gauge(
            "Top 10 APIs by gateway errors",
            f"Errors that the gateway itself answered for each API {_DAY}.",
            largest(total(_DAY_ERRORS, *API), 10),
            API_LEGEND,
        ),
        table(
            "APIs",
            f"Requests, errors that the gateway itself answered, and the 95th percentile of the latency, {_DAY}.",
            labels,
            Column("Requests", requests, decimals=0),
            Column("Gateway errors", errors, decimals=0),
            Column(
                "Gateway error ratio",
                ratio(errors, requests),
                unit="percentunit",
                thresholds=ERROR_RATIO,
                decimals=2,
            ),
            Column("95th percentile latency", highest(_DAY_LATENCY, *labels), unit="s", thresholds=LATENCY),
        ),
    )


def _on_premise() -> tuple[Panel, ...]:
    """Their metrics have no environment: Choreo does not say which one a request went to."""
    by = (*API, "application")
    chosen = ("organization", "api", "application")
    window = selector("choreo_window_on_premise_successful_requests", *chosen)
    today = f"increase({selector('choreo_on_premise_successful_requests_total', *chosen)}[$__range])"
    return (
        time_series(
            "Successful requests to on-premise environments, over time",
            f"Successful requests in windows of 5 minutes. {TWENTY}",
            (largest(total(window, *by)), "{{application}} to {{api}} {{version}}"),
            width=24,
        ),
        table(
            "Successful requests to on-premise environments",
            f"Successful requests of each application to each API {RANGE}, and in the last 5 minutes. {FIRST_SEEN}",
            {**API_COLUMNS, "application": "Application"},
            Column("Requests", total(today, *by), decimals=0),
            Column("Last 5 minutes", total(window, *by), decimals=0),
        ),
    )
