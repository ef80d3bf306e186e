"""Response paths: where in an answer a value stands (GraphQL §7.1.5: response keys, so aliases count)."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, TypeAlias

from msgspec import Struct


class Pick(Struct, frozen=True):
    """The item of a list whose field has that text: `attributes[key=region]`."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}={self.text}" if _PLAIN.fullmatch(self.text) else f'{self.field}="{self.text}"'


class Key(Struct, frozen=True):
    """A key inside a value that is JSON: `fields["unit price"]`."""

    text: str


class Mark(Enum):
    """A step that is no name: each value of a map or item of a list (`regions.*`); last, the key in the map, or the
    position in the list, by which the path came there (`regions.*.@key`)."""

    EVERY = "*"
    KEY = "@key"

    def __str__(self) -> str:
        return self.value


Step: TypeAlias = str | int | Pick | Key | Mark

_NAME: Final = r"[_A-Za-z][_0-9A-Za-z]*"
_PLAIN: Final = re.compile(r"[^\s\[\]\"'=]+")
_PICK: Final = rf"{_NAME}=(?:\"[^\"]*\"|[^\s\[\]\"'=]+)"
_INDEX: Final = rf"\[(?:-?[0-9]{{1,6}}|\"[^\"]+\"|{_PICK})\]"
_STEP: Final = re.compile(
    rf"\[(?:(?P<index>-?[0-9]{{1,6}})|\"(?P<key>[^\"]+)\"|(?P<field>{_NAME})=(?P<text>\"[^\"]*\"|[^\]]*))\]"
    rf"|(?P<mark>\*|@key)|(?P<name>{_NAME})"
)
_PATH: Final = re.compile(rf"\.?(?:{_NAME}|{_INDEX})(?:\.{_NAME}|\.\*|{_INDEX})*(?:\.@key)?|\.?@key")
PATH_PATTERN: Final = rf"^(?:\.|{_PATH.pattern})$".replace(r"\"", '"')
"""Every path as a regular expression of ECMA-262, for editors."""


class ResponsePath(Struct, frozen=True):
    """A parsed path. No steps: the row itself. `innermost`: it began with a dot, so it is not looked up outwards."""

    steps: tuple[Step, ...]
    innermost: bool = False

    def __str__(self) -> str:
        return path_text(self.steps, innermost=self.innermost)


def parse_path(text: str) -> ResponsePath:
    """The path that `text` writes: `usage.count`, `.id`, `tags[0].name`, `tags[key=region].value`, `regions.*.@key`, or
    `.` for the row.

    Raises `ValueError` with the remedy.
    """
    if text == ".":
        return ResponsePath((), innermost=True)
    if not _PATH.fullmatch(text):
        raise ValueError(f"{text!r} is not a response path; {_remedy(text)}")
    return ResponsePath(tuple(map(_step, _STEP.finditer(text))), innermost=text.startswith("."))


def _remedy(text: str) -> str:
    """What to write for what people know from templates and from JSONPath."""
    if "{{" in text:
        return "write it without {{ }}"
    if text.startswith("$"):
        return "leave out the $; paths begin with a name"
    if "[*]" in text or "[]" in text:
        return "leave out the brackets; paths go through lists without them; write .* to open a map"
    return "write names of the answer joined by dots, such as usage.count or tags[0]"


def _step(match: re.Match[str]) -> Step:
    if match["field"]:
        return Pick(match["field"], match["text"].strip('"'))
    if match["key"]:
        return Key(match["key"])
    if match["mark"]:
        return Mark(match["mark"])
    return match["name"] or int(match["index"])


def path_text(steps: tuple[Step, ...], *, innermost: bool = False) -> str:
    """The path as a user writes it."""
    text = ""
    for step in steps:
        if isinstance(step, Key):
            text += f'["{step.text}"]'
            continue
        text += f"[{step}]" if isinstance(step, int | Pick) else f".{step}" if text else str(step)
    return f".{text}" if innermost else text
