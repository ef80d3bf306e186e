"""`${NAME}` in scalars: what is put in, what stays, and what is told of names that are unset or are none."""

from __future__ import annotations

import pytest

from exporter.config.environment import Variables
from exporter.config.problems import Places
from exporter.config.yaml_reader import parse_nodes
from exporter.model.samples import Json

FILE = "one: a\ntwo:\n  - b\n"
ENVIRON = {"HOST": "api.example", "EMPTY": "", "NESTED": "${HOST}"}


def variables() -> Variables:
    return Variables(ENVIRON, Places(parse_nodes(FILE, "c.yaml")))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://${HOST}/${HOST}", "https://api.example/api.example"),
        ("${HOST:-other}", "api.example"),
        ("${EMPTY:-other}", "other"),
        ("${NOWHERE:-a:-b}", "a:-b"),
        ("${NOWHERE:-}", ""),
        ("${NESTED}", "${HOST}"),
        ("$${HOST} costs $5", "${HOST} costs $5"),
        ("$${ then ${HOST}", "${ then api.example"),
        ("$${${HOST}}", "${api.example}"),
        ("$${HOST} then $${", "${HOST} then ${"),
        ("$$${HOST}", "$${HOST}"),
        ("$HOST", "$HOST"),
        (["${HOST}", {"${HOST}": "${HOST}"}], ["api.example", {"${HOST}": "api.example"}]),
        (5, 5),
        (True, True),
        (None, None),
    ],
)
def test_values_come_from_the_environment(written: Json, meant: Json) -> None:
    """Values are put in once, at any depth; a default stands in for what is unset or empty; `$${` is a `${`; keys, and
    scalars that are no text, stay as they are."""
    given = variables()
    assert given.expand(written, ()) == meant
    assert (given.unset, given.faulty) == ({}, {})


@pytest.mark.parametrize("name", ["NOWHERE", "EMPTY"])
def test_an_unset_variable_is_told_at_its_key_and_stays(name: str) -> None:
    """Without a value and a default the text stays as it is written, and the problem says where and what to do."""
    given = variables()
    assert given.expand({"two": [f"x${{{name}}}"]}, ()) == {"two": [f"x${{{name}}}"]}
    assert {path: str(problem) for path, problem in given.unset.items()} == {
        ("two", 0): f"c.yaml:3: two[0]: the environment variable {name} is unset;"
        f" set {name}, or write ${{{name}:-default}}"
    }
    assert given.faulty == {}


@pytest.mark.parametrize("written", ["${1A}", "${A B}", "${}", "${A", "${A-b}"])
def test_what_names_no_variable_is_told_without_quoting_it(written: str) -> None:
    """A `${` with something else behind it may be a piece of a password: the problem names the key alone."""
    given = variables()
    given.expand(written, ("one",))
    (problem,) = given.faulty.values()
    assert str(problem) == (
        "c.yaml:1: one: a ${ that names no environment variable; write ${NAME} or ${NAME:-default}, or $${ for a ${"
    )
    assert given.unset == {}


@pytest.mark.parametrize("written", ["${HOST:-{}}", "${HOST:-${NESTED}}", "${NOWHERE:-{{ source.a }}}"])
def test_a_default_with_braces_is_refused(written: str) -> None:
    """Its first closing brace ends it, and what follows would stand behind the value."""
    given = variables()
    given.expand(written, ("one",))
    (problem,) = given.faulty.values()
    assert str(problem).startswith("c.yaml:1: one: a { in the default of ")


def test_very_many_braces_that_are_not_closed_are_read_in_time() -> None:
    """The brace that is missing is not looked for from each of them."""
    assert variables().expand("$${" * 200_000, ()) == "${" * 200_000
