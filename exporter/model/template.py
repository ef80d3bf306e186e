"""Texts and trees with `{{ references }}` that are bound at each poll. Dotted names, and no expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from exporter.model.errors import Reason, ResultFailure
from exporter.model.samples import Json

_REFERENCE: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME: Final = re.compile(r"[_A-Za-z][_0-9A-Za-z]*(?:\.[_A-Za-z][_0-9A-Za-z]*)*(?:\.@key)?")
REFERENCE: Final = re.compile(rf"\{{\{{\s*(?:{_NAME.pattern})\s*\}}\}}")
"""What is meant as a reference, in a text where none is filled in."""


class Reference(Struct, frozen=True):
    """A dotted name such as `source.org_id` or `environment.id`."""

    name: str

    @property
    def root(self) -> str:
        return self.name.partition(".")[0]


class Text(Struct, frozen=True):
    """Text with references in it; bound, it is always text."""

    parts: tuple[str | Reference, ...]


Template: TypeAlias = None | bool | int | float | str | Reference | Text | list["Template"] | dict[str, "Template"]


def parse_text(text: str) -> str | Reference | Text:
    """The template in one scalar: plain text, one whole reference (which keeps its type), or text with references.

    Raises `ValueError` with the remedy.
    """
    if text.rfind("{{") > text.rfind("}}"):
        raise ValueError("a reference that is not closed; write {{ name }}")
    pieces = _REFERENCE.split(text)
    if len(pieces) == 1:
        return text
    parts = tuple(
        _reference(piece) if position % 2 else piece for position, piece in enumerate(pieces) if position % 2 or piece
    )
    only = parts[0]
    if len(parts) == 1 and isinstance(only, Reference):
        return only
    return Text(parts)


def parse_template(value: Json) -> Template:
    """The template of a whole tree, such as a query's variables. Raises `ValueError` with the remedy."""
    if isinstance(value, str):
        return parse_text(value)
    if isinstance(value, list):
        return [parse_template(item) for item in value]
    if isinstance(value, dict):
        return {key: parse_template(item) for key, item in value.items()}
    return value


def references(template: Template) -> Iterator[Reference]:
    """Every reference in the template, in order."""
    if isinstance(template, Reference):
        yield template
    elif isinstance(template, Text):
        yield from (part for part in template.parts if isinstance(part, Reference))
    elif isinstance(template, list):
        for item in template:
            yield from references(item)
    elif isinstance(template, dict):
        for item in template.values():
            yield from references(item)


def bind(template: Template, values: Mapping[str, Json]) -> Json:
    """The template with each reference replaced by its value. Raises `KeyError` for a name without one, and
    `ResultFailure` where a part of a text is none."""
    if isinstance(template, Reference):
        return values[template.name]
    if isinstance(template, Text):
        return "".join(part if isinstance(part, str) else _part(part.name, values) for part in template.parts)
    if isinstance(template, list):
        return [bind(item, values) for item in template]
    if isinstance(template, dict):
        return {key: bind(item, values) for key, item in template.items()}
    return template


def _part(name: str, values: Mapping[str, Json]) -> str:
    value = values[name]
    if isinstance(value, list | dict):
        raise ResultFailure(Reason.SCHEMA, f"{name} is a list or an object, which cannot be a part of a text")
    return scalar_text(value)


def exact_text(value: object) -> str:
    """A text that is the same for equal JSON, templates and tuples of them alone. To `==`, 1, 1.0 and True are one."""
    return json.dumps(value, sort_keys=True, default=repr)


def scalar_text(value: Json) -> str:
    """A JSON scalar as label text: null is empty, a boolean is `true` or `false`. Raises `TypeError` for the rest."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError("a list or an object cannot be text")


def _reference(inner: str) -> Reference:
    name = inner.strip()
    if not _NAME.fullmatch(name):
        raise ValueError(f"{{{{ {name} }}}} is not a reference; write a dotted name such as {{{{ environment.id }}}}")
    return Reference(name)
