"""The shipped catalogue: every operation of Choreo Insights has a role, and every metric a sound name and text."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from graphql import FieldNode, OperationDefinitionNode, parse

from exporter.config.include import catalogue_names
from exporter.config.load import load
from exporter.document.document import DocumentError, parse_document
from exporter.document.schema import load_schema
from exporter.model.samples import MetricType
from exporter.plan.planner import plan

ROOT = Path(__file__).parents[3]
CHOREO = load_schema("choreo")
PAGES = ("overview", "traffic", "errors", "latency", "cache", "devices", "alerts", "geography", "reports", "on_premise")
LOOKUPS = {"listOrganizations", "listEnvironments", "listTenants", "listAllAPI", "listApplications"}
ON_DEMAND = {
    "listProviders",
    "listSubscribers",
    "getSuccessAPIsUsageByApplications",
    "getCustomReportOvertime",
    "getCustomReportTopOvertime",
    "getGroupByValues",
}
PEOPLE = ("owner", "provider", "subscriber", "creator")
SOURCE = """\
sources:
  - name: choreo
    url: https://insights.example/query-api
    schema: choreo
    labels: {organization: acme}
    values: {org_id: o-1}
    secret_values: {on_prem_key: {env: CHOREO_ON_PREM_KEY}}
"""


@cache
def content(name: str) -> Any:
    """What stands in a file of the catalogue."""
    return yaml.safe_load(files("exporter.choreo").joinpath("catalogue", f"{name}.yaml").read_text("utf-8"))


def queries(*names: str) -> list[tuple[str, dict[str, Any]]]:
    """The queries of these groups, or of all, each with its group."""
    return [(name, query) for name in names or ("names", *PAGES) for query in content(name)["queries"]]


def metrics(*names: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The metrics of these groups, or of all, each with its query."""
    return [(query, metric) for _, query in queries(*names) for metric in query.get("metrics", ())]


def documents() -> list[tuple[str, str]]:
    """Every document that is shipped, and what it is called."""
    polled = [(query["name"], query["document"]) for _, query in queries()]
    return polled + [(name, entry["document"]) for name, entry in content("on_demand").items()]


def operations_of(document: str) -> set[str]:
    """The operations of the API that a document asks."""
    (definition,) = parse(document).definitions
    assert isinstance(definition, OperationDefinitionNode)
    return {node.name.value for node in definition.selection_set.selections if isinstance(node, FieldNode)}


def asked(*names: str) -> set[str]:
    """The operations that these groups ask."""
    return {operation for _, query in queries(*names) for operation in operations_of(query["document"])}


def included(*groups: str) -> str:
    return f"{SOURCE}include: [{', '.join(groups)}]\n"


def test_every_operation_of_the_api_has_a_role() -> None:
    """Each of the 38 operations is a metric, a lookup or on demand, and no more than one of them."""
    assert CHOREO.query_type is not None
    operations = set(CHOREO.query_type.fields)
    on_demand = {operation for entry in content("on_demand").values() for operation in operations_of(entry["document"])}
    assert len(operations) == 38
    assert asked("names") == LOOKUPS
    assert on_demand == ON_DEMAND
    assert asked(*PAGES) == operations - LOOKUPS - ON_DEMAND


def test_the_files_are_the_pages_of_choreo() -> None:
    """What `include` offers is a group for each page, what needs an on-premise key, and the names."""
    assert set(catalogue_names()) == {f"choreo/{name}" for name in ("names", *PAGES)}


@pytest.mark.parametrize(("name", "document"), documents())
def test_every_document_is_one_that_the_api_takes(name: str, document: str) -> None:
    """Documents are right by the API's own schema, those on demand too."""
    try:
        parse_document(document, CHOREO)
    except DocumentError as error:
        pytest.fail(f"{name}: {error}")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_metrics_and_includes_the_names(page: str) -> None:
    """A group works by its one line: it brings the environments, tenants and names that it refers to."""
    assert content(page).get("include", []) == ([] if page == "on_premise" else ["choreo/names"])
    assert metrics(page)


