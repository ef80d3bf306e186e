"""What a Prometheus or its promtool takes part in, on Prometheus 3 as well as on the one that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.support.configurations import ROOT
from tests.support.go_programs import build_prometheus_3
from tests.support.graphql_api import graphql_api
from tests.support.processes import Exporter, Prometheus, eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

COUNTED: Final = """
sources: [{name: shop, url: URL, authorization: {credentials: test-bearer}}]
queries:
  - name: today
    interval: 1s
    window: {length: 5m}
    period: 10m
    document: "query ($from: String!) { sold(from: $from) { shop count } }"
    variables: {from: "{{ period.start }}"}
    rows: sold
    labels: {shop: shop}
    metrics: [{name: shop_orders_total, type: counter, help: Orders of ten minutes., value: count}]
"""

FILES = sorted(
    file.name
    for file in (ROOT / "tests" / "system").glob("test_*.py")
    if file.name != Path(__file__).name and any(word in file.read_text("utf-8") for word in ("prometheus", "promtool"))
)


@pytest.fixture(scope="module")
def prometheus_3() -> Path:
    """The folder of its programs."""
    return build_prometheus_3()


def test_it_is_prometheus_3(prometheus_3: Path) -> None:
    """Both programs are of the third major version's module (v0.3xx)."""
    for name in ("prometheus", "promtool"):
        run = subprocess.run(["go", "version", "-m", prometheus_3 / name], capture_output=True, text=True, check=True)
        assert "\tgithub.com/prometheus/prometheus\tv0.3" in run.stdout


def test_the_start_of_a_counter_is_a_zero(prometheus_3: Path, tmp_path: Path) -> None:
    """With the feature created-timestamp-zero-ingestion, a counter begins with 0 when its period began, and `increase`
    counts what came before the first scrape. The starts are no series of their own."""
    sdl = "type Query { sold(from: String!): [Shop!]! } type Shop { shop: ID!, count: Int! }"
    sold = [{"shop": "s-1", "count": 3}, {"shop": "s-2", "count": 4}]
    config = tmp_path / "config.yaml"
    with ExitStack() as stack:
        api = stack.enter_context(graphql_api(sdl, {"sold": lambda *_, **__: sold}, "Bearer test-bearer"))
        config.write_text(COUNTED.replace("URL", api.url))
        exporter = stack.enter_context(Exporter(config, tmp_path / "log")).wait_until_ready()
        prometheus = stack.enter_context(
            Prometheus(
                tmp_path,
                f"127.0.0.1:{exporter.port}",
                binary=prometheus_3 / "prometheus",
                features=["created-timestamp-zero-ingestion"],
                scrape={"scrape_protocols": ["OpenMetricsText1.0.0"]},
            )
        )
        eventually(lambda: len(prometheus.query("shop_orders_total")) == 2, "samples of both shops")
        began_at = exporter.value("insights_exporter_query_period_start_timestamp_seconds")
        at_start = prometheus.query("shop_orders_total", began_at)
        assert sorted((labels["shop"], value) for labels, value in at_start) == [("s-1", 0), ("s-2", 0)]
        counted = "sum(max_over_time(shop_orders_total[20m]) - min_over_time(shop_orders_total[20m]))"
        assert [value for _, value in prometheus.query(counted)] == [7]
        assert prometheus.query("shop_orders_created") == []


@pytest.mark.parametrize("file", FILES)
def test_the_system_tests_pass_on_prometheus_3(file: str, prometheus_3: Path) -> None:
    """The same tests, with its programs before the installed ones; none is skipped."""
    environ = {**os.environ, "PATH": f"{prometheus_3}:{os.environ['PATH']}"}
    environ.pop("PYTEST_XDIST_WORKER", None)
    plugins = ["-p", "no:xdist", "-p", "no:cacheprovider", "-p", "tests.support.no_skips"]
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=short",
            "-m",
            "not long",
            *plugins,
            f"tests/system/{file}",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environ,
    )
    assert run.returncode in (0, 5), run.stdout + run.stderr  # 5: all tests of the file are long
