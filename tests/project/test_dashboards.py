"""The shipped dashboards, as far as they can be judged without Grafana."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.config.include import catalogue_names
from exporter.dashboards.shipped.alerting import LEADS
from tests.support.grafana import (
    FOLDER,
    RULES,
    JsonObject,
    bare_names,
    expressions,
    filled_in,
    metric_names,
    panels,
    query_variables,
    selectors,
    shared_with_others,
    shipped,
    structure_faults,
    syntax_errors,
    unescaped_variables,
    unknown_keys,
    variable_query,
)
from tests.support.stack import catalogue

DASHBOARDS: Final = shipped()
PAGES: Final = {
    "overview": "Overview",
    "api": "API",
    "objectives": "Objectives",
    **{
        page: page.capitalize() for page in ("traffic", "errors", "latency", "cache", "devices", "geography", "reports")
    },
    "alerts": "Choreo's alerts",
    "exporter": "Exporter",
}
UNIT_OF_ENDING: Final = {"_timestamp_seconds": ("dateTimeAsIso", "dateTimeFromNow"), "_seconds": ("s",)}
WINDOW: Final = re.compile(
    r"chosen time range|last 5 minutes|last 24 whole hours|seven days before|newest whole quarter of an hour|\bnow\b"
)
# Counters of what is so rare that a series is born by the event to be counted: panels add up their windows instead.
RARE: Final = {
    "choreo_api_proxy_errors_total": "choreo_window_api_proxy_errors",
    "choreo_api_target_errors_total": "choreo_window_api_target_errors",
    "choreo_errors_by_reason_total": "choreo_window_errors_by_reason",
}
# Labels with more values than a chart can show.
MANY: Final = re.compile(r"\{\{(api|application|backend|resource|country|reason|platform|user_agent|query)\}\}")
EVERY_QUERY_ABOUT_APIS: Final = re.compile(r"\b(choreo_\w+|api:\w+:\w+)\{([^}]*)\}")

each = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def test_the_files_are_what_the_code_makes() -> None:
    """Whoever changes a dashboard in the code finds the change in the file, as `make dashboards` writes it."""
    command = [sys.executable, "scripts/dashboards.py", "--check"]
    run = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_there_is_a_dashboard_for_each_page_of_choreo_and_for_the_exporter() -> None:
    """Each page of Choreo's Insights has its dashboard, as have one API, the objectives and the exporter, with an
    address that never changes."""
    named = {one["uid"]: (name, one["title"]) for name, one in DASHBOARDS.items()}
    expected = {
        f"choreo-insights-{page}": (f"choreo-insights-{page}.json", f"Choreo Insights / {title}")
        for page, title in PAGES.items()
    }
    assert named == expected


def test_there_are_no_more_panels_than_somebody_can_take_in() -> None:
    """At most 110 panels on 12 dashboards, and at most 14 of a page before its first collapsed row."""
    assert len(DASHBOARDS) <= 12
    assert sum(len(panels(one)) for one in DASHBOARDS.values()) <= 110
    for name, one in DASHBOARDS.items():
        first = next((i for i, p in enumerate(one["panels"]) if p.get("collapsed")), len(one["panels"]))
        assert len([panel for panel in one["panels"][:first] if panel["type"] != "row"]) <= 14, name


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
    """Each figure and each table says what time it is of."""
    still = [panel for panel in panels(dashboard) if panel["type"] not in ("timeseries", "state-timeline")]
    assert [panel["title"] for panel in still if not WINDOW.search(panel["description"])] == []


@each
def test_every_page_begins_with_a_line_that_says_how_current_it_is(dashboard: JsonObject) -> None:
    """The first thing on a page is whether its figures are current, which is red if they are missing, with the way to
    the exporter's page and to the runbook."""
    first = dashboard["panels"][0]
    assert (first["title"], first["gridPos"]["x"], first["gridPos"]["y"], first["gridPos"]["w"]) == (
        *("Are these figures current?", 0, 0, 24),
    )
    urls = [link["url"] for link in first["links"]]
    assert [link["url"] for link in first["fieldConfig"]["defaults"]["links"]] == urls
    assert any(url.startswith("/d/choreo-insights-exporter?") for url in urls)
    assert any(url.endswith("docs/runbook.md#insightsexporterdatastale") for url in urls)
    state = first["targets"][0]["expr"]
    assert state.endswith("or vector(4)")
    words = properties(first, "A")["mappings"][0]["options"]
    assert [(word["text"], word["color"]) for word in words.values()] == [
        ("current", "green"), ("current, but polls fail", "orange"), ("late", "red"), ("stopped", "red"),
        ("missing", "red"),
    ]  # fmt: skip
    assert "insights_exporter_query_failure_reason" in first["targets"][3]["expr"]


