"""YAML is read strictly: nothing is guessed, nothing is lost, and every fault has its line."""

from __future__ import annotations

import pytest

from exporter.config.yaml_reader import parse_nodes, read_nodes
from exporter.model.errors import ConfigError
from exporter.model.samples import Json
from tests.support.plans import yaml_problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0x1f", "0x1f"),
        ("2021-08-16", "2021-08-16"),
        ("=", "="),
        ("0777", 777),
        ("-5", -5),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("[a, 1]", ["a", 1]),
        ("{b: {c: d}}", {"b": {"c": "d"}}),
    ],
)
def test_scalars_are_yaml_1_2(text: str, value: Json) -> None:
    """`no` is a country and `1:30` is text: only what looks like a number, a boolean or null is one."""
    assert parse_nodes(f"a: {text}", "c.yaml").value == {"a": value}


def test_duplicate_keys_are_refused() -> None:
    """The second of two equal keys does not win silently."""
    assert yaml_problems("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n") == [
        "c.yaml:4: b.c: duplicate key, first on line 3; keep one of the two",
        "c.yaml:5: a: duplicate key, first on line 1; keep one of the two",
    ]


@pytest.mark.parametrize("text", ["!!int abc", "!!bool maybe", "!!float x", "!!null x", "!custom x", "!!set {x}",
                                  "!!python/object:os.system x", "!!binary aGk=", "!x [1]"])  # fmt: skip
def test_tags_are_refused(text: str) -> None:
    """A tag never makes a value into something else, let alone into code."""
    assert yaml_problems(f"k: 1\na: {text}") == [
        "c.yaml:2: a: a YAML tag, which has no meaning here; write a plain value"
    ]


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999", "9" * 500])
def test_numbers_that_are_no_numbers_are_refused(text: str) -> None:
    """Infinite and absurd numbers have no meaning in a configuration."""
    assert yaml_problems(f"a: {text}") == ["c.yaml:1: a: a number out of range; write a smaller one"]


def test_a_key_that_is_a_list_is_refused() -> None:
    """Keys are words."""
    assert yaml_problems("a:\n  ? [x]\n  : 1\n") == ["c.yaml:2: a: a key that is not a word; write a plain key"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n b: 2", "c.yaml:2: not valid YAML: mapping values are not allowed in this context"),
        ("a: 'x", "c.yaml:1: not valid YAML: while scanning a quoted scalar, found unexpected end of stream"),
        ("a: *hunter2", "c.yaml:1: not valid YAML: found undefined alias"),
        ("a: 1\n---\nb: 2", "c.yaml:2: not valid YAML: expected a single document in the stream, but found another"),
        ("a: \x00", "c.yaml: not valid YAML: a character that is not allowed there (position 3)"),
        ("a: \ud800", "c.yaml: not valid YAML; check it with a YAML linter"),
    ],
)
def test_a_syntax_error_has_its_line(text: str, message: str) -> None:
    """A file that is no YAML is told where, and no piece of its text is quoted."""
    (found,) = yaml_problems(text)
    assert found.startswith(message)
    assert "hunter2" not in found


BASE = "base: &base {a: 1, b: {c: 2}}\nmore: &more {a: 3, d: 4}\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{<<: *base, a: own}", {"a": "own", "b": {"c": 2}}),
        ("{a: own, <<: *base}", {"a": "own", "b": {"c": 2}}),
        ("{b: {e: 5}, <<: *base}", {"a": 1, "b": {"e": 5}}),
        ("{<<: [*more, *base]}", {"a": 3, "b": {"c": 2}, "d": 4}),
        ("{<<: [*base, *more]}", {"a": 1, "b": {"c": 2}, "d": 4}),
        ("{<<: *base, <<: *more}", {"a": 3, "b": {"c": 2}, "d": 4}),
        ("{<<: {<<: *base, b: 6}, d: 7}", {"a": 1, "b": 6, "d": 7}),
        ("{'<<': 8}", {"<<": 8}),
    ],
)
def test_mappings_are_merged(text: str, value: Json) -> None:
    """A mapping's own keys count more than merged ones, wherever these stand; of several, the first that has a key."""
    read = parse_nodes(f"{BASE}made: {text}", "c.yaml").value
    assert isinstance(read, dict)
    assert read["made"] == value


def test_an_own_key_has_nothing_of_the_merged_one() -> None:
    """What a merged key has below it stands nowhere where an own key, or that of a later mapping, replaces it."""
    nodes = parse_nodes(
        "x: &x {m: {a: plain, b: 't'}}\n"
        "y: &y\n  m: {b: 1}\n"
        "own:\n  <<: *x\n  m: {b: 1}\n"
        "before:\n  m: {b: 1}\n  <<: *x\n"
        "later:\n  <<: *x\n  <<: *y\n",
        "c.yaml",
    )
    assert isinstance(nodes.value, dict)
    assert nodes.value["own"] == nodes.value["before"] == nodes.value["later"] == {"m": {"b": 1}}
    found = {path[0]: nodes.line((*path, "m", "a")) for path in (("own",), ("before",), ("later",))}
    assert found == {"own": 6, "before": 8, "later": 3}
    assert not any(nodes.is_plain((name, "m", "a")) for name in found)


def test_merged_keys_know_their_lines() -> None:
    """They are those where the keys were written; a key of the mapping's own has its own line."""
    nodes = parse_nodes(f"{BASE}made:\n  d: own\n  <<: [*base, *more]\n  a: own\n", "c.yaml")
    lines = {key: nodes.line(("made", *key)) for key in (("a",), ("b",), ("b", "c"), ("d",))}
    assert lines == {("a",): 6, ("b",): 1, ("b", "c"): 1, ("d",): 4}
    assert nodes.is_plain(("made", "d"))


@pytest.mark.parametrize("text", ["1", "[*base, x]", "[[*base]]"])
def test_what_is_no_mapping_cannot_be_merged(text: str) -> None:
    """It is refused at its key."""
    (found,) = yaml_problems(f"{BASE}made:\n  <<: {text}\n")
    assert found.startswith("c.yaml:4: made: a merge key (<<) whose value is not a mapping; name the anchor")


def test_what_stands_behind_a_refused_key_is_read() -> None:
    """Its value is left out as a whole, with the anchors in it that others refer to."""
    with pytest.raises(ConfigError):
        parse_nodes("a: 1\na: {b: [&x {c: 2}]}\nd: *x\n", "c.yaml")
    nodes = read_nodes("a: 1\na: {b: [&x {c: 2}]}\nd: *x\n? [*x, {e: 3}]\n: {f: 4}\ng: 5\n", "c.yaml")
    assert nodes.value == {"a": 1, "d": {"c": 2}, "g": 5}


def test_a_fault_that_an_alias_brings_to_many_places_is_one() -> None:
    """It is told once, and no place that has it is used."""
    nodes = read_nodes("a: &x {b: !x 1}\nc: *x\n", "c.yaml")
    assert [place for place, _ in nodes.faults] == [("a", "b"), ("c", "b")]
    assert len({problem for _, problem in nodes.faults}) == 1
