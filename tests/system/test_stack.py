"""The stack that tests of dashboards and rules stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.planner import plan
from tests.support.configurations import choreo_environ
from tests.support.processes import eventually
from tests.support.stack import running_stack


@pytest.mark.timeout(240)
def test_prometheus_knows_every_metric_of_the_catalogue(tmp_path: Path) -> None:
    """Whoever enables all of the catalogue finds every metric of it in Prometheus, and no query that fails."""
    with running_stack(tmp_path) as stack:
        names = {family.name for family in plan(load(stack.config, choreo_environ(stack.insights))).families}

        def absent() -> set[str]:
            return names - {labels["__name__"] for labels, _ in stack.prometheus.query('{__name__=~"choreo_.+"}')}

        eventually(lambda: not absent(), f"end of {absent()}", 90)
        assert len(names) > 50
        eventually(lambda: not stack.prometheus.query("insights_exporter_query_up == 0"), "health of every query", 60)
