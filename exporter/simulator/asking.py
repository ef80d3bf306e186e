"""What every resolver needs: who asks, about which part of the model, under which limits, and the counts themselves."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from math import ceil
from typing import Any, TypeVar

from graphql import GraphQLError
from msgspec import Struct

from exporter.simulator.faults import FaultState
from exporter.simulator.model import Api, Application, Environment, Model, Organization, Pattern
from exporter.simulator.ranges import Bucket, TimeRange, buckets, granularity
from exporter.simulator.settings import Settings

Rows = list[tuple[Pattern, int]]  # a pattern and how many requests had it
Arguments = Mapping[str, Any]
Key = TypeVar("Key", bound=Hashable)


class Scope(Struct, frozen=True):
    """What a DataFilter stands for."""

    organization: Organization
    environments: tuple[Environment, ...]
    tenant: str
    project_id: str | None


class Asking(Struct, frozen=True):
    """One operation being answered: all its fields see the same moment."""

    model: Model
    settings: Settings
    faults: FaultState
    now_ms: int
    org_handle: str | None  # the token's organization; None: every organization
    on_prem: bool  # whether an on-premise key was the credential

    def organizations(self) -> list[Organization]:
        """The organizations that the caller may see."""
        removed = self.faults.removed_organizations
        return [
            organization
            for organization in self.model.organizations
            if self.org_handle in (None, organization.handle)
            and organization.handle not in removed
            and organization.uuid not in removed
        ]

    def organization(self, uuid: str) -> Organization | None:
        """The organization of that UUID, if the caller may see it."""
        return next((organization for organization in self.organizations() if organization.uuid == uuid), None)

    def environments(self, organization: Organization) -> tuple[Environment, ...]:
        """The environments that the caller may see: on-premise ones alone with an on-premise key."""
        return tuple(e for e in organization.environments if e.type == "ON_PREM" or not self.on_prem)

    def scope_of(self, data_filter: Arguments) -> Scope | None:
        """The scope of a DataFilter; None if it names something unknown; raises GraphQLError if it cannot be."""
        project_id = data_filter.get("projectId")
        if project_id is not None and self.on_prem:
            raise GraphQLError("DataFilter: projectId cannot be used with an on-premise key.")
        wanted = environment_ids(data_filter)
        if not wanted:
            raise GraphQLError("DataFilter: environmentId or environmentIds is required.")
        organization = self.organization(data_filter["orgId"])
        if organization is None:
            return None
        environments = tuple(e for e in self.environments(organization) if e.id in wanted)
        known_project = project_id is None or project_id in organization.project_ids
        if len(environments) < len(wanted) or data_filter["tenant"] not in organization.tenants or not known_project:
            return None
        return Scope(organization, environments, data_filter["tenant"], project_id)

    def scope(self, arguments: Arguments) -> Scope:
        """The scope of a field's dataFilter; raises GraphQLError if the caller may not see it or it is not there."""
        scope = self.scope_of(arguments["dataFilter"])
        if scope is None:
            raise GraphQLError("DataFilter: no such organization, environment, tenant or project for this token.")
        return scope

    def apis(self, scope: Scope) -> list[Api]:
        """The APIs of a scope that have not vanished."""
        removed = self.faults.removed_apis
        return [
            api
            for api in scope.organization.apis(scope.tenant)
            if scope.project_id in (None, api.project_id) and api.id not in removed and api.name not in removed
        ]

    def applications(self, scope: Scope) -> list[Application]:
        """The applications of a scope."""
        return list(scope.organization.applications(scope.tenant))

    def rows(self, scope: Scope, start_ms: int, end_ms: int, keep: Callable[[Pattern], bool] | None = None) -> Rows:
        """The requests of a scope from start to before end, counted by pattern."""
        traffic = self.model.traffic
        tallies = [
            traffic.tally(environment.id, scope.tenant, start_ms, end_ms, self.now_ms)
            for environment in scope.environments
        ]
        patterns = traffic.patterns
        rows = [(patterns[index], count) for tally in tallies for index, count in tally.items()]
        if scope.project_id is not None:
            rows = [(pattern, count) for pattern, count in rows if pattern.api.project_id == scope.project_id]
        return rows if keep is None else [(pattern, count) for pattern, count in rows if keep(pattern)]

    def buckets(self, asked: TimeRange, given: str | None) -> tuple[str, list[Bucket]]:
        """The granularity of an answer and its buckets."""
        width = granularity(self.settings, given, asked)
        return width, list(buckets(asked, width))

    def bucket_rows(
        self, scope: Scope, cut: Iterable[Bucket], keep: Callable[[Pattern], bool] | None = None
    ) -> list[tuple[Bucket, Rows]]:
        """The requests of each bucket; buckets without any are left out unless zeros are asked for by the settings."""
        counted = [(bucket, self.rows(scope, bucket.start_ms, bucket.end_ms, keep)) for bucket in cut]
        return [(bucket, rows) for bucket, rows in counted if rows or self.settings.zero_rows]

    def ids(self, given: Arguments | None, name: str) -> frozenset[str]:
        """The ids of a filter's list, empty if it does not narrow; raises GraphQLError beyond the limit."""
        listed = (given or {}).get(name) or ()
        if len(listed) > self.settings.max_ids:
            raise GraphQLError(f"{name}: at most {self.settings.max_ids} are allowed, {len(listed)} were given.")
        return frozenset(item for item in listed if item is not None)


