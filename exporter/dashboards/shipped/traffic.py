"""Traffic: who calls what, and how often?"""

from __future__ import annotations

from typing import Final

from exporter.dashboards.links import api_of_cells, api_of_labels
from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import (
    GREY,
    GREY_LINE,
    Column,
    Figure,
    Line,
    figures,
    table,
    time_series,
)
from exporter.dashboards.promql import (
    WEEK,
    a_minute,
    a_week_before,
    highest,
    in_range,
    leading_a_minute,
    others_a_minute,
    series,
    total,
)
from exporter.dashboards.shipped.words import (
    API,
    API_COLUMNS,
    API_LEGEND,
    PLACE,
    PLACE_COLUMNS,
    RANGE,
    REQUESTS,
    TEN,
    dashboard,
)
from exporter.dashboards.variables import apis, places

_WINDOW: Final = "choreo_window_api_requests"
_USAGE: Final = "choreo_window_api_application_requests"
_QUARTERS: Final = "from whole quarters of an hour"


def traffic() -> Dashboard:
    """Choreo's page Traffic."""
    return dashboard(
        "traffic",
        "Who calls what, and how often? The first figures and the chart are of the chosen APIs; below, by "
        "application and by resource. What Choreo does not know by API is in the row of all APIs.",
        (*places(), apis()),
        ("api_traffic", "api_usage_over_time", "usage_report", "resource_traffic", "resource_traffic_today"),
        Row("", (_headlines(), *_apis(), _applications(), _resources())),
        Row("All APIs: backends, applications", _all(), collapsed=True),
        Row("Names and ids", _names(), collapsed=True),
    )


def _headlines() -> Panel:
    requests = in_range(REQUESTS, "api")
    usage = total(in_range("choreo_api_application_requests_total", "api"), "application")
    return figures(
        "Requests",
        f"Requests to the chosen APIs {RANGE}, and in the same range a week before; the APIs (each version "
        f"separately) that had requests, and the applications that made them.",
        Figure(total(requests), "in the range", decimals=0),
        Figure(a_week_before(REQUESTS, variables=("api",)), "a week before", thresholds=GREY, decimals=0),
        Figure(f"count({total(requests, *API)} > 0) or vector(0)", "APIs in the range"),
        Figure(f"count({usage} > 0) or vector(0)", "applications in the range"),
        height=4,
    )


def _apis() -> tuple[Panel, ...]:
    window = series(_WINDOW, "api")
    quarter = total(series("choreo_window_15m_api_requests", "api"), *API)
    return (
        time_series(
            "Requests by API",
            f"Requests per minute to each API, from windows of five minutes. {TEN} The dashed line is all of the "
            "chosen APIs a week before. (Console: API Usage Over Time.)",
            Line(leading_a_minute(window, *API), API_LEGEND),
            Line(others_a_minute(window, *API), "Others", GREY_LINE),
            Line(a_minute(_WINDOW, variables=("api",), ago=WEEK), "a week before", GREY_LINE, dashed=True),
            stacked=True,
            links=(api_of_labels(API),),
            width=14,
            height=11,
        ),
        table(
            "APIs",
            f"Requests to each API {RANGE}; per minute now, from windows of five minutes; and in the newest whole "
            "quarter of an hour.",
            API_COLUMNS,
            Column("Requests", total(in_range(REQUESTS, "api"), *API), bar=True),
            Column("Per minute now", f"{total(window, *API)} / 5", unit="none", decimals=1),
            Column("15 min", quarter),
            links={"API": (api_of_cells(API_COLUMNS),)},
            width=10,
            height=11,
        ),
    )


def _applications() -> Panel:
    return time_series(
        "Requests by application",
        "Requests per minute of each application to the chosen APIs, from windows of five minutes: the ten largest "
        "over the whole range. (Console: API Usage By Application.)",
        Line(leading_a_minute(series(_USAGE, "api"), "application"), "{{application}}"),
        stacked=True,
        width=10,
        height=10,
    )


def _resources() -> Panel:
    by = (*API, "resource", "method")
    return table(
        "Requests by resource",
        f"Requests to each resource of the chosen APIs {RANGE}, and per minute now. (Console: API Resource Usage.)",
        {**API_COLUMNS, "method": "Method", "resource": "Resource"},
        Column("Requests", total(in_range("choreo_resource_requests_total", "api"), *by), bar=True),
        Column("Per minute now", f"{total(series('choreo_window_resource_requests', 'api'), *by)} / 5", unit="none",
               decimals=1),
        links={"API": (api_of_cells(API_COLUMNS),)},
        width=14,
        height=10,
    )  # fmt: skip


def _all() -> tuple[Panel, ...]:
    backend, by, application = series("choreo_window_backend_requests"), ("backend",), ("application",)
    counted = "choreo_application_requests_total"
    quarter = series("choreo_window_15m_application_requests")
    return (
        table(
            "Backends, all APIs",
            f"Requests to each backend {RANGE}, of all APIs, and per minute now. (Console: API Usage By Target.)",
            {"backend": "Backend"},
            Column("Requests", total(in_range("choreo_backend_requests_total"), *by), bar=True),
            Column("Per minute now", f"{total(backend, *by)} / 5", unit="none", decimals=1),
            width=12,
        ),
        table(
            "Applications, all APIs",
            f"Requests of each application {RANGE}; per minute now, {_QUARTERS}, and from windows of five minutes.",
            {"application": "Application"},
            Column("Requests", total(in_range(counted), *application), bar=True),
            Column("Per minute, 15 min", f"{total(quarter, *application)} / 15", unit="none", decimals=1),
            Column("Per minute, 5 min",
                   f"{total(series('choreo_window_application_requests'), *application)} / 5", unit="none", decimals=1),
            width=12,
        ),
    )  # fmt: skip


def _names() -> tuple[Panel, ...]:
    api = {**API_COLUMNS, "environment": "Environment", "api_id": "API id"}
    application = {**PLACE_COLUMNS, "application": "Application", "application_id": "Application id"}
    return (
        table(
            "APIs and their ids",
            "The APIs that are there now.",
            api,
            Column("Known", highest(series("choreo_api_info", "api"), *api)),
            links={"API": (api_of_cells(api),)},
            width=12,
        ),
        table(
            "Applications and their ids, all APIs",
            "The applications that are there now.",
            application,
            Column("Known", highest(series("choreo_application_info"), *PLACE, *application)),
            width=12,
        ),
    )
