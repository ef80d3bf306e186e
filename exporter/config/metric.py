"""A metric of a configuration: the family that it publishes, and how its values are read. Frozen, with its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from msgspec import Struct
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from exporter.config.labels import Labels
from exporter.config.scalars import (
    PATH_SCHEMA,
    Alignment,
    LabelName,
    MetricName,
    Name,
    Path_,
    Strict,
    TimeForm,
    check_label_name,
    conditions,
)
from exporter.model.pattern import Pattern, parse_pattern
from exporter.model.quantity import NumberForm, parse_number_form
from exporter.model.response_path import ResponsePath, parse_path
from exporter.model.samples import Json, MetricType
from exporter.model.template import scalar_text
from exporter.model.time_format import ISO, TimeFormat, parse_time_format
from exporter.model.value import QUANTITIES, UNIT_DIVISORS, ValueKind

_NUMBERS_IN_TEXT: Final = frozenset({ValueKind.STRING, ValueKind.SIZE, ValueKind.PERCENT})
_NUMBER_SHOWN: Final = "such as 1.234,56"


class Where(Struct, frozen=True):
    """The values that fields of a record have, by their paths, and those that they do not have."""

    values: Mapping[str, tuple[Json, ...]]
    others: Mapping[str, tuple[Json, ...]]


def _where(value: object) -> Where:
    match value:
        case Where():
            return value
        case dict() if value:
            found = Where(*conditions(value))
            for text in (*found.values, *found.others):
                parse_path(text)
            return found
    raise ValueError("not a selection; write {field: value}, {field: [value, …]} or {field: {not: value}}")


_WHERE_SCHEMA: Final = WithJsonSchema({"type": "object", "minProperties": 1, "propertyNames": PATH_SCHEMA})


class Bucket(Strict):
    """One bucket of an answer by the clock: the last that ends at or before `window.end`."""

    start: Path_
    """The response path of the bucket's start, such as `timeSpan`.

    Example: timeSpan"""
    width: Alignment
    """The width of a bucket; narrower buckets in an answer fail the poll.

    Example: 1h"""
    format: TimeForm = Field("iso", validate_default=True)
    """How the start is written: `iso` (also a date alone), `date`, `unix`, `unix_ms`, or a strftime text.

    Example: unix_ms"""


class Missing(Strict):
    """The value of every row of another query that a successful answer did not name."""

    rows_of: Name
    """The query whose rows are expected.

    Example: apis"""
    labels: Annotated[Mapping[LabelName, Path_], Field(min_length=1)]
    """The field of those rows for each label.

    Example: {api_id: id}"""
    value: float = 0
    """The value for rows that are not in a good answer.

    Example: -1"""


class Top(Strict):
    """The n largest values by a label; the others are summed under one value of it."""

    n: Annotated[int, Field(ge=1)]
    """The number of values of the label to keep.

    Example: 20"""
    label: LabelName
    """The label.

    Example: country"""
    rest: str = "Other"
    """The label's value for the sum of the others.

    Example: others"""


class States(Struct, frozen=True):
    """A series for each of these words, told apart by a label: 1 for the one that is, 0 for the others."""

    words: tuple[str, ...]
    label: str = "state"


def _states(value: object) -> States:
    match value:
        case States():
            return value
        case {"words": list(words), "label": str(label), **rest} if not rest:
            return States(_words(words), check_label_name(label))
        case list():
            return States(_words(value))
    raise ValueError("not states; write a list such as [UP, DOWN], or {label: phase, words: [UP, DOWN]}")


def _words(words: list[Any]) -> tuple[str, ...]:
    if any(isinstance(word, list | dict) or word is None for word in words):
        raise ValueError("states are words, numbers or booleans; write them as in [UP, DOWN]")
    texts = tuple(map(scalar_text, words))
    if len(set(texts)) != len(texts) or len(texts) < 2:
        raise ValueError("states are two words or more, each once; write them as in [UP, DOWN]")
    return texts


_STATES_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "array", "minItems": 2, "items": {"type": ["string", "number", "boolean"]}},
            {
                "type": "object",
                "properties": {
                    "label": {"type": "string"},
                    "words": {"type": "array", "minItems": 2, "items": {"type": ["string", "number", "boolean"]}},
                },
                "required": ["label", "words"],
                "additionalProperties": False,
            },
        ]
    }
)


class Each(Struct, frozen=True):
    """The same number for each item that a path leads to."""

    number: float
    path: ResponsePath


def _value(value: object) -> ResponsePath | Each | int | float:
    match value:
        case bool():
            pass
        case ResponsePath() | Each() | int() | float():
            return value
        case str():
            return parse_path(value)
        case {"const": int() | float() as number, "of": str(path), **rest} if not rest and not isinstance(number, bool):
            return Each(number, parse_path(path))
    raise ValueError("not a value; write a response path such as usage.count, a number, or {const: 1, of: path}")


_VALUE_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            PATH_SCHEMA,
            {"type": "number"},
            {
                "type": "object",
                "properties": {"const": {"type": "number"}, "of": PATH_SCHEMA},
                "required": ["const", "of"],
                "additionalProperties": False,
            },
        ]
    }
)


def _format(value: object) -> TimeFormat | NumberForm:
    if isinstance(value, TimeFormat | NumberForm):
        return value
    return parse_number_form(str(value)) or parse_time_format(str(value))


def _pattern(value: object) -> Pattern:
    return value if isinstance(value, Pattern) else parse_pattern(str(value))


_TEXT_SCHEMA: Final = WithJsonSchema({"type": "string"})


class Metric(Strict):
    """One metric family that a query publishes; several entries may share a family."""

    name: MetricName
    """The metric family; several entries may share one. A counter's ends in `_total`.

    Example: shop_orders_total"""
    help: Annotated[str, Field(min_length=1)]
    """The family's help text.

    Example: Orders since midnight."""
    type: MetricType = MetricType.GAUGE
    """`gauge`, or `counter`: with the query's `period` the total from its start, without one the API's own counter,
    unchanged.

    Example: counter"""
    value: Annotated[Any, BeforeValidator(_value), _VALUE_SCHEMA]
    """The response path of the value from the row, or from what is around the rows; a number, for each row; or
    `{const: 1, of: path}`, a number for each item of a list below the row.

    Example: orders.count"""
    labels: Labels = Field(default_factory=dict)
    """Name → response path, text with `{{ references }}`, `{const: text}`, `{lookup: name, key: path, field: name}`, or
    `{of: [path, {const: /}, path], pattern: "v([0-9]+)", as: lower}`: these one after the other, of that the group of
    the pattern (RE2), and as `lower`, `upper` or the `host` of a URL.

    Example: {shop: name, region: {lookup: region, key: country, field: name}}"""
    from_: ValueKind = Field(default=ValueKind.NUMBER, alias="from")
    """How the value is read: a `number`; a `string` that is one, a `boolean`, a `timestamp`; text with its unit: a
    `duration`, a `size` or a `percent`. Words have `map` or `states`; `enum` says nothing more than `map`.

    Example: timestamp"""
    pattern: Annotated[Any, BeforeValidator(_pattern), _TEXT_SCHEMA] = None
    """The part of a text that is read: a pattern of RE2 with one group, such as `load: ([0-9.]+)`.

    Example: 'load: ([0-9.]+)'"""
    from_unit: Literal[tuple(UNIT_DIVISORS)] | None = None  # type: ignore[valid-type]  # one list for both
    """The unit of the value, which is converted to the base unit.

    Example: milliseconds"""
    format: Annotated[Any, BeforeValidator(_format), _TEXT_SCHEMA] = Field("iso", validate_default=True)
    """How a timestamp is written: `iso` (also a date alone), `date`, `unix`, `unix_ms`, or a strftime text. How a
    number in text is written: `1.234,56`, `1,234.56`, `1 234,56`, `1'234.56` or `1234,56`.

    Example: unix_ms"""
    map: Mapping[str, float] = Field(default_factory=dict)
    """The numbers of words, such as those of an enum, of numbers or of booleans: `{UP: 1, DOWN: 0}`.

    Example: {UP: 1, DOWN: 0}"""
    default: float | None = None
    """The number for words that are not in `map`; without it they have no sample.

    Example: 0"""
    states: Annotated[Any, BeforeValidator(_states), _STATES_SCHEMA] = None
    """`[UP, DOWN]`: a series for each of these words, by the label `state`, 1 for the present one and 0 for the others;
    `{label: phase, words: [UP, DOWN]}` names the label.

    Example: [UP, DOWN]"""
    where: Annotated[Any, BeforeValidator(_where), _WHERE_SCHEMA] = None
    """Selects only items with these values: `{state: OPEN}`, `{state: [OPEN, LATE]}`, `{state: {not: DONE}}`; paths as
    in labels.

    Example: {state: {not: DONE}}"""
    aggregate: Literal["sum", "max", "min", "last", "count"] | None = None
    """How to combine rows with the same labels; without it they are an error. `count` is how many items `value` leads
    to (`.` the rows), 0 where its list is empty and the labels are those of something around it.

    Example: sum"""
    bucket: Bucket | None = None
    """Selects the last bucket of the answer that ends by the window's end.

    Example: {start: timeSpan, width: 1h}"""
    missing: Missing | None = None
    """The value for each row of another query that is not in a good answer; without it these rows have no sample.

    Example: {rows_of: apis, labels: {api_id: id}}"""
    top: Top | None = None
    """The n largest values by a label, the others summed; for gauges.

    Example: {n: 20, label: country}"""

    @model_validator(mode="after")
    def _sound_name(self) -> Self:
        if self.type is MetricType.COUNTER and not self.name.endswith("_total"):
            raise ValueError(f"a counter's name ends in _total; write {self.name}_total")
        if self.type is MetricType.GAUGE and self.name.endswith("_total"):
            raise ValueError("a name that ends in _total is a counter's; write type: counter, or drop _total")
        if self.name.endswith("_created"):
            raise ValueError("a name that ends in _created belongs to a counter or a histogram; drop the ending")
        return self

    @model_validator(mode="after")
    def _sound_unit(self) -> Self:
        if self.from_unit is None:
            return self
        if self.from_ is ValueKind.TIMESTAMP:
            raise ValueError(f"a timestamp is read in seconds; leave out from_unit, or write format: {_unix(self)}")
        if self.from_ in QUANTITIES:
            raise ValueError(f"from: {self.from_} reads the unit in the text; remove from_unit")
        return self

    @model_validator(mode="after")
    def _sound_pattern(self) -> Self:
        if self.pattern is None:
            return self
        if not isinstance(self.value, ResponsePath):
            raise ValueError("pattern takes a part of the answer's text; write a response path as value")
        if self.from_ is ValueKind.BOOLEAN:
            raise ValueError("from: boolean cannot be combined with pattern; write map: {yes: 1, no: 0}")
        return self

    @model_validator(mode="after")
    def _sound_format(self) -> Self:
        if self.number_form is not None and self.kind not in _NUMBERS_IN_TEXT:
            raise ValueError(f"format {_NUMBER_SHOWN} is how a number in text is written; add from: string")
        if self.number_form is None and self.format != ISO and self.from_ is not ValueKind.TIMESTAMP:
            raise ValueError("format is how a timestamp is written; add from: timestamp")
        return self

    @model_validator(mode="after")
    def _sound_default(self) -> Self:
        if self.default is not None and not self.map:
            raise ValueError("default is the number of words that are not in map; add map, or remove default")
        return self

    @model_validator(mode="after")
    def _sound_words(self) -> Self:
        if self.from_ is ValueKind.ENUM and not (self.map or self.states):
            raise ValueError("from: enum needs the numbers of its words; write map: {WORD: number}, or states")
        if self.from_ not in (ValueKind.ENUM, ValueKind.NUMBER) and (self.map or self.states):
            raise ValueError(f"from: {self.from_} cannot be combined with map or states; remove from")
        return self

    @model_validator(mode="after")
    def _sound_count(self) -> Self:
        if self.aggregate != "count":
            return self
        if self.map or self.from_unit or self.from_ is not ValueKind.NUMBER:
            raise ValueError("aggregate: count reads no values; leave out from, from_unit and map")
        if self.states is None and self.pattern is not None:
            raise ValueError("aggregate: count reads no text; leave out pattern, or write states")
        return self

    @model_validator(mode="after")
    def _sound_states(self) -> Self:
        if self.states is None:
            return self
        if self.map or self.from_unit or self.top or self.missing or self.type is MetricType.COUNTER:
            raise ValueError("states is a gauge without map, from_unit, top and missing; keep one of the two")
        if not isinstance(self.value, ResponsePath):
            raise ValueError("states need a value of the answer; write a response path as value")
        return self

    @model_validator(mode="after")
    def _sound_constant(self) -> Self:
        constant = not isinstance(self.value, ResponsePath)
        if constant and self.type is MetricType.COUNTER and self.aggregate not in ("sum", "count"):
            raise ValueError(
                "a counter's value comes from the answer; write a response path, or aggregate: sum for rows"
            )
        return self

    @property
    def kind(self) -> ValueKind:
        """How a value is read: by its words, if there are some."""
        if self.map or self.states:
            return ValueKind.ENUM
        return ValueKind.STRING if self.pattern is not None and self.from_ is ValueKind.NUMBER else self.from_

    @property
    def number_form(self) -> NumberForm | None:
        """How numbers are written in text, where that is declared."""
        return self.format if isinstance(self.format, NumberForm) else None

    @property
    def time_format(self) -> TimeFormat:
        """How timestamps are written."""
        return self.format if isinstance(self.format, TimeFormat) else ISO


def _unix(metric: Metric) -> str:
    return "unix_ms" if metric.from_unit == "milliseconds" else "unix"
