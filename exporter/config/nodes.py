"""YAML text to plain values that remember their lines. Strict where PyYAML is not.

Duplicate keys, tags and aliases that expand without end are refused; `no`, `on` and `1:30` stay text (YAML 1.2's core
schema); and no error quotes the file's text, which may hold a secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

import yaml
from msgspec import Struct
from msgspec.structs import replace

from exporter.model.background import give_way
from exporter.model.errors import ConfigError, Problem
from exporter.model.samples import Json

KeyPath: TypeAlias = tuple[str | int, ...]

_MAX_WRITTEN: Final = 1_000_000  # values and keys; a query has 20 to 50
_MAX_REPEATED: Final = 200_000  # what aliases may add: a few of them stand for more than any memory holds
MAX_DEPTH: Final = 100
_TOO_MANY: Final = "more values than a configuration has (aliases count each time)"


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
    """A loader that knows only YAML 1.2's core scalars."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: bool | tuple[bool, bool]) -> str:
        """The tag of a value. A whole file is composed in one call of C code, which calls this for each value."""
        give_way()
        return str(super().resolve(kind, value, implicit))


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
for _kind, _first in (("bool", "tTfF"), ("null", "~nN"), ("int", "-+0123456789"), ("float", "-+0123456789.")):
    _pattern = re.compile(f"(?:{_SCALARS[_kind].pattern})\\Z")
    _StrictLoader.add_implicit_resolver(_TAGS + _kind, _pattern, [*_first, *([""] if _kind == "null" else [])])


_WORD: Final = re.compile(r"[\w./-]*")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_BARE_BRACES: Final = re.compile(r"\$\{|\{\{")
_QUOTE: Final = "put a text with ${NAME} or {{ reference }} in quotes"
_TAGGED: Final = ("a YAML tag, which has no meaning here", "write a plain value")


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


def parse_nodes(text: str, file: str) -> Nodes:
    """The values and positions of a YAML file. Raises `ConfigError` with every problem of its form."""
    nodes = read_nodes(text, file)
    if nodes.faults:
        raise ConfigError(tuple(dict.fromkeys(problem for _, problem in nodes.faults)))
    return nodes


