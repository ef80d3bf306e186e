"""JSON scalars to sample values. What cannot become a number is left out with a reason, never made 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import UTC, tzinfo
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final, TypeAlias, cast

from msgspec import Struct

from exporter.model.pattern import Pattern
from exporter.model.quantity import NumberForm, bytes_of, ratio_of, seconds_of
from exporter.model.samples import LARGEST_EXACT_INTEGER, Json, Number
from exporter.model.time_format import ISO, TimeFormat


class SkipReason(StrEnum):
    """Why a value was left out: a closed list, so that it can be a label value."""

    NOT_A_NUMBER = "not_a_number"
    NOT_FINITE = "not_finite"
    NEGATIVE = "negative"  # of a counter, which begins at zero (OpenMetrics, Counter)
    NOT_A_BOOLEAN = "not_a_boolean"
    NOT_IN_MAP = "not_in_map"
    NOT_A_TIMESTAMP = "not_a_timestamp"
    NOT_A_DURATION = "not_a_duration"
    NOT_A_SIZE = "not_a_size"
    NOT_A_PERCENTAGE = "not_a_percentage"
    NOT_IN_PATTERN = "not_in_pattern"


class ValueKind(StrEnum):
    """How a JSON scalar is read: `number`, unless the configuration says otherwise."""

    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    ENUM = "enum"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    SIZE = "size"
    PERCENT = "percent"


# Kinds of text that has its unit, with how it is read, and why it is left out where it cannot be.
_QUANTITIES: Final[Mapping[ValueKind, tuple[Callable[[str], Number], SkipReason]]] = {
    ValueKind.DURATION: (seconds_of, SkipReason.NOT_A_DURATION),
    ValueKind.SIZE: (bytes_of, SkipReason.NOT_A_SIZE),
    ValueKind.PERCENT: (ratio_of, SkipReason.NOT_A_PERCENTAGE),
}
QUANTITIES: Final = frozenset(_QUANTITIES)

Converter: TypeAlias = Callable[[Json], "Number | SkipReason"]

# Divisors to base units (Prometheus: "Metric and label naming", base units), so that 250 ms is exactly 0.25 s.
UNIT_DIVISORS: Final[Mapping[str, Fraction]] = {
    "nanoseconds": Fraction(10**9),
    "microseconds": Fraction(10**6),
    "milliseconds": Fraction(1000),
    "minutes": Fraction(1, 60),
    "hours": Fraction(1, 3600),
    "days": Fraction(1, 86400),
    "percent": Fraction(100),
    "bits": Fraction(8),
    "kilobytes": Fraction(1, 10**3),
    "megabytes": Fraction(1, 10**6),
    "gigabytes": Fraction(1, 10**9),
    "kibibytes": Fraction(1, 2**10),
    "mebibytes": Fraction(1, 2**20),
    "gibibytes": Fraction(1, 2**30),
}


class ValueRule(Struct, frozen=True):
    """How a metric's values are read: their kind, the unit they come in, the numbers of words (those of an enum, or of
    numbers and booleans, as texts), the number of all other words, and the form of a time stamp, which is by the zone's
    clock if it has no offset. `pattern` takes a part of the text before, and `number_form` is how its number is
    written."""

    kind: ValueKind = ValueKind.NUMBER
    from_unit: str | None = None
    enum_values: tuple[tuple[str, float], ...] = ()
    default: float | None = None
    time_format: TimeFormat = ISO
    zone: tzinfo = UTC
    pattern: Pattern | None = None
    number_form: NumberForm | None = None


_PLAIN: Final = ValueRule()


def converter(rule: ValueRule) -> Converter:
    """The function from a JSON scalar (never null) to a finite number, or to the reason why there is none."""
    read = _with_pattern(rule, _with_number_form(rule, _readers(rule)[rule.kind]))
    if rule.from_unit is None:
        return read
    divisor = UNIT_DIVISORS[rule.from_unit]
    if divisor.numerator == 1:
        return lambda value: _scale(read(value), lambda number: number * divisor.denominator)
    return lambda value: _scale(read(value), lambda number: number / divisor.numerator)


class Numbers(Struct, frozen=True):
    """What became of values. `exact_integers`: all are known to be integers that a float can hold."""

    values: Sequence[Number | SkipReason]
    exact_integers: bool = False


def numbers(rule: ValueRule, values: Sequence[Json], kinds: Set[type]) -> Numbers:
    """What `converter` makes of each of these scalars (never null), which are of these types; by one look at all of
    them where they are plain numbers."""
    if rule == _PLAIN and values and kinds <= {int, float}:
        found = cast("Sequence[Number]", values)
        least, most = min(found), max(found)
        exact = kinds == {int} and least >= -LARGEST_EXACT_INTEGER and most <= LARGEST_EXACT_INTEGER
        if exact or _are_finite(least, most, found):
            return Numbers(found, exact)
    convert = converter(rule)
    return Numbers([convert(value) for value in values])


def _are_finite(least: Number, most: Number, values: Sequence[Number]) -> bool:
    """Whether none of them needs a second look. Not finite is their sum, if one is or if they are large together."""
    try:
        return all(map(math.isfinite, (least, most, sum(values))))
    except OverflowError:  # an integer that no float can hold
        return False


def number_of(word: str) -> Number | None:
    """The number that a word of a map or of states is; none, if it is another word."""
    found = _from_string(word)
    return None if isinstance(found, SkipReason) else found


def _readers(rule: ValueRule) -> Mapping[ValueKind, Converter]:
    words = dict(rule.enum_values)
    by_number = {number: found for word, found in rule.enum_values if (number := number_of(word)) is not None}
    other = SkipReason.NOT_IN_MAP if rule.default is None else rule.default

    def from_enum(value: Json) -> Number | SkipReason:
        if isinstance(value, str):
            return words.get(value, other)
        if isinstance(value, bool):
            return words.get("true" if value else "false", other)
        return by_number.get(value, other) if isinstance(value, int | float) else SkipReason.NOT_IN_MAP

    def from_timestamp(value: Json) -> Number | SkipReason:
        try:
            return _finite(rule.time_format.read(value, rule.zone))
        except (ValueError, OverflowError):
            return SkipReason.NOT_A_TIMESTAMP

    return {
        ValueKind.NUMBER: _from_number,
        ValueKind.STRING: _from_string,
        ValueKind.BOOLEAN: _from_boolean,
        ValueKind.ENUM: from_enum,
        ValueKind.TIMESTAMP: from_timestamp,
        **{kind: _from_quantity(*how) for kind, how in _QUANTITIES.items()},
    }


def _from_quantity(read: Callable[[str], Number], reason: SkipReason) -> Converter:
    """A number without a unit is text as it is written; so a duration needs one."""

    def from_quantity(value: Json) -> Number | SkipReason:
        try:
            return reason if isinstance(value, bool | list | dict) else _finite(read(_text(value)))
        except (ValueError, OverflowError):
            return reason

    return from_quantity


def _text(value: Json) -> str:
    return format(Decimal(str(value)), "f") if isinstance(value, float) else str(value)


def _with_number_form(rule: ValueRule, read: Converter) -> Converter:
    form = rule.number_form
    if form is None:
        return read

    def from_form(value: Json) -> Number | SkipReason:
        if not isinstance(value, str):
            return read(value)
        try:
            return read(form.plain(value))
        except ValueError:
            return SkipReason.NOT_A_NUMBER

    return from_form


def _with_pattern(rule: ValueRule, read: Converter) -> Converter:
    pattern = rule.pattern
    if pattern is None:
        return read

    def from_part(value: Json) -> Number | SkipReason:
        part = pattern.part(value) if isinstance(value, str) else None
        return SkipReason.NOT_IN_PATTERN if part is None else read(part)

    return from_part


def _from_number(value: Json) -> Number | SkipReason:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return SkipReason.NOT_A_NUMBER
    return _finite(value)


def _finite(value: Number) -> Number | SkipReason:
    try:
        return value if math.isfinite(value) else SkipReason.NOT_FINITE
    except OverflowError:  # an integer that no float can hold
        return SkipReason.NOT_FINITE


def _from_string(value: Json) -> Number | SkipReason:
    if not isinstance(value, str):
        return _from_number(value)
    if "_" in value or not value.isascii():  # which Python's own number syntax takes
        return SkipReason.NOT_A_NUMBER
    try:
        return _finite(int(value)) if value.strip().lstrip("+-").isdecimal() else _finite(float(value))
    except ValueError:
        return SkipReason.NOT_A_NUMBER


def _from_boolean(value: Json) -> Number | SkipReason:
    return int(value) if isinstance(value, bool) else SkipReason.NOT_A_BOOLEAN


def _scale(number: Number | SkipReason, scale: Callable[[Number], Number]) -> Number | SkipReason:
    if isinstance(number, SkipReason):
        return number
    try:
        return _finite(scale(number))
    except OverflowError:
        return SkipReason.NOT_FINITE
