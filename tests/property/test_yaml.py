"""YAML: whatever stands in the file, it is read or refused in words, and no message quotes a secret."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from exporter.config.load import load
from exporter.config.yaml_reader import parse_nodes
from exporter.model.errors import ConfigError
from exporter.model.samples import Json
from exporter.plan.planner import plan

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
texts = st.text(st.characters(min_codepoint=32, max_codepoint=0xFFFD, exclude_categories=["Cc", "Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
trees: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
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
        parse_nodes(text, "c.yaml")


@given(trees)
def test_plain_values_are_read_as_they_were_written(tree: Json) -> None:
    """JSON is YAML (1.2): values keep their types and their text."""
    assert parse_nodes(json.dumps({"a": tree}, ensure_ascii=False), "c.yaml").value == {"a": tree}


@given(syntax, st.integers(0, len(GOOD)))
def test_a_configuration_with_a_broken_place_is_refused_in_words(broken: str, place: int) -> None:
    """Whatever is typed wherever, the answer is a list of faults (or none), and never the value of the secret there."""
    text = GOOD[:place] + broken + GOOD[place:]
    with suppress(yaml.YAMLError):
        assume(f"{SECRET}: " not in yaml.safe_dump(yaml.load(text, yaml.BaseLoader)))  # as a key, it may be shown
    assert SECRET not in problems(text)


@given(st.data())
def test_a_configuration_with_any_value_anywhere_is_refused_in_words(data: st.DataObject) -> None:
    """A value of a wrong type or shape, at any key, is a fault with a text."""
    root = yaml.safe_load(GOOD)
    at: Any = root
    path: list[Any] = []
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