def environment_ids(given: Arguments) -> frozenset[str]:
    """The environments that a filter names, one or several."""
    named = [given.get("environmentId"), given.get("envId"), *(given.get("environmentIds") or ())]
    return frozenset(name for name in named if name is not None)


def grouped(rows: Iterable[tuple[Pattern, int]], key: Callable[[Pattern], Key]) -> Counter[Key]:
    """How many requests have each key."""
    counts: Counter[Key] = Counter()
    for pattern, count in rows:
        counts[key(pattern)] += count
    return counts


def total(rows: Iterable[tuple[Pattern, int]]) -> int:
    """How many requests there are."""
    return sum(count for _, count in rows)


def nearest_rank(rows: Iterable[tuple[int | None, int]], percent: int) -> int | None:
    """The percentile by nearest rank: the smallest value that at least that share of all values do not exceed.

    Rows are values and how often each occurs; absent values do not count. None if there are no values.
    """
    counts: Counter[int] = Counter()
    for value, count in rows:
        if value is not None:
            counts[value] += count
    rank = ceil(percent * counts.total() / 100)
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return None


def matches(search: Arguments | None, ids: frozenset[str], api: Api, *texts: str) -> bool:
    """Whether a row is found by a SearchFilter: its API is one of the ids, and the text occurs in one of its texts."""
    if search is None:
        return True
    wanted = search["searchText"].casefold()
    in_text = any(wanted in text.casefold() for text in (api.name, *texts))
    return (not ids or api.id in ids) and in_text


def search_ids(asking: Asking, search: Arguments | None) -> frozenset[str]:
    """The ids of a SearchFilter; raises GraphQLError if they come without a text to search."""
    ids = asking.ids(search, "apiIds")
    if ids and search is not None and not search["searchText"].strip():
        raise GraphQLError("SearchFilter: apiIds cannot be used without searchText.")
    return ids


def page(
    asking: Asking, given: Arguments | None, rows: Sequence[dict[str, Any]], sort_by: str, sort_order: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One page of the rows and its Pagination; `sort_by` and `sort_order` are the operation's defaults.

    Rows that sort alike keep the order they came in. Raises GraphQLError for a page that cannot be.
    """
    given = given or {}
    limit = asking.settings.page_default if given.get("limit") is None else given["limit"]
    offset = given.get("offset") or 0
    sort_by, sort_order = given.get("sortBy") or sort_by, given.get("sortOrder") or sort_order
    if limit < 1 or offset < 0:
        raise GraphQLError("PaginationFilter: limit must be at least 1 and offset at least 0.")
    if sort_order not in ("asc", "desc"):
        raise GraphQLError(f"PaginationFilter: sortOrder {sort_order!r} is neither asc nor desc.")
    if rows and not isinstance(rows[0].get(sort_by), (str, int)):
        raise GraphQLError(f"PaginationFilter: cannot sort by {sort_by!r}.")
    ordered = sorted(rows, key=lambda row: row[sort_by], reverse=sort_order == "desc")
    pagination = {"total": len(rows), "limit": limit, "offset": offset, "sortBy": sort_by, "sortOrder": sort_order}
    return ordered[offset : offset + limit], pagination
