"""What a real Prometheus has of the whole catalogue, and what it answers to every expression of the dashboards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from exporter.config.load import load
from exporter.plan.planner import plan
from tests.support.configurations import ROOT, choreo_environ
from tests.support.grafana import (
    JsonObject,
    expression_of,
    expressions,
    filled_in,
    metric_names,
    panels,
    query_variables,
    shipped,
    variable_query,
)
from tests.support.processes import eventually
from tests.support.stack import DIVISOR, JOB, Stack, running_stack

pytestmark = pytest.mark.timeout(300)

DASHBOARDS: Final = shipped()
RULES: Final = tuple(sorted((ROOT / "prometheus" / "rules").glob("*.yaml")))
OVERVIEW: Final = "choreo-insights-overview.json"
EXPORTER: Final = "choreo-insights-exporter.json"
# What stays empty, by dashboard and panel, and why.
EMPTY: Final = {
    (OVERVIEW, "Alerts that fire now"): "it needs minutes until an alert fires",
    ("choreo-insights-objectives.json", "Audit of the totals"): "no query of the catalogue has audit",
    (EXPORTER, "Values skipped"): "there are such series only after a value that is no number",
}
# Figures and lines that have no value in health or with few APIs, by their legends: then the panel shows the others.
IN_HEALTH: Final = {
    "Late by",
    "Stopped",
    "Reason: {{reason}}",
    "last HIGH today",
    "lifetimes differ",
    "{{query}} pack",
    "Others",
}
# What there is only after more minutes or days than a test has.
LATER: Final = re.compile(r"offset 1w|:(ratio|increase)(30m|\d+[hd])\b|:(usual|avg1h)\b|ALERTS")

# Another program in the same Prometheus, with an alert that always fires; and an alert of a user's own on the exporter.
OTHER_JOB: Final = "another"
OTHER_RULES: Final = [
    {"alert": "KubePodCrashLooping", "expr": f'up{{job="{OTHER_JOB}"}} == 1'},
    {"alert": "OurExporterIsThere", "expr": f'up{{job="{JOB}"}} == 1'},
]


@dataclass(frozen=True, slots=True)
class Question:
    """What a panel, a variable or an annotation of a dashboard asks: the API's path and the parameters."""

    dashboard: str
    of: str
    path: str
    parameters: tuple[tuple[str, str], ...]

    def answer(self, prometheus: httpx.Client) -> list[Any]:
        """What Prometheus answers, for the last minutes or now; fails with its words if it refuses."""
        now = time.time()
        span: dict[str, Any] = {"start": now - 300, "end": now, "step": 5} if self.path == "query_range" else {}
        content = prometheus.get(self.path, params=dict(self.parameters) | span).json()
        if content["status"] != "success":
            pytest.fail(f"{self}: {content}")
        data = content["data"]
        return list(data if isinstance(data, list) else data["result"])


def questions(name: str, dashboard: JsonObject) -> Iterator[Question]:
    """Everything that a dashboard asks, with All chosen in its variables."""

    def question(of: str, path: str, key: str, expr: str) -> Question:
        asked = filled_in(expr, dashboard, range_="5m")
        return Question(name, of, path, ((key, re.sub(r"\[5m:5m\]", f"[5m:{300 // DIVISOR}s]", asked)),))

    for panel in panels(dashboard):
        for target in panel["targets"]:
            if target.get("legendFormat") not in IN_HEALTH and not LATER.search(target["expr"]):
                path = "query" if target["instant"] else "query_range"
                yield question(panel["title"], path, "query", target["expr"])
    for annotation in dashboard["annotations"]["list"]:
        if not LATER.search(annotation["expr"]):
            yield question(f"annotation {annotation['name']}", "query_range", "query", annotation["expr"])
    for variable in query_variables(dashboard):
        selector, label = variable_query(variable)
        yield question(f"variable {variable['name']}", f"label/{label}/values", "match[]", selector)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack of the whole catalogue, in a Prometheus that another program shares, with rules of its own."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "others.yaml").write_text(json.dumps({"groups": [{"name": "others", "rules": OTHER_RULES}]}))
    rules = (*RULES, folder / "others.yaml")
    with running_stack(folder, rule_files=rules, others=OTHER_JOB) as stack:
        yield stack


def generated_dashboard(stack: Stack) -> bytes:
    """What `generate dashboard` writes for the configuration of the stack."""
    command = [sys.executable, "-m", "exporter", "generate", "dashboard", f"--config.file={stack.config}"]
    environ = os.environ | choreo_environ(stack.insights)
    return subprocess.run(command, env=environ, capture_output=True, check=True).stdout


def assert_drawn(stack: Stack, file: Path) -> None:
    """Every dashboard has a preview, for a wide screen and a phone, with every panel in it, and it says what it is."""
    for name, dashboard in DASHBOARDS.items():
        for width in (1600, 390):
            command = [
                sys.executable,
                str(ROOT / "scripts/picture.py"),
                name.removesuffix(".json"),
                stack.prometheus.url,
            ]
            command += ["5m", str(file), f"--width={width}", "--open"]
            subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
            page = file.read_text()
            titles = [escape(panel["title"]) for panel in panels(dashboard)]
            assert [title for title in titles if f"<b>{title}</b>" not in page] == []
            assert "No data" not in page
            assert "This is not a picture of Grafana." in page