def test_every_variable_of_a_document_has_a_value_and_every_value_a_variable() -> None:
    """Also what is on demand can be sent as it is, once its blanks are filled in."""
    entries = [(query["name"], query) for _, query in queries()] + list(content("on_demand").items())
    for name, entry in entries:
        declared = parse_document(entry["document"], CHOREO).variables
        paged = {entry["pages"][key].partition(".")[0] for key in ("limit", "offset")} if "pages" in entry else set()
        assert set(declared) == set(entry.get("variables", {})) | paged, name


def test_a_query_has_one_name_and_a_family_one_place() -> None:
    """No two groups use a name for two things, so that any of them can be included together."""
    names = [query["name"] for _, query in queries()]
    assert sorted(names) == sorted(set(names))
    homes: dict[str, set[str]] = {}
    for query, metric in metrics():
        homes.setdefault(metric["name"], set()).add(query["name"])
    assert [name for name, places in homes.items() if len(places) > 1] == []


def test_entries_of_one_family_agree_and_do_not_overlap() -> None:
    """Entries that share a family have the same type, help and label names, and differ in their labels."""
    seen: dict[str, list[dict[str, Any]]] = {}
    for _, metric in metrics():
        seen.setdefault(metric["name"], []).append(metric)
    for name, entries in seen.items():
        assert len({(m.get("type"), m["help"], tuple(sorted(m.get("labels", {})))) for m in entries}) == 1, name
        labels = [str(sorted(m.get("labels", {}).items(), key=str)) for m in entries]
        assert len(set(labels)) == len(labels), name


def test_every_series_says_where_it_is_from() -> None:
    """Environment and tenant are labels everywhere, but for what has none; an id has its name beside it."""
    for query, metric in metrics():
        labels = {**query.get("labels", {}), **metric.get("labels", {})}
        if "on_premise" in metric["name"]:
            assert "tenant" in labels  # the API does not say which of the on-premise environments it was
        elif metric["name"] not in ("choreo_organization_info", "choreo_environment_info"):
            assert {"environment_id", "environment", "tenant"} <= set(labels), metric["name"]
        for identifier, names in (("api_id", {"api", "version"}), ("application_id", {"application"})):
            assert identifier not in labels or names <= set(labels), metric["name"]


def test_no_label_is_a_person() -> None:
    """Owners, providers and subscribers are people: not asked for in what is polled, and not labels."""
    for _, query in queries():
        document = query["document"].replace("apiCreatorTenantDomain", "")  # a tenant, not a person
        assert not [word for word in PEOPLE if word in document.casefold()], query["name"]
    for _, metric in metrics():
        assert not [label for label in metric.get("labels", {}) if label in PEOPLE], metric["name"]


@pytest.mark.parametrize("metric", [pytest.param(m, id=f"{m['name']}-{m['value']}") for _, m in metrics()])
def test_names_types_and_units_follow_the_conventions(metric: dict[str, Any]) -> None:
    """`_total` for counters alone, `_info` is 1, base units, the unit last in the name."""
    name = metric["name"]
    counter = metric.get("type") == "counter"
    assert re.fullmatch(r"choreo_[a-z0-9_]+", name)
    assert name.endswith("_total") == counter
    assert not (counter and "_window_" in name)
    assert not re.search(r"_(sum|count|bucket|created)$|milli|percent", name)
    assert name.endswith("_info") == (metric["value"] == 1 and not counter)
    assert ("latency" in name) == (metric.get("from_unit") == "milliseconds") == bool(re.search("_p(95|50)_", name))
    assert name.endswith("_seconds") == ("latency" in name or metric.get("from") == "timestamp")
    if not counter and not name.endswith(("_seconds", "_info")):
        assert name.startswith("choreo_window_")


@pytest.mark.parametrize("metric", [pytest.param(m, id=f"{m['name']}-{m['value']}") for _, m in metrics()])
def test_help_is_a_sentence_for_a_newcomer(metric: dict[str, Any]) -> None:
    """It begins like a sentence, ends like one, and leaves to the exporter how the metric is made."""
    text = metric["help"]
    assert re.fullmatch(r"[A-Z0-9].{10,120}\.", text)
    assert not re.search(r"\(|\)|polled|GraphQL|get[A-Z]", text)
    if metric.get("type") == "counter":
        assert "window" not in text


