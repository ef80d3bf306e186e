"""Choreo's own alerts: which there were, and which APIs have most."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from graphql import GraphQLError

from exporter.simulator.asking import Arguments, Asking, matches, page, search_ids
from exporter.simulator.model import Alert
from exporter.simulator.ranges import time_range, time_span

CATEGORIES = ("LATENCY", "TRAFFIC")


def recent_alerts(asking: Asking, arguments: Arguments) -> Iterator[tuple[Alert, int]]:
    """The alerts of the time filter that are not older than a week, each with the offset to write its time in."""
    asked, scope = time_range(arguments["timeFilter"]), asking.scope(arguments)
    for environment in scope.environments:
        for alert in asking.model.alerts.between(
            environment.id, scope.tenant, asked.start_ms, asked.end_ms, asking.now_ms
        ):
            if scope.project_id in (None, alert.api.project_id):
                yield alert, asked.offset_ms


def alert_summary(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """The alerts, oldest first, a page at a time."""
    given = arguments.get("alertSummaryFilter") or {}
    search, category, api_ids = given.get("searchFilter"), given.get("category"), asking.ids(given, "apiIds")
    if category not in (None, *CATEGORIES):
        raise GraphQLError(f"category {category!r} is unknown; known are {', '.join(CATEGORIES)}.")
    found = search_ids(asking, search)
    usage = [
        {
            "apiId": alert.api.id,
            "timestamp": time_span(alert.time_ms, offset_ms),
            "category": alert.category,
            "metric": alert.metric,
            "severity": alert.severity,
            "message": alert.message,
        }
        for alert, offset_ms in recent_alerts(asking, arguments)
        if category in (None, alert.category)
        and (not api_ids or alert.api.id in api_ids)
        and matches(search, found, alert.api, alert.message)
    ]
    shown, pagination = page(asking, given.get("paginationFilter"), usage, "timestamp", "asc")
    return {"usage": shown, "pagination": pagination}


def top_apis(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """The APIs with most alerts first, a page at a time."""
    given = arguments.get("topAPIsByAlertCountFilter") or {}
    search = given.get("searchFilter")
    found = search_ids(asking, search)
    counts = Counter(
        alert.api.id
        for alert, _ in recent_alerts(asking, arguments)
        if matches(search, found, alert.api, alert.message)
    )
    usage = [{"apiId": api_id, "count": count} for api_id, count in sorted(counts.items())]
    shown, pagination = page(asking, given.get("paginationFilter"), usage, "count", "desc")
    return {"usage": shown, "pagination": pagination}


RESOLVERS = {"getAlertSummary": alert_summary, "getTopAPIsByAlertCount": top_apis}
