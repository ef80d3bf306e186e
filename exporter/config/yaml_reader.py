"""YAML text to plain values that remember their lines. Strict where PyYAML is not.

Duplicate keys, tags and aliases that expand without end are refused; `no`, `on` and `1:30` stay text (YAML 1.2's core
schema); and no error quotes the file's text, which may hold a secret.

Values are made of a file's events as these come. PyYAML's own nodes of 10 000 queries would take 140 MB meanwhile.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Container, Iterator
from typing import Final

import yaml

from exporter.config.nodes import KeyPath, Nodes, key_text
from exporter.config.yaml_events import MAX_DEPTH, SHORTER, TOO_DEEP, TOO_MANY, Events, line_of, mark_of
from exporter.model.errors import ConfigError, Problem
from exporter.model.samples import Json

_TAGS: Final = "tag:yaml.org,2002:"
_SCALARS: Final = {
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "null": re.compile(r"~|null|Null|NULL|"),
    "int": re.compile(r"[-+]?[0-9]+"),
    "float": re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    ),
}
_FIRST_LETTERS: Final = {"bool": "tTfF", "null": "~nN", "int": "-+0123456789", "float": "-+0123456789."}


class _CoreSchema(yaml.resolver.BaseResolver):
    """The scalars of YAML 1.2 (§10.3.2) alone."""


for _kind, _first in _FIRST_LETTERS.items():
    _pattern = re.compile(f"(?:{_SCALARS[_kind].pattern})\\Z")
    _CoreSchema.add_implicit_resolver(_TAGS + _kind, _pattern, [*_first, *([""] if _kind == "null" else [])])
_CORE: Final = _CoreSchema()

_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_BARE_BRACES: Final = re.compile(r"\$\{|\{\{")
_QUOTE: Final = "put a text with ${NAME} or {{ reference }} in quotes"
_TAGGED: Final = ("a YAML tag, which has no meaning here", "write a plain value")


def parse_nodes(text: str, file: str) -> Nodes:
    """The values and positions of a YAML file. Raises `ConfigError` with every problem of its form."""
    nodes = read_nodes(text, file)
    if nodes.faults:
        raise ConfigError(tuple(dict.fromkeys(problem for _, problem in nodes.faults)))
    return nodes


def read_nodes(text: str, file: str) -> Nodes:
    """The same of a file of which single keys may be wrong, which its `faults` name. Raises `ConfigError` where it is
    no YAML."""
    reader = _Reader(file, Events(text, file))
    try:
        value = reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else min(mark.line + 1, max(1, len(text.splitlines())))
        detail = ", ".join(part for part in (error.context, error.problem) if part)
        wrong = f"not valid YAML: {_plain(detail or 'a syntax error')}"
        remedy = _QUOTE if _has_bare_braces(text, line) else _yaml_remedy(detail, _text_of_line(text, line))
        raise ConfigError((Problem(file, line, "", wrong, remedy),)) from None
    except yaml.reader.ReaderError as error:
        wrong = f"not valid YAML: a character that is not allowed there (position {error.position})"
        raise ConfigError((Problem(file, None, "", wrong, "write the file as UTF-8 text"),)) from None
    except (yaml.YAMLError, UnicodeError):
        raise ConfigError((Problem(file, None, "", "not valid YAML", "check it with a YAML linter"),)) from None
    return Nodes(
        file, value, reader.lines, reader.text_lines, plain=frozenset(reader.plain), faults=tuple(reader.faults)
    )


def _text_of_line(text: str, line: int | None) -> str:
    lines = text.splitlines()
    return "" if line is None or line > len(lines) else lines[line - 1]


# What PyYAML says, and what would be right.
_YAML_REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    ("tab character", "indent with spaces"),
    ("undefined alias", "define its anchor further up in this file, as anchors of other files do not count"),
    ("cannot start any token", "put a text that begins with @, % or ` in quotes"),
    ("scanning an alias", "put a text that begins with * or & in quotes"),
    ("scanning an anchor", "put a text that begins with * or & in quotes"),
    ("single document", "leave out the line ---, or write two files"),
    ("expected '-' indicator", "indent the line like those of the entry that it belongs to"),
    ("expected ',' or", "close the bracket, and put a text with a colon, a comma or a bracket in quotes"),
)


def _yaml_remedy(detail: str, line: str) -> str:
    if "\t" in line:
        return "indent with spaces"
    found = (remedy for said, remedy in _YAML_REMEDIES if said in detail)
    return next(found, "correct the indentation or the quotes there")


def _has_bare_braces(text: str, line: int | None) -> bool:
    """Whether the line has a `${NAME}` or a `{{ reference }}` without quotes around it."""
    if line is None or line > len(lines := text.splitlines()):
        return False
    return _BARE_BRACES.search(_QUOTED.sub("", lines[line - 1])) is not None


def _plain(problem: str) -> str:
    """PyYAML's problem without the pieces of text that it quotes, which may be part of a secret."""
    return re.sub(r"(alias|anchor|handle|directive) ['\"].*", r"\1", problem)


