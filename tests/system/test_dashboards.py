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
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from exporter.config.load import load
from exporter.plan.planner import plan
from tests.support.configurations import ROOT, choreo_environ
from tests.support.grafana import JsonObject, filled_in, metric_names, panels, query_variables, shipped, variable_query
from tests.support.processes import eventually
from tests.support.stack import Stack, running_stack

pytestmark = pytest.mark.timeout(300)

DASHBOARDS: Final = shipped()
# What stays empty, by dashboard and panel, and why.
EMPTY: Final = {
    ("choreo-insights-alerts.json", "Last alert of severity HIGH"): "nothing is wrong, so there is none",
    ("choreo-insights-exporter.json", "Came too late"): "no query of the catalogue has audit",
    ("choreo-insights-exporter.json", "Targets in an operation"): "no query of the catalogue has pack",
    ("choreo-insights-exporter.json", "Values skipped"): "there are such series only after a value that is no number",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What a panel, a variable or an annotation of a dashboard asks: the API's path and the parameters."""

    dashboard: str
    of: str
    path: str
    parameters: tuple[tuple[str, str], ...]

    def answer(self, prometheus: httpx.Client) -> list[Any]:
        """What Prometheus answers, for the last minute or now; fails with its words if it refuses."""
        now = time.time()
        span: dict[str, Any] = {"start": now - 60, "end": now, "step": 5} if self.path == "query_range" else {}
        content = prometheus.get(self.path, params=dict(self.parameters) | span).json()
        if content["status"] != "success":
            pytest.fail(f"{self}: {content}")
        data = content["data"]
        return list(data if isinstance(data, list) else data["result"])


def questions(name: str, dashboard: JsonObject) -> Iterator[Question]:
    """Everything that a dashboard asks, with All chosen in its variables."""

    def question(of: str, path: str, key: str, expr: str) -> Question:
        return Question(name, of, path, ((key, filled_in(expr, dashboard)),))

    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield question(panel["title"], "query" if target["instant"] else "query_range", "query", target["expr"])
    for annotation in dashboard["annotations"]["list"]:
        yield question(f"annotation {annotation['name']}", "query_range", "query", annotation["expr"])
    for variable in query_variables(dashboard):
        selector, label = variable_query(variable)
        yield question(f"variable {variable['name']}", f"label/{label}/values", "match[]", selector)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack of the whole catalogue."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def generated_dashboard(stack: Stack) -> bytes:
    """What `generate dashboard` writes for the configuration of the stack."""
    command = [sys.executable, "-m", "exporter", "generate", "dashboard", f"--config.file={stack.config}"]
    environ = os.environ | choreo_environ(stack.insights)
    return subprocess.run(command, env=environ, capture_output=True, check=True).stdout


def assert_drawn(stack: Stack, file: Path) -> None:
    """The picture in the documents can be drawn anew, has every panel and a figure in each, and says what it is."""
    name = "choreo-insights-overview"
    command = [sys.executable, str(ROOT / "scripts/picture.py"), name, stack.prometheus.url, "1m", str(file)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    page = file.read_text()
    open_ones = [one["title"] for one in DASHBOARDS[f"{name}.json"]["panels"] if not one.get("collapsed")]
    assert [title for title in open_ones if f"<b>{title}</b>" not in page] == []
    assert "no data" not in page
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


def test_few_panels_may_be_empty() -> None:
    """What may be empty is a short list, of panels that are there."""
    titles = {(name, panel["title"]) for name, dashboard in DASHBOARDS.items() for panel in panels(dashboard)}
    assert EMPTY.keys() <= titles
    assert len(EMPTY) <= 5