@each
def test_every_page_marks_alerts_restarts_and_reloads(dashboard: JsonObject) -> None:
    """What happened at a moment is seen on every chart."""
    assert [one["name"] for one in dashboard["annotations"]["list"]] == ["Alerts", "Restarts", "Configuration loaded"]


@each
def test_other_programs_are_not_shown(dashboard: JsonObject) -> None:
    """In a Prometheus that many programs share, no panel and no mark shows another program or another's alert."""
    assert [(title, expr) for title, expr in expressions(dashboard) if shared_with_others(expr)] == []


@each
def test_a_name_with_parentheses_can_be_chosen(dashboard: JsonObject) -> None:
    """Somebody whose API is called `Orders (beta)` sees its figures: Grafana escapes each value that is matched."""
    assert unescaped_variables(dashboard) == []


def test_a_variable_whose_value_is_not_escaped_is_found() -> None:
    """One that has a single value, and stands in a regular expression."""
    broken = deepcopy(DASHBOARDS["choreo-insights-api.json"])
    next(one for one in query_variables(broken) if one["name"] == "api")["multi"] = False
    assert unescaped_variables(broken) == ["api"]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum(up{job=~"$job"})', ["up"]),
        ('sum((up{a="1"} and on (job) last_over_time(insights_exporter_build_info{a="1"}[1w])))', []),
        ('sum((up{a="1"} and on (job, instance) insights_exporter_build_info{a="1"}) + up{a="1"})', ["up"]),
        ('rate(process_x_total{a="1"}[5m]) and on (job, instance) insights_exporter_build_info{a="1"}', []),
        ('rate(process_x_total{a="1"}[5m]) and on (job) insights_exporter_build_info{a="1"}', ["process_x_total"]),
        ('ALERTS{alertstate="firing"}', ["ALERTS"]),
        ('count(ALERTS{alertstate="firing", alertname=~"Choreo.+|InsightsExporter.+"})', []),
        ('a:b:c{x="1"} / mine{x="1"} + choreo_requests_total{x="1"}', []),
    ],
)
def test_what_other_programs_have_too_is_found(expression: str, names: list[str]) -> None:
    """A metric that is not the exporter's alone is found, unless it is held to exporters."""
    assert shared_with_others(expression, ["mine"]) == names