class _Reader:
    """One pass over the events of a file, collecting values, lines and problems."""

    def __init__(
        self,
        file: str,
        events: Events,
        faults: list[tuple[KeyPath, Problem]] | None = None,
        refused: dict[tuple[int, int, str], Problem] | None = None,
    ) -> None:
        """`faults` and `refused` are those of another reader of the same file."""
        self._file = file
        self._events = events
        self.lines: dict[KeyPath, int] = {}
        self.text_lines: dict[KeyPath, int] = {}
        self.plain: set[KeyPath] = set()
        self.faults = [] if faults is None else faults
        self._refused = {} if refused is None else refused

    def document(self) -> Json:
        """The value of the file. Raises `yaml.YAMLError` where it is no YAML."""
        self._events.next()  # the stream begins
        if isinstance(begin := self._events.next(), yaml.StreamEndEvent):
            return None
        value = self.value(self._events.next(), (), 0)
        self._events.next()  # the document ends
        if not isinstance(other := self._events.next(), yaml.StreamEndEvent):
            expected, found = "expected a single document in the stream", "but found another document"
            raise yaml.composer.ComposerError(expected, mark_of(begin), found, mark_of(other))
        return value

    def value(self, event: yaml.Event, path: KeyPath, depth: int) -> Json:
        """The value that begins with an event."""
        if depth > MAX_DEPTH or self._events.are_too_many:
            wrong = TOO_DEEP if depth > MAX_DEPTH else TOO_MANY
            raise ConfigError((self._problem(event, path[:1], wrong, SHORTER),))
        self.lines.setdefault(path, line_of(event))
        if isinstance(event, yaml.MappingStartEvent):
            self._check_tag(event, path, "map")
            return self._mapping(event, path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, path, "seq")
            return self._sequence(path, depth)
        assert isinstance(event, yaml.ScalarEvent)  # there are three kinds
        return self._scalar(event, path)

    def _sequence(self, path: KeyPath, depth: int) -> Json:
        items: list[Json] = []
        while not isinstance(event := self._events.next(), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, begin: yaml.MappingStartEvent, path: KeyPath, depth: int) -> Json:
        merged: dict[str, Json] = {}
        givers: dict[str, _Reader] = {}
        own: dict[str, Json] = {}
        while not isinstance(event := self._events.next(), yaml.MappingEndEvent):
            if _is_merge(event):
                for reader, given in self._merge(event, path, depth, own):
                    merged |= given
                    givers |= dict.fromkeys(given, reader)
                continue
            if isinstance(event, yaml.MappingStartEvent) and event.flow_style and begin.flow_style:
                self._refuse(event, path, "a {{ reference }} without quotes, which YAML reads as a mapping", _QUOTE)
            elif not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, path, "a key that is not a word", "write a plain key")
            elif event.value in own:
                first = self.lines[(*path, event.value)]
                wrong = f"duplicate key, first on line {first}"
                self._refuse(event, (*path, event.value), wrong, "keep one of the two")
            else:
                key = sys.intern(event.value)  # queries have the same keys
                self.lines[(*path, key)] = line_of(event)
                own[key] = self.value(self._events.next(), (*path, key), depth + 1)
                continue
            self._skip(event)
            self._skip(self._events.next())
        # At last, as an own key may replace a merged one with all below it.
        for reader in dict.fromkeys(givers.values()):
            keys = {name for name, giver in givers.items() if giver is reader and name not in own}
            self._take_positions(reader, len(path), keys)
        return {**merged, **own}

    def _merge(
        self, key: yaml.Event, path: KeyPath, depth: int, own: Container[str]
    ) -> Iterator[tuple[_Reader, dict[str, Json]]]:
        """What each mapping of `<<` gives to another, with who read it: of several, the first that has a key counts."""
        merged: set[str] = set()
        for event in self._to_merge():
            if not isinstance(event, yaml.MappingStartEvent):
                wrong = "a merge key (<<) whose value is not a mapping"
                self._refuse(key, path, wrong, "name the anchor of a mapping, such as *base")
                self._skip(event)
                continue
            reader = _Reader(self._file, self._events, self.faults, self._refused)
            value = reader.value(event, path, depth + 1)
            assert isinstance(value, dict)
            taken = {name: item for name, item in value.items() if name not in merged and name not in own}
            merged |= taken.keys()
            yield reader, taken

    def _to_merge(self) -> Iterator[yaml.Event]:
        """The first events of the one value that stands there, or of the items of a list."""
        event = self._events.next()
        if not isinstance(event, yaml.SequenceStartEvent):
            yield event
            return
        while not isinstance(event := self._events.next(), yaml.SequenceEndEvent):
            yield event

    def _take_positions(self, other: _Reader, at: int, keys: Container[str | int]) -> None:
        """Takes the positions of what another reader read below these keys, which stand at that place of paths."""
        for source, target in ((other.lines, self.lines), (other.text_lines, self.text_lines)):
            target.update((path, line) for path, line in source.items() if path[at:] and path[at] in keys)
        self.plain.update(path for path in other.plain if path[at] in keys)

    def _skip(self, event: yaml.Event) -> None:
        """Leaves out the value that begins with an event."""
        depth = _step(event)
        while depth:
            depth += _step(self._events.next())
            if self._events.are_too_many:
                raise ConfigError((self._problem(event, (), TOO_MANY, SHORTER),))

    def _scalar(self, event: yaml.ScalarEvent, path: KeyPath) -> Json:
        kind, text = _kind_of(event), str(event.value)
        if kind == "str":
            block = event.style in ("|", ">")
            self.text_lines[path] = line_of(event) + block
            (self.plain.discard if event.style else self.plain.add)(path)
            return text
        if kind not in _SCALARS or not _SCALARS[kind].fullmatch(text):
            self._refuse(event, path, *_TAGGED)
            return None
        match kind:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if len(text) < 400:
                return int(text)
            case "float":
                number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
                if math.isfinite(number):
                    return number
        self._refuse(event, path, "a number out of range", "write a smaller one")
        return None

    def _check_tag(self, event: yaml.CollectionStartEvent, path: KeyPath, kind: str) -> None:
        if event.tag not in (None, "!", _TAGS + kind):
            self._refuse(event, path, *_TAGGED)

    def _refuse(self, event: yaml.Event, path: KeyPath, wrong: str, remedy: str) -> None:
        """Notes a fault at a place; where an alias brings it to a second one, it is the same."""
        place = (mark_of(event).line, mark_of(event).column, wrong)
        self.faults.append((path, self._refused.setdefault(place, self._problem(event, path, wrong, remedy))))

    def _problem(self, event: yaml.Event, path: KeyPath, wrong: str, remedy: str) -> Problem:
        return Problem(self._file, line_of(event), key_text(path), wrong, remedy)


def _kind_of(event: yaml.ScalarEvent) -> str:
    """The type that a scalar has or is said to have: `str`, one of `_SCALARS`, or any tag."""
    tag = event.tag
    if tag in (None, "!"):
        tag = _CORE.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]  # in its stubs
    return str(tag).removeprefix(_TAGS)


def _is_merge(key: yaml.Event) -> bool:
    return isinstance(key, yaml.ScalarEvent) and key.value == "<<" and not key.style


def _step(event: yaml.Event) -> int:
    """How many levels deeper what comes after an event stands."""
    return isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)


def with_type(text: str) -> Json:
    """What a text means in YAML where it is a number, a boolean, null or a list of scalars; else the text."""
    try:
        value = parse_nodes("".join(text), "").value  # as PyYAML reads no subclasses of str
    except ConfigError:
        return text
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return value
    return text if isinstance(value, str | dict | list) or not text else value
