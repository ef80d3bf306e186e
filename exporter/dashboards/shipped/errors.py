"""Errors: by category, by side (the gateway's own, the backends'), by status code, and by reason."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import (
    AVAILABILITY,
    ERROR_RATIO,
    SOME_IS_BAD,
    Column,
    heat_map,
    stat,
    table,
    time_series,
)
from exporter.dashboards.promql import in_range, largest, named, ratio, series, total
from exporter.dashboards.shipped.words import (
    API,
    API_COLUMNS,
    FIRST_SEEN,
    PLACE,
    PLACE_COLUMNS,
    PLACE_LEGEND,
    RANGE,
    TWENTY,
    age_of,
    dashboard,
)
from exporter.dashboards.variables import apis, applications, places

_ERRORS = in_range("choreo_errors_total")
_REQUESTS = in_range("choreo_requests_total")
_SERVER_ERRORS = '=~"5.."'
_QUERIES = ("errors_by_category", "errors_by_class", "errors_by_reason", "api_proxy_errors", "api_target_errors")


def errors() -> Dashboard:
    """Choreo's page Errors, with both its tabs."""
    return dashboard(
        "errors",
        "Failed requests: by category, by class of the status code, by API and status code, and by reason.",
        (*places(), apis(), applications()),
        Row("Headlines", _headlines()),
        Row("By category", _by_category()),
        Row("By status code: the gateway's own answers (proxy) and the backends' (target)", _by_status()),
        Row("By API and status code", _heat_maps()),
        Row("Availability", (_availability(),)),
        Row("Details", _details()),
        Row("By API and status code, over time", _by_api_and_code(), collapsed=True),
    )


def _headlines() -> tuple[Panel, ...]:
    def of(category: str) -> str:
        return total(in_range("choreo_errors_by_category_total", category=f'="{category}"'))

    return (
        stat("Failed requests", f"Requests that failed at the gateway or a backend, {RANGE}.", total(_ERRORS),
             decimals=0),
        stat(
            "Error ratio",
            f"Failed requests divided by all requests, {RANGE}.",
            ratio(total(_ERRORS), total(_REQUESTS)),
            unit="percentunit",
            thresholds=ERROR_RATIO,
            decimals=2,
        ),
        stat("Throttled", f"Requests refused by a limit {RANGE}.", of("throttled"), decimals=0,
             thresholds=SOME_IS_BAD),
        stat("Not authorized", f"Requests with bad or no credentials {RANGE}.", of("auth"), decimals=0,
             thresholds=SOME_IS_BAD),
        stat(
            "Backend out of reach",
            f"Requests whose backend could not be reached {RANGE}.",
            of("target_connectivity"),
            decimals=0,
            thresholds=SOME_IS_BAD,
        ),
        age_of(*_QUERIES),
    )  # fmt: skip


def _by_category() -> tuple[Panel, ...]:
    failed = total(series("choreo_window_errors"), *PLACE)
    return (
        time_series(
            "Errors by category",
            "Failed requests in windows of 5 minutes, by what failed.",
            (total(series("choreo_window_errors_by_category"), "category"), "{{category}}"),
            stacked=True,
        ),
        time_series(
            "Error ratio",
            "Failed requests divided by all requests, in windows of 5 minutes.",
            (ratio(failed, total(series("choreo_window_requests"), *PLACE)), PLACE_LEGEND),
            unit="percentunit",
        ),
        table(
            "Errors by category and environment",
            f"Failed requests {RANGE}, by environment and what failed.",
            {"organization": "Organization", "environment": "Environment", "category": "Category"},
            Column("Failed requests", total(in_range("choreo_errors_by_category_total"), *PLACE, "category"),
                   decimals=0),
            height=7,
        ),
    )  # fmt: skip


