"""Writes docs/choreo-operations.md from the shipped catalogue, what becomes of each operation: `make docs`.

With `--check` it writes nothing, and ends with 1 if the file is not what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from generated import written
from graphql import FieldNode, OperationDefinitionNode, parse

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "exporter" / "choreo" / "catalogue"
DOCUMENT = ROOT / "docs" / "choreo-operations.md"
COMMON_LABELS = ("environment_id", "environment", "tenant")

# The page of Choreo's console that an operation feeds, where it is not that of the group that asks it.
PAGES = {
    "listOrganizations": "all: the choice of the organization",
    "listEnvironments": "all: the choice of the environment",
    "listTenants": "all: the choice of the tenant",
    "listAllAPI": "all: the filter by API",
    "listApplications": "Traffic: the filter by application",
    "listProviders": "the filter by provider",
    "listSubscribers": "the filter by subscriber",
    "getTotalTrafficByAPI": "one API",
    "getTotalErrorsByAPI": "one API",
    "getOverallLatencyByAPI": "one API",
    "getAPIsUsageByApplications": "Traffic, Reports",
    "getSuccessAPIsUsageByApplications": "Reports",
    "getSuccessAPIsUsageByApplicationsWithOnPremKey": "Reports",
    "getCustomReportOvertime": "Reports: custom reports",
    "getCustomReportTopOvertime": "Reports: custom reports",
    "getGroupByValues": "Reports: custom reports",
}
NEEDS = {
    "getAPIUsageByGeoLocation": "on-premise environments only",
    "getSuccessAPIsUsageByApplications": "needs an on-premise key as the authorization header, in a separate source: "
    "[an example](examples/choreo-on-premise/config.yaml)",
    "getSuccessAPIsUsageByApplicationsWithOnPremKey": "needs an on-premise key, from `secret_values`, as an argument",
}

HEAD = """\
# The operations of the Choreo Insights API

<!-- Written by scripts/operations_table.py (`make docs`) from exporter/choreo/catalogue; change it there. -->

The table shows how each of the {count} operations is used. *Metric*: polled by the named group, which one line enables
(`include: [choreo/overview]`, see [configuration.md](configuration.md)). *Lookup*: polled every ten minutes for targets
and for the names of ids. *On demand*: not polled; the document is below.

Every metric has the labels of its source. All except `choreo_organization_info`, `choreo_environment_info` and the
group `choreo/on_premise` also have `environment_id`, `environment` and `tenant`. The table lists the other labels. A
metric whose name ends in `_total` is a counter from the start of the day in UTC. Other metrics are figures of the last
five minutes or of the time in their name; those of `getLatency` cover the newest whole quarter of an hour. There are no
labels for owners, providers and subscribers, because these are people.

| operation | role | metrics | labels | unit | page |
| --- | --- | --- | --- | --- | --- |
"""
ON_DEMAND = """
## Documents on demand

