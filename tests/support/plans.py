"""Plans from configurations in a test's text."""

from __future__ import annotations

import tempfile
from pathlib import Path
from textwrap import dedent, indent

from exporter.config.load import load
from exporter.plan.plan import Plan, QueryPlan
from exporter.plan.planner import plan

SOURCE = """\
sources:
  - {name: acme, url: "https://api.example/graphql", labels: {organization: acme}, values: {org: o-1, n: 5}}
"""


def planned(queries: str, source: str = SOURCE) -> Plan:
    """The plan of a configuration with these entries of `queries`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "c.yaml")
        file.write_text(f"{source}queries:\n{indent(dedent(queries), '  ')}", "utf-8")
        return plan(load(file, {}))


def planned_query(query: str) -> QueryPlan:
    """The plan of the last entry of these queries."""
    return planned(query).queries[-1]
