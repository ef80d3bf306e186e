"""Who uses what: by API, application, backend, resource, device and country."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from graphql import GraphQLError

from exporter.simulator.asking import (
    Arguments,
    Asking,
    Key,
    Rows,
    Scope,
    grouped,
    matches,
    page,
    search_ids,
)
from exporter.simulator.model import Pattern
from exporter.simulator.ranges import time_range

TOP = 9
OTHER = "Other"


def among(asking: Asking, given: Arguments | None) -> Callable[[Pattern], bool]:
    """Whether a request is one of the APIs, applications and subscribers that a filter lists."""
    api_ids, app_ids = asking.ids(given, "apiIds"), asking.ids(given, "appIds")
    owners = asking.ids(given, "subscribers")
    return lambda p: (
        (not api_ids or p.api.id in api_ids)
        and (not app_ids or p.application.id in app_ids)
        and (not owners or p.application.owner in owners)
    )


def courses(
    asking: Asking, arguments: Arguments, given: Arguments | None, key: Callable[[Pattern], Key], known: list[Key]
) -> tuple[str, dict[Key, list[dict[str, Any]]]]:
    """The granularity, and for each key its counts over time.

    `known` are the keys that get rows of zeros, where the settings ask for zeros.
    """
    scope, keep = asking.scope(arguments), among(asking, given)
    width, cut = asking.buckets(time_range(arguments["timeFilter"]), (given or {}).get("granularity"))
    zeros = known if asking.settings.zero_rows else []
    series: dict[Key, list[dict[str, Any]]] = {key: [] for key in zeros}
    for bucket, rows in asking.bucket_rows(scope, cut, keep):
        counts = grouped(rows, key)
        for name in dict.fromkeys([*zeros, *counts]):
            series.setdefault(name, []).append({"timeSpan": bucket.time_span, "count": counts[name]})
    return width, series


def api_over_time(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """Requests to each API over time."""
    given = arguments.get("apiUsageOvertimeFilter")
    wanted = asking.ids(given, "apiIds")
    known = [api.id for api in asking.apis(asking.scope(arguments)) if not wanted or api.id in wanted]
    width, series = courses(asking, arguments, given, lambda p: p.api.id, known)
    return [{"apiId": api_id, "usage": usage, "granularity": width} for api_id, usage in sorted(series.items())]


def app_over_time(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """Requests of each application over time."""
    given = arguments.get("apiUsageOvertimeFilter")
    width, series = courses(asking, arguments, given, lambda p: p.application, [])
    usage = [
        {
            "applicationId": application.id,
            "applicationName": application.name,
            "applicationOwner": application.owner,
            "usage": counts,
        }
        for application, counts in sorted(series.items(), key=lambda item: item[0].id)
    ]
    return {"usage": usage, "granularity": width}


def backend_over_time(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """Requests that were meant for each backend over time, whether or not they reached it."""
    given = arguments.get("apiUsageByBackendOverTimeFilter")
    width, series = courses(asking, arguments, given, lambda p: p.backend, [])
    usage = [{"backend": backend, "usage": counts} for backend, counts in sorted(series.items())]
    return {"usage": usage, "granularity": width}


def resource_usage(asking: Asking, arguments: Arguments) -> dict[str, Any]:
    """Requests by API, path and method, most first, a page at a time."""
    given = arguments.get("resourceUsageFilter") or {}
    search, asked = given.get("searchFilter"), time_range(arguments["timeFilter"])
    found = search_ids(asking, search)
    rows = asking.rows(
        asking.scope(arguments),
        asked.start_ms,
        asked.end_ms,
        lambda p: matches(search, found, p.api, p.resource, p.method),
    )
    counts = grouped(rows, lambda p: (p.api.id, p.resource, p.method))
    usage = [
        {"apiId": api_id, "apiResourceTemplate": resource, "apiMethod": method, "count": count}
        for (api_id, resource, method), count in sorted(counts.items())
    ]
    shown, pagination = page(asking, given.get("paginationFilter"), usage, "count", "desc")
    return {"usage": shown, "pagination": pagination}


def top_and_other(counts: Counter[str], column: str) -> list[dict[str, Any]]:
    """The nine largest and the rest under "Other"."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[TOP:])
    shown = ordered[:TOP] + ([(OTHER, rest)] if rest else [])
    return [{column: name, "count": count} for name, count in shown]


