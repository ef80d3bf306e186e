"""What the dashboards of the catalogue have in common: names, legends, and the frame of a page."""

from __future__ import annotations

from typing import Final

from exporter.dashboards.annotations import marks
from exporter.dashboards.freshness import first_line
from exporter.dashboards.links import uid
from exporter.dashboards.model import Dashboard, JsonObject, Row
from exporter.dashboards.promql import added, or_zero, windows_in_range

PLACE: Final = ("organization", "environment")
API: Final = ("api", "version")
ENVIRONMENT_LEGEND: Final = "{{environment}}"
API_LEGEND: Final = "{{api}} {{version}}"
PLACE_COLUMNS: Final = {"organization": "Organization", "environment": "Environment"}
API_COLUMNS: Final = {"api": "API", "version": "Version"}
API_PLACE_COLUMNS: Final = {**API_COLUMNS, "environment": "Environment", "organization": "Organization"}

RANGE: Final = "in the chosen time range"
PER_MINUTE: Final = "per minute, from windows of five minutes"
TEN: Final = "The ten largest over the whole range; the rest is Others."
LAST_WEEK: Final = "The dashed line is the same time a week before."
PROXY: Final = "choreo_window_api_proxy_errors"
TARGET: Final = "choreo_window_api_target_errors"
REQUESTS: Final = "choreo_api_requests_total"
P95: Final = "choreo_api_response_latency_p95_seconds"
P95_THRESHOLD: Final = "api:choreo_latency_p95_seconds:threshold"
# The words for errors: a page that says 5xx means this and nothing else.
FIVE: Final = '=~"5.."'
FOUR: Final = '=~"4.."'
SERVER_ERRORS: Final = "answered with 5xx, by the gateway or a backend"
CALLER_ERRORS: Final = "answered with 4xx, by the gateway or a backend"


def dashboard(
    page: str,
    description: str,
    variables: tuple[JsonObject, ...],
    queries: tuple[str, ...],
    *rows: Row,
    title: str = "",
) -> Dashboard:
    """A dashboard of the catalogue: its first line says how current these queries are."""
    return framed(page, description, variables, Row("", (first_line(*queries),)), *rows, title=title)


def framed(page: str, description: str, variables: tuple[JsonObject, ...], *rows: Row, title: str = "") -> Dashboard:
    """A dashboard of ours with the marks that every page has."""
    named = f"Choreo Insights / {title or page.capitalize()}"
    return Dashboard(uid(page), named, description, variables, rows, annotations=marks())


def errors_in_range(codes: str, *by: str, like: str) -> str:
    """Errors of APIs with these status codes in the chosen time range, 0 where `like` has a series and there were none.

    Every one is counted, as they come from windows. Both sides are added up at once, so that `like` is asked once.
    """
    sides = (one_side(windows_in_range(window, "api", code=codes), window) for window in (PROXY, TARGET))
    return or_zero(added(" or ".join(sides), *by), like=like)


def one_side(expression: str, side: str) -> str:
    """Errors of the gateway or the backends, told apart by a label, so that `or` joins those of both."""
    return f'label_replace(max without (instance, pod) ({expression}), "side", "{side}", "", "")'
