"""Aliases stand for what they name, within bounds."""

from __future__ import annotations

import pytest

from exporter.config.yaml_reader import parse_nodes
from exporter.model.samples import Json
from tests.support.plans import yaml_problems


def test_aliases_are_expanded() -> None:
    """A block that is written once can stand in many places."""
    assert parse_nodes("a: &x {b: 1}\nc: *x", "c.yaml").value == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: &x [*x]", "&x {k: *x}"])
def test_bottomless_files_are_refused(text: str) -> None:
    """Nesting without end is an error, not a crash."""
    (found,) = yaml_problems(text)
    assert "nested too deeply" in found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[&x 1, *x]", [1, 1]),
        ("[&x [&y 1, 2], *y, *x]", [[1, 2], 1, [1, 2]]),
        ("[&x 1, &y [*x, 2], &z {a: *y}, *z]", [1, [1, 2], {"a": [1, 2]}, {"a": [1, 2]}]),
        ("{&k a: 1, b: &v {*k : 2}, c: *v}", {"a": 1, "b": {"a": 2}, "c": {"a": 2}}),
        ("[&x , *x]", [None, None]),
    ],
)
def test_aliases_may_stand_in_what_others_stand_for(text: str, value: Json) -> None:
    """As values, as items and as keys."""
    assert parse_nodes(text, "c.yaml").value == value


def test_an_anchor_has_one_meaning() -> None:
    """A second value with an anchor's name is told with its line."""
    (found,) = yaml_problems("a: &x 1\nb: *x\nc: &x 2\n")
    assert found.startswith("c.yaml:3: not valid YAML: found duplicate anchor; first occurrence, second occurrence")


def test_aliases_are_bounded_where_nothing_is_read_too() -> None:
    """In a value that is left out as a whole, they could hold up the program as well."""
    bomb = "\n".join(f"  a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 10))
    (found,) = yaml_problems(f"b: 1\nb:\n  a0: &a0 [x]\n{bomb}\n")
    assert found == "c.yaml:3: more values than a configuration has (aliases count each time); write it out shorter"
