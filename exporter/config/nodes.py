"""A configuration file as plain values, and where each of them is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from exporter.model.background import give_way
from exporter.model.errors import Problem
from exporter.model.samples import Json

KeyPath: TypeAlias = tuple[str | int, ...]

_WORD: Final = re.compile(r"[\w./-]*")


class Nodes(Struct, frozen=True):
    """A file as plain values, and the line (from 1) of every key path in it."""

    file: str
    value: Json
    lines: Mapping[KeyPath, int]
    text_lines: Mapping[KeyPath, int]
    files: Mapping[KeyPath, str] = {}
    moved: Mapping[KeyPath, KeyPath] = {}
    plain: frozenset[KeyPath] = frozenset()
    """Where texts stand without quotes."""
    text_files: Mapping[KeyPath, str] = {}
    """The files that texts were taken from as a whole."""
    faults: tuple[tuple[KeyPath, Problem], ...] = ()
    """What is wrong already, each with the place of which nothing more can be said."""
    incomplete: frozenset[str] = frozenset()
    """The sections of which not all entries are known, as a file of theirs cannot be read."""

    def origin(self, path: KeyPath) -> KeyPath:
        """The path as the file has it: another one, where the value was written elsewhere and put there. An entry as
        a whole is where a part of it was written."""
        for length in range(len(path), 2, -1):
            if path[:length] in self.moved:
                return (*self.moved[path[:length]], *path[length:])
        return self.moved.get(path, path)

    def file_of(self, path: KeyPath) -> str:
        """The file in which `path` stands: this one, or the one that its section's entry was taken from."""
        origin = self.origin(path)
        return self.files.get(origin[:2]) or self.files.get(origin[:1], self.file)

    def with_text_files(self, files: Mapping[KeyPath, str]) -> Nodes:
        """These nodes with texts that stand in files of their own."""
        return replace(self, text_files=files)

    def with_value(self, value: Json, moved: Mapping[KeyPath, KeyPath]) -> Nodes:
        """These nodes with values put elsewhere; `moved` has where they were written, by where they are."""
        return replace(self, value=value, moved=moved)

    def with_faults(self, faults: Iterable[tuple[KeyPath, Problem]], incomplete: Iterable[str] = ()) -> Nodes:
        """These nodes with what else is wrong, and the sections of which not all entries are known."""
        return replace(self, faults=(*self.faults, *faults), incomplete=self.incomplete | set(incomplete))

    def with_entries(self, others: Iterable[Nodes], sections: Iterable[str]) -> Nodes:
        """These nodes with the entries of the other files' sections behind their own."""
        if not isinstance(self.value, dict):
            return self
        joining = _Joining(self, self.value)
        for other in others:
            if isinstance(other.value, dict):
                joining.add(other, other.value, tuple(sections))
        return joining.result()

    def with_keys(self, others: Iterable[Nodes]) -> Nodes:
        """These nodes with the keys of other files that these have not."""
        if not isinstance(self.value, dict):
            return self
        value, files = dict(self.value), dict(self.files)
        lines, text_lines, plain = dict(self.lines), dict(self.text_lines), set(self.plain)
        for other in others:
            if not isinstance(other.value, dict):
                continue
            own = other.value.keys() - value.keys()
            value |= {key: other.value[key] for key in own}
            files |= {(key,): other.file for key in own}
            for source, target in ((other.lines, lines), (other.text_lines, text_lines)):
                target.update((path, line) for path, line in source.items() if path and path[0] in own)
            plain.update(path for path in other.plain if path and path[0] in own)
        return replace(self, value=value, files=files, lines=lines, text_lines=text_lines, plain=frozenset(plain))

    def without(self, keys: Iterable[str]) -> Nodes:
        """These nodes without some of their sections."""
        assert isinstance(self.value, dict)
        others = self.value.keys() - set(keys)
        return replace(self, value={key: value for key, value in self.value.items() if key in others})

    def is_plain(self, path: KeyPath) -> bool:
        """Whether the text at `path` stands without quotes, so that it has the type that it looks like."""
        return self.origin(path) in self.plain

    def line(self, path: KeyPath) -> int | None:
        """The line where `path`, or the nearest thing around it, stands."""
        path = self.origin(path)
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def text_line(self, path: KeyPath, line_in_text: int) -> int | None:
        """The file's line for a line (from 1) inside the text at `path`, such as a document's."""
        first = self.text_lines.get(self.origin(path))
        return self.line(path) if first is None else first + line_in_text - 1


class _Joining:
    """Takes the entries of several files together."""

    def __init__(self, nodes: Nodes, value: Mapping[str, Json]) -> None:
        self._nodes = nodes
        self._value = dict(value)
        self._joined: set[str] = set()  # sections whose lists are this object's own
        self._lines, self._text_lines = dict(nodes.lines), dict(nodes.text_lines)
        self._files, self._plain = dict(nodes.files), set(nodes.plain)
        self._faults, self._incomplete = list(nodes.faults), set(nodes.incomplete)

    def add(self, other: Nodes, value: Mapping[str, Json], sections: tuple[str, ...]) -> None:
        shifts: dict[str, int] = {}
        for section in sections:
            mine, theirs = self._value.get(section, []), value.get(section, [])
            if not isinstance(mine, list) or not isinstance(theirs, list) or not theirs:
                continue
            shifts[section] = len(mine)
            self._value[section] = mine = mine if section in self._joined else list(mine)
            self._joined.add(section)
            mine.extend(theirs)
            for index in range(len(theirs)):
                self._files[section, shifts[section] + index] = other.file_of((section, index))
        for source, target in ((other.lines, self._lines), (other.text_lines, self._text_lines)):
            target.update((moved, line) for path, line in source.items() if (moved := _moved(path, shifts)))
        self._plain.update(moved for path in other.plain if (moved := _moved(path, shifts)))
        self._faults += [(_moved(path, shifts) or path[:0], problem) for path, problem in other.faults]
        self._incomplete |= other.incomplete

    def result(self) -> Nodes:
        return replace(
            self._nodes,
            value=self._value,
            lines=self._lines,
            text_lines=self._text_lines,
            files=self._files,
            plain=frozenset(self._plain),
            faults=tuple(self._faults),
            incomplete=frozenset(self._incomplete),
        )


def _moved(path: KeyPath, shifts: Mapping[str, int]) -> KeyPath:
    """Where a place of another file is behind the entries of this one; nothing, for one outside its sections."""
    match path:
        case (str(section), int(index), *rest) if section in shifts:
            return (section, shifts[section] + index, *rest)
    return ()


def texts(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """All texts in a value that stands at `path`, each with its own place; keys are none."""
    give_way()
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*path, key))


def key_text(path: KeyPath) -> str:
    """A key path as messages write it: `queries[2].metrics[0].name`.

    A key is cut where it is no word any more: what follows may be a value, even a secret, without the space before it.
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_key_word(part)}" if text else _key_word(part)
    return text


def _key_word(key: str) -> str:
    word = _WORD.match(key)
    return key if word is None or word[0] == key else f"{word[0]}…"
