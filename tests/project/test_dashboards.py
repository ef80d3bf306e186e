"""The shipped dashboards, as far as they can be judged without Grafana."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.config.include import shipped_names
from tests.support.grafana import (
    FOLDER,
    RULES,
    JsonObject,
    bare_names,
    expressions,
    filled_in,
    panels,
    query_variables,
    selectors,
    shipped,
    structure_faults,
    syntax_errors,
    unknown_keys,
    variable_query,
)
from tests.support.stack import catalogue

DASHBOARDS: Final = shipped()
PAGES: Final = (
    *("overview", "traffic", "errors", "latency", "cache", "devices", "alerts", "geography", "reports", "exporter"),
)
UNIT_OF_ENDING: Final = {"_timestamp_seconds": ("dateTimeAsIso", "s"), "_seconds": ("s",)}
WINDOW: Final = re.compile(
    r"chosen time range|last 5 minutes|last 24 whole hours|last seven days|newest whole quarter of an hour|\bnow\b"
)

each = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def test_the_files_are_what_the_code_makes() -> None:
    """Whoever changes a dashboard in the code finds the change in the file, as `make dashboards` writes it."""
    command = [sys.executable, "scripts/dashboards.py", "--check"]
    run = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_there_is_a_dashboard_for_each_page_of_choreo_and_for_the_exporter() -> None:
    """Each page of Choreo's Insights has its dashboard, with an address and a title that never change."""
    named = {one["uid"]: (name, one["title"]) for name, one in DASHBOARDS.items()}
    expected = {
        f"choreo-insights-{page}": (f"choreo-insights-{page}.json", f"Choreo Insights / {page.capitalize()}")
        for page in PAGES
    }
    assert named == expected


@each
@pytest.mark.parametrize("rule", RULES)
def test_the_rules_of_dashboard_linter_hold(rule: str, dashboard: JsonObject) -> None:
    """Grafana's own linter would have nothing to say, nor if it looked at every kind of panel."""
    assert list(RULES[rule](dashboard)) == []


@each
def test_every_expression_is_promql(dashboard: JsonObject, tmp_path: Path) -> None:
    """Nothing that a dashboard asks is refused by Prometheus' parser (the linter's target-promql-rule)."""
    asked = [expr for _, expr in expressions(dashboard)] + [
        variable_query(one)[0] for one in query_variables(dashboard)
    ]
    assert syntax_errors([filled_in(expr, dashboard) for expr in asked], tmp_path) == ""


@each
def test_structure(dashboard: JsonObject) -> None:
    """A dashboard can be provisioned as it is: fixed uid, no ids of a server, panels side by side, links."""
    assert list(structure_faults(dashboard)) == []


@each
def test_grafana_knows_every_key(dashboard: JsonObject) -> None:
    """No option is misspelt: Grafana's own model of a dashboard gives everything back that it was given."""
    assert unknown_keys(dashboard) == set()


@each
def test_figures_say_their_window(dashboard: JsonObject) -> None:
    """Each figure and each table says what time it is of, and each page how old its data is."""
    still = [panel for panel in panels(dashboard) if panel["type"] not in ("timeseries", "state-timeline")]
    assert [panel["title"] for panel in still if not WINDOW.search(panel["description"])] == []
    assert any("query_window_end_timestamp_seconds" in expr for _, expr in expressions(dashboard))


@each
def test_links_lead_to_dashboards_that_are_there(dashboard: JsonObject) -> None:
    """A click on a figure leads to a page that exists."""
    urls = [link["url"] for panel in panels(dashboard) for link in panel["fieldConfig"]["defaults"].get("links", ())]
    uids = {one["uid"] for one in DASHBOARDS.values()}
    assert [url for url in urls if url.removeprefix("/d/").partition("?")[0] not in uids] == []


