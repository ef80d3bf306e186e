"""What exists: organizations, environments, tenants, APIs, providers, applications, subscribers.

What the caller may not see is an empty list here, not an error.
"""

from typing import Any

from exporter.simulator.asking import Arguments, Asking, environment_ids


def organizations(asking: Asking, _: Arguments) -> list[dict[str, Any]]:
    """The organizations that the token may see."""
    return [{"id": o.id, "uuid": o.uuid, "handle": o.handle, "name": o.name} for o in asking.organizations()]


def environments(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """The environments of an organization; projects span all of them."""
    organization = asking.organization(arguments["org"]["orgId"])
    if organization is None or arguments.get("projectId") not in (None, *organization.project_ids):
        return []
    return [
        {
            "id": e.id,
            "externalEnvId": e.external_id,
            "internalEnvId": e.internal_id,
            "sandboxEnvId": e.sandbox_id,
            "name": e.name,
            "type": e.type,
        }
        for e in asking.environments(organization)
    ]


def tenants(asking: Asking, arguments: Arguments) -> list[str]:
    """The tenants of an organization, if all the environments that are named are its own."""
    given = arguments["tenantDataFilter"]
    organization = asking.organization(given["orgId"])
    if organization is None or environment_ids(given) - {e.id for e in asking.environments(organization)}:
        return []
    return list(organization.tenants)


def all_apis(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """The APIs of a tenant, of one provider if it is given."""
    scope = asking.scope_of(arguments["dataFilter"])
    provider = arguments.get("provider")
    return [
        {"id": api.id, "name": api.name, "version": api.version, "provider": api.provider}
        for api in (asking.apis(scope) if scope else ())
        if provider in (None, api.provider)
    ]


def providers(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """Who provides the APIs of a tenant."""
    scope = asking.scope_of(arguments["dataFilter"])
    return [{"name": name} for name in sorted({api.provider for api in (asking.apis(scope) if scope else ())})]


def applications(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """The applications of a tenant: of one owner, or subscribed to one of the APIs, if that is given."""
    scope = asking.scope_of(arguments["dataFilter"])
    given = arguments.get("applicationFilter") or {}
    api_ids, owner = asking.ids(given, "apiIds"), given.get("owner")
    return [
        {"id": application.id, "name": application.name, "owner": application.owner}
        for application in (asking.applications(scope) if scope else ())
        if owner in (None, application.owner) and (not api_ids or api_ids & set(application.api_ids))
    ]


def subscribers(asking: Asking, arguments: Arguments) -> list[dict[str, Any]]:
    """The owners of the applications of a tenant that are subscribed to one of the APIs, or to any."""
    scope = asking.scope_of(arguments["dataFilter"])
    api_ids = asking.ids(arguments.get("subscriberFilter"), "apiIds")
    names = {
        application.owner
        for application in (asking.applications(scope) if scope else ())
        if not api_ids or api_ids & set(application.api_ids)
    }
    return [{"name": name} for name in sorted(names)]


RESOLVERS = {
    "listOrganizations": organizations,
    "listEnvironments": environments,
    "listTenants": tenants,
    "listAllAPI": all_apis,
    "listProviders": providers,
    "listApplications": applications,
    "listSubscribers": subscribers,
}
