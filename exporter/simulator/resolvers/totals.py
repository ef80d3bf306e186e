"""Totals of a scope or of one API, and their course: traffic, errors, successes."""

from collections.abc import Callable
from typing import Any

from exporter.simulator.asking import Arguments, Asking, Scope, total
from exporter.simulator.model import Pattern
from exporter.simulator.ranges import TimeRange, time_range

DAY_MS = 86_400_000


def optional_range(asking: Asking, arguments: Arguments) -> TimeRange:
    """The range of an optional filter; without one, the 24 hours before now."""
    given = arguments.get("filter")
    return time_range(given) if given else TimeRange(asking.now_ms - DAY_MS, asking.now_ms)


def failed(pattern: Pattern) -> bool:
    """Whether the request is an error, proxy or target."""
    return pattern.failed


def succeeded(pattern: Pattern) -> bool:
    """Whether the request is no error."""
    return not pattern.failed


def of_api(api_id: str) -> Callable[[Pattern], bool]:
    """Whether a request is one to that API."""
    return lambda pattern: pattern.api.id == api_id


def total_traffic(asking: Asking, arguments: Arguments) -> int:
    """All requests, successes and errors."""
    asked = time_range(arguments["filter"])
    return total(asking.rows(asking.scope(arguments), asked.start_ms, asked.end_ms))


def total_errors(asking: Asking, arguments: Arguments) -> int:
    """All errors, proxy and target."""
    asked = time_range(arguments["filter"])
    return total(asking.rows(asking.scope(arguments), asked.start_ms, asked.end_ms, failed))


def total_traffic_by_api(asking: Asking, arguments: Arguments) -> int:
    """All requests to one API."""
    asked = optional_range(asking, arguments)
    return total(asking.rows(asking.scope(arguments), asked.start_ms, asked.end_ms, of_api(arguments["apiId"])))


def total_errors_by_api(asking: Asking, arguments: Arguments) -> dict[str, int]:
    """The proxy errors of one API: the type has no field for target errors."""
    asked, api_id = optional_range(asking, arguments), arguments["apiId"]
    rows = asking.rows(
        asking.scope(arguments), asked.start_ms, asked.end_ms, lambda p: p.api.id == api_id and p.error_side == "proxy"
    )
    return {"proxy": total(rows)}


def course(
    asking: Asking, scope: Scope, arguments: Arguments, keep: Callable[[Pattern], bool], column: str
) -> dict[str, Any]:
    """The counts of a kind of requests, bucket by bucket."""
    width, cut = asking.buckets(time_range(arguments["filter"]), arguments.get("granularity"))
    summary = [
        {"timeSpan": bucket.time_span, column: total(rows)} for bucket, rows in asking.bucket_rows(scope, cut, keep)
    ]
    return {"summary": summary, "granularity": width}


def success_summary(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """Successes over time."""
    return course(asking, asking.scope(arguments), arguments, succeeded, "requestCount")


def error_summary(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """Errors over time."""
    return course(asking, asking.scope(arguments), arguments, failed, "errorCount")


RESOLVERS = {
    "getTotalTraffic": total_traffic,
    "getTotalErrors": total_errors,
    "getTotalTrafficByAPI": total_traffic_by_api,
    "getTotalErrorsByAPI": total_errors_by_api,
    "getSuccessSummary": success_summary,
    "getErrorSummary": error_summary,
}
