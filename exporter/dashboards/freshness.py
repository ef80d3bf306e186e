"""The first line of every page: whether its figures are current, how late they are, since when and why they stopped."""

from __future__ import annotations

from typing import Final

from exporter.dashboards.links import page_link, runbook_link
from exporter.dashboards.model import JsonObject, Panel
from exporter.dashboards.panels import Figure, Thresholds, figures, with_links
from exporter.dashboards.promql import added, own

# How many of a query's own intervals ago its last success may be: a late answer, and what the alerts call stale.
LATE: Final = 2
STOPPED: Final = 5
# The words of the line, by its number.
STATES: Final = {
    "0": ("current", "green"),
    "1": ("current, but polls fail", "orange"),
    "2": ("late", "red"),
    "3": ("stopped", "red"),
    "4": ("missing", "red"),
}
_RED: Final[Thresholds] = (("red", None),)
# Queries that others get their targets from: if they fail, nothing new comes of those either.
_FEEDING: Final = ("environments", "tenants")


def first_line(*queries: str, variables: tuple[str, ...] = ()) -> Panel:
    """The line for these queries (all of them, if none is named, or those chosen in `variables`)."""
    chosen = {"query": f'=~"{"|".join((*queries, *_FEEDING))}"'} if queries else {}

    # each exporter by itself, as one that works must not hide one that does not
    success, interval, up = (
        own(f"query_{metric}", *variables, **chosen)
        for metric in ("last_success_timestamp_seconds", "interval_seconds", "up")
    )
    age = f"((time() - {success}) / {interval})"
    state = (
        f"{LATE} * ({age} > bool {LATE}) + ({age} > bool {STOPPED}) + (1 - {up}) * ({age} <= bool {LATE}) or "
        f"{STOPPED - LATE} * (1 - {up})"
    )
    failing = added(own("query_failure_reason", *variables, **chosen), "reason")
    described = (
        "Whether the figures of this page are current. Each query of each exporter is judged by its own "
        f"interval: late, if its last success is more than {LATE} intervals ago, stopped after {STOPPED}; missing, if "
        "Prometheus has nothing from the exporter. Then: by how much the latest is late, when the first stopped, and "
        f"for which reasons targets fail, as of now. Queries: {', '.join(queries) or 'all'}."
    )
    panel = figures(
        "Are these figures current?",
        described,
        Figure(f"max({state}) or vector(4)", "Figures", "none", words=STATES, thresholds=_RED),
        Figure(f"max((time() - {success} - {interval}) and {age} > {LATE})", "Late by", "s", _RED, 0),
        Figure(f"min({success} and {age} > {STOPPED}) * 1000", "Stopped", "dateTimeFromNow", _RED),
        Figure(f"topk(3, {failing})", "Reason: {{reason}}", "suffix: targets", _RED, 0),
        links=_links(),
        nothing="missing",
        colored="background",
    )
    return with_links(panel, *_links())


def _links() -> tuple[JsonObject, ...]:
    return page_link("Exporter", "exporter"), runbook_link("InsightsExporterDataStale", "What to do")
