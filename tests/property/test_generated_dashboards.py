"""Dashboards for any configuration: whatever metrics there are, the dashboard is one that Grafana takes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from exporter.dashboards.configured import UNITS, configured, uid_of
from exporter.dashboards.model import dashboard_text
from exporter.model.errors import ConfigError
from tests.support.days import rules_test
from tests.support.grafana import (
    RULES,
    JsonObject,
    expressions,
    filled_in,
    panels,
    query_variables,
    selectors,
    shared_with_others,
    structure_faults,
    syntax_errors,
    unescaped_variables,
    unknown_keys,
    variable_query,
)
from tests.support.plans import planned
from tests.support.processes import program

words = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,9}", fullmatch=True)
keywords = st.sampled_from(["by", "on", "bool", "sum", "and", "inf", "NaN", "offset", "group_left", "rate", "Time"])
endings = st.sampled_from(["", *(f"_{unit}" for unit in UNITS), "_timestamp_seconds", "_info"])
metric_names = st.builds("{}{}".format, words | keywords | st.just("a:b"), endings)
label_names = (
    words | keywords | st.sampled_from(["api", "api_id", "datasource", "source"])
).filter(lambda name: name not in ("job", "instance", "le", "quantile") and not name.startswith("__"))  # fmt: skip


@st.composite
def metrics(draw: st.DrawFn) -> dict[str, Any]:
    """An entry of `metrics`: a gauge or a counter with any labels and any help text."""
    counter = draw(st.booleans())
    name = draw(metric_names)
    names = draw(st.lists(label_names, unique=True, max_size=4))
    return {
        "name": f"{name}_total" if counter else name,
        "type": "counter" if counter else "gauge",
        "help": draw(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=30)),
        "value": "v",
        "labels": {label: {"const": "x"} for label in names},
    }


def base_name(metric: dict[str, Any]) -> str:
    """What no two metrics may share."""
    return str(metric["name"]).removesuffix("_total")


@st.composite
def queries(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The section `queries` of a configuration."""
    entries = draw(st.lists(metrics(), unique_by=base_name, min_size=1, max_size=8))
    sizes = draw(st.integers(1, 4))
    return [
        {
            "name": f"query_{number}",
            "interval": draw(st.sampled_from(["5s", "1m", "90s", "1h"])),
            "window": {"length": "1h"},
            "period": "day",
            "document": "query { v }",
            "metrics": entries[number : number + sizes],
        }
        for number in range(0, len(entries), sizes)
    ]


def generated(section: list[dict[str, Any]], title: str = "Any / configuration") -> tuple[JsonObject, list[str]]:
    """The dashboard of a configuration, as it is in its file, and the configuration's metrics."""
    try:
        plan = planned(json.dumps(section, indent=1, ensure_ascii=False))
    except ConfigError:
        reject()  # names that are reserved, or that two of the metrics dispute
    return json.loads(dashboard_text(configured(plan, title))), [family.name for family in plan.families]


def name_of(name: str, matchers: str) -> str:
    """The metric of a selector, also where it stands among the matchers."""
    return name or matchers.partition('__name__="')[2].partition('"')[0]


@pytest.mark.timeout(240)
@settings(max_examples=25)
@given(queries())
def test_any_configuration_gives_a_dashboard_that_keeps_the_rules(section: list[dict[str, Any]]) -> None:
    """Whatever the configuration, its dashboard charts each metric once, in PromQL, and breaks no rule of ours or of
    Grafana's."""
    dashboard, families = generated(section)
    assert [fault for rule in RULES.values() for fault in rule(dashboard)] == []
    assert list(structure_faults(dashboard)) == []
    assert unknown_keys(dashboard) == set()
    assert [expr for _, expr in expressions(dashboard) if shared_with_others(expr, families)] == []
    assert unescaped_variables(dashboard) == []
    variables = query_variables(dashboard)
    asked = [expr for _, expr in expressions(dashboard)] + [variable_query(one)[0] for one in variables]
    with tempfile.TemporaryDirectory() as folder:
        assert syntax_errors([filled_in(expr, dashboard) for expr in asked], Path(folder)) == ""
    charted = [
        {name_of(*one) for target in panel["targets"] for one in selectors(target["expr"])}
        for panel in panels(dashboard)[1:]
    ]
    assert sorted(map(sorted, charted)) == sorted([name] for name in families)


