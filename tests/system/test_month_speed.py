"""How long Prometheus works on what the dashboards ask of the demo's month."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from exporter.simulator import Settings, Simulator
from tests.support.grafana import JsonObject, filled_in, panels, shipped
from tests.support.month import DAY_SECONDS, STEP_SECONDS, write_blocks, write_month
from tests.support.processes import Prometheus, eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

DAYS: Final = 31
# Those of the demo, with fewer requests: as many series, which are what a query takes its time for.
SETTINGS: Final = Settings(rate=0.3)
TIMES: Final = 5
# The steps to which Grafana rounds, each from where it does (`roundInterval` of @grafana/data), in seconds.
STEPS: Final = ((16_200, 21_600), (9000, 10_800), (5400, 7200), (2700, 3600), (1500, 1800), (0, 600))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, int]]:
    """A Prometheus with a month of two environments, and its end."""
    folder: Path = tmp_path_factory.mktemp("month")
    end = int(time.time()) // STEP_SECONDS * STEP_SECONDS
    insights = Simulator(SETTINGS)
    labels = {"job": "insights", "instance": "exporter"}
    for environment in ("Production", "Development"):
        place = folder / environment
        place.mkdir()
        file = write_month(insights, environment, end - DAYS * DAY_SECONDS, end, place, labels)
        write_blocks(file, folder)
    with Prometheus(folder, "127.0.0.1:9", retention="60d") as prometheus:
        eventually(lambda: prometheus.query("choreo_window_api_requests", end - STEP_SECONDS), "the past", 60)
        yield prometheus, end


def asked(dashboard: JsonObject, panel: JsonObject, target: JsonObject, end: int) -> tuple[str, dict[str, Any]]:
    """The API's path, and the form that Grafana sends of a target for 30 days."""
    span = 30 * DAY_SECONDS
    step = next(step for above, step in STEPS if span / panel["maxDataPoints"] >= above)
    expr = target["expr"].replace('"$api"', '"Orders API"') if dashboard["uid"].endswith("-api") else target["expr"]
    query = filled_in(expr, dashboard, range_="30d", rate_interval=f"{step + 60}s")
    if target["instant"]:
        return "query", {"query": query, "time": end}
    return "query_range", {"query": query, "start": end - span, "end": end, "step": step}


def worked_seconds(pid: int) -> float:
    """How long a process has had the processor: fields 14 and 15 of proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the processor's time of a process is read from /proc")
def test_every_panel_has_its_answer_within_a_tenth_of_a_second(month: tuple[Prometheus, int]) -> None:
    """Whoever opens a page with thirty days of the demo does not wait: no query of any panel takes Prometheus more than
    100 ms of the processor's time."""
    prometheus, end = month
    pid = prometheus.popen.pid
    took = {}
    with httpx.Client(base_url=f"{prometheus.url}/api/v1/", timeout=60) as client:
        for name, dashboard in shipped().items():
            for panel in panels(dashboard):
                for number, target in enumerate(panel["targets"]):
                    path, form = asked(dashboard, panel, target, end)
                    before = worked_seconds(pid)
                    for _ in range(TIMES):
                        client.post(path, data=form).raise_for_status()
                    took[name, panel["title"], number] = (worked_seconds(pid) - before) / TIMES
    assert {panel: seconds for panel, seconds in took.items() if seconds > 0.1} == {}
