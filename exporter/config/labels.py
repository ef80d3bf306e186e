"""The labels of a configuration's queries and metrics: what their values are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Struct
from pydantic import BeforeValidator, WithJsonSchema

from exporter.config.scalars import LabelName
from exporter.model.label_text import TextChange, TextForm
from exporter.model.pattern import parse_pattern
from exporter.model.response_path import PATH_PATTERN, ResponsePath, parse_path
from exporter.model.template import Reference, Text, parse_text


class PathLabel(Struct, frozen=True):
    """A label whose value is taken from the answer."""

    path: ResponsePath


class ConstLabel(Struct, frozen=True):
    """A label with the same value always."""

    text: str


class ReferenceLabel(Struct, frozen=True):
    """A label made of references to the target, the source or the window."""

    template: Reference | Text


class LookupLabel(Struct, frozen=True):
    """A label whose value a lookup gives for a key, which is itself a label's value."""

    lookup: str
    key: PathLabel | ReferenceLabel
    field: str


class TextLabel(Struct, frozen=True):
    """A label made of the texts of others, one after the other, and of what becomes of the whole."""

    parts: tuple[LabelSpec, ...]
    change: TextChange


LabelSpec: TypeAlias = PathLabel | ConstLabel | ReferenceLabel | LookupLabel | TextLabel


def parts_of(spec: LabelSpec) -> Iterator[LabelSpec]:
    """What a label is made of in the end: itself, the key of a lookup, the parts of a text."""
    if isinstance(spec, TextLabel):
        for part in spec.parts:
            yield from parts_of(part)
        return
    yield spec
    if isinstance(spec, LookupLabel):
        yield spec.key


def _label(value: object) -> LabelSpec:
    match value:
        case PathLabel() | ConstLabel() | ReferenceLabel() | LookupLabel() | TextLabel():
            return value
        case str():
            return _text_label(value)
        case {"const": str(text), **rest} if not rest:
            return ConstLabel(text)
        case {"const": _, **rest} if not rest:
            raise ValueError('the text of a constant must be text; put it in quotes, as in {const: "1"}')
        case {"lookup": str(lookup), "key": str(key), "field": str(field), **rest} if not rest:
            return LookupLabel(lookup, _text_label(key), field)
        case {"of": of, **rest} if rest.keys() <= {"as", "pattern"}:
            return _label_of_parts(of, rest)
    raise ValueError(
        "not a label; write a response path, text with {{ references }}, {const: text},"
        " {lookup: name, key: path, field: name} or {of: [path, {const: text}, …]}"
    )


def _label_of_parts(of: object, more: Mapping[Any, object]) -> TextLabel:
    form = more.get("as")
    if form is not None and form not in tuple(TextForm):
        raise ValueError(f"not a form for the text of a label; write as: {', '.join(TextForm)}")
    parts = tuple(of) if isinstance(of, list | tuple) else (of,)
    if not parts or (len(parts) == 1 and not more):
        raise ValueError(
            "of lists the parts of a text; write several, as in {of: [owner, {const: /}, name]}, or add as"
        )
    pattern = more.get("pattern")
    if pattern is not None and not isinstance(pattern, str):
        raise ValueError("a pattern is text; put it in quotes")
    return TextLabel(
        tuple(map(_label, parts)),
        TextChange(None if form is None else TextForm(str(form)), None if pattern is None else parse_pattern(pattern)),
    )


def _text_label(text: str) -> PathLabel | ReferenceLabel:
    template = parse_text(text)
    if not isinstance(template, str):
        return ReferenceLabel(template)
    try:
        return PathLabel(parse_path(template))
    except ValueError as error:
        raise ValueError(f"{error}, or {{const: TEXT}} for a fixed text") from None


LABEL_PATTERN: Final = rf"{PATH_PATTERN}|\{{\{{"
_TEXT: Final = {"type": "string", "pattern": LABEL_PATTERN}
_LABEL_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            _TEXT,
            {
                "type": "object",
                "properties": {"const": {"type": "string"}},
                "required": ["const"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {"lookup": {"type": "string"}, "key": _TEXT, "field": {"type": "string"}},
                "required": ["lookup", "key", "field"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {
                    "of": {"type": ["string", "array", "object"]},
                    "as": {"enum": [*TextForm]},
                    "pattern": {"type": "string"},
                },
                "required": ["of"],
                "additionalProperties": False,
            },
        ]
    }
)
Label: TypeAlias = Annotated[Any, BeforeValidator(_label), _LABEL_SCHEMA]
Labels: TypeAlias = Mapping[LabelName, Label]