@each
def test_no_percentile_is_added_or_averaged(dashboard: JsonObject) -> None:
    """No panel adds or averages percentiles, which would be a number without a meaning."""
    wrong = [
        expr for _, expr in expressions(dashboard) if re.search(r"\b(sum|avg)\b[^{]*_p\d\d_seconds", expr)
    ]  # fmt: skip
    assert wrong == []


def families() -> dict[str, str]:
    """Every metric of the catalogue, with its type."""
    queries = [query for group in shipped_names() for query in catalogue(group)["queries"]]
    return {
        metric["name"]: metric.get("type", "gauge") for query in queries for metric in query.get("metrics", ())
    }  # fmt: skip


def charted() -> dict[str, list[JsonObject]]:
    """Every metric that a panel asks for, with the panels."""
    found: dict[str, list[JsonObject]] = {}
    for dashboard in DASHBOARDS.values():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                for name, _ in selectors(target["expr"]):
                    found.setdefault(name, []).append(panel)
    return found


def test_every_metric_of_the_catalogue_is_charted() -> None:
    """Whatever a group of the catalogue publishes is found on a dashboard, by its exact name, and nothing else is."""
    asked = {name for name in charted() if name.startswith("choreo_")}
    assert sorted(families().keys() - asked) == []
    assert sorted(asked - families().keys()) == []


def test_every_metric_is_charted_in_its_unit() -> None:
    """Seconds are shown as seconds, times as times, counts as counts."""

    def units(panel: JsonObject) -> set[Any]:
        properties = [one for override in panel["fieldConfig"]["overrides"] for one in override["properties"]]
        return {panel["fieldConfig"]["defaults"]["unit"], *(p["value"] for p in properties if p["id"] == "unit")}

    for name in families():
        wanted = next((units for ending, units in UNIT_OF_ENDING.items() if name.endswith(ending)), ("short",))
        shown = set().union(*(units(panel) for panel in charted()[name]))
        assert shown & set(wanted), f"{name}: in {shown}, not in {wanted}"


def test_totals_come_from_counters_and_lines_from_gauges() -> None:
    """What is shown over time are the windows' gauges; what is summed over the chosen range are the counters."""
    for dashboard in DASHBOARDS.values():
        for panel in panels(dashboard):
            names = [name for target in panel["targets"] for name, _ in selectors(target["expr"])]
            choreo = [name for name in names if name.startswith("choreo_")]
            if panel["type"] == "timeseries":
                assert [name for name in choreo if name.endswith("_total")] == [], panel["title"]
            for name, expr in ((n, t["expr"]) for t in panel["targets"] for n, _ in selectors(t["expr"])):
                if name.startswith("choreo_") and name.endswith("_total"):
                    assert "[$__range]" in expr, panel["title"]


def test_the_queries_whose_age_is_shown_are_there() -> None:
    """The age of data is that of queries of the catalogue, not of a name that nothing has."""
    known = {query["name"] for group in shipped_names() for query in catalogue(group)["queries"]}
    for dashboard in DASHBOARDS.values():
        for _, expr in expressions(dashboard):
            for alternatives in re.findall(r'query=~"([^"$]+)"', expr):
                assert set(alternatives.split("|")) <= known


def test_the_map_and_its_table_show_the_same() -> None:
    """Who has no internet for the map's tiles reads the same figures in the table beside it."""
    shown = {panel["type"]: panel for panel in panels(DASHBOARDS["choreo-insights-geography.json"])}
    on_map, in_table = shown["geomap"]["targets"][0]["expr"], shown["table"]["targets"][0]["expr"]
    assert on_map == in_table
    layer = shown["geomap"]["options"]["layers"][0]
    assert layer["location"] == {
        "mode": "lookup",
        "lookup": "country_code",
        "gazetteer": "public/gazetteer/countries.json",
    }
    assert "country_code" in on_map


