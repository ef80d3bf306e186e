"""Alerts of Choreo itself: a few of low severity every day, and HIGH ones while a fault holds. Kept for one week."""

import hashlib
from collections.abc import Iterator
from random import Random

from msgspec import Struct

from exporter.simulator.faults import Faults, FaultState
from exporter.simulator.model.inventory import Api, Environment, Organization
from exporter.simulator.model.minutes import poisson
from exporter.simulator.settings import Settings

KEPT_MS = 7 * 86_400_000
HOUR_MS = 3_600_000
SLOT_MS = 600_000
SLOW_FROM = 2.0
FLOODED_PERCENT = 400


class Alert(Struct, frozen=True):
    """An alert; `category` is LATENCY or TRAFFIC, `metric` RESPONSE_LATENCY or TOTAL_TRAFFIC."""

    time_ms: int
    environment_id: str
    tenant: str
    api: Api
    category: str
    metric: str
    severity: str
    message: str


def make_alert(
    time_ms: int, environment: Environment, tenant: str, api: Api, category: str, severity: str, figure: int
) -> Alert:
    """An alert with the metric and the wording of its category."""
    slow = category == "LATENCY"
    return Alert(
        time_ms,
        environment.id,
        tenant,
        api,
        category,
        "RESPONSE_LATENCY" if slow else "TOTAL_TRAFFIC",
        severity,
        f"Response latency of {api.name} {api.version} reached {figure} ms, above its usual range."
        if slow
        else f"Requests to {api.name} {api.version} differ by {figure} % from its usual traffic.",
    )


def seeded(
    settings: Settings, organization: Organization, environment: Environment, tenant: str, hour: int
) -> Iterator[Alert]:
    """The everyday alerts of an hour."""
    key = f"{settings.seed}/{organization.handle}/{environment.name}/{tenant}/{hour}/alerts"
    random = Random(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
    apis = organization.apis(tenant)
    for _ in range(poisson(settings.alerts_per_day / 24, random.random() or 0.5)):
        time_ms = hour * HOUR_MS + random.randrange(HOUR_MS)
        category = random.choice(("LATENCY", "TRAFFIC"))
        severity = random.choice(("LOW", "LOW", "MEDIUM"))
        yield make_alert(time_ms, environment, tenant, random.choice(apis), category, severity, random.randint(40, 900))


def affected(apis: tuple[Api, ...], names: tuple[str, ...]) -> list[Api]:
    """The APIs that are named by id or name."""
    return [api for api in apis if api.id in names or api.name in names]


def of_state(
    state: FaultState, organization: Organization, environment: Environment, tenant: str, time_ms: int
) -> Iterator[Alert]:
    """The HIGH alerts that a fault raises at a moment."""
    apis = organization.apis(tenant)
    if state.latency_factor >= SLOW_FROM:
        for api in affected(apis, state.only_apis) if state.only_apis else apis[:3]:
            figure = int(api.base_latency_ms * state.latency_factor)
            yield make_alert(time_ms, environment, tenant, api, "LATENCY", "HIGH", figure)
    for api in affected(apis, state.only_apis) if state.floods() else ():
        yield make_alert(time_ms, environment, tenant, api, "TRAFFIC", "HIGH", FLOODED_PERCENT)
    for api in affected(apis, state.silent_apis):
        yield make_alert(time_ms, environment, tenant, api, "TRAFFIC", "HIGH", 100)


class Alerts:
    """Alerts of all environments and tenants."""

    def __init__(self, settings: Settings, organizations: tuple[Organization, ...], faults: Faults) -> None:
        self._settings = settings
        self._faults = faults
        self._homes = {e.id: (organization, e) for organization in organizations for e in organization.environments}

    def between(self, environment_id: str, tenant: str, start_ms: int, end_ms: int, now_ms: int) -> list[Alert]:
        """The alerts from start to before end that are kept at `now_ms`, in the order of time."""
        organization, environment = self._homes[environment_id]
        start_ms, end_ms = max(start_ms, now_ms - KEPT_MS), min(end_ms, now_ms + 1)
        alerts: list[Alert] = []
        if start_ms >= end_ms:
            return alerts
        for hour in range(start_ms // HOUR_MS, -(-end_ms // HOUR_MS)):
            alerts += seeded(self._settings, organization, environment, tenant, hour)
            # Ten-minute slots, judged by what held at their start.
            if not self._faults.calm(hour * HOUR_MS, (hour + 1) * HOUR_MS):
                for slot in range(hour * HOUR_MS, (hour + 1) * HOUR_MS, SLOT_MS):
                    alerts += of_state(self._faults.at(slot), organization, environment, tenant, slot)
        return sorted(
            (alert for alert in alerts if start_ms <= alert.time_ms < end_ms),
            key=lambda alert: (alert.time_ms, alert.api.id, alert.category),
        )
