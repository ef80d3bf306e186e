"""Answers without names: ids and names are replaced, the same by the same everywhere, so that they still fit together.

Kept are numbers, times, the words of the schema's enums and what the configuration itself says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from exporter.cli.ad_hoc import Asked, Exchange
from exporter.document.document import Selection
from exporter.model.errors import Failure
from exporter.model.outcome import GraphQLError, Response
from exporter.model.samples import Json
from exporter.model.template import Reference, Template, Text
from exporter.model.time_format import unix_seconds
from exporter.plan.plan import Plan, Target

_NUMBER: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NO_SELECTION: Final = Selection()


def anonymous(polls: Iterable[Asked], plan: Plan) -> tuple[Asked, ...]:
    """The polls that were answered, with other names in their answers and targets."""
    answered = [asked for asked in polls if asked.responses]
    names = _Names(frozenset(_configured_texts(plan)))
    for asked in answered:
        for response in asked.responses:
            names.collect(response.data, asked.query.document.selection)
        for name, value in asked.target.values.items():
            names.collect_value(value, name)
    return tuple(names.rename(asked) for asked in answered)


def _configured_texts(plan: Plan) -> Iterator[str]:
    """Every text that stands in the configuration, and so in every request or label anyway."""
    for query in plan.queries:
        yield from _texts(dict(query.variables))
        for feed in query.feeds:
            for item in feed.items:
                yield from (value for value in item.values() if isinstance(value, str))
        for lookup in query.lookups:
            yield from lookup.table
        for metric in query.metrics:
            yield from (word for word, _ in metric.rule.enum_values)
            yield from metric.states.words if metric.states is not None else ()


def _texts(template: Template) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, list):
        for item in template:
            yield from _texts(item)
    elif isinstance(template, dict):
        for item in template.values():
            yield from _texts(item)
    elif isinstance(template, Reference | Text):
        return


class _Names:
    """Which text stands for which. Numbered in the order of the texts themselves, so that what is sorted stays so."""

    def __init__(self, kept: frozenset[str]) -> None:
        self._kept = kept
        self._found: dict[str, str] = {}  # text -> the key that it was found under first
        self._made: dict[str, str] = {}

    def collect(self, value: Json, selection: Selection, key: str = "value") -> None:
        """Takes in the texts of an answer."""
        if isinstance(value, list):
            for item in value:
                self.collect(item, selection, key)
        elif isinstance(value, dict):
            for name, item in value.items():
                self.collect(item, selection.children.get(name, _NO_SELECTION), name)
        elif isinstance(value, str) and not self._is_kept(value, selection):
            self._found.setdefault(value, key)

    def collect_value(self, value: Json, name: str) -> None:
        """Takes in the texts of a target's value."""
        self.collect(value, _NO_SELECTION, name.rpartition(".")[2])

    def rename(self, asked: Asked) -> Asked:
        """The poll with the other names."""
        if not self._made:
            by_key: dict[str, list[str]] = {}
            for text in sorted(self._found):
                by_key.setdefault(self._found[text], []).append(text)
            for key, texts in by_key.items():
                width = len(str(len(texts)))
                self._made |= {text: f"{key}-{number:0{width}}" for number, text in enumerate(texts, start=1)}
        exchanges = tuple(self._exchange(one) for one in asked.exchanges)
        values = {name: self._other(value) for name, value in asked.target.values.items()}
        return replace(asked, exchanges=exchanges, target=Target(values, asked.target.key))

    def _exchange(self, exchange: Exchange) -> Exchange:
        if isinstance(exchange.answer, Failure):
            return exchange
        data = self._other(exchange.answer.data)
        assert data is None or isinstance(data, dict)
        errors = tuple(GraphQLError("an error", error.path) for error in exchange.answer.errors)
        return replace(exchange, answer=Response(data, errors))

    def _other(self, value: Json) -> Json:
        if isinstance(value, str):
            return self._made.get(value, value)
        if isinstance(value, list):
            return [self._other(item) for item in value]
        if isinstance(value, dict):
            return {key: self._other(item) for key, item in value.items()}
        return value

    def _is_kept(self, text: str, selection: Selection) -> bool:
        kind = selection.type
        if not text or text in self._kept or (kind is not None and text in kind.enum_values):
            return True
        if kind is not None and kind.name == "ID":
            return False
        return bool(_NUMBER.fullmatch(text)) or _is_time(text)


def _is_time(text: str) -> bool:
    try:
        unix_seconds(text)
    except ValueError:
        return False
    return True
