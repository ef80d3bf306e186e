"""Custom reports: one metric over time, narrowed or split by fields of the requests.

The published reference leaves the pairing of fields and values open. Here the n-th value narrows the n-th field; fields
beyond the values split the answer. Latencies are 95th percentiles.
"""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLError

from exporter.simulator.asking import Arguments, Asking, Rows, grouped, nearest_rank, total
from exporter.simulator.model import Pattern
from exporter.simulator.ranges import time_range

TOP = 10
WEEK_MS = 7 * 86_400_000

FIELDS: Mapping[str, Callable[[Pattern], str]] = {
    "API_NAME": lambda p: p.api.name,
    "API_VERSION": lambda p: p.api.version,
    "API_RESOURCE_TEMPLATE": lambda p: p.resource,
    "API_METHOD": lambda p: p.method,
    "API_CREATOR": lambda p: p.api.provider,
    "APPLICATION_NAME": lambda p: p.application.name,
    "APPLICATION_OWNER": lambda p: p.application.owner,
    "DESTINATION": lambda p: p.backend,
    "USER_AGENT": lambda p: p.user_agent,
    "PLATFORM": lambda p: p.platform,
    "TARGET_RESPONSE_CODE": lambda p: "" if p.target_status_code is None else str(p.target_status_code),
}

METRICS: Mapping[str, Callable[[Rows], int | None]] = {
    "HIT_COUNT": total,
    "RESPONSE_CACHE_HIT": lambda rows: sum(n for p, n in rows if p.cache == "hit"),
    "REQUEST_MEDIATION_LATENCY": lambda rows: nearest_rank(((p.request_mediation_ms, n) for p, n in rows), 95),
    "RESPONSE_MEDIATION_LATENCY": lambda rows: nearest_rank(((p.response_mediation_ms or 0, n) for p, n in rows), 95),
    "BACKEND_LATENCY": lambda rows: nearest_rank(((p.backend_ms or 0, n) for p, n in rows), 95),
    "TOTAL_LATENCY": lambda rows: nearest_rank(((p.response_ms, n) for p, n in rows), 95),
    "API_ERRORS": lambda rows: sum(n for p, n in rows if p.error_side == "proxy"),
    "TARGET_ERRORS": lambda rows: sum(n for p, n in rows if p.error_side == "target"),
}


def narrowed(arguments: Arguments) -> tuple[Callable[[Pattern], bool], list[str]]:
    """Whether a request has the values that are given, and the fields that are left to split by."""
    fields = [field for field in arguments["groupByFields"] if field is not None]
    values = [value for value in arguments["groupByValues"] if value is not None]
    if len(values) > len(fields):
        raise GraphQLError("groupByValues: more values than groupByFields has fields.")
    pairs = [(FIELDS[field], value) for field, value in zip(fields, values, strict=False)]
    return lambda p: all(value_of(p) == value for value_of, value in pairs), fields[len(values) :]


def over_time(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """The metric over time for the requests with the given values; buckets in which it has no value have no row."""
    keep, _ = narrowed(arguments)
    _, cut = asking.buckets(time_range(arguments["timeFilter"]), arguments["granularity"])
    scope, metric = asking.scope(arguments), METRICS[arguments["metric"]]
    measured = ((bucket, metric(rows)) for bucket, rows in asking.bucket_rows(scope, cut, keep))
    usage = [{"timeSpan": bucket.time_span, "value": value} for bucket, value in measured if value is not None]
    return {"usage": usage, "granularity": arguments["granularity"]}


def top_over_time(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """The metric over time for each of the ten most frequent values of the first field that has no value given."""
    keep, left = narrowed(arguments)
    if not left:
        raise GraphQLError("groupByFields: one field more than groupByValues has values is needed.")
    value_of, asked = FIELDS[left[0]], time_range(arguments["timeFilter"])
    scope, metric = asking.scope(arguments), METRICS[arguments["metric"]]
    counts = grouped(asking.rows(scope, asked.start_ms, asked.end_ms, keep), value_of)
    names = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]]
    usage: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    _, cut = asking.buckets(asked, arguments["granularity"])
    for bucket, rows in asking.bucket_rows(scope, cut, keep):
        split: dict[str, Rows] = {name: [] for name in names} if asking.settings.zero_rows else {}
        for pattern, count in rows:
            split.setdefault(value_of(pattern), []).append((pattern, count))
        for name in usage.keys() & split.keys():
            value = metric(split[name])
            if value is not None:
                usage[name].append({"timeSpan": bucket.time_span, "value": value})
    found = [{"groupByValue": name, "usage": values} for name, values in usage.items()]
    return {"usage": found, "granularity": arguments["granularity"]}


def values(asking: Asking, arguments: Arguments) -> list[list[str]]:
    """For each field that has no value given, the values that occurred in the last seven days."""
    keep, left = narrowed(arguments)
    day_ms = 86_400_000
    end_ms = -(-asking.now_ms // day_ms) * day_ms  # whole days are kept as tallies
    rows = asking.rows(asking.scope(arguments), end_ms - WEEK_MS, end_ms, keep)
    return [sorted({FIELDS[field](pattern) for pattern, _ in rows}) for field in left]


RESOLVERS = {
    "getCustomReportOvertime": over_time,
    "getCustomReportTopOvertime": top_over_time,
    "getGroupByValues": values,
}
