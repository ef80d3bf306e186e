"""References and variables where nothing fills them in."""

from __future__ import annotations

import pytest

from exporter.config.braces import doubtful, unfilled
from exporter.config.problems import Places
from exporter.config.yaml_reader import parse_nodes


def unfilled_keys(text: str) -> list[str]:
    """The keys that hold a reference that nothing fills in."""
    nodes = parse_nodes(text, "c.yaml")
    return [problem.key for problem in unfilled(nodes.value, Places(nodes))]


def doubts(text: str) -> list[str]:
    """What is hardly meant: `key: what is wrong`."""
    nodes = parse_nodes(text, "c.yaml")
    return [f"{problem.key}: {problem.wrong}" for problem in doubtful(nodes.value, Places(nodes))]


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ('url: "https://a/{{ window.start }}"', "sources[0].url"),
        ('oauth2: {client_secret: "{{ source.x }}"}', "sources[0].oauth2.client_secret"),
        ('http_headers: {X: {values: ["a", "{{ x }}"]}}', "sources[0].http_headers.X.values[1]"),
    ],
)
def test_a_reference_in_a_source_is_refused_where_it_stands(entry: str, key: str) -> None:
    """URLs, credentials and headers are sent as they stand."""
    assert unfilled_keys(f"sources:\n  - {entry}\n") == [key]


def test_a_reference_in_a_query_is_filled_in() -> None:
    """Queries have references; a configuration without sources has none to refuse."""
    assert not unfilled_keys('queries:\n  - variables: {a: "{{ window.start }}"}\n')
    assert not unfilled_keys("[]\n")


def test_the_message_quotes_no_text() -> None:
    """What stands there may be a secret."""
    nodes = parse_nodes('sources:\n  - url: "https://a/?key=hush-{{ x }}"\n', "c.yaml")
    (problem,) = unfilled(nodes.value, Places(nodes))
    assert "hush" not in str(problem)
    assert "c.yaml:2" in str(problem)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sources:\n  - url: https://a/$TOKEN_PATH\n", "sources[0].url"),
        ("sources:\n  - name: $name\n", "sources[0].name"),
        ("queries:\n  - labels: {a: $HOME}\n", "queries[0].labels.a"),
    ],
)
def test_a_name_without_braces_is_doubtful(text: str, key: str) -> None:
    """`$NAME` is taken as it stands, which is hardly meant."""
    assert doubts(text) == [f"{key}: a $NAME without braces, which is taken literally"]


@pytest.mark.parametrize(
    "text",
    [
        'queries:\n  - document: "$A"\n',
        "queries:\n  - help: costs $FIVE more\n",
        "sources:\n  - url: https://a/$$HOME\n",
        "sources:\n  - url: https://a/x$HOME\n",
        "sources:\n  - url: https://a/$x\n",
    ],
)
def test_other_dollars_are_nobodys_business(text: str) -> None:
    """Documents have variables of their own, and prices have a dollar."""
    assert not doubts(text)


def test_a_reference_in_a_constant_is_doubtful() -> None:
    """A constant is taken as it stands."""
    text = 'queries:\n  - labels: {a: {const: "{{ x }}"}, b: {const: x}}\n'
    assert doubts(text) == ["queries[0].labels.a.const: a {{ reference }} in a constant, which is taken literally"]
