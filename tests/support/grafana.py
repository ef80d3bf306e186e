"""What can be known of a dashboard without Grafana: its parts, its expressions, and what breaks a rule.

The rules are those of grafana/dashboard-linter (all but the two for Loki, which has no panel here), re-stated, and
extended to bar gauges, pie charts, geomaps and state timelines, which it leaves out in most of its rules.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.model.duration import duration_seconds
from tests.support.processes import program

JsonObject: TypeAlias = dict[str, Any]
Rule: TypeAlias = Callable[[JsonObject], Iterator[str]]

FOLDER: Final = Path(__file__).parents[2] / "grafana"
KINDS: Final = {"stat", "timeseries", "table", "bargauge", "piechart", "geomap", "state-timeline"}
# those of Grafana's list of units that are in use here
UNITS: Final = {
    *("none", "short", "locale", "percent", "percentunit", "s", "dtdurations", "dateTimeAsIso", "dateTimeFromNow"),
    *("reqpm", "suffix: targets"),
    *(
        "bytes",
        "binBps",
        "cps",
        "cpm",
        "celsius",
        "volt",
        "amp",
        "joule",
        "lengthm",
        "massg",
        "watt",
        "hertz",
        "pascals",
    ),
}
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][\w:]*)?\{([^{}]*)\}")
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME: Final = re.compile(r"(?<![\w$.:])[a-zA-Z_:][\w:]*(?!\s*[\w({:])")
_WORDS: Final = {"and", "or", "unless", "bool", "offset", "inf", "nan", "by", "without", "on", "ignoring"}
# what Grafana's data source for Prometheus reads (or writes itself), though the model of dashboards does not name it
_LEFT_TO_THE_SOURCE: Final = re.compile(
    r"\.templating\.list\[\d+\]\.definition"
    r"|\.annotations\.list\[\d+\]\.(titleFormat|textFormat|useValueForTime|step|tagKeys)"
)
_VARIABLE_QUERY: Final = re.compile(r"label_values\((?P<expr>.+), (?P<label>\w+)\)")


def shipped() -> dict[str, JsonObject]:
    """The dashboards in `grafana/dashboards/`, by the names of their files."""
    return {file.name: json.loads(file.read_text("utf-8")) for file in sorted(FOLDER.glob("dashboards/*.json"))}


def panels(dashboard: JsonObject) -> list[JsonObject]:
    """Every panel, also of collapsed rows; not the rows."""
    every = [panel for one in dashboard["panels"] for panel in (one, *one.get("panels", ()))]
    return [panel for panel in every if panel["type"] != "row"]


def expressions(dashboard: JsonObject) -> list[tuple[str, str]]:
    """Every expression of a panel's target or an annotation, each with the name of what asks it."""
    asked = [(panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel.get("targets", ())]
    return asked + [(f"annotation {one['name']}", one["expr"]) for one in dashboard["annotations"]["list"]]


def query_variables(dashboard: JsonObject) -> list[JsonObject]:
    """The variables that ask Prometheus for their values."""
    return [one for one in dashboard["templating"]["list"] if one["type"] == "query"]


def variable_query(variable: JsonObject) -> tuple[str, str]:
    """The selector and the label of a variable's `label_values()`. Raises `ValueError` for anything else."""
    match = _VARIABLE_QUERY.fullmatch(variable["query"]["query"])
    if match is None:
        raise ValueError(f"{variable['name']}: not label_values(selector, label): {variable['query']['query']}")
    return match["expr"], match["label"]


def filled_in(expression: str, dashboard: JsonObject, *, range_: str = "1m", rate_interval: str = "20s") -> str:
    """The expression with All chosen in every variable, as Grafana sends it."""
    chosen = {one["name"]: one.get("allValue", ".+") for one in query_variables(dashboard)}
    chosen |= {"__range": range_, "__rate_interval": rate_interval, "__interval": rate_interval}
    chosen["__range_s"] = f"{duration_seconds(range_):g}"
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: chosen[match[1] or match[2]], expression)


def expression_of(dashboard: JsonObject, title: str, number: int, range_: str, api: str = ".+") -> str:
    """The expression of a panel's target by its number, with that API and All in every other variable."""
    (panel,) = [one for one in panels(dashboard) if one["title"] == title]
    expr = panel["targets"][number]["expr"].replace('"$api"', f'"{api}"')
    return filled_in(expr, dashboard, range_=range_)


def selectors(expression: str) -> list[tuple[str, str]]:
    """Name and matchers of every selector in an expression."""
    return [(match[1] or "", match[2]) for match in _SELECTOR.finditer(expression)]


def metric_names(dashboard: JsonObject) -> set[str]:
    """The metrics that a dashboard asks for."""
    return {name for _, expr in expressions(dashboard) for name, _ in selectors(expr)}


def unknown_keys(dashboard: JsonObject) -> set[str]:
    """Paths of what Grafana's own model (that of 11.6) does not know, and so does not give back."""
    register_default_plugins()
    kept = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard)))
    return {path for path in _lost(dashboard, kept, "") if not _LEFT_TO_THE_SOURCE.fullmatch(path)}


