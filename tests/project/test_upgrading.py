"""Configurations of version 0.1: they load and publish the same, or a message says what to change."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from exporter.config.load import load
from exporter.daemon.check import check
from exporter.model.errors import ConfigError
from exporter.plan.planner import plan
from tests.support.configurations import ROOT

FOLDER: Final = ROOT / "tests" / "data" / "config" / "version_0_1"
PUBLISHED: Final[dict[str, list[str]]] = json.loads((FOLDER / "published.json").read_text("utf-8"))
QUERY: Final = """\
sources: [{name: a, url: "https://a.example/graphql", schema: schema.graphql, labels: {site: x}}]
queries:
  - name: q
    document: "{ items { id state at } }"
    rows: items
    metrics: [{name: n, help: N., value: state, from: enum, map: {UP: 1, DOWN: 0}, labels: {id: id}}]
"""
SCHEMA: Final = """
type Query { items(after: String, first: Int): [Item!] info: Info }
type Info { hasNextPage: Boolean endCursor: String }
type Item { id: ID! state: State at: String }
enum State { UP DOWN }
"""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_configuration_of_version_0_1_publishes_the_same(name: str) -> None:
    """Families with their types, labels and helps, and queries with their times and limits, as it had them."""
    file = FOLDER / f"{name}.yaml"
    made = plan(load(file, dict.fromkeys(re.findall(r"\$\{(\w+)\}", file.read_text("utf-8")), "x1")))
    found = [f"{one.name} {one.type} {{{','.join(one.label_names)}}} {one.help}" for one in made.families]
    for one in made.queries:
        times = f"{one.interval_seconds:g} {one.timeout_seconds:g} {one.stale_after_seconds:g}"
        found.append(f"query {one.name} {times} {one.max_series}")
    assert [line for line in PUBLISHED[name] if line not in found] == []
    if "include:" not in file.read_text("utf-8"):  # what is shipped may grow
        assert sorted(found) == sorted(PUBLISHED[name])


@pytest.mark.parametrize(
    ("was", "written", "row", "remedy"),
    [
        ("map: {UP: 1", "map: {UPP: 1", "`map` with a word that the enum lacks", "did you mean UP?"),
        ("from: enum, map: {UP: 1, DOWN: 0}", "from: timestamp, from_unit: milliseconds",
         "`from_unit` with `from: timestamp`", "leave out from_unit, or write format: unix_ms"),
        ("{ items {", "{ items(first: {{ a.b }}) {", "`{{ … }}` in a document", "write the reference in variables"),
        ('x}}', '"${A:-x${B}}"}}', "`${A:-…${B}…}`", "write the default as text alone"),
        ('document: "{ items {', 'pages: {size: 5, limit: f, cursor: c, info: info}\n    document: "query '
         '($f: Int!, $c: String!) { info { hasNextPage endCursor } items(first: $f, after: $c) {',
         "a cursor's variable that is required", "declare it as String, without !"),
    ],
)  # fmt: skip
def test_what_is_refused_now_has_a_row_and_a_remedy(
    tmp_path: Path, was: str, written: str, row: str, remedy: str
) -> None:
    """Whoever upgrades reads in docs/upgrading.md what to look for, and in the message what to write."""
    assert row in (ROOT / "docs" / "upgrading.md").read_text("utf-8")
    (tmp_path / "schema.graphql").write_text(SCHEMA)
    file = tmp_path / "config.yaml"
    file.write_text(QUERY)
    assert check(file, {}).plan.queries
    assert was in QUERY
    file.write_text(QUERY.replace(was, written, 1))
    with pytest.raises(ConfigError) as refused:
        check(file, {})
    assert remedy in str(refused.value)