def test_prometheus_knows_every_metric_of_the_catalogue(running: Stack) -> None:
    """Whoever enables all of the catalogue finds every metric of it in Prometheus, and no query that fails."""
    names = {family.name for family in plan(load(running.config, choreo_environ(running.insights))).families}

    def absent() -> set[str]:
        return names - {labels["__name__"] for labels, _ in running.prometheus.query('{__name__=~"choreo_.+"}')}

    eventually(lambda: not absent(), f"end of {absent()}", 90)
    assert len(names) > 50
    eventually(lambda: not running.prometheus.query("insights_exporter_query_up == 0"), "health of every query", 60)


def test_no_panel_is_empty(running: Stack, tmp_path: Path) -> None:
    """Whoever opens a dashboard, shipped or generated from the configuration, sees data in every panel and a choice in
    every variable, and no error; each of the exporter's own metrics is charted. A metric that nobody has is found."""
    with httpx.Client(base_url=f"{running.prometheus.url}/api/v1/", timeout=30) as asked:
        running.insights.faults.set(api="error503")
        eventually(lambda: running.exporter.samples("insights_exporter_poll_failures_total"), "failing poll")
        running.insights.faults.clear()
        every = DASHBOARDS | {"generated": json.loads(generated_dashboard(running))}
        waiting = [
            one
            for name, dashboard in every.items()
            for one in questions(name, dashboard)
            if (name, one.of) not in EMPTY
        ]

        def answered() -> bool:
            waiting[:] = [one for one in waiting if not one.answer(asked)]
            return not waiting

        try:
            eventually(answered, "data", 150)
        except AssertionError:
            pytest.fail(f"nothing to see for {waiting}")
        assert_drawn(running, tmp_path / "picture.html")
        own = set(re.findall(r"^(insights_exporter_\w+)[{ ]", running.exporter.page(), re.MULTILINE))
        assert sorted(own - {name for one in DASHBOARDS.values() for name in metric_names(one)}) == []
        misspelt = Question("cache", "Hits", "query", (("query", "sum(choreo_window_cash_hits)"),))
        assert misspelt.answer(asked) == []


def test_other_programs_are_not_shown(running: Stack) -> None:
    """Where other programs share the Prometheus, a page shows neither them nor their alerts; an alert of a user's own
    on the exporter is marked on the charts."""
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    eventually(lambda: len(running.prometheus.query(firing)) >= len(OTHER_RULES), "alerts of others", 30)
    generated = json.loads(generated_dashboard(running))
    for dashboard in (*DASHBOARDS.values(), generated):
        for title, expr in expressions(dashboard):
            shown = running.prometheus.query(filled_in(expr, dashboard, range_="5m"))
            those = [labels for labels, _ in shown if {OTHER_JOB, "KubePodCrashLooping"} & {*labels.values()}]
            assert those == [], f"{dashboard['title']}: {title}"
        marked = running.prometheus.query(filled_in(dashboard["annotations"]["list"][0]["expr"], dashboard))
        assert "OurExporterIsThere" in {labels["alertname"] for labels, _ in marked}
    page = DASHBOARDS[EXPORTER]
    scraped = [expression_of(page, "Scraped", number, "5m") for number in range(2)]
    eventually(lambda: [value for one in scraped for _, value in running.prometheus.query(one)] == [1, 0], "scrapes")


def test_few_panels_may_be_empty() -> None:
    """What may be empty is a short list, of panels that are there."""
    titles = {(name, panel["title"]) for name, dashboard in DASHBOARDS.items() for panel in panels(dashboard)}
    assert EMPTY.keys() <= titles
    assert len(EMPTY) <= 5


def line(stack: Stack, page: str = "overview") -> dict[str, tuple[float, str]]:
    """What the first line of a page says: by legend the value, and for the reasons the word."""
    dashboard = DASHBOARDS[f"choreo-insights-{page}.json"]
    said = {}
    for target in dashboard["panels"][0]["targets"]:
        for labels, value in stack.prometheus.query(filled_in(target["expr"], dashboard)):
            said[target["legendFormat"].partition(":")[0]] = (value, labels.get("reason", ""))
    return said


def test_the_first_line_says_how_current_the_figures_are(tmp_path: Path) -> None:
    """Somebody who opens any page sees at once that all is well; that polls fail, and for which reason; that the
    figures stopped, and since when; and that nothing is there if the exporter itself is gone."""
    with running_stack(tmp_path, groups=("choreo/overview", "choreo/traffic")) as stack:
        eventually(lambda: line(stack) == {"Figures": (0, "")}, "current figures", 60)
        stack.insights.faults.set(api="error503")
        eventually(lambda: line(stack)["Figures"][0] >= 1, "line that says that polls fail", 60)
        eventually(lambda: line(stack)["Figures"][0] == 3, "line that says that figures stopped", 90)
        assert line(stack)["Reason"][1] == "http_5xx"
        assert 0 < time.time() - line(stack)["Stopped"][0] / 1000 < 90
        assert line(stack)["Late by"][0] > 0
        eventually(lambda: not stack.exporter.samples("choreo_window_requests"), "end of stale figures", 90)
        assert line(stack)["Figures"][0] == 3
        for page in ("traffic", "exporter"):
            assert line(stack, page)["Figures"][0] == 3
        stack.insights.faults.clear()
        eventually(lambda: line(stack) == {"Figures": (0, "")}, "current figures again", 90)
        stack.exporter.stopped()
        eventually(lambda: line(stack) == {"Figures": (4, "")}, "line that says that nothing is there", 60)