def syntax_errors(asked: Iterable[str], folder: Path) -> str:
    """What promtool says of expressions that are no PromQL; empty if all are."""
    rules = [{"record": f"checked_{number}", "expr": expr} for number, expr in enumerate(asked)]
    file = folder / "expressions.json"
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    run = subprocess.run(
        [program("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    return "" if run.returncode == 0 else run.stdout + run.stderr


def _lost(given: Any, kept: Any, path: str) -> Iterator[str]:
    if isinstance(given, Mapping):
        for key, value in given.items():
            if value is None:
                continue
            if not isinstance(kept, Mapping) or key not in kept:
                yield f"{path}.{key}"
            else:
                yield from _lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list):
        for index, value in enumerate(given):
            yield from (
                _lost(value, kept[index], f"{path}[{index}]") if index < len(kept or ()) else (f"{path}[{index}]",)
            )


def _data_source_variable(dashboard: JsonObject) -> Iterator[str]:
    found = [one for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    if [(one["name"], one["label"], one["query"]) for one in found] != [("datasource", "Data source", "prometheus")]:
        yield "there must be one variable of type datasource, named datasource, labelled Data source"


def _scrape_variable(name: str, label: str) -> Rule:
    def rule(dashboard: JsonObject) -> Iterator[str]:
        found = [one for one in query_variables(dashboard) if one["name"] == name]
        wanted = {"label": label, "multi": True, "allValue": ".+", "datasource": _SOURCE, "includeAll": True}
        if len(found) != 1 or not wanted.items() <= found[0].items():
            yield f"there must be one query variable {name} with {wanted}"

    return rule


def _label_queries(dashboard: JsonObject) -> Iterator[str]:
    for variable in query_variables(dashboard):
        try:
            variable_query(variable)
        except ValueError as error:
            yield str(error)


def unescaped_variables(dashboard: JsonObject) -> list[str]:
    """Variables in a regular expression whose values Grafana does not escape for one: those with one value only."""
    asked = " ".join(expr for _, expr in expressions(dashboard))
    asked += " ".join(variable_query(one)[0] for one in query_variables(dashboard))
    several = {one["name"] for one in query_variables(dashboard) if one.get("multi") or one.get("includeAll")}
    return sorted({*re.findall(r'[=!]~"[^"]*\$\{?(\w+)', asked)} - several)


def _reload_on_time_change(dashboard: JsonObject) -> Iterator[str]:
    yield from (f"{one['name']}: refresh must be 2" for one in query_variables(dashboard) if one["refresh"] != 2)


def _panel_data_source(dashboard: JsonObject) -> Iterator[str]:
    for panel in panels(dashboard):
        if any(one.get("datasource") != _SOURCE for one in (panel, *panel["targets"])):
            yield f"{panel['title']}: the data source must be ${{datasource}}, at the panel and each target"


def _title_and_description(dashboard: JsonObject) -> Iterator[str]:
    for panel in panels(dashboard):
        if not panel["title"].strip() or not panel["description"].strip():
            yield f"panel {panel['id']}: needs a title and a description"


def _units(dashboard: JsonObject) -> Iterator[str]:
    for panel in panels(dashboard):
        fields = panel["fieldConfig"]
        properties = [one for override in fields["overrides"] for one in override["properties"]]
        used = [fields["defaults"].get("unit"), *(one["value"] for one in properties if one["id"] == "unit")]
        if not set(used) <= UNITS:
            yield f"{panel['title']}: units {used}; each must be one of {sorted(UNITS)}"


def _targets(dashboard: JsonObject) -> Iterator[str]:
    yield from (f"{panel['title']}: asks nothing" for panel in panels(dashboard) if not panel["targets"])


def _rate_interval(dashboard: JsonObject) -> Iterator[str]:
    for title, expr in expressions(dashboard):
        for window in re.findall(r"\bi?rate\([^[]*\[([^]]*)\]", expr):
            if window != "$__rate_interval":
                yield f"{title}: a rate over [{window}], not [$__rate_interval]: {expr}"


def _has_no_instance(metric: str) -> bool:
    """Whether it is a recording rule's or an alert's: replicas of the exporter, which agree, are one there."""
    return ":" in metric or metric in ("ALERTS", "ALERTS_FOR_STATE")


def _matcher(name: str) -> Rule:
    def rule(dashboard: JsonObject) -> Iterator[str]:
        for title, expr in expressions(dashboard):
            asked = [one for one in selectors(expr) if name != "instance" or not _has_no_instance(one[0])]
            if any(f'{name}=~"${name}"' not in matchers for _, matchers in asked) or bare_names(expr):
                yield f'{title}: not every selector has {name}=~"${name}": {expr}'

    return rule


def bare_names(expression: str) -> list[str]:
    """Metrics that are asked without any matcher."""
    rest = _GROUPING.sub(" ", re.sub(r"\[[^]]*\]", " ", _SELECTOR.sub(" ", _TEXT.sub('""', expression))))
    return [name for name in _NAME.findall(rest) if name.lower() not in _WORDS]


# what `promql.of_exporters` makes of a selector, or of a rate over one
_HELD: Final = re.compile(
    r"\{[^{}]*\}(?:\[[^]]*\]\))? and on \((?:job, instance\) |job\) last_over_time\()insights_exporter_build_info\{"
)


def shared_with_others(expression: str, ours: Iterable[str] = ()) -> list[str]:
    """Metrics that other programs have, too, and that are not held to exporters; `ours` are of a configuration."""
    return [
        metric
        for metric, matchers in selectors(_HELD.sub("__held{", expression))
        if not (
            metric in {*ours, ""}
            or metric.startswith(("choreo_", "insights_exporter_"))
            or metric.endswith("__held")
            or ":" in metric
            or (metric in ("ALERTS", "ALERTS_FOR_STATE") and 'alertname=~"Choreo.+|InsightsExporter.+"' in matchers)
        )
    ]


# a counter's own steps, with its birth: what `promql.steps_in_range` makes
_STEPS: Final = re.compile(
    r"sum_over_time\(\((?P<now>max without \(instance, pod\) \((?P<those>[\w:]+\{[^{}]*\})\)) - "
    r"\(max without \(instance, pod\) \(last_over_time\((?P=those)\[1h\] offset 5m\)\) <= (?P=now)"
    r" or 0 \* (?P=now)\)\)\[\$__range:5m\]\)"
)


def _counters(dashboard: JsonObject) -> Iterator[str]:
    for title, asked in expressions(dashboard):
        expr = _STEPS.sub("", asked)
        for match in re.finditer(r"[\w:]+_total\{", expr):
            if not re.search(r"\b(rate|irate|increase)\($", expr[: match.start()]):
                yield f"{title}: a counter outside of rate(), irate() and increase(): {asked}"


# by the linter's names; `target-promql-rule` is `syntax_errors`. `uneditable-dashboard` is left out on purpose: what is
# provisioned cannot be saved anyway, and somebody who may not edit can neither try a change nor save a copy.
RULES: Final[Mapping[str, Rule]] = {
    "template-datasource-rule": _data_source_variable,
    "template-job-rule": _scrape_variable("job", "Job"),
    "template-instance-rule": _scrape_variable("instance", "Instance"),
    "template-label-promql-rule": _label_queries,
    "template-on-time-change-reload-rule": _reload_on_time_change,
    "panel-datasource-rule": _panel_data_source,
    "panel-title-description-rule": _title_and_description,
    "panel-units-rule": _units,
    "panel-no-targets-rule": _targets,
    "target-rate-interval-rule": _rate_interval,
    "target-job-rule": _matcher("job"),
    "target-instance-rule": _matcher("instance"),
    "target-counter-agg-rule": _counters,
}


def structure_faults(dashboard: JsonObject) -> Iterator[str]:
    """What is wrong with ids, places and links."""
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", dashboard["uid"]):
        yield f"uid {dashboard['uid']!r}: 1 to 40 of a-z, A-Z, 0-9, _ and -"
    if dashboard["id"] is not None or "version" in dashboard or "__inputs" in dashboard or "__requires" in dashboard:
        yield "id must be null, and there must be no version, __inputs or __requires"
    if not 39 <= dashboard["schemaVersion"] <= 42 or dashboard["graphTooltip"] != 1:
        yield "schemaVersion must be 39 to 42, graphTooltip 1 (a shared crosshair)"
    if dashboard["editable"] is not True:
        yield "editable must be true, so that somebody can try a change and save a copy"
    link = {"type": "dashboards", "asDropdown": True, "includeVars": True, "keepTime": True, "targetBlank": False}
    if [one for one in dashboard["links"] if link.items() <= one.items() and one["tags"] == dashboard["tags"]] == []:
        yield "there must be a link to the dashboards of the same tag"
    every = [*dashboard["panels"], *(panel for row in dashboard["panels"] for panel in row.get("panels", ()))]
    if len({panel["id"] for panel in every}) < len(every):
        yield "ids of panels must be unique"
    if unknown := {panel["type"] for panel in panels(dashboard)} - KINDS:
        yield f"unknown kinds of panels: {unknown}"
    yield from _misplaced(dashboard["panels"])
    for row in dashboard["panels"]:
        yield from _misplaced(row.get("panels", ()))
        if row["type"] == "row" and bool(row["panels"]) != row["collapsed"]:
            yield f"{row['title']}: a row has panels inside it exactly if it is collapsed"


def _misplaced(beside: Iterable[JsonObject]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in beside:
        place = panel["gridPos"]
        if place["x"] < 0 or place["w"] < 1 or place["x"] + place["w"] > 24:
            yield f"{panel['title']}: outside of the 24 columns"
        for cell in ((place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])):
            if cell in taken:
                yield f"{panel['title']}: lies over {taken[cell]}"
                break
            taken[cell] = panel["title"]
