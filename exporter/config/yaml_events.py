"""The events of a YAML file (YAML 1.2 §3.1), where an alias is replaced by the events of what it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

import yaml
from msgspec import Struct

from exporter.model.background import give_way
from exporter.model.errors import ConfigError, Problem

MAX_DEPTH: Final = 100
_MAX_WRITTEN: Final = 1_000_000  # values and keys; a query has 20 to 50
_MAX_REPEATED: Final = 200_000  # what aliases may add: a few of them stand for more than any memory holds
TOO_MANY: Final = "more values than a configuration has (aliases count each time)"
TOO_DEEP: Final = "nested too deeply (aliases count each time)"
SHORTER: Final = "write it out shorter"
_PARSER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def mark_of(event: yaml.Event) -> yaml.Mark:
    """Where an event begins. Its lines and columns count from 0."""
    return cast("yaml.Mark", event.start_mark)  # as each event of a parser has one


def line_of(event: yaml.Event) -> int:
    """The line on which an event begins, from 1."""
    return mark_of(event).line + 1


class _Anchored(Struct):
    """A value with an anchor: its events, as far as they have come, and how deep it stands."""

    name: str
    depth: int
    events: list[yaml.Event]


class Events:
    """One event after the other. Raises `yaml.YAMLError` where the file is no YAML, and `ConfigError` where it is
    nested too deeply or has too many values."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._written: Iterator[yaml.Event] = yaml.parse(text, Loader=_PARSER)
        self._repeated: list[Iterator[yaml.Event]] = []  # of aliases, the innermost last
        self._anchored: dict[str, list[yaml.Event]] = {}
        self._open: list[_Anchored] = []
        self._depth = 0
        self._written_count = 0
        self._repeated_count = 0

    @property
    def are_too_many(self) -> bool:
        """Whether aliases have added more than they may."""
        return self._repeated_count > _MAX_REPEATED

    def next(self) -> yaml.Event:
        """The next event, which is no alias."""
        give_way()
        while True:
            event = self._next_repeated() or self._next_written()
            if not isinstance(event, yaml.AliasEvent):
                return event
            self._repeated.append(iter(self._events_of(event)))

    def _next_repeated(self) -> yaml.Event | None:
        while self._repeated:
            if (event := next(self._repeated[-1], None)) is not None:
                self._repeated_count += isinstance(event, yaml.NodeEvent)
                return event
            self._repeated.pop()
        return None

    def _next_written(self) -> yaml.Event:
        event = next(self._written)
        self._written_count += isinstance(event, yaml.NodeEvent)
        if self._written_count > _MAX_WRITTEN:
            raise self._refusal(event, TOO_MANY, SHORTER)
        for anchored in self._open:
            anchored.events.append(event)
        if isinstance(event, yaml.CollectionEndEvent):
            self._depth -= 1
            self._close()
            return event
        if isinstance(event, yaml.NodeEvent) and event.anchor and not isinstance(event, yaml.AliasEvent):
            self._open.append(self._new_anchored(event, event.anchor))
        if isinstance(event, yaml.CollectionStartEvent):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise self._refusal(event, "nested too deeply", "write it out flatter")
        else:
            self._close()
        return event

    def _new_anchored(self, event: yaml.Event, name: str) -> _Anchored:
        if name in self._anchored:
            where, again = "found duplicate anchor; first occurrence", "second occurrence"
            raise yaml.composer.ComposerError(where, mark_of(self._anchored[name][0]), again, mark_of(event))
        made = _Anchored(name, self._depth, [event])
        self._anchored[name] = made.events
        return made

    def _close(self) -> None:
        """Ends the values with anchors that are whole."""
        while self._open and self._open[-1].depth == self._depth:
            self._open.pop()

    def _events_of(self, alias: yaml.AliasEvent) -> list[yaml.Event]:
        name = alias.anchor
        if name is None or name not in self._anchored:
            raise yaml.composer.ComposerError(None, None, "found undefined alias", mark_of(alias))
        if any(one.name == name for one in self._open):  # it stands for what it is in
            raise self._refusal(alias, TOO_DEEP, SHORTER)
        return self._anchored[name]

    def _refusal(self, event: yaml.Event, wrong: str, remedy: str) -> ConfigError:
        return ConfigError((Problem(self._file, line_of(event), "", wrong, remedy),))
