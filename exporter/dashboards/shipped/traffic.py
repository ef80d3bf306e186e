"""Traffic: requests by API, application, backend and resource."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import Column, pie_chart, stat, table, time_series
from exporter.dashboards.promql import highest, in_range, largest, series, total
from exporter.dashboards.shipped.words import (
    API,
    API_COLUMNS,
    API_LEGEND,
    FIRST_SEEN,
    PLACE,
    PLACE_COLUMNS,
    RANGE,
    TWENTY,
    age_of,
    dashboard,
)
from exporter.dashboards.variables import apis, applications, places

_BY_API = in_range("choreo_api_requests_total", "api")
_BY_APPLICATION = in_range("choreo_application_requests_total", "application")
_BY_BACKEND = in_range("choreo_backend_requests_total")
_BY_RESOURCE = in_range("choreo_resource_requests_total", "api")


def traffic() -> Dashboard:
    """Choreo's page Traffic."""
    return dashboard(
        "traffic",
        "Requests by API, application, backend and resource.",
        (*places(), apis(), applications()),
        Row("Headlines", _headlines()),
        Row("APIs", _apis()),
        Row("Applications", _applications()),
        Row("Backends", _backends()),
        Row("Resources", _resources()),
        Row("Names", _names(), collapsed=True),
    )


def _headlines() -> tuple[Panel, ...]:
    window = total(series("choreo_window_api_requests", "api"))
    return (
        stat("Requests", f"Requests to the chosen APIs {RANGE}.", total(_BY_API), decimals=0),
        stat("Requests, last 5 minutes", "Requests to the chosen APIs in the last 5 minutes.", window, decimals=0),
        stat(
            "APIs in use",
            f"APIs that had requests {RANGE}.",
            f"count({total(_BY_API, *API)} > 0)",
            decimals=0,
        ),
        stat(
            "Applications in use",
            f"Applications that made requests {RANGE}.",
            f"count({total(_BY_APPLICATION, 'application')} > 0)",
            decimals=0,
        ),
        stat(
            "Backends in use",
            f"Backends that had requests {RANGE}.",
            f"count({total(_BY_BACKEND, 'backend')} > 0)",
            decimals=0,
        ),
        age_of("api_traffic", "backend_traffic", "resource_traffic"),
    )


def _apis() -> tuple[Panel, ...]:
    return (
        time_series(
            "Requests by API",
            f"Requests to each API in windows of 5 minutes. {TWENTY}",
            (largest(total(series("choreo_window_api_requests", "api"), *API)), API_LEGEND),
            width=16,
        ),
        pie_chart(
            "Shares of the APIs", f"Requests to each API {RANGE}.", largest(total(_BY_API, *API), 10), API_LEGEND
        ),
        time_series(
            "API usage over time",
            f"Requests to each API in each whole quarter of an hour. {TWENTY}",
            (largest(total(series("choreo_window_15m_api_requests", "api"), *API)), API_LEGEND),
            width=24,
        ),
    )


def _applications() -> tuple[Panel, ...]:
    by = ("application",)
    return (
        time_series(
            "Requests by application",
            f"Requests of each application in windows of 5 minutes. {TWENTY}",
            (largest(total(series("choreo_window_application_requests", *by), *by)), "{{application}}"),
            width=16,
        ),
        pie_chart(
            "Shares of the applications",
            f"Requests of each application {RANGE}.",
            largest(total(_BY_APPLICATION, *by), 10),
            "{{application}}",
        ),
        time_series(
            "API usage by application",
            f"Requests of each application in each whole quarter of an hour. {TWENTY}",
            (largest(total(series("choreo_window_15m_application_requests", *by), *by)), "{{application}}"),
            width=24,
        ),
    )


def _backends() -> tuple[Panel, ...]:
    return (
        time_series(
            "Requests by backend",
            f"Requests to each backend in windows of 5 minutes. {TWENTY}",
            (largest(total(series("choreo_window_backend_requests"), "backend")), "{{backend}}"),
            width=16,
        ),
        pie_chart(
            "Shares of the backends",
            f"Requests to each backend {RANGE}.",
            largest(total(_BY_BACKEND, "backend"), 10),
            "{{backend}}",
        ),
    )


def _resources() -> tuple[Panel, ...]:
    by = (*API, "resource", "method")
    window = series("choreo_window_resource_requests", "api")
    return (
        time_series(
            "Requests by resource",
            f"Requests to each resource of an API in windows of 5 minutes. {TWENTY}",
            (largest(total(window, *by)), "{{method}} {{resource}} ({{api}} {{version}})"),
            width=24,
        ),
        table(
            "API resource usage",
            f"Requests to each resource of an API {RANGE}, and in the last 5 minutes. {FIRST_SEEN}",
            {**API_COLUMNS, "resource": "Resource", "method": "Method"},
            Column("Requests", total(_BY_RESOURCE, *by), decimals=0),
            Column("Last 5 minutes", total(window, *by), decimals=0),
        ),
    )


def _names() -> tuple[Panel, ...]:
    api = {**API_COLUMNS, "environment": "Environment", "api_id": "API id"}
    application = {**PLACE_COLUMNS, "application": "Application", "application_id": "Application id"}
    return (
        table(
            "APIs and their ids",
            "The APIs that are there now.",
            api,
            Column("Known", highest(series("choreo_api_info", "api"), *api)),
            width=12,
        ),
        table(
            "Applications and their ids",
            "The applications that are there now.",
            application,
            Column("Known", highest(series("choreo_application_info", "application"), *PLACE, *application)),
            width=12,
        ),
    )
