"""Overview: requests, errors and latency of each environment."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import ERROR_RATIO, LATENCY, Column, stat, table, time_series
from exporter.dashboards.promql import highest, in_range, ratio, selector, series, total
from exporter.dashboards.shipped.words import PLACE, PLACE_COLUMNS, PLACE_LEGEND, RANGE, age_of, dashboard, uid
from exporter.dashboards.variables import places

_REQUESTS = in_range("choreo_requests_total")
_ERRORS = in_range("choreo_errors_total")
_LATENCY = series("choreo_response_latency_p95_seconds")


def overview() -> Dashboard:
    """Choreo's page Overview, for all environments at once."""
    return dashboard(
        "overview",
        "Requests, errors and latency of each environment of WSO2 Choreo.",
        places(),
        Row("Headlines", _headlines()),
        Row("Over time", _over_time()),
        Row("Environments", (_environments(),)),
        Row("Names", _names(), collapsed=True),
    )


def _headlines() -> tuple[Panel, ...]:
    return (
        stat(
            "Requests",
            f"Requests, successful and failed, {RANGE}.",
            total(_REQUESTS),
            decimals=0,
            opens=uid("traffic"),
        ),
        stat(
            "Failed requests",
            f"Requests that failed at the gateway or a backend, {RANGE}.",
            total(_ERRORS),
            decimals=0,
            opens=uid("errors"),
        ),
        stat(
            "Error ratio",
            f"Failed requests divided by all requests, {RANGE}.",
            ratio(total(_ERRORS), total(_REQUESTS)),
            unit="percentunit",
            thresholds=ERROR_RATIO,
            decimals=2,
            opens=uid("errors"),
        ),
        stat(
            "95th percentile latency",
            "Response latency in the last 5 minutes; of several environments, the highest, as percentiles cannot be "
            "averaged.",
            highest(_LATENCY),
            unit="s",
            thresholds=LATENCY,
            opens=uid("latency"),
        ),
        stat(
            "Requests, last 5 minutes",
            "Requests in the last 5 minutes that are complete upstream.",
            total(series("choreo_window_requests")),
            decimals=0,
            opens=uid("traffic"),
        ),
        age_of("overview"),
    )


def _over_time() -> tuple[Panel, ...]:
    failed = total(series("choreo_window_errors"), *PLACE)
    requests = total(series("choreo_window_requests"), *PLACE)
    return (
        time_series(
            "API request summary",
            "Successful and failed requests of each whole quarter of an hour (left), and the 95th percentile of the "
            "response latency; of several environments, the highest (right).",
            (total(series("choreo_window_15m_successful_requests")), "successful"),
            (total(series("choreo_window_15m_errors")), "failed"),
            (highest(series("choreo_response_latency_15m_p95_seconds")), "95th percentile latency"),
            right_axis={".*latency": "s"},
            width=24,
        ),
        time_series("Requests", "Requests in windows of 5 minutes.", (requests, PLACE_LEGEND)),
        time_series("Failed requests", "Failed requests in windows of 5 minutes.", (failed, PLACE_LEGEND)),
        time_series(
            "Error ratio",
            "Failed requests divided by all requests, in windows of 5 minutes.",
            (ratio(failed, requests), PLACE_LEGEND),
            unit="percentunit",
        ),
        time_series(
            "95th percentile latency",
            "95th percentile of the response latency of all requests in windows of 5 minutes, by tenant.",
            (highest(_LATENCY, *PLACE, "tenant"), f"{PLACE_LEGEND} {{{{tenant}}}}"),
            unit="s",
        ),
    )


def _environments() -> Panel:
    return table(
        "Environments",
        f"Requests, failed requests and their ratio {RANGE}; latency in the last 5 minutes (of the tenants, the "
        "highest).",
        PLACE_COLUMNS,
        Column("Requests", total(_REQUESTS, *PLACE), decimals=0),
        Column("Failed requests", total(_ERRORS, *PLACE), decimals=0),
        Column(
            "Error ratio",
            ratio(total(_ERRORS, *PLACE), total(_REQUESTS, *PLACE)),
            unit="percentunit",
            thresholds=ERROR_RATIO,
            decimals=2,
        ),
        Column("95th percentile latency", highest(_LATENCY, *PLACE), unit="s", thresholds=LATENCY),
        height=7,
    )


def _names() -> tuple[Panel, ...]:
    organization = {
        "organization_handle": "Handle",
        "organization_name": "Name",
        "organization_id": "Organization id",
    }
    environment = {**PLACE_COLUMNS, "environment_type": "Type", "environment_id": "Environment id"}
    organizations = selector("choreo_organization_info", "organization")
    return (
        table(
            "Organizations",
            "The organizations that the access token may see now, with their ids.",
            organization,
            Column("Known", highest(organizations, *organization)),
            width=12,
            height=7,
        ),
        table(
            "Environments and their ids",
            "The environments that are there now, with their types and ids.",
            environment,
            Column("Known", highest(series("choreo_environment_info"), *environment)),
            width=12,
            height=7,
        ),
    )
