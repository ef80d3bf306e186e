"""Who and what there is: organizations, environments, tenants, projects, APIs, applications. Nothing about time."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from msgspec import Struct

from exporter.simulator.model.names import API_NAMES, APPLICATION_NAMES, ORGANIZATIONS, RESOURCES
from exporter.simulator.settings import Settings

FIRST_TENANT = "carbon.super"


class Resource(Struct, frozen=True):
    """One path and method of an API; `weight` is its share of the API's traffic."""

    template: str
    method: str
    weight: int


class Api(Struct, frozen=True):
    """An API of one tenant; it is deployed in every environment of its organization."""

    id: str
    name: str
    version: str
    provider: str
    tenant: str
    project_id: str
    backend: str
    resources: tuple[Resource, ...]
    weight: float
    base_latency_ms: int

    def __hash__(self) -> int:
        """That of the id: every count over requests asks for it."""
        return hash(self.id)


class Application(Struct, frozen=True):
    """An application of one tenant with the ids of the APIs it calls; its owner is the subscriber."""

    id: str
    name: str
    owner: str
    tenant: str
    api_ids: tuple[str, ...]

    def __hash__(self) -> int:
        """That of the id: every count over requests asks for it."""
        return hash(self.id)


class Environment(Struct, frozen=True):
    """An environment of one organization; `weight` scales its traffic."""

    id: str
    external_id: str
    internal_id: str | None
    sandbox_id: str | None
    name: str
    type: str
    weight: float


@dataclass(frozen=True)
class Organization:
    """An organization: its handle goes to the token endpoint, its UUID into the queries."""

    id: str
    uuid: str
    handle: str
    name: str
    environments: tuple[Environment, ...]
    tenants: tuple[str, ...]
    project_ids: tuple[str, ...]
    all_apis: tuple[Api, ...]
    all_applications: tuple[Application, ...]

    def apis(self, tenant: str = FIRST_TENANT) -> tuple[Api, ...]:
        """The APIs of a tenant."""
        return tuple(api for api in self.all_apis if api.tenant == tenant)

    def applications(self, tenant: str = FIRST_TENANT) -> tuple[Application, ...]:
        """The applications of a tenant."""
        return tuple(application for application in self.all_applications if application.tenant == tenant)

    def environment(self, name_or_id: str) -> Environment:
        """The environment of that name or id; raises KeyError if there is none."""
        for environment in self.environments:
            if name_or_id in (environment.name, environment.id):
                return environment
        raise KeyError(name_or_id)

    @cached_property
    def environments_by_id(self) -> dict[str, Environment]:
        """Environments by their id."""
        return {environment.id: environment for environment in self.environments}

    @cached_property
    def apis_by_id(self) -> dict[str, Api]:
        """APIs of all tenants by their id."""
        return {api.id: api for api in self.all_apis}


def identifier(seed: int, *parts: object) -> str:
    """A UUID-like id that follows from the seed and what it names."""
    digest = hashlib.sha256("/".join([str(seed), *map(str, parts)]).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


def share(seed: int, *parts: object) -> float:
    """A number from 0 to below 1 that follows from the seed and what it is for."""
    digest = hashlib.sha256("/".join([str(seed), *map(str, parts)]).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def numbered(name: str, index: int, names: int) -> str:
    """The name, with a number from the second round through the list of names on."""
    return name if index < names else f"{name} {index // names + 1}"


def apis_of(seed: int, handle: str, tenant: str, count: int, project_ids: tuple[str, ...]) -> tuple[Api, ...]:
    """The APIs of a tenant; the first ones have the most traffic."""
    apis = []
    for index in range(count):
        name = numbered(API_NAMES[index % len(API_NAMES)], index, len(API_NAMES))
        kind = name.lower().replace(" ", "-")
        resources = tuple(
            Resource(template.replace("{kind}", kind), method, weight)
            for template, method, weight in RESOURCES[: 3 + index % 4]
        )
        apis.append(
            Api(
                id=identifier(seed, handle, tenant, "api", index),
                name=f"{name} API",
                version=("1.0.0", "1.1.0", "2.0.0")[index % 3],
                provider=f"provider{index % 3 + 1}@{handle}.example",
                tenant=tenant,
                project_id=project_ids[index % len(project_ids)],
                backend=f"https://{kind}.{handle}.example",
                resources=resources,
                weight=1 / (index + 3) + 0.02,
                base_latency_ms=20 + int(180 * share(seed, handle, tenant, "latency", index)),
            )
        )
    return tuple(apis)


def applications_of(seed: int, handle: str, tenant: str, count: int, apis: tuple[Api, ...]) -> tuple[Application, ...]:
    """The applications of a tenant; every API has at least one subscriber."""
    applications = []
    for index in range(count):
        called = tuple(
            api.id
            for position, api in enumerate(apis)
            if position % count == index or share(seed, handle, tenant, "subscribed", index, position) < 0.4
        )
        name = numbered(APPLICATION_NAMES[index % len(APPLICATION_NAMES)], index, len(APPLICATION_NAMES))
        applications.append(
            Application(
                id=identifier(seed, handle, tenant, "application", index),
                name=name,
                owner=f"owner{index % max(2, count // 2) + 1}@{handle}.example",
                tenant=tenant,
                api_ids=called,
            )
        )
    return tuple(applications)


def environments_of(seed: int, handle: str, first: bool) -> tuple[Environment, ...]:
    """Development and Production, and one on premises in the first organization."""
    plan = [("Development", "CHOREO", 0.5), ("Production", "CHOREO_PRIVATE" if not first else "CHOREO", 1.0)]
    if first:
        plan += [("Staging", "CHOREO_PRIVATE", 0.3), ("On-Premises", "ON_PREM", 0.7)]
    return tuple(
        Environment(
            id=identifier(seed, handle, name),
            external_id=identifier(seed, handle, name, "external"),
            internal_id=None if kind == "ON_PREM" else identifier(seed, handle, name, "internal"),
            sandbox_id=identifier(seed, handle, name, "sandbox") if name == "Production" else None,
            name=name,
            type=kind,
            weight=weight,
        )
        for name, kind, weight in plan
    )


def organization_of(settings: Settings, index: int) -> Organization:
    """The index-th organization; the first has as many APIs and applications as the settings say, others half."""
    seed, size = settings.seed, 1 if index == 0 else 2
    handle, name = ORGANIZATIONS[index % len(ORGANIZATIONS)]
    if index >= len(ORGANIZATIONS):
        handle, name = f"{handle}{index}", f"{name} {index}"
    tenants = (FIRST_TENANT, f"{handle}.example")
    project_ids = tuple(identifier(seed, handle, "project", number) for number in range(2))
    apis: tuple[Api, ...] = ()
    applications: tuple[Application, ...] = ()
    for tenant, part in zip(tenants, (size, size * 4), strict=True):
        of_tenant = apis_of(seed, handle, tenant, max(1, settings.apis // part), project_ids)
        apis += of_tenant
        applications += applications_of(seed, handle, tenant, max(1, settings.applications // part), of_tenant)
    return Organization(
        id=str(101 + index),
        uuid=identifier(seed, handle),
        handle=handle,
        name=name,
        environments=environments_of(seed, handle, index == 0),
        tenants=tenants,
        project_ids=project_ids,
        all_apis=apis,
        all_applications=applications,
    )
