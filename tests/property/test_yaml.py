"""YAML: whatever stands in the file, it is read or refused in words, and no message quotes a secret."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.config.load import load
from exporter.config.nodes import parsed_nodes
from exporter.errors import ConfigError
from exporter.model import Json
from exporter.planner import plan

SECRET = "hunter2SECRET"
GOOD = """\
sources:
  - name: acme
    url: https://api.example/graphql
    oauth2: {token_url: https://sts.example/, client_id: a, client_secret: hunter2SECRET}
    secret_values: {key: {env: HOME}}
queries:
  - name: calls
    interval: 1m
    window: {length: 5m}
    document: "{ calls { api count } }"
    variables: {}
    rows: calls
    metrics:
      - {name: calls, help: Calls., value: count, labels: {api: api}}
"""
syntax = st.text(alphabet="ab:-?[]{}&*!|>'\"%@`#,.~ \n\t01", max_size=40)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
trees: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


def problems(text: str) -> str:
    """What a configuration with this text is told, without the name of its file; nothing, if it is good."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "c.yaml")
        file.write_text(text, "utf-8", newline="")
        try:
            plan(load(file, {}))
        except ConfigError as error:
            return str(error).replace(str(file), "")
    return ""


@given(syntax | st.text(max_size=30))
@example("a: !!int x")
@example("- " * 5000)
@example("{a: " * 5000)
@example("&a [*a]")
@example("a: '\ud7ff\x85'")
def test_any_text_is_yaml_or_is_refused_in_words(text: str) -> None:
    """A broken file is an error with a text, never a crash."""
    with suppress(ConfigError):
        parsed_nodes(text, "c.yaml")


@given(trees)
def test_what_yaml_can_write_is_read_back(tree: Json) -> None:
    """Values keep their types and their text through the file."""
    text = yaml.safe_dump({"a": tree}, allow_unicode=True, sort_keys=False)
    written = _as_core_schema(yaml.safe_load(text))
    assert parsed_nodes(text, "c.yaml").value == written


def _as_core_schema(value: object) -> object:
    """What PyYAML reads with YAML 1.1's rules is what it wrote, so only keys differ: ours are always text."""
    if isinstance(value, dict):
        return {str(key): _as_core_schema(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_core_schema(item) for item in value]
    return value


@given(syntax, st.integers(0, len(GOOD)))
def test_a_configuration_with_a_broken_place_is_refused_in_words(broken: str, place: int) -> None:
    """Whatever is typed wherever, the answer is a list of faults (or none), and never the secret that stands there."""
    assert SECRET not in problems(GOOD[:place] + broken + GOOD[place:])


@given(st.data())
def test_a_configuration_with_any_value_anywhere_is_refused_in_words(data: st.DataObject) -> None:
    """A value of a wrong type or shape, at any key, is a fault with a text."""
    root = yaml.safe_load(GOOD)
    at: Any = root
    path: list[str | int] = []
    while isinstance(at, dict | list) and at and (not path or data.draw(st.booleans())):
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, Mapping) else range(len(at))))
        path.append(key)
        parent, at = at, at[key]
    parent[path[-1]] = data.draw(trees)
    if data.draw(st.booleans()):
        root["sources" if data.draw(st.booleans()) else "queries"] = data.draw(trees)
    assert SECRET not in problems(yaml.safe_dump(root, allow_unicode=True))


@pytest.mark.parametrize("mark", ["*", "&", "!", "%", "@", "`", "'", '"', "{", "[", "|", ">", "? ", "- ", "!<", "%x "])
def test_a_secret_beside_a_syntax_error_is_not_quoted(mark: str) -> None:
    """A secret that is not quoted and begins with a sign of YAML's is not in the message about it."""
    text = GOOD.replace(SECRET, f"{mark}{SECRET}")
    assert "hunter2" not in problems(text)
    assert "hunter2" not in problems(text.replace("{token_url", "\n      {token_url"))
    assert "hunter2" not in problems(f"a: {mark}{SECRET}\n{mark}{SECRET}: b\n")