def read_nodes(text: str, file: str) -> Nodes:
    """The same of a file of which single keys may be wrong, which its `faults` name. Raises `ConfigError` where it is
    no YAML."""
    try:
        written = _written_count(text, file)
        root = yaml.compose(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else min(mark.line + 1, max(1, len(text.splitlines())))
        detail = ", ".join(part for part in (error.context, error.problem) if part)
        wrong = f"not valid YAML: {_plain(detail or 'a syntax error')}"
        remedy = _QUOTE if _has_bare_braces(text, line) else _yaml_remedy(detail, _line_of(text, line))
        raise ConfigError((Problem(file, line, "", wrong, remedy),)) from None
    except yaml.reader.ReaderError as error:
        wrong = f"not valid YAML: a character that is not allowed there (position {error.position})"
        raise ConfigError((Problem(file, None, "", wrong, "write the file as UTF-8 text"),)) from None
    except (yaml.YAMLError, UnicodeError):
        raise ConfigError((Problem(file, None, "", "not valid YAML", "check it with a YAML linter"),)) from None
    reader = _Reader(file, written + _MAX_REPEATED)
    value = reader.value(root, (), 0) if root is not None else None
    return Nodes(
        file, value, reader.lines, reader.text_lines, plain=frozenset(reader.plain), faults=tuple(reader.faults)
    )


def _line_of(text: str, line: int | None) -> str:
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


def _written_count(text: str, file: str) -> int:
    """How many values and keys a text has. Raises `ConfigError` for one nested so deeply that composing it would
    exhaust the stack of PyYAML's C code, or with so many values that it would exhaust the memory."""
    depth = count = 0
    for event in yaml.parse(text, Loader=_StrictLoader):
        give_way()
        count += isinstance(event, yaml.NodeEvent)
        if count > _MAX_WRITTEN:
            line = event.start_mark.line + 1 if event.start_mark else None
            raise ConfigError((Problem(file, line, "", _TOO_MANY, "write it out shorter"),))
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else None
            raise ConfigError((Problem(file, line, "", "nested too deeply", "write it out flatter"),))
    return count


def _plain(problem: str) -> str:
    """PyYAML's problem without the pieces of text that it quotes, which may be part of a secret."""
    return re.sub(r"(alias|anchor|handle|directive) ['\"].*", r"\1", problem)


class _Reader:
    """One walk over the node graph, collecting values, lines and problems."""

    def __init__(self, file: str, max_values: int) -> None:
        self._file = file
        self._max_values = max_values
        self._count = 0
        self.lines: dict[KeyPath, int] = {}
        self.text_lines: dict[KeyPath, int] = {}
        self.plain: set[KeyPath] = set()
        self.faults: list[tuple[KeyPath, Problem]] = []
        self._refused: dict[tuple[int, str], Problem] = {}

    def value(self, node: yaml.Node, path: KeyPath, depth: int) -> Json:
        give_way()
        self._count += 1
        if self._count > self._max_values or depth > MAX_DEPTH:
            wrong = _TOO_MANY if depth <= MAX_DEPTH else "nested too deeply (aliases count each time)"
            raise ConfigError((self._problem(node, path[:1], wrong, "write it out shorter"),))
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, path, "map")
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, path, "seq")
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # there are three kinds
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> Json:
        mapping, own = self._merge(node, path, depth), set[str]()
        for key_node, value_node in node.value:
            if _is_merge(key_node):
                continue
            if isinstance(key_node, yaml.MappingNode) and key_node.flow_style and node.flow_style:
                wrong = "a {{ reference }} without quotes, which YAML reads as a mapping"
                self._refuse(key_node, path, wrong, _QUOTE)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(key_node, path, "a key that is not a word", "write a plain key")
                continue
            key = str(key_node.value)
            if key in own:
                first = self.lines[(*path, key)]
                wrong = f"duplicate key, first on line {first}"
                self._refuse(key_node, (*path, key), wrong, "keep one of the two")
                continue
            own.add(key)
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            mapping[key] = self.value(value_node, (*path, key), depth + 1)
        return mapping

    def _merge(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Json]:
        """What `<<` merges into a mapping; of several mappings, the first that has a key counts."""
        found: dict[str, Json] = {}
        for key_node, value_node in node.value:
            if not _is_merge(key_node):
                continue
            parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for part in reversed(parts):
                if not isinstance(part, yaml.MappingNode):
                    wrong = "a merge key (<<) whose value is not a mapping"
                    self._refuse(key_node, path, wrong, "name the anchor of a mapping, such as *base")
                    continue
                merged = self.value(part, path, depth + 1)
                found |= merged if isinstance(merged, dict) else {}
        return found

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Json:
        kind = str(node.tag).removeprefix(_TAGS)
        text = str(node.value)
        if kind == "str":
            block = node.style in ("|", ">")
            self.text_lines[path] = node.start_mark.line + (2 if block else 1)
            (self.plain.discard if node.style else self.plain.add)(path)
            return text
        if kind not in _SCALARS or not _SCALARS[kind].fullmatch(text):
            self._refuse(node, path, *_TAGGED)
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
        self._refuse(node, path, "a number out of range", "write a smaller one")
        return None

    def _check_tag(self, node: yaml.CollectionNode, path: KeyPath, kind: str) -> None:
        if node.tag != _TAGS + kind:
            self._refuse(node, path, *_TAGGED)

    def _refuse(self, node: yaml.Node, path: KeyPath, wrong: str, remedy: str) -> None:
        """Notes a fault at a place; where an alias brings it to a second one, it is the same."""
        problem = self._refused.setdefault((id(node), wrong), self._problem(node, path, wrong, remedy))
        self.faults.append((path, problem))

    def _problem(self, node: yaml.Node, path: KeyPath, wrong: str, remedy: str) -> Problem:
        return Problem(self._file, node.start_mark.line + 1, key_text(path), wrong, remedy)


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style


def with_type(text: str) -> Json:
    """What a text means in YAML where it is a number, a boolean, null or a list of scalars; else the text."""
    try:
        value = parse_nodes("".join(text), "").value  # as PyYAML reads no subclasses of str
    except ConfigError:
        return text
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return value
    return text if isinstance(value, str | dict | list) or not text else value


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
