"""API: everything on one API."""

from __future__ import annotations

from typing import Final

from exporter.dashboards.links import page_link
from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import (
    ERROR_RATIO,
    GREEN,
    GREY,
    GREY_LINE,
    LATENCY,
    LEFT,
    ORANGE,
    PER_MINUTE,
    RED,
    Column,
    Figure,
    Line,
    stat,
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
    of_apis,
    or_zero,
    ratio,
    series,
    total,
    windows_in_range,
)
from exporter.dashboards.shipped.latency import hops
from exporter.dashboards.shipped.objectives import WINDOWS, budget_left, burn_rate
from exporter.dashboards.shipped.words import (
    FIVE,
    FOUR,
    LAST_WEEK,
    P95,
    P95_THRESHOLD,
    PROXY,
    RANGE,
    REQUESTS,
    SERVER_ERRORS,
    TARGET,
    dashboard,
    errors_in_range,
)
from exporter.dashboards.variables import one_api, places

_QUERIES: Final = (
    "api_traffic",
    "api_proxy_errors",
    "api_target_errors",
    "api_proxy_errors_today",
    "api_target_errors_today",
    "errors_by_reason",
    "api_latency",
    "usage_report",
    "resource_traffic",
)
_KEPT: Final = ("datasource", "job", "instance", "organization", "environment", "api")
_WINDOW: Final = "choreo_window_api_requests"
_CHOSEN: Final = ("api",)
_ANY: Final = '=~"[45].."'


def api() -> Dashboard:
    """The page of one API."""
    return dashboard(
        "api",
        "Is this API well, and if not, where does it fail? The first figures say whether; below, its requests, "
        "errors, latency and objective.",
        (*places(), one_api()),
        _QUERIES,
        Row("", (*_headlines(), *_red(), *_latency())),
        Row("Who calls it, and what", _callers()),
        Row("All APIs of these environments: backends and cache", _shared(), collapsed=True),
        title="API",
    )


def _headlines() -> tuple[Panel, ...]:
    requests = total(in_range(REQUESTS, "api"))
    return (
        stat(
            "Requests in the range",
            f"Requests to this API {RANGE}, and in the same range a week before.",
            requests,
            decimals=0,
            legend="requests",
            compared=Figure(a_week_before(REQUESTS, variables=("api",)), "a week before", thresholds=GREY, decimals=0),
            links=(page_link("Traffic", "traffic", _KEPT),),
        ),
        stat(
            "5xx in the range",
            f"Share of the requests {RANGE} that were {SERVER_ERRORS}; and what the objective allows.",
            ratio(errors_in_range(FIVE, like=requests), requests),
            unit="percentunit",
            thresholds=ERROR_RATIO,
            decimals=2,
            legend="5xx",
            compared=Figure(
                f"1 - max({of_apis('api:choreo_availability_objective:threshold')})", "allowed", "percentunit", GREY, 2
            ),
            links=(page_link("Errors", "errors", _KEPT),),
        ),
        stat(
            "95th percentile now",
            "Response latency in the newest whole quarter of an hour; of several environments, the highest; and the "
            "threshold.",
            highest(series(P95, "api")),
            unit="s",
            thresholds=LATENCY,
            legend="p95",
            compared=Figure(f"min({of_apis(P95_THRESHOLD)})", "threshold", "s", GREY),
            links=(page_link("Latency", "latency", _KEPT),),
        ),
        stat(
            "Error budget left now",
            "What is left of the error budget of the last 30 days, as of now. Empty where Prometheus has not loaded "
            "the rules.",
            f"min({budget_left()})",
            unit="percentunit",
            thresholds=LEFT,
            decimals=1,
            nothing="not known",
            links=(page_link("Objectives", "objectives", _KEPT),),
        ),
    )


def _failed(codes: str) -> str:
    sides = (or_zero(a_minute(window, variables=_CHOSEN, code=codes)) for window in (PROXY, TARGET))
    return f"({' + '.join(sides)})"