def properties(panel: JsonObject, of: str) -> JsonObject:
    """The properties that a panel sets for a column, or for the frame of a target."""
    return {
        one["id"]: one["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == of
        for one in override["properties"]
    }


def all_links(dashboard: JsonObject) -> list[str]:
    """The addresses of all links of a dashboard's panels."""
    found = []
    for panel in panels(dashboard):
        fields = panel["fieldConfig"]
        sets = [fields["defaults"].get("links", ()), panel.get("links", ())]
        sets += [p["value"] for one in fields["overrides"] for p in one["properties"] if p["id"] == "links"]
        found += [link["url"] for several in sets for link in several]
    return found


@each
def test_links_lead_to_dashboards_that_are_there(dashboard: JsonObject) -> None:
    """A click leads to a page that exists, sets variables that it has, and keeps the time range."""
    variables = {one["uid"]: {v["name"] for v in one["templating"]["list"]} for one in DASHBOARDS.values()}
    own = {one["name"] for one in dashboard["templating"]["list"]}
    for url in all_links(dashboard):
        if url.startswith("https://github.com/OWNER/insights-exporter/blob/main/docs/runbook.md#"):
            entry = url.partition("#")[2]
            assert entry in runbook_entries() or entry == "${__value.text}", url
            continue
        address, _, query = url.partition("?")
        uid = address.removeprefix("/d/")
        parts = query.split("&")
        assert parts[0] == "${__url_time_range}", url
        kept = {part[2:].partition(":")[0] for part in parts[1:] if part.endswith(":queryparam}")}
        given = {part.removeprefix("var-").partition("=")[0] for part in parts[1:] if part.startswith("var-")}
        assert len(kept) + len(given) == len(parts) - 1, url
        assert kept <= own | {"datasource", "job", "instance"}, url
        if uid == "choreo-insights-${__value.text}":  # the page that an alert leads to
            assert not given
            continue
        assert given <= variables[uid], url
        assert kept & own >= own & {"datasource", "job", "instance"}, url


def runbook_entries() -> set[str]:
    """The anchors of the runbook's headings."""
    text = (FOLDER.parent / "docs" / "runbook.md").read_text("utf-8")
    return {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def is_link_to_an_api(links: Any) -> bool:
    """Whether one of these links opens the page of the API that was clicked on."""
    return any(
        link["url"].startswith("/d/choreo-insights-api?") and re.search(r"&var-api=\$\{__", link["url"])
        for link in links or ()
    )


@each
def test_every_name_of_an_api_is_a_link_to_its_page(dashboard: JsonObject) -> None:
    """Wherever an API is named, in a cell, at a bar or in a legend, a click shows everything on it."""
    if dashboard["uid"] == "choreo-insights-api":
        return
    for panel in panels(dashboard):
        legends = [target.get("legendFormat", "") for target in panel["targets"]]
        if panel["type"] == "table":
            titles = [one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]]
            named = any("renameByName" in one["options"] and "api" in one["options"]["renameByName"]
                        for one in panel["transformations"])  # fmt: skip
            if named:
                assert is_link_to_an_api(properties(panel, "API").get("links")), panel["title"]
            for title in titles:
                if title.startswith("api\\"):
                    assert is_link_to_an_api(properties(panel, title)["links"]), panel["title"]
        elif any("{{api}}" in legend for legend in legends):
            assert is_link_to_an_api(panel["fieldConfig"]["defaults"].get("links")), panel["title"]


@each
def test_a_panel_obeys_every_variable_or_says_that_it_shows_all(dashboard: JsonObject) -> None:
    """Who chooses an API or an application sees nothing of others, save where row or title say "all"."""
    chosen = [one["name"] for one in dashboard["templating"]["list"] if one["name"] in ("api", "application")]
    row = ""
    for one in dashboard["panels"]:
        row = one["title"] if one["type"] == "row" else row
        for panel in one.get("panels") or [one] if one["type"] != "row" or one["panels"] else ():
            said = f"{row} {panel['title']}".lower()
            for target in panel["targets"]:
                for name, matchers in EVERY_QUERY_ABOUT_APIS.findall(target["expr"]):
                    for variable in chosen:
                        free = f"all {variable}s" in said or "all apis" in said or name == "choreo_organization_info"
                        if f'{variable}=~"${variable}"' not in matchers and not free:
                            pytest.fail(f"{panel['title']}: {name} does not obey {variable}")


@each
def test_charts_have_few_lines_ranked_over_the_whole_range(dashboard: JsonObject) -> None:
    """A chart shows at most ten lines of what there may be many of, and the same ones at each step."""
    for panel in panels(dashboard):
        if panel["type"] not in ("timeseries", "state-timeline"):
            continue
        for target in panel["targets"]:
            ranks = re.findall(r"\b(?:topk|bottomk)\((\d+), ", target["expr"])
            if MANY.search(target["legendFormat"]) and not target["expr"].startswith("min by (query)"):
                few = re.search(r"(proxy|pack|reason=|_failures_total|values_skipped)", target["expr"])
                assert ranks or few or dashboard["uid"] == "choreo-insights-exporter", panel["title"]
            assert all(int(count) <= (30 if panel["type"] == "state-timeline" else 10) for count in ranks)
            assert bool(ranks) == ("@ end()" in target["expr"]), panel["title"]


@each
def test_legends_are_below_and_sorted(dashboard: JsonObject) -> None:
    """A legend leaves the width to the chart, and its largest value is first."""
    for panel in panels(dashboard):
        if panel["type"] == "timeseries":
            legend = panel["options"]["legend"]
            assert (legend["placement"], legend["displayMode"], legend["sortDesc"]) == ("bottom", "table", True)
            assert legend["sortBy"] in ("Mean", "Max", "Last *")
            assert panel["fieldConfig"]["defaults"]["color"] == {"mode": "palette-classic-by-name"}


@each
def test_colours_follow_the_class_of_the_status_code(dashboard: JsonObject) -> None:
    """5xx is red, 4xx orange and success green, on every chart."""
    wanted = {"5xx": "red", "4xx": "orange", "successful": "green"}
    for panel in panels(dashboard):
        for target in panel["targets"]:
            word = target.get("legendFormat", "").partition(" ")[0]
            if panel["type"] == "timeseries" and word in wanted:
                color = properties(panel, target["refId"])["color"]
                assert color == {"mode": "fixed", "fixedColor": wanted[word]}, panel["title"]
        if panel["type"] == "stat" and any("5xx" in target.get("legendFormat", "") for target in panel["targets"]):
            assert "red" in json.dumps(panel["fieldConfig"])


@each
def test_titles_say_something(dashboard: JsonObject) -> None:
    """Every title of a page is there once, and none could stand on any page."""
    titles = [panel["title"] for panel in panels(dashboard)]
    assert sorted(set(titles)) == sorted(titles)
    rows = [row["title"] for row in dashboard["panels"] if row["type"] == "row"]
    assert not {"Headlines", "Each", "Over time", "Details"} & {*titles, *rows}


@each
def test_counts_are_not_rounded(dashboard: JsonObject) -> None:
    """6,353 requests are 6,353, and not 6 K."""
    assert '"unit": "short"' not in json.dumps(dashboard)
    counts = [panel for panel in panels(dashboard) if panel["fieldConfig"]["defaults"]["unit"] == "locale"]
    for panel in counts:
        assert panel["fieldConfig"]["defaults"].get("decimals", 0) == 0, panel["title"]


@each
def test_variables_that_hardly_have_two_values_are_hidden(dashboard: JsonObject) -> None:
    """The line of variables has what somebody chooses; job, instance and organization are kept, but not shown."""
    hidden = {one["name"] for one in query_variables(dashboard) if one.get("hide") == 2}
    assert hidden == {one["name"] for one in query_variables(dashboard)} & {"job", "instance", "organization", "source"}


@each
def test_nothing_says_no_data(dashboard: JsonObject) -> None:
    """Where there is nothing, the panel says in a word what that means."""
    kinds = ("stat", "table", "timeseries", "bargauge", "geomap", "state-timeline")
    silent = [one["title"] for one in panels(dashboard) if not one["fieldConfig"]["defaults"].get("noValue")]
    assert silent == []
    assert {panel["type"] for panel in panels(dashboard)} <= set(kinds)


def test_the_titles_of_the_range_and_of_now_do_not_stand_side_by_side_under_one_word() -> None:
    """A figure says in its title or name whether it is of the range, of now, of today or of some days."""
    spans = re.compile(
        r"range|now|today|last|before|current|share|left|left alone|APIs|objective|loosest|map", re.IGNORECASE
    )
    for name, dashboard in DASHBOARDS.items():
        for panel in panels(dashboard):
            if panel["type"] == "stat" and name != "choreo-insights-exporter.json":
                for target in panel["targets"]:
                    said = f"{panel['title']} {target.get('legendFormat', '')}"
                    assert spans.search(said), f"{name}: {said}"


def rules(kind: str) -> dict[str, list[str]]:
    """The alerts or records of `prometheus/rules`, with their expressions."""
    found: dict[str, list[str]] = {}
    for file in (FOLDER.parent / "prometheus" / "rules").glob("*.yaml"):
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                if kind in rule:
                    found.setdefault(rule[kind], []).append(str(rule["expr"]))
    return found


def test_every_alert_leads_to_a_panel_and_to_the_runbook() -> None:
    """Who is called by an alert finds the panel that shows it, and what to do."""
    leads = {alert: (page, title) for page, alerts in LEADS.items() for alert, title in alerts.items()}
    assert leads.keys() == rules("alert").keys()
    for alert, (page, title) in leads.items():
        assert title in [panel["title"] for panel in panels(DASHBOARDS[f"choreo-insights-{page}.json"])], alert
        assert alert.lower() in runbook_entries(), alert
    table = next(one for one in panels(DASHBOARDS["choreo-insights-overview.json"]) if "Alerts" in one["title"])
    shown = properties(table, "Runbook")["mappings"][0]["options"]
    assert {alert: word["text"] for alert, word in shown.items()} == {alert: alert.lower() for alert in leads}
    assert all(alert in table["targets"][0]["expr"] for alert in leads)


def test_what_the_recording_rules_know_is_on_a_panel() -> None:
    """Availability, burn rates, the budget's objective and what is usual can be seen, not only alerted on."""
    asked = {name for dashboard in DASHBOARDS.values() for name in metric_names(dashboard)}
    seen = {name for name in rules("record") if re.fullmatch(r"api:choreo_api_errors:ratio\w+", name)}
    wanted = seen | {
        "api:choreo_window_api_requests:max",
        "api:choreo_window_api_requests:usual",
        "api:choreo_window_api_requests:avg1h",
        "api:choreo_availability_objective:threshold",
        "api:choreo_latency_p95_seconds:threshold",
        "api:choreo_api_errors:increase30m",
        "api:choreo_api_requests:increase30m",
        "environment:choreo_cache_hit_ratio:threshold",
    }
    assert len(seen) == 7
    assert sorted(wanted - asked) == []
    recorded = {name for name in asked if ":" in name}
    assert sorted(recorded - rules("record").keys()) == []


@each
def test_no_percentile_is_added_or_averaged(dashboard: JsonObject) -> None:
    """No panel adds or averages percentiles, which would be a number without a meaning."""
    wrong = [
        expr for _, expr in expressions(dashboard) if re.search(r"\b(sum|avg)\b[^{]*_p\d\d_seconds", expr)
    ]  # fmt: skip
    assert wrong == []


def families() -> dict[str, str]:
    """Every metric of the catalogue, with its type."""
    queries = [query for group in catalogue_names() for query in catalogue(group)["queries"]]
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
    assert sorted(families().keys() - asked) == sorted(RARE)
    assert set(RARE.values()) <= asked
    assert sorted(asked - families().keys()) == []


def test_every_metric_is_charted_in_its_unit() -> None:
    """Seconds are shown as seconds, times as times, counts as counts."""

    def units(panel: JsonObject) -> set[Any]:
        changed = [one for override in panel["fieldConfig"]["overrides"] for one in override["properties"]]
        return {panel["fieldConfig"]["defaults"]["unit"], *(p["value"] for p in changed if p["id"] == "unit")}

    for name in families().keys() - RARE.keys():
        counts = ("locale", "reqpm", "none")
        wanted = next((units for ending, units in UNIT_OF_ENDING.items() if name.endswith(ending)), counts)
        shown = set().union(*(units(panel) for panel in charted()[name]))
        assert shown & set(wanted), f"{name}: in {shown}, not in {wanted}"


def test_totals_come_from_counters_and_lines_from_gauges() -> None:
    """What is shown over time are the windows' gauges, per minute; what is summed over the chosen range are counters
    that are always there, or windows put end to end."""
    for dashboard in DASHBOARDS.values():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                expr = target["expr"]
                names = [name for name, _ in selectors(expr) if name.startswith("choreo_")]
                counters = [name for name in names if name.endswith("_total")]
                if panel["type"] == "timeseries":
                    assert counters == [], panel["title"]
                    summed = any(name.startswith("choreo_window_") and "_7d_" not in name for name in names)
                    if summed and panel["fieldConfig"]["defaults"]["unit"] == "reqpm":
                        assert re.search(r"/ (5|15)\b", expr), panel["title"]
                assert not counters or "[$__range" in expr, panel["title"]
                for window in re.findall(r"sum_over_time\(\(\w+\{[^}]*\} offset 1s\)\[\$__range:(\w+)\]", expr):
                    assert window == "5m"


def test_the_queries_whose_age_is_shown_are_there() -> None:
    """The age of data is that of queries of the catalogue, not of a name that nothing has."""
    known = {query["name"] for group in catalogue_names() for query in catalogue(group)["queries"]}
    for dashboard in DASHBOARDS.values():
        for _, expr in expressions(dashboard):
            for alternatives in re.findall(r'query=~"([^"$]+)"', expr):
                assert set(alternatives.split("|")) <= known


@cache
def publishers() -> dict[str, set[str]]:
    """The queries of the catalogue by the metrics that they publish, and by the records that are made of these."""
    found: dict[str, set[str]] = {}
    for query in (query for group in catalogue_names() for query in catalogue(group)["queries"]):
        for metric in query.get("metrics", ()):
            found.setdefault(metric["name"], set()).add(query["name"])
    records = rules("record")

    def of(name: str) -> set[str]:
        asked = {one for expr in records.get(name, ()) for one in re.findall(r"[a-z]\w*(?::\w+)*", expr)}
        return set().union(found.get(name, ()), *(of(one) for one in asked & (found.keys() | records.keys()) - {name}))

    return found | {name: of(name) for name in records}


@each
def test_the_first_line_names_every_query_that_feeds_the_page(dashboard: JsonObject) -> None:
    """Nothing on the open part of a page can be old without a word in its first line: it names all queries that the
    figures are of, also through the rules. Names of things (`..._info`), which hardly change, are left out."""
    named = re.search(r'query=~"([^"$]+)"', dashboard["panels"][0]["targets"][0]["expr"])
    if named is None:
        return  # all of them
    opened = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    names = {name for panel in opened for target in panel["targets"] for name, _ in selectors(target["expr"])}
    feeding = {one for name in names for one in publishers().get(name, ()) if not name.endswith("_info")}
    assert sorted(feeding - publishers()["choreo_api_info"] - {*named[1].split("|")}) == []


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
    scraped = yaml.safe_load((FOLDER.parent / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert source["datasources"][0]["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]
    (folder,) = provider["providers"]
    assert folder["allowUiUpdates"] is False
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
    broken["panels"][3] |= {"id": broken["panels"][2]["id"], "gridPos": broken["panels"][2]["gridPos"]}
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
