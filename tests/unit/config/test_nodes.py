"""YAML is read strictly: nothing is guessed, nothing is lost, and every fault has its line."""

from __future__ import annotations

import gc

import pytest

from exporter.config.nodes import key_text, parse_nodes
from exporter.model.errors import ConfigError
from exporter.model.samples import Json


def messages(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse_nodes(text, "c.yaml")
    return [str(problem) for problem in refused.value.problems]


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


def test_aliases_are_expanded() -> None:
    """A block that is written once can stand in many places."""
    assert parse_nodes("a: &x {b: 1}\nc: *x", "c.yaml").value == {"a": {"b": 1}, "c": {"b": 1}}


def test_every_key_knows_its_line() -> None:
    """Messages about a key name the line on which it stands; a missing one, that of its surroundings."""
    nodes = parse_nodes("queries:\n\n  - name: a\n    labels:\n      x: y\n  - name: b\n", "c.yaml")
    assert nodes.line(("queries", 0, "labels", "x")) == 5
    assert nodes.line(("queries", 1)) == 6
    assert nodes.line(("queries", 1, "help", "x")) == 6
    assert nodes.line(("nothing",)) == 1


@pytest.mark.parametrize(("text", "line"), [("d: |\n  one\n  two\n", 3), ("d: >-\n  one\n  two\n", 3), ("d: one\n", 2)])
def test_a_line_in_a_text_is_a_line_in_the_file(text: str, line: int) -> None:
    """A fault on line 2 of a document is told as a line of the file, to jump to."""
    assert parse_nodes(text, "c.yaml").text_line(("d",), 2) == line


def test_a_text_line_without_its_text_is_the_line_of_the_key() -> None:
    """Where the text stands elsewhere, the key's line is told."""
    assert parse_nodes("a: 1\nd: 5\n", "c.yaml").text_line(("d",), 7) == 2


def test_duplicate_keys_are_refused() -> None:
    """The second of two equal keys does not win silently."""
    assert messages("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n") == [
        "c.yaml:4: b.c: duplicate key, first on line 3; keep one of the two",
        "c.yaml:5: a: duplicate key, first on line 1; keep one of the two",
    ]


@pytest.mark.parametrize("text", ["!!int abc", "!!bool maybe", "!!float x", "!!null x", "!custom x", "!!set {x}",
                                  "!!python/object:os.system x", "!!binary aGk=", "!x [1]"])  # fmt: skip
def test_tags_are_refused(text: str) -> None:
    """A tag never makes a value into something else, let alone into code."""
    assert messages(f"k: 1\na: {text}") == ["c.yaml:2: a: a YAML tag, which has no meaning here; write a plain value"]


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999", "9" * 500])
def test_numbers_that_are_no_numbers_are_refused(text: str) -> None:
    """Infinite and absurd numbers have no meaning in a configuration."""
    assert messages(f"a: {text}") == ["c.yaml:1: a: a number out of range; write a smaller one"]


def test_a_key_that_is_a_list_is_refused() -> None:
    """Keys are words."""
    assert messages("a:\n  ? [x]\n  : 1\n") == ["c.yaml:2: a: a key that is not a word; write a plain key"]


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
    (found,) = messages(text)
    assert found.startswith(message)
    assert "hunter2" not in found


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: &x [*x]", "&x {k: *x}"])
def test_bottomless_files_are_refused(text: str) -> None:
    """Nesting without end is an error, not a crash."""
    (found,) = messages(text)
    assert "nested too deeply" in found


def test_a_configuration_of_thousands_of_queries_is_read() -> None:
    """A file may be as long as thousands of queries need; only what aliases make of a few lines is bounded tightly."""
    metric = "{name: m, help: Text., value: value, labels: {a: a, b: b, c: c, d: d}}"
    query = f"  - {{name: q, interval: 60s, document: x, rows: rows, labels: {{e: e, f: f}}, metrics: [{metric}]}}"
    gc.disable()  # as the daemon puts off its collector while it reads, which would take half of the time
    try:
        value = parse_nodes("\n".join(["queries:", *[query] * 6_000]), "config.yaml").value
    finally:
        gc.enable()
    assert isinstance(value, dict)
    assert isinstance(value["queries"], list)
    assert len(value["queries"]) == 6_000


def test_key_paths_are_written_as_users_point_at_keys() -> None:
    """`queries[2].metrics[0].name`."""
    assert key_text(("queries", 2, "metrics", 0, "name")) == "queries[2].metrics[0].name"
    assert key_text(()) == ""


def test_a_value_without_the_space_before_it_is_not_shown_as_a_key() -> None:
    """`{client_secret:hunter2}` is one long key; only the word that it begins with is shown."""
    assert key_text(("oauth2", "client_secret:hunter2")) == "oauth2.client_secret…"