They are in [on_demand.yaml](../exporter/choreo/catalogue/on_demand.yaml), and are checked against the API's schema
like all others. Run one with `insights-exporter query choreo/on_demand/NAME`, or write your own query with it. Replace
the texts in `<>`.
"""


@dataclass
class Use:
    """Where an operation is used: the groups that poll it, and its metrics with their labels."""

    groups: list[str] = field(default_factory=list)
    metrics: dict[str, tuple[str, ...]] = field(default_factory=dict)
    on_demand: list[str] = field(default_factory=list)


def root_fields(document: str) -> dict[str, str]:
    """The operations that a document asks, by their response keys."""
    definition = parse(document).definitions[0]
    assert isinstance(definition, OperationDefinitionNode)
    nodes = [node for node in definition.selection_set.selections if isinstance(node, FieldNode)]
    return {(node.alias or node.name).value: node.name.value for node in nodes}


def catalogue() -> dict[str, Any]:
    """Every file of the catalogue, by its name."""
    return {file.stem: yaml.safe_load(file.read_text("utf-8")) for file in sorted(CATALOGUE.glob("*.yaml"))}


def uses(files: Mapping[str, Any]) -> dict[str, Use]:
    """What the catalogue does with each operation that it knows."""
    found: dict[str, Use] = {}
    for group, content in files.items():
        if group == "on_demand":
            for name, entry in content.items():
                for operation in root_fields(entry["document"]).values():
                    found.setdefault(operation, Use()).on_demand.append(name)
            continue
        for query in content["queries"]:
            _add_query(found, group, query)
    return found


def _add_query(found: dict[str, Use], group: str, query: Mapping[str, Any]) -> None:
    fields = root_fields(query["document"])
    for operation in fields.values():
        groups = found.setdefault(operation, Use()).groups
        if group not in groups:
            groups.append(group)
    for metric in query.get("metrics", ()):
        key = str(query.get("rows") or metric["value"]).partition(".")[0]
        labels = {**query.get("labels", {}), **metric.get("labels", {})}
        common = COMMON_LABELS if labels.keys() >= set(COMMON_LABELS) else ()
        own = tuple(name for name in labels if name not in common)
        found[fields[key]].metrics[metric["name"]] = own


def role(use: Use) -> str:
    """What an operation is for."""
    if use.groups:
        return "lookup" if use.groups == ["names"] else "metric"
    return "on demand"


def unit(metric: str) -> str:
    """The unit of a metric, as its name says it; what is counted where it has none."""
    if metric.endswith("_timestamp_seconds"):
        return "Unix time in seconds"
    if metric.endswith("_seconds"):
        return "seconds"
    if metric.endswith("_info"):
        return "always 1"
    return "requests" if "_cache_" in metric else next(w for w in ("requests", "errors", "alerts") if w in metric)


def page(operation: str, use: Use) -> str:
    """The page of Choreo that an operation feeds."""
    if operation in PAGES:
        return PAGES[operation]
    return ", ".join("Geo Map" if group == "geography" else group.capitalize() for group in use.groups)


def _row(operation: str, use: Use) -> str:
    shown = role(use)
    if use.groups:
        shown += f" (`{'`, `'.join(f'choreo/{group}' for group in use.groups)}`)"
    if operation in NEEDS:
        shown += f"; {NEEDS[operation]}"
    # metrics with the same labels and unit stand together
    together: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for metric, labels in use.metrics.items():
        together.setdefault((labels, unit(metric)), []).append(metric)
    columns = [
        "<br>".join(", ".join(f"`{metric}`" for metric in metrics) for metrics in together.values()),
        "<br>".join(", ".join(f"`{label}`" for label in labels) or "–" for labels, _ in together),
        "<br>".join(of for _, of in together),
    ]
    columns[1] = columns[1] if any(labels for labels, _ in together) else ""
    return f"| `{operation}` | {shown} | {' | '.join(columns)} | {page(operation, use)} |"


def _documents(files: Mapping[str, Any]) -> Iterator[str]:
    for name, entry in files["on_demand"].items():
        operation = next(iter(root_fields(entry["document"]).values()))
        needs = f" It {NEEDS[operation]}." if operation in NEEDS else ""
        yield f"\n### `{name}`: {operation}\n\n{needs.strip()}{chr(10) * 2 if needs else ''}```graphql\n"
        yield f"{entry['document'].strip()}\n```\n\n```yaml\n"
        yield yaml.safe_dump({"variables": entry["variables"]}, sort_keys=False) + "```\n"


def operations() -> list[str]:
    """The operations of the API, in the order of its schema."""
    from exporter.document.schema import load_schema

    query = load_schema("choreo").query_type
    return list(query.fields) if query else []


def text() -> str:
    """The whole file. Raises `KeyError` for an operation of which nothing becomes."""
    files, names = catalogue(), operations()
    found = uses(files)
    rows = "\n".join(_row(name, found[name]) for name in names)
    return HEAD.format(count=len(names)) + rows + "\n" + ON_DEMAND + "".join(_documents(files))


if __name__ == "__main__":
    sys.exit(written({DOCUMENT: text()}, "make docs"))