def test_provisioning_names_what_the_dashboards_need() -> None:
    """The files for provisioning take in the dashboards, and give them a Prometheus."""
    source = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    provider = yaml.safe_load((FOLDER / "provisioning/dashboards/choreo-insights.yaml").read_text("utf-8"))
    assert source["apiVersion"] == provider["apiVersion"] == 1
    assert [(one["type"], one["isDefault"], one["url"]) for one in source["datasources"]] == [
        ("prometheus", True, "${PROMETHEUS_URL}")
    ]
    (folder,) = provider["providers"]
    assert (folder["type"], folder["folderUid"], folder["options"]["path"]) == (
        "file",
        "choreo-insights",
        "/var/lib/grafana/dashboards",
    )


PLANTED: Final = {
    "template-datasource-rule": lambda one: one["templating"]["list"].pop(0),
    "template-job-rule": lambda one: one["templating"]["list"][1].update(allValue=".*"),
    "template-instance-rule": lambda one: one["templating"]["list"][2].update(label="Instances"),
    "template-label-promql-rule": lambda one: one["templating"]["list"][3]["query"].update(query="labels"),
    "template-on-time-change-reload-rule": lambda one: one["templating"]["list"][3].update(refresh=1),
    "panel-datasource-rule": lambda one: panels(one)[0]["targets"][0].update(datasource={"uid": "prometheus"}),
    "panel-title-description-rule": lambda one: panels(one)[0].update(description=" "),
    "panel-units-rule": lambda one: panels(one)[0]["fieldConfig"]["defaults"].update(unit="smoots"),
    "panel-no-targets-rule": lambda one: panels(one)[0].update(targets=[]),
    "target-rate-interval-rule": lambda one: panels(one)[0]["targets"][0].update(expr="rate(a_total{}[5m])"),
    "target-job-rule": lambda one: panels(one)[0]["targets"][0].update(expr="sum(up)"),
    "target-instance-rule": lambda one: panels(one)[0]["targets"][0].update(expr='up{job=~"$job"}'),
    "target-counter-agg-rule": lambda one: panels(one)[0]["targets"][0].update(expr="sum(a_total{})"),
    "uneditable-dashboard": lambda one: one.update(editable=True),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_rules_find_what_breaks_them(rule: str) -> None:
    """A rule that nothing could break would hold nothing: each finds the fault that it is for."""
    broken = deepcopy(DASHBOARDS["choreo-insights-overview.json"])
    PLANTED[rule](broken)  # type: ignore[no-untyped-call]
    assert list(RULES[rule](broken))


def test_keys_that_grafana_does_not_know_are_found() -> None:
    """A misspelt option is found at each level: of a panel, of its fields, of its kind's options, of a target."""
    broken = deepcopy(DASHBOARDS["choreo-insights-overview.json"])
    panel = broken["panels"][1]
    for place in (panel, panel["fieldConfig"]["defaults"], panel["options"], panel["targets"][0]):
        place["bogus"] = 1
    assert unknown_keys(broken) == {
        ".panels[1].bogus",
        ".panels[1].fieldConfig.defaults.bogus",
        ".panels[1].options.bogus",
        ".panels[1].targets[0].bogus",
    }


def test_faults_of_structure_are_found() -> None:
    """Panels that lie over each other, or have the same id, are found."""
    broken = json.loads(json.dumps(DASHBOARDS["choreo-insights-overview.json"]))
    broken["panels"][2] |= {"id": broken["panels"][1]["id"], "gridPos": broken["panels"][1]["gridPos"]}
    assert len(list(structure_faults(broken))) == 2


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (a, b) (up{job=~"$job"}) / on (a) group_left (b) max(x{a="y z"})', []),
        ("time() - min(up) > bool 1 or vector(0)", ["up"]),
        ('label_join(rate(a:b:c{x="1"}[$__rate_interval]), "n", " ", "a") offset 5m', []),
        ("topk(20, choreo_window_requests)", ["choreo_window_requests"]),
    ],
)
def test_metrics_without_matchers_are_found(expression: str, names: list[str]) -> None:
    """What is asked of all exporters at once is found, and nothing else is taken for it."""
    assert bare_names(expression) == names
