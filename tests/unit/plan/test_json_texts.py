"""Texts that are declared to hold JSON: paths go on into them, and the check says that nobody proved it."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest

from exporter.config.load import load
from exporter.model.errors import ConfigError
from exporter.model.response_path import Mark
from exporter.plan.plan import KEY_HOPS, Column
from exporter.plan.planner import plan
from tests.support.plans import plan_problems, planned, read_documents

SDL = "type Query { orders: [Order!]!, log: JSON, n: Int }\ntype Order { id: ID!, payload: String, parts: [String] }\n"
QUERY = """
- name: q
  document: "{ orders { id payload parts } log }"
  json_texts: [orders.payload.inner, orders.payload, orders.parts, "log.*.body"]
  rows: orders
  metrics:
    - {name: a, help: A., value: payload.inner.price, labels: {id: id, unit: payload.unit}}
    - {name: b, help: B., value: parts.count, labels: {id: id, at: .@key}}
"""


def source(folder: Path) -> str:
    (folder / "s.graphql").write_text(f"scalar JSON\n{SDL}")
    return f'sources: [{{name: api, url: "https://api.example/graphql", schema: {folder / "s.graphql"}}}]\n'


def test_paths_go_on_into_declared_texts(tmp_path: Path) -> None:
    """Also into texts in texts and in JSON; the check names each of them and each path as unproved."""
    made = planned(QUERY, source(tmp_path))
    assert Column(2, KEY_HOPS) in made.queries[0].metrics[1].labels  # the position in the list of texts
    said = [f"{one.key}: {one.wrong}" for one in made.unproved]
    assert sorted(said) == [
        "queries[0].json_texts[0]: orders.payload.inner holds JSON, as the configuration says",
        "queries[0].json_texts[1]: orders.payload holds JSON, as the configuration says",
        "queries[0].json_texts[2]: orders.parts holds JSON, as the configuration says",
        "queries[0].json_texts[3]: log.*.body holds JSON, as the configuration says",
        "queries[0].metrics[0].labels.unit: payload.unit goes inside JSON",
        "queries[0].metrics[0].value: payload.inner.price goes inside JSON",
        "queries[0].metrics[1].value: parts.count goes inside JSON",
    ]


def test_the_ways_to_the_texts_are_those_of_the_answer(tmp_path: Path) -> None:
    """The outer text comes before the one that stands in it."""
    _, parsed, findings = read_documents(QUERY, source(tmp_path))
    assert not findings.problems
    assert parsed["q"].json_texts == (
        ("orders", "payload"),
        ("orders", "parts"),
        ("orders", "payload", "inner"),
        ("log", Mark.EVERY, "body"),
    )


def test_a_text_that_is_not_declared_has_nothing_inside(tmp_path: Path) -> None:
    """A path into it is refused where the schema says that it is text."""
    undeclared = QUERY.replace("orders.payload.inner, orders.payload, ", "")
    assert plan_problems(undeclared, source(tmp_path)) == [
        "queries[0].metrics[0].value: payload.inner.price is not selected by the document;"
        " end the path earlier, or name the text in json_texts if it holds JSON"
    ]


def test_without_a_schema_a_declared_text_needs_no_quoted_key() -> None:
    """The declaration says already that JSON is inside."""
    assert plan_problems(QUERY) == []


def test_json_is_named_once_where_rows_are_in_it(tmp_path: Path) -> None:
    """Each value of such a row is as unproved as the row, and needs no line of its own unless it goes on."""
    made = planned(
        """
    - name: q
      document: "{ log }"
      rows: log.*
      metrics:
        - {name: a, help: A., value: 1, labels: {at: .@key}}
        - {name: b, help: B., value: size, labels: {name: name}, where: {kind: big}}
    """,
        source(tmp_path),
    )
    assert [f"{one.key}: {one.wrong}" for one in made.unproved] == [
        "queries[0].rows: log.* goes inside JSON",
        "queries[0].metrics[1].value: size goes inside JSON",
        "queries[0].metrics[1].labels.name: name goes inside JSON",
        "queries[0].metrics[1].where.kind: kind goes inside JSON",
    ]


@pytest.mark.parametrize("fault", ["{ orders { id payload }", "{ log }"])
def test_a_fault_before_is_the_only_one(tmp_path: Path, fault: str) -> None:
    """What a document has, and where its rows are, is not known then; nothing is said of keys and of what is opened."""
    query = QUERY.replace("{ orders { id payload parts } log }", fault)
    query = query.replace('  json_texts: [orders.payload.inner, orders.payload, orders.parts, "log.*.body"]\n', "")
    query += "    - {name: c, help: C., value: parts.*, labels: {at: .@key, of: orders.@key}}\n"
    (said,) = plan_problems(query, source(tmp_path))
    assert said.startswith(
        "queries[0].document: not valid GraphQL" if "orders" in fault else "queries[0].rows: orders is"
    )


def test_a_fault_of_form_in_the_list_hides_what_may_be_json(tmp_path: Path) -> None:
    """A path into a text that was perhaps meant is no second fault."""
    query = QUERY.replace("orders.payload.inner, orders.payload, orders.parts", '"orders payload"')
    (tmp_path / "c.yaml").write_text(f"{source(tmp_path)}queries:\n{indent(query, '  ')}")
    with pytest.raises(ConfigError) as refused:
        plan(load(tmp_path / "c.yaml", {}))
    assert [problem.key for problem in refused.value.problems] == ["queries[0].json_texts[0]"]
