"""Texts of an answer that hold JSON, as AppSync's `AWSJSON` does: opened, so that paths lead into them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.response_path import Mark
from exporter.model.surrogates import without_lone_surrogates

# The response keys from the data to a text; below a value that is JSON its own keys, or `Mark.EVERY` for each.
Way: TypeAlias = tuple[str | Mark, ...]

_LISTS: Final = 3  # so many lists may stand around an object or a text


class NotJson(msgspec.Struct, gc=False, eq=False):
    """What stands for a text that should hold JSON, and does not."""

    text: str


class JsonTexts(Struct):
    """Opens the texts of one answer. `max_values` is how many values they may have together."""

    max_values: int
    max_values_reason: str
    attribute: Callable[[str], str]
    _values: int = 0

    def open(self, node: Any, way: Way, lists: int = _LISTS) -> Any:
        """A node in which the texts at the end of a way are what they hold: no text is null, and what is no JSON is
        `NotJson`. Raises `UpstreamFailure` (`too_large`)."""
        if isinstance(node, list):
            return [self.open(item, way, lists - 1) for item in node] if lists else node
        if not way:
            return self._content(node) if isinstance(node, str) else node
        key, rest = way[0], way[1:]
        if isinstance(node, dict):
            return self._open_in_json(node, key, rest)
        name = self.attribute(str(key))
        if isinstance(node, msgspec.Struct) and name in node.__struct_fields__:
            setattr(node, name, self.open(getattr(node, name), rest))
        return node

    def _open_in_json(self, node: dict[str, Any], key: str | Mark, rest: Way) -> dict[str, Any]:
        if isinstance(key, Mark):
            return {name: self.open(value, rest) for name, value in node.items()}
        return {**node, key: self.open(node[key], rest)} if key in node else node

    def _content(self, text: str) -> Any:
        self._values += 1 + sum(map(text.count, ",[{"))
        if self._values > self.max_values:
            allowed = f"{self.max_values} are allowed: {self.max_values_reason}"
            raise UpstreamFailure(Reason.TOO_LARGE, f"the texts of the answer hold more values than may be; {allowed}")
        if not text or text.isspace():
            return None
        try:
            return msgspec.json.decode(text)
        except RecursionError:
            return NotJson(text)
        except ValueError:
            return _content_for_python(text)


def _content_for_python(text: str) -> Any:
    """What Python's own parser reads, which takes NaN, 1e999 and half of a surrogate pair, as in answers."""
    try:
        return json.loads(without_lone_surrogates(text))
    except (ValueError, RecursionError):
        return NotJson(text)


def open_texts(data: Any, ways: Sequence[Way], texts: JsonTexts) -> Any:
    """The data of an answer with these texts opened; those that stand in others after these."""
    for way in ways:
        data = texts.open(data, way)
    return data
