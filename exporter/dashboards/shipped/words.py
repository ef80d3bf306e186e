"""What the dashboards of the catalogue have in common: names, legends, and the panel that says how old data is."""

from __future__ import annotations

from typing import Final

from exporter.dashboards.model import TAG, Dashboard, JsonObject, Panel, Row
from exporter.dashboards.panels import AGE, Thresholds, stat
from exporter.dashboards.promql import data_age

PLACE: Final = ("organization", "environment")
API: Final = ("api", "version")
PLACE_LEGEND: Final = "{{organization}} / {{environment}}"
API_LEGEND: Final = "{{api}} {{version}}"
PLACE_COLUMNS: Final = {"organization": "Organization", "environment": "Environment"}
API_COLUMNS: Final = {"api": "API", "version": "Version"}

RANGE: Final = "over the chosen time range"
# how a counter that has no series before its first event is to be read
FIRST_SEEN: Final = "What is counted for the first time within the range counts from its second sample on."
TWENTY: Final = "The twenty largest at each moment."


def uid(page: str) -> str:
    """The fixed uid of a page."""
    return f"{TAG}-{page}"


def dashboard(
    page: str,
    description: str,
    variables: tuple[JsonObject, ...],
    *rows: Row,
    annotations: tuple[JsonObject, ...] = (),
) -> Dashboard:
    """A dashboard of the catalogue."""
    title = f"Choreo Insights / {page.capitalize()}"
    return Dashboard(uid(page), title, description, variables, rows, annotations=annotations)


def age_of(*queries: str, thresholds: Thresholds = AGE) -> Panel:
    """How old the figures of these queries of the exporter are."""
    description = (
        "Time since the end of the newest window of what this page shows now; of several queries, the oldest. "
        f"Queries: {', '.join(queries)}."
    )
    return stat("Data age now", description, data_age(*queries), unit="s", thresholds=thresholds)
