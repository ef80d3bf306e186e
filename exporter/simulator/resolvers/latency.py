"""Latencies in milliseconds, percentiles by nearest rank over single requests; and response caches.

Every hop has a figure for every request. A hop that the request did not come to took no time: backend and response
mediation of proxy errors and of hits of the response cache. So no hop's percentile is above that of the response.
"""

from typing import Any

from graphql import GraphQLError

from exporter.simulator.asking import Arguments, Asking, Rows, grouped, nearest_rank
from exporter.simulator.ranges import time_range
from exporter.simulator.resolvers.totals import of_api, optional_range


def response_p95(rows: Rows) -> int | None:
    """The 95th percentile of the response latency; None without requests."""
    return nearest_rank(((p.response_ms, count) for p, count in rows), 95)


def overall(asking: Asking, arguments: Arguments) -> int | None:
    """The 95th percentile of all responses; null without requests."""
    asked = time_range(arguments["filter"])
    return response_p95(asking.rows(asking.scope(arguments), asked.start_ms, asked.end_ms))


def overall_by_api(asking: Asking, arguments: Arguments) -> dict[str, int | None]:
    """The 95th percentile of one API's responses; null without requests."""
    asked = optional_range(asking, arguments)
    rows = asking.rows(asking.scope(arguments), asked.start_ms, asked.end_ms, of_api(arguments["apiId"]))
    return {"response": response_p95(rows)}


def summary(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """The 95th percentile over time, of one API if it is given; buckets without requests have no row."""
    given = arguments.get("latencySummaryFilter") or {}
    keep = None if given.get("apiId") is None else of_api(given["apiId"])
    scope = asking.scope(arguments)
    width, cut = asking.buckets(time_range(arguments["filter"]), given.get("granularity"))
    values = [
        {"timeSpan": bucket.time_span, "latencyTime": response_p95(rows)}
        for bucket, rows in asking.bucket_rows(scope, cut, keep)
        if rows
    ]
    return {"summary": values, "granularity": width}


def by_hop(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """The 95th and 50th percentiles of each hop of one API over time; buckets without requests have no row."""
    given = arguments["latencyFilter"]
    scope = asking.scope(arguments)
    width, cut = asking.buckets(time_range(arguments["timeFilter"]), given.get("granularity"))
    found = []
    for bucket, rows in asking.bucket_rows(scope, cut, of_api(given["apiId"])):
        hops: dict[str, list[tuple[int, int]]] = {
            "response": [(p.response_ms, n) for p, n in rows],
            "backend": [(p.backend_ms or 0, n) for p, n in rows],
            "requestMediation": [(p.request_mediation_ms, n) for p, n in rows],
            "responseMediation": [(p.response_mediation_ms or 0, n) for p, n in rows],
        }
        if rows:
            p95 = {hop: nearest_rank(values, 95) for hop, values in hops.items()}
            p50 = {f"{hop}Median": nearest_rank(values, 50) for hop, values in hops.items()}
            found.append({"timeSpan": bucket.time_span, **p95, **p50})
    return {"summary": found, "granularity": width}


def slowest(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """The APIs with the highest 95th percentiles, slowest first."""
    if arguments["limit"] < 1:
        raise GraphQLError("limit must be at least 1.")
    asked = time_range(arguments["filter"])
    by_api: dict[str, Rows] = {}
    for pattern, count in asking.rows(asking.scope(arguments), asked.start_ms, asked.end_ms):
        by_api.setdefault(pattern.api.id, []).append((pattern, count))
    latencies = [(response_p95(rows) or 0, api_id) for api_id, rows in by_api.items()]
    latencies.sort(key=lambda item: (-item[0], item[1]))
    return [{"apiId": api_id, "latency": latency} for latency, api_id in latencies[: arguments["limit"]]]


def cache(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """Hits and misses of the response cache over time, of one API if it is given."""
    given = arguments.get("cacheFilter") or {}
    api_id = given.get("apiId")
    scope = asking.scope(arguments)
    width, cut = asking.buckets(time_range(arguments["timeFilter"]), given.get("granularity"))
    found = []
    for bucket, rows in asking.bucket_rows(scope, cut, lambda p: p.cache != "none" and api_id in (None, p.api.id)):
        counts = grouped(rows, lambda p: p.cache)
        both = counts.total()
        share = 100 * counts["hit"] / both if both else 0.0
        found.append(
            {"timeSpan": bucket.time_span, "hits": counts["hit"], "misses": counts["miss"], "hitPercentage": share}
        )
    return {"summary": found, "granularity": width}


RESOLVERS = {
    "getOverallLatency": overall,
    "getOverallLatencyByAPI": overall_by_api,
    "getLatencySummary": summary,
    "getLatency": by_hop,
    "topSlowestAPIs": slowest,
    "getCacheHitsAndMisses": cache,
}