def _by_status() -> tuple[Panel, ...]:
    by = "code_class"
    return (
        time_series(
            "Errors by status code",
            "Errors that the gateway itself answered in windows of 5 minutes, by class of the status code.",
            (total(series("choreo_window_proxy_errors"), by), "{{code_class}}"),
            stacked=True,
        ),
        time_series(
            "Target errors by status code",
            "Errors that the backends answered in windows of 5 minutes, by class of the status code.",
            (total(series("choreo_window_target_errors"), by), "{{code_class}}"),
            stacked=True,
        ),
        *(
            table(
                title,
                f"{text} {RANGE}, by environment and class of the status code.",
                {"organization": "Organization", "environment": "Environment", by: "Status codes"},
                Column("Errors", total(in_range(counter), *PLACE, by), decimals=0),
                width=12,
                height=7,
            )
            for title, text, counter in (
                ("Errors, in total", "Errors that the gateway itself answered", "choreo_proxy_errors_total"),
                ("Target errors, in total", "Errors that the backends answered", "choreo_target_errors_total"),
            )
        ),
    )


def _heat_maps() -> tuple[Panel, ...]:
    def by_code(counter: str) -> str:
        return named(f"{total(in_range(counter, 'api'), *API, 'code')} > 0", "name", *API)

    return (
        heat_map(
            "Errors of each API by status code",
            f"Errors that the gateway itself answered {RANGE}. {FIRST_SEEN}",
            by_code("choreo_api_proxy_errors_total"),
            row="name",
            column="code",
        ),
        heat_map(
            "Target errors of each API by status code",
            f"Errors that the backends answered {RANGE}. {FIRST_SEEN}",
            by_code("choreo_api_target_errors_total"),
            row="name",
            column="code",
        ),
    )


def _availability() -> Panel:
    """As the shipped rules count it: what is not answered with 5xx, by the gateway or a backend."""
    labels = {**API_COLUMNS, **PLACE_COLUMNS}
    requests = total(in_range("choreo_api_requests_total", "api"), *labels)

    def failed(counter: str) -> str:
        return f"({total(in_range(counter, 'api', code=_SERVER_ERRORS), *labels)} or 0 * {requests})"

    errors = f"({failed('choreo_api_proxy_errors_total')} + {failed('choreo_api_target_errors_total')})"
    return table(
        "Availability of each API",
        f"Share of the requests {RANGE} that neither the gateway nor a backend answered with 5xx. {FIRST_SEEN}",
        labels,
        Column("Requests", requests, decimals=0),
        Column("Answered with 5xx", errors, decimals=0),
        Column("Availability", f"1 - {ratio(errors, requests)}", unit="percentunit", thresholds=AVAILABILITY,
               decimals=3),
    )  # fmt: skip


def _details() -> tuple[Panel, ...]:
    by = (*API, "application", "reason")
    window = series("choreo_window_errors_by_reason", "api", "application")
    return (
        time_series(
            "Errors by reason",
            f"Failed requests in windows of 5 minutes, by reason. {TWENTY}",
            (largest(total(window, "reason")), "{{reason}}"),
            width=24,
        ),
        table(
            "Errors by API, application and reason",
            f"Failed requests {RANGE}, and in the last 5 minutes. {FIRST_SEEN}",
            {**API_COLUMNS, "application": "Application", "reason": "Reason"},
            Column("Failed requests", total(in_range("choreo_errors_by_reason_total", "api", "application"), *by),
                   decimals=0),
            Column("Last 5 minutes", total(window, *by), decimals=0),
        ),
    )  # fmt: skip


def _by_api_and_code() -> tuple[Panel, ...]:
    legend = "{{api}} {{version}}: {{code}}"
    return (
        time_series(
            "Errors by API and status code",
            f"Errors that the gateway itself answered in windows of 5 minutes. {TWENTY}",
            (largest(total(series("choreo_window_api_proxy_errors", "api"), *API, "code")), legend),
        ),
        time_series(
            "Target errors by API and status code",
            f"Errors that the backends answered in windows of 5 minutes. {TWENTY}",
            (largest(total(series("choreo_window_api_target_errors", "api"), *API, "code")), legend),
        ),
    )
