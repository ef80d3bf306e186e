"""Errors by category, by reason, by status code; proxy and target apart."""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLError

from exporter.simulator.asking import Arguments, Asking, Rows, grouped, matches, page, search_ids
from exporter.simulator.model import Pattern
from exporter.simulator.ranges import time_range

COLUMNS = {"AUTH": "auth", "TARGET_CONNECTIVITY": "targetConnectivity", "THROTTLED": "throttled", "OTHER": "other"}


def errors_of(given: Arguments) -> Callable[[Pattern], bool]:
    """Whether a request is an error of the API and application that a filter names, or of any."""
    api_id, app_id = given.get("apiId"), given.get("appId")
    return lambda p: p.failed and api_id in (None, p.api.id) and app_id in (None, p.application.id)


def category_of(category: str) -> str:
    """The category, if there is such a one; raises GraphQLError if not."""
    if category not in COLUMNS:
        raise GraphQLError(f"category {category!r} is unknown; known are {', '.join(COLUMNS)}.")
    return category


def by_category(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """Errors of each category over time; categories that were not asked for are null."""
    given = arguments.get("errorsByCategoryFilter") or {}
    wanted = [category_of(category) for category in given.get("categories") or COLUMNS]
    scope, asked = asking.scope(arguments), time_range(arguments["timeFilter"])
    width, cut = asking.buckets(asked, given.get("granularity"))
    one_of = errors_of(given)
    errors = []
    for bucket, rows in asking.bucket_rows(scope, cut, lambda p: one_of(p) and p.category in wanted):
        counts = grouped(rows, lambda p: p.category)
        errors.append({"timeSpan": bucket.time_span, **{COLUMNS[c]: counts[c] for c in wanted}})
    return {"errors": errors, "granularity": width}


def details(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """Errors by API, application and reason over time, a page at a time."""
    given = arguments.get("errorsDetailsFilter") or {}
    category, search = given.get("category"), given.get("searchFilter")
    if category is not None:
        category_of(category)
    found, one_of = search_ids(asking, search), errors_of(given)
    scope = asking.scope(arguments)
    _, cut = asking.buckets(time_range(arguments["timeFilter"]), given.get("granularity"))
    usage = []
    for bucket in cut:
        errors = asking.rows(
            scope,
            bucket.start_ms,
            bucket.end_ms,
            lambda p: (
                one_of(p)
                and category in (None, p.category)
                and matches(search, found, p.api, p.reason or "", p.application.name)
            ),
        )
        counts = grouped(errors, lambda p: (p.api.id, p.application, p.reason))
        ordered = sorted(counts.items(), key=lambda item: (item[0][0], item[0][1].id, item[0][2] or ""))
        usage += [
            {
                "apiId": api_id,
                "timeSpan": bucket.time_span,
                "applicationId": application.id,
                "applicationName": application.name,
                "applicationOwner": application.owner,
                "reason": reason,
                "count": count,
            }
            for (api_id, application, reason), count in ordered
        ]
    shown, pagination = page(asking, given.get("paginationFilter"), usage, "timeSpan", "asc")
    return {"usage": shown, "pagination": pagination}


def status_of(pattern: Pattern) -> int:
    """The status code that an error counts under: the target's own, or the one that the proxy gave."""
    code = pattern.target_status_code if pattern.error_side == "target" else pattern.status_code
    return code if code is not None else pattern.status_code


def classes(rows: Rows, side: str) -> dict[str, int]:
    """The errors of one side by class of status code."""
    counts = grouped(((p, n) for p, n in rows if p.error_side == side), lambda p: status_of(p) // 100)
    return {"_4xx": counts[4], "_5xx": counts[5], "total": counts.total()}


def proxy_and_target(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """Proxy and target errors by class of status code over time."""
    given = arguments.get("errorsByStatusCodeFilter") or {}
    scope = asking.scope(arguments)
    _, cut = asking.buckets(time_range(arguments["timeFilter"]), given.get("granularity"))
    return [
        {"timeSpan": bucket.time_span, "proxy": classes(rows, "proxy"), "target": classes(rows, "target")}
        for bucket, rows in asking.bucket_rows(scope, cut, errors_of(given))
    ]


def by_status_code(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """Errors of one side by API and status code; a page is so many APIs, those with most errors first."""
    given = arguments["errorCountByStatusCodeFilter"]
    side, code_type = given["errorType"].lower(), given.get("errorCodeType")
    one_of, asked = errors_of(given), time_range(arguments["timeFilter"])
    rows = asking.rows(
        asking.scope(arguments),
        asked.start_ms,
        asked.end_ms,
        lambda p: one_of(p) and p.error_side == side and (code_type is None or code_type[1] == str(status_of(p))[0]),
    )
    counts = grouped(rows, lambda p: (p.api.id, status_of(p)))
    apis: dict[str, dict[str, Any]] = {}
    for (api_id, code), count in sorted(counts.items()):
        row = apis.setdefault(api_id, {"apiId": api_id, "errorCountByCode": [], "count": 0})
        row["errorCountByCode"].append({"statusCode": str(code), "count": count})
        row["count"] += count
    shown, pagination = page(asking, given.get("paginationFilter"), list(apis.values()), "count", "desc")
    return {"errors": shown, "pagination": pagination}


RESOLVERS = {
    "getErrorsByCategory": by_category,
    "getErrorsDetails": details,
    "getProxyTargetErrorsOverTime": proxy_and_target,
    "getErrorsByStatusCode": by_status_code,
}
