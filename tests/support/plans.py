"""Plans from configurations in a test's text."""

from __future__ import annotations

import tempfile
from pathlib import Path
from textwrap import dedent, indent
from typing import Final

import pytest

from exporter.config.load import Loaded, load
from exporter.config.yaml_reader import parse_nodes
from exporter.model.errors import ConfigError
from exporter.plan.documents import parse_queries
from exporter.plan.findings import Findings
from exporter.plan.plan import Plan, QueryPlan
from exporter.plan.planner import plan
from exporter.plan.response_paths import ParsedQuery

_FOLDER: Final = tempfile.TemporaryDirectory()  # one for all: a thousand tests read a configuration, or several
SOURCE = """\
sources:
  - {name: acme, url: "https://api.example/graphql", labels: {organization: acme}, values: {org: o-1, n: 5}}
"""


def read_queries(queries: str, source: str = SOURCE) -> Loaded:
    """A configuration with these entries of `queries`, not planned yet."""
    file = Path(_FOLDER.name, "c.yaml")
    file.write_text(f"{source}queries:\n{indent(dedent(queries), '  ')}", "utf-8")
    return load(file, {})


def planned(queries: str, source: str = SOURCE) -> Plan:
    """The plan of a configuration with these entries of `queries`."""
    return plan(read_queries(queries, source))


def planned_query(query: str) -> QueryPlan:
    """The plan of the last entry of these queries."""
    return planned(query).queries[-1]


def plan_problems(queries: str, source: str = SOURCE) -> list[str]:
    """What is wrong with a configuration: `key: what is wrong; what would be right`, in the order of the file."""
    try:
        planned(queries, source)
    except ConfigError as error:
        return [f"{problem.key}: {problem.wrong}; {problem.remedy}" for problem in error.problems]
    return []


def yaml_problems(text: str) -> list[str]:
    """What is wrong with the form of a file of that text, as users are told of it; it must be something."""
    with pytest.raises(ConfigError) as refused:
        parse_nodes(text, "c.yaml")
    return [str(problem) for problem in refused.value.problems]


def read_documents(queries: str, source: str = SOURCE) -> tuple[Loaded, dict[str, ParsedQuery], Findings]:
    """The same with the documents parsed, and what was found wrong so far, which is nothing where they are sound."""
    loaded = read_queries(queries, source)
    findings = Findings(loaded.places)
    return loaded, parse_queries(loaded, findings), findings


def problem_texts(findings: Findings) -> list[str]:
    """What was found: `key: what is wrong; what would be right`."""
    return [f"{problem.key}: {problem.wrong}; {problem.remedy}" for problem in findings.problems]
