"""Response paths: where in an answer a value stands (GraphQL §7.1.5: response keys, so aliases count)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

Step: TypeAlias = str | int

_NAME: Final = r"[_A-Za-z][_0-9A-Za-z]*"
_STEP: Final = re.compile(rf"(?P<name>{_NAME})|\[(?P<index>[0-9]{{1,6}})\]")
_PATH: Final = re.compile(rf"\.?(?:{_NAME}|\[[0-9]{{1,6}}\])(?:\.{_NAME}|\[[0-9]{{1,6}}\])*")


@dataclass(frozen=True, slots=True)
class ResponsePath:
    """A parsed path. No steps: the row itself. `innermost`: it began with a dot, so it is not looked up outwards."""

    steps: tuple[Step, ...]
    innermost: bool = False

    def __str__(self) -> str:
        return path_text(self.steps, innermost=self.innermost)


def parse_path(text: str) -> ResponsePath:
    """The path that `text` writes: `usage.count`, `.id`, `tags[0].name`, or `.` for the row itself.

    Raises `ValueError` with the remedy.
    """
    if text == ".":
        return ResponsePath((), innermost=True)
    if not _PATH.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a response path; write names of the answer joined by dots, such as usage.count or tags[0]"
        )
    return ResponsePath(
        tuple(match["name"] or int(match["index"]) for match in _STEP.finditer(text)), innermost=text.startswith(".")
    )


def path_text(steps: tuple[Step, ...], *, innermost: bool = False) -> str:
    """The path as a user writes it."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return f".{text}" if innermost else text