def in_range(asking: Asking, arguments: Arguments, given: Arguments | None) -> Rows:
    """The requests of the time filter that the other filter lets through."""
    asked = time_range(arguments["timeFilter"])
    return asking.rows(asking.scope(arguments), asked.start_ms, asked.end_ms, among(asking, given))


def platforms(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """Requests by platform."""
    rows = in_range(asking, arguments, arguments.get("deviceFilter"))
    return top_and_other(grouped(rows, lambda p: p.platform), "platform")


def user_agents(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """Requests by user agent."""
    rows = in_range(asking, arguments, arguments.get("deviceFilter"))
    return top_and_other(grouped(rows, lambda p: p.user_agent), "userAgent")


def geo_location(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """Requests by country's name; of on-premise environments only."""
    if any(environment.type != "ON_PREM" for environment in asking.scope(arguments).environments):
        raise GraphQLError("getAPIUsageByGeoLocation is available for on-premise environments only.")
    counts = grouped(in_range(asking, arguments, arguments.get("geoLocationFilter")), lambda p: p.country)
    return [{"country": name, "count": n} for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def by_applications(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """Requests by API and application."""
    counts = grouped(
        in_range(asking, arguments, arguments.get("apiUsageByAppFilter")), lambda p: (p.api.id, p.application)
    )
    return [
        {
            "apiId": api_id,
            "applicationId": application.id,
            "applicationName": application.name,
            "applicationOwner": application.owner,
            "count": count,
        }
        for (api_id, application), count in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1].id))
    ]


def successes(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """Successful requests to the on-premise environments of the key's organization, all tenants."""
    given, asked = arguments.get("successAPIUsageByAppFilter") or {}, time_range(arguments["timeFilter"])
    keep, domains = among(asking, given), set(given.get("tenantDomains") or ())
    organization = asking.model.organizations[0]
    environments = tuple(e for e in organization.environments if e.type == "ON_PREM")
    found = []
    for tenant in organization.tenants:
        if domains and tenant not in domains:
            continue
        scope = Scope(organization, environments, tenant, None)
        rows = asking.rows(scope, asked.start_ms, asked.end_ms, lambda p: keep(p) and not p.failed)
        counts = grouped(rows, lambda p: (p.api.id, p.application))
        for (api_id, application), count in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1].id)):
            api = organization.apis_by_id[api_id]
            found.append(
                {
                    "apiId": api.id,
                    "apiName": api.name,
                    "apiVersion": api.version,
                    "apiCreatorTenantDomain": tenant,
                    "applicationId": application.id,
                    "applicationName": application.name,
                    "applicationOwner": application.owner,
                    "count": count,
                }
            )
    return found


def successes_by_header(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """The successes, if the Authorization header carried the on-premise key."""
    if not asking.on_prem:
        raise GraphQLError("An on-premise key is needed as the Authorization header.")
    return successes(asking, arguments)


def successes_by_argument(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """The successes, if the argument is the on-premise key."""
    if arguments["onPremKey"] != asking.settings.on_prem_key:
        raise GraphQLError("onPremKey is not a valid on-premise key.")
    return successes(asking, arguments)


RESOLVERS = {
    "getAPIUsageOverTime": api_over_time,
    "getAPIUsageByAppOverTime": app_over_time,
    "getAPIUsageByBackendOverTime": backend_over_time,
    "getResourceUsage": resource_usage,
    "getTopPlatforms": platforms,
    "getTopUserAgents": user_agents,
    "getAPIUsageByGeoLocation": geo_location,
    "getAPIsUsageByApplications": by_applications,
    "getSuccessAPIsUsageByApplications": successes_by_header,
    "getSuccessAPIsUsageByApplicationsWithOnPremKey": successes_by_argument,
}
