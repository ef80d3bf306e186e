"""What the shipped catalogue has to publish, counted request by request over the simulated model, without GraphQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, Final, TypeAlias

import yaml

from exporter.simulator import Simulator
from exporter.simulator.model import Alert, Api, Application, Environment, Organization, Request

Labels: TypeAlias = frozenset[tuple[str, str]]
Figures: TypeAlias = dict[str, dict[Labels, float]]

DELAY_SECONDS: Final = 120
DAY_SECONDS: Final = 86_400
# What an error is counted under, and its label.
CATEGORIES: Final = {
    "AUTH": "auth",
    "TARGET_CONNECTIVITY": "target_connectivity",
    "THROTTLED": "throttled",
    "OTHER": "other",
}
# The hops of the latency metrics.
HOPS: Final[Mapping[str, Callable[[Request], int]]] = {
    "response": lambda request: request.response_ms,
    "backend": lambda request: request.backend_ms or 0,
    "request_mediation": lambda request: request.request_mediation_ms,
    "response_mediation": lambda request: request.response_mediation_ms or 0,
}


def percentile(values: Iterable[int], percent: int) -> int:
    """The percentile by nearest rank, written down once more without looking at the simulator's own."""
    ordered = sorted(values)
    return ordered[-(-percent * len(ordered) // 100) - 1]


def code(request: Request) -> int:
    """The status code that an error counts under."""
    return request.target_status_code or request.status_code


def of_api(api: Api) -> dict[str, str]:
    """The labels of an API."""
    return {"api_id": api.id, "api": api.name, "version": api.version}


def of_application(application: Application) -> dict[str, str]:
    """The labels of an application."""
    return {"application_id": application.id, "application": application.name}


def country_codes() -> Mapping[str, str]:
    """The code of each country, as the catalogue has it."""
    text = files("exporter.choreo").joinpath("catalogue", "geography.yaml").read_text("utf-8")
    (lookup,) = yaml.safe_load(text)["lookups"]
    return {name: row["code"] for name, row in lookup["table"].items()}


@dataclass(frozen=True)
class Part:
    """The requests of one environment and tenant, and what its series are labelled with."""

    insights: Simulator
    organization: Organization
    environment: Environment
    tenant: str
    now: float

    @property
    def labels(self) -> dict[str, str]:
        """The labels of each of its series."""
        return {
            "organization": self.organization.handle,
            "environment_id": self.environment.id,
            "environment": self.environment.name,
            "tenant": self.tenant,
        }

    def end(self, align_seconds: int) -> float:
        """The end of a window that is late by two minutes and aligned."""
        return (self.now - DELAY_SECONDS) // align_seconds * align_seconds

    def requests(self, start: float, end: float) -> list[Request]:
        """Those that an answer counts at this moment."""
        return list(self.insights.model.requests(self.environment.id, self.tenant, start, end, self.now))

    @cached_property
    def recent(self) -> list[Request]:
        """The requests of the five-minute window."""
        return self.requests(self.end(60) - 300, self.end(60))

    @cached_property
    def today(self) -> list[Request]:
        """The requests since midnight."""
        return self.requests((self.end(60) - 1) // DAY_SECONDS * DAY_SECONDS, self.end(60))

    @cached_property
    def quarter(self) -> list[Request]:
        """The requests of the newest whole quarter of an hour."""
        return self.requests(self.end(900) - 900, self.end(900))

    @cached_property
    def day(self) -> list[Request]:
        """The requests of the last 24 whole hours."""
        return self.requests(self.end(3600) - DAY_SECONDS, self.end(3600))

    def alerts(self, start: float, end: float) -> list[Alert]:
        """Choreo's alerts that are kept at this moment."""
        milliseconds = (round(moment * 1000) for moment in (start, end, self.now))
        return self.insights.model.alerts.between(self.environment.id, self.tenant, *milliseconds)

    def apis(self) -> tuple[Api, ...]:
        """All APIs, with and without traffic."""
        return self.organization.apis(self.tenant)

    def applications(self) -> tuple[Application, ...]:
        """All applications."""
        return self.organization.applications(self.tenant)


Row: TypeAlias = tuple[str, dict[str, str], float]


def counted(name: str, rows: Iterable[dict[str, str]], known: Iterable[dict[str, str]] = ()) -> Iterator[Row]:
    """A sample for each set of labels, with how many rows have it; `known` ones are there with 0 too."""
    counts = Counter(frozenset(row.items()) for row in rows)
    for labels in dict.fromkeys([*counts, *(frozenset(row.items()) for row in known)]):
        yield name, dict(labels), counts[labels]


def both(
    name: str, part: Part, rows_of: Callable[[list[Request]], Iterable[dict[str, str]]], **more: Any
) -> Iterator[Row]:
    """The gauge of the window and the counter of the day, counted alike."""
    yield from counted(f"choreo_window_{name}", rows_of(part.recent), **more)
    yield from counted(f"choreo_{name}_total", rows_of(part.today), **more)


def names(part: Part) -> Iterator[Row]:
    """The group names, but for organizations and environments."""
    for api in part.apis():
        yield "choreo_api_info", of_api(api), 1
    for application in part.applications():
        yield "choreo_application_info", of_application(application), 1


def overview(part: Part) -> Iterator[Row]:
    """The group overview."""
    for name, requests in (("window_{}", part.recent), ("{}_total", part.today)):
        yield f"choreo_{name.format('requests')}", {}, len(requests)
        yield f"choreo_{name.format('errors')}", {}, sum(request.failed for request in requests)
    if recent := part.recent:
        p95 = percentile((request.response_ms for request in recent), 95)
        yield "choreo_response_latency_p95_seconds", {}, p95 / 1000
    if quarter := part.quarter:
        p95 = percentile((request.response_ms for request in quarter), 95)
        yield "choreo_response_latency_15m_p95_seconds", {}, p95 / 1000
    yield from counted("choreo_window_15m_successful_requests", ({} for one in quarter if not one.failed))
    yield from counted("choreo_window_15m_errors", ({} for one in quarter if one.failed))


def traffic(part: Part) -> Iterator[Row]:
    """The group traffic."""
    apis, applications = map(of_api, part.apis()), map(of_application, part.applications())
    yield from both("api_requests", part, lambda rs: (of_api(r.api) for r in rs), known=list(apis))
    yield from both(
        "application_requests", part, lambda rs: (of_application(r.application) for r in rs), known=list(applications)
    )
    yield from both("backend_requests", part, lambda rs: ({"backend": r.backend} for r in rs))
    yield from both(
        "resource_requests",
        part,
        lambda rs: ({**of_api(r.api), "resource": r.resource, "method": r.method} for r in rs),
    )
    yield from counted("choreo_window_15m_api_requests", (of_api(r.api) for r in part.quarter))
    yield from counted("choreo_window_15m_application_requests", (of_application(r.application) for r in part.quarter))


def errors(part: Part) -> Iterator[Row]:
    """The group errors. Where there are any errors, the API names each category and class, with 0 too."""

    def categories(requests: list[Request]) -> Iterator[dict[str, str]]:
        return ({"category": CATEGORIES[r.category]} for r in requests if r.category is not None)

    for name, requests in (("choreo_window_{}", part.recent), ("choreo_{}_total", part.today)):
        failed = [request for request in requests if request.failed]
        any_known = [{"category": category} for category in CATEGORIES.values()] if failed else []
        yield from counted(name.format("errors_by_category"), categories(failed), any_known)
        for side in ("proxy", "target"):
            own = [request for request in failed if request.error_side == side]
            classes = ({"code_class": f"{code(request) // 100}xx"} for request in own)
            known = [{"code_class": "4xx"}, {"code_class": "5xx"}] if failed else []
            yield from counted(name.format(f"{side}_errors"), classes, known)
            codes = ({**of_api(request.api), "code": str(code(request))} for request in own)
            yield from counted(name.format(f"api_{side}_errors"), codes)
        reasons = (
            {**of_api(r.api), **of_application(r.application), "reason": r.reason}
            for r in failed
            if r.reason is not None
        )
        yield from counted(name.format("errors_by_reason"), reasons)


def latency(part: Part) -> Iterator[Row]:
    """The group latency."""
    by_api: dict[Api, list[Request]] = defaultdict(list)
    for request in part.quarter:
        by_api[request.api].append(request)
    for api, requests in by_api.items():
        for hop, of in HOPS.items():
            values = [of(request) for request in requests]
            for percent in (95, 50):
                name = f"choreo_api_{hop}_latency_p{percent}_seconds"
                yield name, of_api(api), percentile(values, percent) / 1000
    recent: dict[Api, list[int]] = defaultdict(list)
    for request in part.recent:
        recent[request.api].append(request.response_ms)
    slowest = sorted((-percentile(values, 95), api.id, api) for api, values in recent.items())
    for negative, _, api in slowest[:10]:
        yield "choreo_slowest_api_response_latency_p95_seconds", of_api(api), -negative / 1000


def cache(part: Part) -> Iterator[Row]:
    """The group cache."""
    for name, requests in (("choreo_window_cache_{}", part.recent), ("choreo_cache_{}_total", part.today)):
        cached = [request.cache for request in requests if request.cache != "none"]
        for kind, of in (("hit", "hits"), ("miss", "misses")) if cached else ():
            yield name.format(of), {}, cached.count(kind)


def devices(part: Part) -> Iterator[Row]:
    """The group devices."""
    for label in ("platform", "user_agent"):
        counts = Counter(str(getattr(request, label)) for request in part.recent)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        for value, count in ordered[:9]:
            yield f"choreo_window_{label}_requests", {label: value}, count
        if rest := sum(count for _, count in ordered[9:]):
            yield f"choreo_window_{label}_requests", {label: "Other"}, rest


def alerts(part: Part) -> Iterator[Row]:
    """The group alerts."""
    end = part.end(60)
    last: dict[Labels, int] = {}
    rows = []
    for alert in part.alerts((end - 1) // DAY_SECONDS * DAY_SECONDS, end):
        more = {"category": alert.category, "alert_metric": alert.metric, "severity": alert.severity}
        rows.append({**of_api(alert.api), **more})
        last[frozenset(rows[-1].items())] = alert.time_ms
    yield from counted("choreo_alerts_total", rows)
    for labels, time_ms in last.items():
        yield "choreo_alert_last_timestamp_seconds", dict(labels), time_ms / 1000
    week = (of_api(alert.api) for alert in part.alerts(end - 7 * DAY_SECONDS, end))
    yield from counted("choreo_window_7d_api_alerts", week, map(of_api, part.apis()))


def geography(part: Part) -> Iterator[Row]:
    """The group geography."""
    codes = country_codes()
    if part.environment.type == "ON_PREM":
        yield from both(
            "country_requests",
            part,
            lambda rs: ({"country": r.country, "country_code": codes.get(r.country, "")} for r in rs),
        )


def reports(part: Part) -> Iterator[Row]:
    """The group reports."""
    yield from both(
        "api_application_requests", part, lambda rs: ({**of_api(r.api), **of_application(r.application)} for r in rs)
    )
    day, apis = part.day, list(map(of_api, part.apis()))
    yield from counted("choreo_window_24h_api_requests", (of_api(r.api) for r in day), apis)
    proxied = (of_api(r.api) for r in day if r.error_side == "proxy")
    yield from counted("choreo_window_24h_api_proxy_errors", proxied, apis)
    by_api: dict[Api, list[int]] = defaultdict(list)
    for request in day:
        by_api[request.api].append(request.response_ms)
    for api, values in by_api.items():
        yield "choreo_api_response_latency_24h_p95_seconds", of_api(api), percentile(values, 95) / 1000


GROUPS: Final[Mapping[str, Callable[[Part], Iterator[Row]]]] = {
    "names": names,
    "overview": overview,
    "traffic": traffic,
    "errors": errors,
    "latency": latency,
    "cache": cache,
    "devices": devices,
    "alerts": alerts,
    "geography": geography,
    "reports": reports,
}


def on_premise(part: Part) -> Iterator[Row]:
    """The group on_premise; its series do not say of which environment they are."""
    if part.environment.type == "ON_PREM":
        yield from both(
            "on_premise_successful_requests",
            part,
            lambda rs: ({**of_api(r.api), **of_application(r.application)} for r in rs if not r.failed),
        )


def figures(insights: Simulator, organization: Organization, groups: Iterable[str]) -> Figures:
    """Every series that these groups of the catalogue publish of an organization now, by name and labels."""
    found: Figures = defaultdict(dict)
    home = {"organization": organization.handle}

    def put(rows: Iterable[Row], labels: Mapping[str, str]) -> None:
        for name, more, value in rows:
            found[name][frozenset({**labels, **more}.items())] = value

    ids = {
        "organization_id": organization.uuid,
        "organization_handle": organization.handle,
        "organization_name": organization.name,
    }
    put([("choreo_organization_info", ids, 1)], home)
    for environment in organization.environments:
        info = {"environment_id": environment.id, "environment": environment.name}
        put([("choreo_environment_info", {**info, "environment_type": environment.type}, 1)], home)
        for tenant in organization.tenants:
            part = Part(insights, organization, environment, tenant, insights.now())
            for group in dict.fromkeys(["names", *groups]):
                if group == "on_premise":
                    put(on_premise(part), {**home, "tenant": tenant})
                else:
                    put(GROUPS[group](part), part.labels)
    return dict(found)
