"""Errors: what fails, where and why?"""

from __future__ import annotations

from typing import Final

from exporter.dashboards.links import api_of_cells, api_of_labels, page_link
from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import (
    ERROR_RATIO,
    GREY_LINE,
    ORANGE,
    RED,
    SOME_IS_4XX,
    SOME_IS_5XX,
    Column,
    Figure,
    Line,
    figures,
    heat_map,
    table,
    time_series,
)
from exporter.dashboards.promql import (
    WEEK,
    a_minute,
    in_range,
    leading,
    leading_a_minute,
    or_zero,
    over_range,
    ratio,
    series,
    total,
    windows_in_range,
)
from exporter.dashboards.shipped.words import (
    API,
    API_COLUMNS,
    API_LEGEND,
    CALLER_ERRORS,
    FIVE,
    FOUR,
    LAST_WEEK,
    PLACE,
    PLACE_COLUMNS,
    PROXY,
    RANGE,
    REQUESTS,
    SERVER_ERRORS,
    TARGET,
    dashboard,
    errors_in_range,
)
from exporter.dashboards.variables import apis, places

_QUERIES: Final = ("api_traffic", "api_proxy_errors", "api_target_errors", "errors_by_reason", "errors_by_category",
                   "errors_by_class")  # fmt: skip
_REASONS: Final = "choreo_window_errors_by_reason"
_KEPT: Final = ("datasource", "job", "instance", "organization", "environment", "api")


def errors() -> Dashboard:
    """Choreo's page Errors, with both its tabs."""
    return dashboard(
        "errors",
        "What fails, where and why? The first figures and charts are of the chosen APIs: 5xx are failures of the "
        "gateway or a backend, 4xx are the callers' own. What Choreo does not know by API is in the row of all APIs.",
        (*places(), apis()),
        _QUERIES,
        Row("", (_headlines(), *_charts(), *_codes(), _reasons())),
        Row("All APIs", _all(), collapsed=True),
    )


def _headlines() -> Panel:
    requests = total(in_range(REQUESTS, "api"))
    five, four = errors_in_range(FIVE, like=requests), errors_in_range(FOUR, like=requests)
    throttled = total(windows_in_range(PROXY, "api", code='="429"'))
    return figures(
        "Errors",
        f"Requests to the chosen APIs {RANGE} that were {SERVER_ERRORS}, and their share of all; those "
        f"{CALLER_ERRORS}; and among these, those that the gateway refused for a limit (429).",
        Figure(five, "5xx in the range", thresholds=SOME_IS_5XX, decimals=0),
        Figure(ratio(five, requests), "5xx share", "percentunit", ERROR_RATIO, 2),
        Figure(four, "4xx in the range", thresholds=SOME_IS_4XX, decimals=0),
        Figure(or_zero(throttled), "throttled in the range", thresholds=SOME_IS_4XX, decimals=0),
        height=4,
    )


def _charts() -> tuple[Panel, ...]:
    reasons = series(_REASONS, "api")

    def by_api(codes: str) -> str:
        proxy, target = (a_minute(window, *API, variables=("api",), code=codes) for window in (PROXY, TARGET))
        return f"({proxy} + {target} or {proxy} or {target})"

    def rank(codes: str) -> str:
        proxy, target = (over_range(series(window, "api", code=codes), *API) for window in (PROXY, TARGET))
        return f"({proxy} + {target} or {proxy} or {target})"

    return (
        time_series(
            "5xx by API",
            f"Requests per minute that were {SERVER_ERRORS}, from windows of five minutes: the ten APIs with most "
            "over the whole range.",
            Line(leading(by_api(FIVE), API, rank(FIVE)), API_LEGEND),
            stacked=True,
            links=(api_of_labels(API),),
        ),
        time_series(
            "Errors by reason",
            "Failed requests (4xx and 5xx) per minute by reason, from windows of five minutes: the ten most frequent "
            "over the whole range.",
            Line(leading_a_minute(reasons, "reason"), "{{reason}}"),
            stacked=True,
        ),
    )


def _codes() -> tuple[Panel, ...]:
    def by_code(window: str) -> str:
        return f"{total(windows_in_range(window, 'api'), 'api', 'code')} > 0"

    links = (page_link("Everything on this API", "api", _KEPT, api="${__value.text:percentencode}"),)
    return (
        heat_map(
            "Gateway's own errors by API and status code",
            f"Errors that the gateway itself answered {RANGE}. (Console: Errors heat map; it calls these proxy "
            "errors.)",
            by_code(PROXY),
            row="api",
            column="code",
            named="API",
            links=links,
        ),
        heat_map(
            "Backends' errors by API and status code",
            f"Errors that the backends answered {RANGE}. (Console: Target Errors heat map.)",
            by_code(TARGET),
            row="api",
            column="code",
            named="API",
            links=links,
        ),
    )


def _reasons() -> Panel:
    by = (*API, "application", "reason")
    return table(
        "Errors by API, application and reason",
        f"Failed requests (4xx and 5xx) {RANGE}, and per minute now.",
        {**API_COLUMNS, "application": "Application", "reason": "Reason"},
        Column("Failed", total(windows_in_range(_REASONS, "api"), *by), bar=True),
        Column("Per minute now", f"{total(series(_REASONS, 'api'), *by)} / 5", unit="none", decimals=1),
        links={"API": (api_of_cells(API_COLUMNS),)},
        height=10,
    )


def _all() -> tuple[Panel, ...]:
    failed = total(in_range("choreo_errors_total"), *PLACE)
    category = "choreo_errors_by_category_total"

    def classes(side: str, name: str, *, dashed: bool = False) -> tuple[Line, Line]:
        window = f"choreo_window_{side}_errors"
        return (
            Line(a_minute(window, code_class='="4xx"'), f"4xx {name}", ORANGE, dashed=dashed),
            Line(a_minute(window, code_class='="5xx"'), f"5xx {name}", RED, dashed=dashed),
        )

    return (
        time_series(
            "Failed requests by category, all APIs",
            f"Failed requests (4xx and 5xx) per minute by what failed, from windows of five minutes. {LAST_WEEK} "
            "(Console: Errors by category.)",
            Line(a_minute("choreo_window_errors_by_category", "category"), "{{category}}"),
            Line(a_minute("choreo_window_errors_by_category", ago=WEEK), "a week before", GREY_LINE, dashed=True),
            stacked=True,
        ),
        time_series(
            "Errors by status class, all APIs",
            "Errors per minute that the gateway itself answered, and those that the backends answered (dashed). "
            "(Console: Errors by Status Code, Target Errors by Status Code.)",
            *classes("proxy", "gateway"),
            *classes("target", "backends", dashed=True),
        ),
        table(
            "Environments by category, all APIs",
            f"Failed requests (4xx and 5xx) {RANGE}, in all and by what failed.",
            PLACE_COLUMNS,
            Column("Failed", failed),
            *(
                Column(title, total(in_range(category, category=f'="{value}"'), *PLACE))
                for title, value in (
                    ("Not authorized", "auth"),
                    ("Throttled", "throttled"),
                    ("Backend out of reach", "target_connectivity"),
                    ("Other", "other"),
                )
            ),
            height=7,
        ),
    )