def test_every_count_of_requests_or_errors_has_its_counter() -> None:
    """A figure of the five-minute window stands beside a counter of the same, but for devices, whose rest changes."""
    by_name = {metric["name"]: metric for _, metric in metrics()}
    windows = [name for name in by_name if re.match(r"choreo_window_(?!\d+[mhd]_)", name)]
    without = {name for name in windows if f"{name.replace('_window', '')}_total" not in by_name}
    assert without == {"choreo_window_platform_requests", "choreo_window_user_agent_requests"}
    for name in set(windows) - without:
        counter = by_name[f"{name.replace('_window', '')}_total"]
        assert counter.get("labels") == by_name[name].get("labels"), name
        assert counter["help"].split(",")[0].startswith(by_name[name]["help"].split(" in the window")[0].rstrip(".")), (
            name
        )


def test_queries_are_polled_as_often_as_their_answers_are_worth() -> None:
    """Names every ten minutes, what takes calls for each API or for pages every five; the rest at most each minute, and
    so are the errors of each API since midnight, on which its availability over five minutes rests."""
    for group, query in queries():
        if group == "names":
            assert query["interval"] == "10m", query["name"]
        elif query["name"] in ("api_proxy_errors_today", "api_target_errors_today"):
            assert query["interval"] == "1m", query["name"]
        elif "pages" in query or "tenants" not in str(query.get("for_each")):
            assert query["interval"] == "5m", query["name"]
        else:
            assert query["interval"] in ("1m", "5m"), query["name"]


def test_ids_are_sent_in_lists_of_five_at_most() -> None:
    """The API refuses longer lists; those are made by `batch`."""
    for _, query in queries():
        takes_ids = re.search(r"(apiIds|appIds|subscribers):", yaml.safe_dump(query.get("variables", {})))
        assert bool(takes_ids) == (query.get("batch") == 5), query["name"]


def test_paged_operations_are_asked_in_pages() -> None:
    """Without a limit the API gives five rows and no word of the rest."""
    for _, query in queries():
        assert ("pagination" in query["document"]) == ("pages" in query), query["name"]
    paged = {"getErrorsDetails", "getErrorsByStatusCode", "getResourceUsage"}
    paged |= {"getTopAPIsByAlertCount", "getAlertSummary"}
    assert {o for _, q in queries() if "pages" in q for o in operations_of(q["document"])} == paged


def test_countries_have_two_letter_codes() -> None:
    """A map finds a country by its ISO 3166-1 code."""
    (lookup,) = content("geography")["lookups"]
    assert len(lookup["table"]) > 190
    assert all(re.fullmatch("[A-Z]{2}", row["code"]) for row in lookup["table"].values())
    assert lookup["table"]["Norway"] == {"code": "NO"}


@pytest.mark.parametrize("group", catalogue_names())
def test_one_line_enables_a_group(group: str, tmp_path: Path) -> None:
    """`include` of a group is a whole configuration; every path, label and reference in it is proved."""
    file = tmp_path / "config.yaml"
    file.write_text(included(group), "utf-8")
    families = plan(load(file, {})).families
    name = group.removeprefix("choreo/")
    included_too = [file.removeprefix("choreo/") for file in content(name).get("include", [])]
    wanted = {metric["name"]: metric for _, metric in metrics(name, *included_too)}
    assert {family.name for family in families} == set(wanted)
    for family in families:
        assert "organization" in family.label_names
        assert (family.type is MetricType.COUNTER) == (wanted[family.name].get("type") == "counter")


def test_all_groups_can_be_enabled_together(tmp_path: Path) -> None:
    """Groups share the names, and nothing else."""
    file = tmp_path / "config.yaml"
    file.write_text(included(*catalogue_names()), "utf-8")
    assert {query.name for query in plan(load(file, {})).queries} == {query["name"] for _, query in queries()}
