"""Every value of a file knows where it stands."""

from __future__ import annotations

import pytest

from exporter.config.nodes import key_text
from exporter.config.yaml_reader import parse_nodes


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


def test_key_paths_are_written_as_users_point_at_keys() -> None:
    """`queries[2].metrics[0].name`."""
    assert key_text(("queries", 2, "metrics", 0, "name")) == "queries[2].metrics[0].name"
    assert key_text(()) == ""


def test_a_value_without_the_space_before_it_is_not_shown_as_a_key() -> None:
    """`{client_secret:hunter2}` is one long key; only the word that it begins with is shown."""
    assert key_text(("oauth2", "client_secret:hunter2")) == "oauth2.client_secret…"
