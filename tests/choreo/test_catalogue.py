"""The shipped catalogue on the simulated API: every group works by itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from exporter.config.include import catalogue_names
from exporter.config.load import load
from exporter.plan.planner import plan
from exporter.simulator import Settings, Simulator
from tests.conftest import StartExporter
from tests.support.configurations import ROOT, choreo_environ, choreo_source
from tests.support.processes import eventually, get

ALERTS_A_DAY = 400  # so that there are some since midnight, however early it is


def including(*groups: str) -> str:
    """The source of the simulated API, with groups of the catalogue and nothing else."""
    source = choreo_source("secret_values: {on_prem_key: {env: CHOREO_ON_PREM_KEY}}")
    return source.removesuffix("queries:") + f"include: [{', '.join(groups)}]\n"


@pytest.fixture(scope="module")
def busy_insights() -> Iterator[Simulator]:
    """A simulated API with some of everything, which counts its requests once for all groups."""
    settings = Settings(delay_seconds=0, error_share=0.2, rate=1, daily_rhythm=False, alerts_per_day=ALERTS_A_DAY)
    with Simulator(settings) as started:
        yield started


@pytest.mark.timeout(240)
@pytest.mark.parametrize("group", catalogue_names())
def test_every_group_yields_every_metric_that_it_names(
    group: str, busy_insights: Simulator, start_exporter: StartExporter, tmp_path: Path
) -> None:
    """`include` of one group is enough: each of its metric families has series, and every id its name."""
    exporter = start_exporter(busy_insights, "", source=including(group)).wait_until_ready()
    families = plan(load(tmp_path / "config.yaml", choreo_environ(busy_insights))).families
    assert families

    def absent() -> list[str]:
        page = exporter.page()
        return [family.name for family in families if f"\n{family.name}{{" not in page]

    eventually(lambda: not absent(), f"end of {absent()}", 90)
    assert not exporter.value("insights_exporter_lookup_misses_total")


@pytest.mark.timeout(240)
def test_countries_are_asked_of_on_premise_environments_alone(
    insights: Simulator, start_exporter: StartExporter
) -> None:
    """The Geo Map group makes no call that Choreo would refuse."""
    exporter = start_exporter(insights, "", source=including("choreo/geography")).wait_until_ready()
    organization = insights.model.organizations[0]
    on_premise = {environment.name for environment in organization.environments if environment.type == "ON_PREM"}

    def asked_for() -> set[str]:
        return {labels["environment"] for labels, _ in exporter.samples("choreo_window_country_requests")}

    eventually(lambda: asked_for() == on_premise, "countries of the on-premise environments", 90)
    targets = exporter.value("insights_exporter_query_targets", query="countries")
    assert targets == len(on_premise) * len(organization.tenants)
    assert exporter.value("insights_exporter_graphql_errors_total", query="countries") == 0


def test_included_queries_run_as_they_are_overridden(insights: Simulator, start_exporter: StartExporter) -> None:
    """What `overrides` says of a query holds while it runs, is seen at `/config`, and leaves all else as it is."""
    overrides = """\
overrides:
  overview:
    interval: 37s
    window: {delay: 7m}
    for_each: {tenant: {query: tenants, where: {environment.name: Production}}}
"""
    exporter = start_exporter(insights, overrides, source=including("choreo/overview")).wait_until_ready()
    assert exporter.value("insights_exporter_query_interval_seconds", query="overview") == 37
    assert exporter.value("insights_exporter_query_window_seconds", query="overview") == 300
    assert {labels["environment"] for labels, _ in exporter.samples("choreo_window_requests")} == {"Production"}
    assert len({labels["environment"] for labels, _ in exporter.samples("choreo_window_15m_errors")}) > 1
    config = yaml.safe_load(get(f"{exporter.url}/config").text)
    [overview] = [query for query in config["queries"] if query["name"] == "overview"]
    assert (overview["interval"], overview["window"]["delay"]) == ("37s", "7m")
    assert "overrides" not in config


def test_the_table_of_operations_is_up_to_date() -> None:
    """docs/choreo-operations.md says what the catalogue does; if not: `make docs`."""
    command = [sys.executable, str(ROOT / "scripts" / "operations_table.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
