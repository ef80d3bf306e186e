"""A plan as bytes, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.plan.plan import Plan
from exporter.plan.planner import plan
from exporter.plan.stored import StoredPlan
from tests.support.plans import planned

FILES = Path(__file__).parents[2] / "data" / "config" / "good"
TWO = """
- {name: one, document: "{ a b }", metrics: [{name: figure, help: F., value: a, labels: {of: {const: a}}}]}
- {name: two, document: "{ a b }", metrics: [{name: figure, help: F., value: b, labels: {of: {const: b}}}]}
"""


def again(made: Plan) -> Plan:
    return StoredPlan.of(made).read()


@pytest.mark.parametrize("file", sorted(FILES.iterdir()), ids=lambda file: file.stem)
def test_what_is_read_is_what_was_stored(file: Path) -> None:
    """Whatever a configuration has."""
    made = plan(load(file, {"EMPTY": "", "ORG": "o-1"}))
    read = again(made)
    assert read == made
    assert read is not made
    assert (read.warnings, read.unproved, read.files) == (made.warnings, made.unproved, made.files)
    assert (read.file_patterns, read.target_patterns) == (made.file_patterns, made.target_patterns)


def test_what_parts_share_they_share_again() -> None:
    """A source or a family that many queries have is one object still."""
    read = again(planned(TWO))
    (source,), (family,) = read.sources, read.families
    assert all(query.sources[0] is source for query in read.queries)
    assert all(query.metrics[0].family is family for query in read.queries)


def test_answers_are_read_as_before() -> None:
    """By a decoder that is made anew."""
    body = b'{"data": {"a": 1, "b": 2}}'
    for query, before in zip(again(planned(TWO)).queries, planned(TWO).queries, strict=True):
        assert str(query.shape.decode(body)) == str(before.shape.decode(body))


def test_a_plan_refers_to_no_schema() -> None:
    """Which would be stored with it, and stay in memory."""
    made = plan(load(FILES / "overrides.yaml", {"ORG": "o-1"}))
    variables = [one for query in made.queries for one in query.document.variables.values()]
    assert variables
    assert all(one.input is None for one in variables)


def test_the_deepest_document_is_stored() -> None:
    """It is nested no deeper than its bytes may be."""
    depth = 190  # graphql-core takes 199
    document, value = "{ " + "a { " * depth + "a" + " }" * (depth + 1), ".".join(["a"] * (depth + 1))
    made = planned(f"- {{name: deep, document: '{document}', metrics: [{{name: m, help: M., value: {value}}}]}}")
    assert again(made) == made
