"""Patterns: everything about a request but its time.

Each environment and tenant has a pool of a few thousand patterns, drawn once from the seed; a request is a moment and
a pattern. A count over requests is therefore a count over small integers, and a percentile over a month a weighted one
over a pool, which is what makes totals since the start of a month cheap.
"""

from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import NamedTuple

from exporter.simulator.model.inventory import Api, Application, Environment, Organization
from exporter.simulator.model.names import COUNTRIES, DEVICES, ERRORS

THROTTLED = ("proxy", 429, None, "THROTTLED", "API Level Throttled Out", 1)
FLOODING = ("proxy", 429, None, "THROTTLED", "Application Level Throttled Out", 1)
FAILED_TARGET = ("target", 500, 500, "OTHER", "Target Responded 500", 1)
FAILED_PROXY = ("proxy", 503, None, "TARGET_CONNECTIVITY", "Connection Refused", 1)


class Pattern(NamedTuple):
    """What a request is, apart from when. Latencies are milliseconds; those of hops that were not reached are None."""

    environment_id: str
    tenant: str
    api: Api
    resource: str
    method: str
    application: Application
    backend: str
    user_agent: str
    platform: str
    country: str
    status_code: int
    target_status_code: int | None
    error_side: str  # proxy, target or none
    category: str | None
    reason: str | None
    request_mediation_ms: int
    backend_ms: int | None
    response_mediation_ms: int | None
    response_ms: int
    cache: str  # hit, miss or none

    @property
    def failed(self) -> bool:
        """Whether the request counts as an error."""
        return self.error_side != "none"


class Draw:
    """A weighted choice that is made many times from one list."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._indexes = range(len(weights))
        self._cumulative = list(accumulate(weights))

    def index(self, random: Random) -> int:
        """The index of the chosen item."""
        return random.choices(self._indexes, cum_weights=self._cumulative)[0]


def with_error(pattern: Pattern, error: tuple[str, int, int | None, str, str, int]) -> Pattern:
    """The same request, gone wrong: a proxy error never reaches the backend and is not cached."""
    side, status, target_status, category, reason, _ = error
    proxied = side == "proxy"
    backend = None if proxied else pattern.backend_ms if pattern.backend_ms is not None else 25
    response_mediation = None if proxied else pattern.response_mediation_ms or 1
    return pattern._replace(
        status_code=status,
        target_status_code=target_status,
        error_side=side,
        category=category,
        reason=reason,
        backend_ms=backend,
        response_mediation_ms=response_mediation,
        response_ms=pattern.request_mediation_ms + (backend or 0) + (response_mediation or 0),
        cache="none",
    )


def with_latency(pattern: Pattern, factor: float) -> Pattern:
    """The same request, slower (or faster) in every hop by a factor."""
    request = round(pattern.request_mediation_ms * factor)
    backend = None if pattern.backend_ms is None else round(pattern.backend_ms * factor)
    response = None if pattern.response_mediation_ms is None else round(pattern.response_mediation_ms * factor)
    return pattern._replace(
        request_mediation_ms=request,
        backend_ms=backend,
        response_mediation_ms=response,
        response_ms=request + (backend or 0) + (response or 0),
    )


def pool_size(apis: int) -> int:
    """Patterns in a pool: enough for the rarest API to have some, and a power of two."""
    size = 8192
    while size < 24 * apis:
        size *= 2
    return min(size, 32768)


def pool(
    seed: int, organization: Organization, environment: Environment, tenant: str, error_share: float
) -> list[Pattern]:
    """The patterns of an environment and tenant; each is as likely as any other."""
    random = Random(f"{seed}/{organization.handle}/{environment.name}/{tenant}/patterns")
    apis, applications = organization.apis(tenant), organization.applications(tenant)
    callers = {api.id: [application for application in applications if api.id in application.api_ids] for api in apis}
    api_draw = Draw([api.weight for api in apis])
    resource_draws = {api.id: Draw([resource.weight for resource in api.resources]) for api in apis}
    device_draw = Draw([weight for _, _, weight in DEVICES])
    country_draw = Draw([weight for _, weight in COUNTRIES])
    error_draw = Draw([error[-1] for error in ERRORS])
    size = pool_size(len(apis))
    patterns = []
    for index in range(size):
        # The first patterns make sure that every API has one.
        api = apis[index] if index < len(apis) <= size else apis[api_draw.index(random)]
        resource = api.resources[resource_draws[api.id].index(random)]
        among = callers[api.id]
        application = among[int(len(among) * random.random() ** 1.7)]
        user_agent, platform, _ = DEVICES[device_draw.index(random)]
        country = COUNTRIES[country_draw.index(random)][0]
        request_mediation = 1 + int(random.expovariate(0.35))
        cacheable = resource.method == "GET" and (api.base_latency_ms % 4 != 0)
        hit = cacheable and random.random() < 0.35
        backend = None if hit else 1 + int(api.base_latency_ms * random.lognormvariate(0.0, 0.45))
        response_mediation = None if hit else 1 + int(random.expovariate(0.6))
        pattern = Pattern(
            environment.id,
            tenant,
            api,
            resource.template,
            resource.method,
            application,
            api.backend,
            user_agent,
            platform,
            country,
            201 if resource.method == "POST" else 200,
            None if hit else 201 if resource.method == "POST" else 200,
            "none",
            None,
            None,
            request_mediation,
            backend,
            response_mediation,
            request_mediation + (backend or 0) + (response_mediation or 0),
            ("hit" if hit else "miss") if cacheable else "none",
        )
        # Evenly spread over the pool, so that every environment fails in the share that was asked for.
        failing = int((index + 1) * error_share + 0.5) > int(index * error_share + 0.5)
        patterns.append(with_error(pattern, ERRORS[error_draw.index(random)]) if failing else pattern)
    random.shuffle(patterns)
    return patterns
