"""Every expression of the dashboards, asked from a real Prometheus that scrapes an exporter of the whole catalogue."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.grafana import JsonObject, expressions, filled_in, panels, query_variables, shipped, variable_query
from tests.support.processes import eventually
from tests.support.stack import Stack, running_stack

pytestmark = pytest.mark.timeout(300)

DASHBOARDS: Final = shipped()
# What stays empty, by dashboard and panel, and why.
EMPTY: Final = {
    ("choreo-insights-alerts.json", "Last alert of severity HIGH"): "nothing is wrong, so there is none",
    ("choreo-insights-exporter.json", "Values skipped"): "there are such series only after a value that is no number",
}


def answer(stack: Stack, path: str, **parameters: Any) -> list[Any]:
    """What Prometheus answers; fails with its words if it refuses."""
    response = httpx.get(f"http://127.0.0.1:{stack.prometheus.port}/api/v1/{path}", params=parameters, timeout=30)
    content = response.json()
    assert content["status"] == "success", f"{parameters}: {content}"
    data = content["data"]
    return list(data if isinstance(data, list) else data["result"])


def empty_ones(stack: Stack, name: str, dashboard: JsonObject) -> set[tuple[str, str]]:
    """The panels, variables and annotations of a dashboard that are answered with nothing, each under its name."""
    now = time.time()

    def is_empty(expr: str, *, instant: bool) -> bool:
        asked = filled_in(expr, dashboard)
        over_time = {} if instant else {"start": now - 60, "end": now, "step": 5}
        return not answer(stack, "query" if instant else "query_range", query=asked, **over_time)

    empty = {
        panel["title"]
        for panel in panels(dashboard)
        for target in panel["targets"]
        if is_empty(target["expr"], instant=target["instant"])
    }
    titles = {panel["title"] for panel in panels(dashboard)}
    empty |= {title for title, expr in expressions(dashboard) if title not in titles and is_empty(expr, instant=False)}
    for variable in query_variables(dashboard):
        selector, label = variable_query(variable)
        if not answer(stack, f"label/{label}/values", **{"match[]": filled_in(selector, dashboard)}):
            empty.add(f"variable {variable['name']}")
    return {(name, title) for title in empty}


def test_no_panel_is_empty(tmp_path: Path) -> None:
    """Whoever opens a dashboard sees data in every panel and a choice in every variable, and no error; a metric that
    nobody has would be found."""
    found: set[tuple[str, str]] = set()

    def filled(stack: Stack) -> bool:
        found.clear()
        found.update(*(empty_ones(stack, name, dashboard) for name, dashboard in DASHBOARDS.items()))
        return found <= EMPTY.keys()

    with running_stack(tmp_path) as stack:
        stack.insights.faults.set(api="error503")
        eventually(lambda: stack.exporter.samples("insights_exporter_poll_failures_total"), "failing poll")
        stack.insights.faults.clear()
        try:
            eventually(lambda: filled(stack), "data", 150)
        except AssertionError:
            pytest.fail(f"nothing to see in {sorted(found - EMPTY.keys())}")
        broken = shipped()["choreo-insights-cache.json"]
        panels(broken)[0]["targets"][0]["expr"] = 'sum(choreo_window_cash_hits{job=~"$job", instance=~"$instance"})'
        assert ("cache", panels(broken)[0]["title"]) in empty_ones(stack, "cache", broken)


def test_few_panels_may_be_empty() -> None:
    """What may be empty is a short list, of panels that are there."""
    titles = {(name, panel["title"]) for name, dashboard in DASHBOARDS.items() for panel in panels(dashboard)}
    assert EMPTY.keys() <= titles
    assert len(EMPTY) <= 5
