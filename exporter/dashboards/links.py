"""Links from a panel to a dashboard or to the runbook: time range and variables are kept, others are set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from exporter.dashboards.model import TAG, JsonObject

RUNBOOK: Final = "https://github.com/OWNER/insights-exporter/blob/main/docs/runbook.md"
_EVERYWHERE: Final = ("datasource", "job", "instance")
_OF_PLACES: Final = (*_EVERYWHERE, "organization", "environment")


def uid(page: str) -> str:
    """The fixed uid of a page."""
    return f"{TAG}-{page}"


def page_link(title: str, page: str, kept: Iterable[str] = _EVERYWHERE, **values: str) -> JsonObject:
    """A link to a dashboard of ours with the same time range, these variables `kept` as they are, and others set.

    `values` are in Grafana's words for what was clicked: `${__field.labels.api}`.
    """
    held = [f"${{{name}:queryparam}}" for name in kept if name not in values]
    given = [f"var-{name}={value}" for name, value in values.items()]
    return {"title": title, "url": f"/d/{uid(page)}?{'&'.join(('${__url_time_range}', *held, *given))}"}


def runbook_link(entry: str, title: str = "Runbook") -> JsonObject:
    """A link to an entry of the runbook, by its heading."""
    return {"title": title, "url": f"{RUNBOOK}#{entry.lower()}", "targetBlank": True}


def api_of_labels(labels: Iterable[str]) -> JsonObject:
    """A link to the page of the API that a line or bar is of, by its labels."""
    taken = {name: f"${{__field.labels.{name}:percentencode}}" for name in _api_labels(labels)}
    return page_link("Everything on this API", "api", _OF_PLACES, **taken)


def api_of_cells(columns: Mapping[str, str]) -> JsonObject:
    """A link to the page of the API that a table's row is of, by its cells (label -> title of the column)."""
    taken = {name: f"${{__data.fields.{columns[name]}:percentencode}}" for name in _api_labels(columns)}
    return page_link("Everything on this API", "api", _OF_PLACES, **taken)


def _api_labels(labels: Iterable[str]) -> list[str]:
    return [name for name in ("organization", "environment", "api") if name in set(labels)]
