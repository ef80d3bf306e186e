"""Long reading of a configuration lets the event loop go first, at every step of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from traceback import walk_stack
from typing import Any, Final

import pytest

from exporter.config.environment import Variables
from exporter.config.load import load
from exporter.config.nodes import texts
from exporter.config.problems import Places
from exporter.config.redacted import Redacted
from exporter.config.yaml_reader import read_nodes
from exporter.model.background import result_of
from exporter.model.samples import Json

_MANY: Final = "\n".join(f"- {{name: entry_{number}, text: of it}}" for number in range(3000))
_TREE: Final[Json] = [{"name": "a"}]
_CONFIG: Final = """
sources: [{name: a, url: "https://a.example/graphql"}]
queries: [{name: q, document: "{ v }", metrics: [{name: m, help: What it is., value: v}]}]
"""


class Turns(asyncio.SelectorEventLoop):
    """A loop that notes which functions work in a thread was in whenever it let the loop go first."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: set[str] = set()

    def call_soon_threadsafe(  # type: ignore[override]  # which has a type variable tuple
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        names = {frame.f_code.co_name for frame, _ in walk_stack(sys._getframe(1))}
        if "give_way" in names:
            self.functions |= names
        return super().call_soon_threadsafe(callback, *args, context=context)


def turns_of(work: Callable[[], object]) -> set[str]:
    """The functions that the work was in when it let the loop go first."""
    loop = Turns()
    try:
        loop.run_until_complete(result_of(work, "work"))
    finally:
        loop.close()
    return loop.functions


def test_the_loop_goes_first_while_yaml_is_read() -> None:
    """A great file does not slow down scrapes: each event lets them go first."""
    assert turns_of(lambda: read_nodes(_MANY, "config.yaml")) >= {"next", "value"}


def test_the_loop_goes_first_while_variables_are_put_in() -> None:
    """Putting environment variables into a great configuration does not slow down scrapes."""
    nodes = read_nodes("- {name: a}", "config.yaml")
    assert "expand" in turns_of(lambda: Variables({}, Places(nodes)).expand(_TREE, ()))


@pytest.mark.parametrize("tree", [_TREE, {"queries": _TREE}])
def test_the_loop_goes_first_while_texts_are_looked_through(tree: Json | Mapping[str, Json]) -> None:
    """The search for secrets and doubtful texts in a great configuration does not slow down scrapes."""
    assert "texts" in turns_of(lambda: list(texts(tree, ())))


def test_the_loop_goes_first_while_secrets_are_taken_out(tmp_path: Path) -> None:
    """Making the configuration that people may see does not slow down scrapes."""
    file = tmp_path / "config.yaml"
    file.write_text(_CONFIG)
    loaded = load(file, {})
    assert "_without_secrets" in turns_of(lambda: Redacted.of(loaded))