@given(st.text(max_size=80))
def test_any_title_gives_an_address(title: str) -> None:
    """Whatever the title, Grafana takes the address that is made of it."""
    uid = uid_of(title)
    assert 1 <= len(uid) <= 40
    assert set(uid) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_panels_follow_unit_and_labels() -> None:
    """Bytes are shown as bytes, a counter as a rate, a time as an age, a ratio in percent, a state as its word; the
    title is the help, labels become legends and variables (save ids that come with names), cells lead to a value."""
    of_disks: dict[str, Any] = {"disk": {"const": "a"}, "disk_id": {"const": "1"}}

    def metric(name: str, kind: str = "gauge", **labels: Any) -> dict[str, Any]:
        return {"name": name, "type": kind, "help": f"About {name}.", "value": "v", "labels": labels}

    section = {
        "name": "disks",
        "interval": "5m",
        "window": {"length": "5m"},
        "period": "day",
        "document": "query { v }",
        "metrics": [
            metric("disk_free_bytes", **of_disks),
            metric("disk_written_bytes_total", "counter", **of_disks),
            metric("disk_seen_timestamp_seconds", **of_disks),
            metric("disk_info", **of_disks, model={"const": "m"}),
            metric("room_temperature_celsius"),
            metric("disk_used_ratio", **of_disks),
            metric("disk_state", **of_disks) | {"from": "enum", "map": {"GOOD": 0, "WORN": 1}},
            metric("disk_attached", **of_disks) | {"from": "boolean"},
        ],
    }
    dashboard, _ = generated([section])
    shown = {panel["title"].removeprefix("About "): panel for panel in panels(dashboard)}
    assert [one["name"] for one in query_variables(dashboard)] == ["job", "instance", "organization", "disk", "model"]
    kinds = {title: (panel["type"], panel["fieldConfig"]["defaults"]["unit"]) for title, panel in shown.items()}
    assert kinds["disk_free_bytes"] == ("timeseries", "bytes")
    assert kinds["disk_written_bytes_total"] == ("timeseries", "binBps")
    assert kinds["room_temperature_celsius"] == ("timeseries", "celsius")
    assert "min" not in shown["room_temperature_celsius"]["fieldConfig"]["defaults"]
    assert (kinds["disk_seen_timestamp_seconds"][0], kinds["disk_info"][0]) == ("table", "table")
    ages, info = shown["disk_seen_timestamp_seconds"], shown["disk_info"]
    assert "dateTimeFromNow" in json.dumps(ages["fieldConfig"])
    assert "&var-model=${__value.text:percentencode}" in json.dumps(info["fieldConfig"])
    assert kinds["disk_used_ratio"] == ("timeseries", "percentunit")
    assert (kinds["disk_state"][0], kinds["disk_attached"][0]) == ("state-timeline", "state-timeline")
    words = {title: shown[title]["fieldConfig"]["defaults"]["mappings"][0]["options"] for title in (
        "disk_state", "disk_attached"
    )}  # fmt: skip
    assert {value: word["text"] for value, word in words["disk_state"].items()} == {"0": "GOOD", "1": "WORN"}
    assert {value: word["text"] for value, word in words["disk_attached"].items()} == {"1": "yes", "0": "no"}
    (rate,) = shown["disk_written_bytes_total"]["targets"]
    assert "[$__rate_interval]" in rate["expr"]
    assert rate["legendFormat"] == " ".join(f"{{{{{name}}}}}" for name in ("disk", "disk_id", "organization"))
    assert shown["disk_written_bytes_total"]["interval"] == "5m"


def test_states_are_a_row_for_each_thing_with_its_word(tmp_path: Path) -> None:
    """What has `states` has a series for each word; the panel shows one row for each thing, in which stands the word
    that it is, whatever the words are, and there is no choice among the words."""
    words = ["IDLE", 'a "quoted" one', "FAULT"]
    states = {"label": "phase", "words": words}
    section = {
        "name": "robots",
        "document": "query { v }",
        "metrics": [
            {"name": "robot_state", "help": "About.", "value": "v", "labels": {"robot": {"const": "r1"}},
             "states": states},
            {"name": "fleet_state", "help": "All.", "value": "v", "states": states},
        ],
    }  # fmt: skip
    dashboard, _ = generated([section])
    assert [one["name"] for one in query_variables(dashboard)] == ["job", "instance", "organization", "robot"]
    _, panel, _ = panels(dashboard)
    mapped = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert [word["text"] for _, word in sorted(mapped.items())] == words
    colors = [mapped[str(number)]["color"] for number in range(len(words))]
    assert colors[2] == "red"
    assert len(set(colors)) == len(words)
    assert (panel["type"], panel["targets"][0]["legendFormat"]) == ("state-timeline", "{{organization}} {{robot}}")
    series = [
        {"series": f'robot_state{{robot="r1",phase={json.dumps(word)},job="j",instance="i",organization="o"}}',
         "values": value}
        for word, value in zip(words, ("1 0 0", "0 1 0", "0 0 1"), strict=True)
    ]  # fmt: skip
    asked = [
        {"expr": filled_in(panel["targets"][0]["expr"], dashboard), "eval_time": f"{number}m",
         "exp_samples": [{"labels": '{organization="o", robot="r1"}', "value": number}]}
        for number in range(3)
    ]  # fmt: skip
    file = tmp_path / "states.json"
    rules_test(file, series, "1m", asked)
    run = subprocess.run([program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