def _red() -> tuple[Panel, ...]:
    requests = a_minute(_WINDOW, variables=_CHOSEN)
    reasons = series("choreo_window_errors_by_reason", "api")
    codes = [total(series(window, "api"), "code") for window in (PROXY, TARGET)]
    return (
        time_series(
            "Requests by status class",
            "Requests per minute by class of the status code, from windows of five minutes. The dashed line is all "
            "requests at the same time a week before.",
            Line(_failed(FIVE), "5xx", RED),
            Line(_failed(FOUR), "4xx", ORANGE),
            Line(f"clamp_min({requests} - {_failed(_ANY)}, 0)", "successful", GREEN),
            Line(a_minute(_WINDOW, variables=_CHOSEN, ago=WEEK), "a week before", GREY_LINE, dashed=True),
            stacked=True,
        ),
        time_series(
            "Errors by reason",
            "Failed requests (4xx and 5xx) per minute by reason, from windows of five minutes: the ten most frequent "
            "over the whole range.",
            Line(leading_a_minute(reasons, "reason"), "{{reason}}"),
            stacked=True,
        ),
        time_series(
            "Errors by status code",
            "Errors per minute by status code, the gateway's own answers (proxy) and the backend's (target), from "
            "windows of five minutes.",
            Line(f"{codes[0]} / 5", "{{code}} proxy"),
            Line(f"{codes[1]} / 5", "{{code}} target"),
        ),
        time_series(
            "Burn rates",
            "How many times faster the error budget burns than the objective allows, in the windows of the rules; of "
            "several environments, the highest. Empty where Prometheus has not loaded the rules.",
            *(Line(f"max({burn_rate(window)})", window) for window, _ in WINDOWS),
            unit="none",
            calcs=("lastNotNull", "max"),
            thresholds=(("transparent", None), ("orange", 1.0), ("red", 6.0)),
        ),
    )


def _latency() -> tuple[Panel, ...]:
    def stack(title: str, percentile: str, about: str) -> Panel:
        whole = highest(series(f"choreo_api_response_latency_{percentile}_seconds", "api"))
        before = highest(series(f"choreo_api_response_latency_{percentile}_seconds", "api") + WEEK)
        return time_series(
            title,
            f"{about} of each hop in whole quarters of an hour, as a stack; the dashed lines are the whole response, "
            "now and a week before, which can differ from the stack, because percentiles do not add up. Of several "
            "environments, the highest.",
            *(Line(highest(series(metric, "api")), name) for metric, name in hops(percentile)[1:]),
            Line(whole, "whole response", "text", dashed=True),
            Line(before, "a week before", GREY_LINE, dashed=True),
            unit="s",
            stacked=True,
        )

    return (
        stack("95th percentile by hop", "p95", "95th percentile"),
        stack("Median by hop", "p50", "Median"),
    )


def _callers() -> tuple[Panel, ...]:
    usage = series("choreo_window_api_application_requests", "api")
    resource = "choreo_window_resource_requests"
    resources = ("method", "resource")
    return (
        time_series(
            "Requests by application",
            "Requests per minute of each application, from windows of five minutes: the ten largest over the whole "
            "range.",
            Line(
                leading_a_minute(usage, "application"),
                "{{application}}",
            ),
            stacked=True,
            links=(
                page_link(
                    "Reports of this application",
                    "reports",
                    _KEPT,
                    application="${__field.labels.application:percentencode}",
                ),
            ),
        ),
        table(
            "Resources",
            f"Requests to each resource of this API {RANGE}.",
            {"method": "Method", "resource": "Resource"},
            Column("Requests", total(windows_in_range(resource, "api"), *resources), bar=True),
            width=12,
        ),
    )


def _shared() -> tuple[Panel, ...]:
    backend = series("choreo_window_backend_requests")
    past = [total(series(f"choreo_window_cache_{what}") + WEEK) for what in ("hits", "misses")]
    week = past[0], f"({past[0]} + {past[1]})"
    hits, misses = (total(series(f"choreo_window_cache_{what}")) for what in ("hits", "misses"))
    return (
        time_series(
            "Requests by backend, all APIs",
            "Requests per minute to each backend of these environments: Choreo does not say of which API. The ten "
            "largest over the whole range.",
            Line(leading_a_minute(backend, "backend"), "{{backend}}"),
            unit=PER_MINUTE,
        ),
        time_series(
            "Cache hit ratio, all APIs",
            f"Hits divided by hits and misses of these environments: Choreo does not say of which API. {LAST_WEEK}",
            Line(ratio(hits, f"({hits} + {misses})"), "hit ratio"),
            Line(ratio(*week), "a week before", GREY_LINE, dashed=True),
            unit="percentunit",
        ),
    )  # fmt: skip
