"""YAML text to plain values that remember their lines. Strict where PyYAML is not.

Duplicate keys, tags and aliases that expand without end are refused; `no`, `on` and `1:30` stay text (YAML 1.2's core
schema); and no error quotes the file's text, which may hold a secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import yaml

from exporter.errors import ConfigError, Problem
from exporter.model import Json

KeyPath: TypeAlias = tuple[str | int, ...]

MAX_NODES: Final = 200_000
MAX_DEPTH: Final = 100


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
    """A loader that knows only YAML 1.2's core scalars."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    _StrictLoader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})\\Z"), list(_first))


@dataclass(frozen=True, slots=True)
class Nodes:
    """A file as plain values, and the line (from 1) of every key path in it."""

    file: str
    value: Json
    lines: Mapping[KeyPath, int] = field(repr=False)
    text_lines: Mapping[KeyPath, int] = field(repr=False)

    def line(self, path: KeyPath) -> int | None:
        """The line where `path`, or the nearest thing around it, stands."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def text_line(self, path: KeyPath, line_in_text: int) -> int | None:
        """The file's line for a line (from 1) inside the text at `path`, such as a document's."""
        first = self.text_lines.get(path)
        return self.line(path) if first is None else first + line_in_text - 1


def parsed_nodes(text: str, file: str) -> Nodes:
    """The values and positions of a YAML file. Raises `ConfigError` with every problem of its form."""
    loader = _StrictLoader(text)
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        wrong = f"not valid YAML: {_plain(error.problem or error.context or 'a syntax error')}"
        raise ConfigError((Problem(file, line, "", wrong, "mend the indentation or the quotes there"),)) from None
    except yaml.reader.ReaderError as error:
        wrong = f"not valid YAML: a character that may not stand there (position {error.position})"
        raise ConfigError((Problem(file, None, "", wrong, "write the file as UTF-8 text"),)) from None
    except (yaml.YAMLError, RecursionError):
        raise ConfigError((Problem(file, None, "", "not valid YAML", "check it with a YAML linter"),)) from None
    finally:
        loader.dispose()
    reader = _Reader(file)
    value = reader.value(root, (), 0) if root is not None else None
    if reader.problems:
        raise ConfigError(tuple(reader.problems))
    return Nodes(file, value, reader.lines, reader.text_lines)


def _plain(problem: str) -> str:
    """PyYAML's problem without the pieces of text that it quotes, which may be part of a secret."""
    return re.sub(r"(alias|anchor|handle|directive) ['\"].*", r"\1", problem)


class _Reader:
    """One walk over the node graph, collecting values, lines and problems."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._count = 0
        self.lines: dict[KeyPath, int] = {}
        self.text_lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: KeyPath, depth: int) -> Json:
        self._count += 1
        if self._count > MAX_NODES or depth > MAX_DEPTH:
            wrong = "more values than a configuration has" if depth <= MAX_DEPTH else "nested too deeply"
            raise ConfigError(
                (self._problem(node, path, f"{wrong} (aliases count each time)", "write it out shorter"),)
            )
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # there are three kinds
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> Json:
        mapping: dict[str, Json] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(self._problem(key_node, path, "a key that is not a word", "write a plain key"))
                continue
            key = str(key_node.value)
            if key in mapping:
                first = self.lines[(*path, key)]
                self.problems.append(
                    self._problem(
                        key_node, (*path, key), f"duplicate key, first on line {first}", "keep one of the two"
                    )
                )
                continue
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            mapping[key] = self.value(value_node, (*path, key), depth + 1)
        return mapping

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Json:
        kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
        text = str(node.value)
        match kind:
            case "str":
                block = node.style in ("|", ">")
                self.text_lines[path] = node.start_mark.line + (2 if block else 1)
                return text
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
        wrong = "a number out of range" if kind in ("int", "float") else "a YAML tag, which has no meaning here"
        self.problems.append(self._problem(node, path, wrong, "write a plain value"))
        return None

    def _problem(self, node: yaml.Node, path: KeyPath, wrong: str, remedy: str) -> Problem:
        return Problem(self._file, node.start_mark.line + 1, key_text(path), wrong, remedy)


def key_text(path: KeyPath) -> str:
    """A key path as messages write it: `queries[2].metrics[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
