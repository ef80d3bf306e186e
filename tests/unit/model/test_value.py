"""What comes as a number, a text, a word or a time becomes a number in base units, or is left out with a reason."""

from __future__ import annotations

import math

import pytest

from exporter.model.samples import Json, Number
from exporter.model.time_format import unix_seconds
from exporter.model.value import UNIT_DIVISORS, SkipReason, ValueKind, ValueRule, converter


@pytest.mark.parametrize(
    ("kind", "value", "number"),
    [
        (ValueKind.NUMBER, 0, 0),
        (ValueKind.NUMBER, -1.5, -1.5),
        (ValueKind.STRING, "12.5", 12.5),
        (ValueKind.STRING, " 7 ", 7),
        (ValueKind.STRING, "-1e3", -1000.0),
        (ValueKind.STRING, "9007199254740993", 9007199254740993),
        (ValueKind.STRING, 3, 3),
        (ValueKind.BOOLEAN, True, 1),
        (ValueKind.BOOLEAN, False, 0),
        (ValueKind.TIMESTAMP, "2021-08-16T12:00:00.250Z", 1629115200.25),
    ],
)
def test_what_can_become_a_number_does(kind: ValueKind, value: Json, number: Number) -> None:
    """A value is read in the way that the configuration says."""
    assert converter(ValueRule(kind))(value) == number


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (ValueKind.NUMBER, "5", SkipReason.NOT_A_NUMBER),
        (ValueKind.NUMBER, True, SkipReason.NOT_A_NUMBER),
        (ValueKind.NUMBER, [], SkipReason.NOT_A_NUMBER),
        (ValueKind.NUMBER, math.nan, SkipReason.NOT_FINITE),
        (ValueKind.NUMBER, math.inf, SkipReason.NOT_FINITE),
        (ValueKind.NUMBER, 10**400, SkipReason.NOT_FINITE),
        (ValueKind.STRING, "", SkipReason.NOT_A_NUMBER),
        (ValueKind.STRING, "n/a", SkipReason.NOT_A_NUMBER),
        (ValueKind.STRING, "1,5", SkipReason.NOT_A_NUMBER),
        (ValueKind.STRING, "1_000", SkipReason.NOT_A_NUMBER),
        (ValueKind.STRING, "٣", SkipReason.NOT_A_NUMBER),
        (ValueKind.STRING, "9" * 5000, SkipReason.NOT_A_NUMBER),
        (ValueKind.STRING, "inf", SkipReason.NOT_FINITE),
        (ValueKind.STRING, "1e999", SkipReason.NOT_FINITE),
        (ValueKind.BOOLEAN, "true", SkipReason.NOT_A_BOOLEAN),
        (ValueKind.BOOLEAN, 1, SkipReason.NOT_A_BOOLEAN),
        (ValueKind.ENUM, "UNKNOWN", SkipReason.NOT_IN_MAP),
        (ValueKind.ENUM, 1, SkipReason.NOT_IN_MAP),
        (ValueKind.TIMESTAMP, 1629115200, SkipReason.NOT_A_TIMESTAMP),
        (ValueKind.TIMESTAMP, "yesterday", SkipReason.NOT_A_TIMESTAMP),
    ],
)
def test_what_cannot_become_a_number_is_left_out_with_a_reason(
    kind: ValueKind, value: Json, reason: SkipReason
) -> None:
    """A bad value is counted by its reason, never published as 0."""
    assert converter(ValueRule(kind))(value) is reason


def test_an_enum_is_the_number_of_its_map() -> None:
    """`map: {UP: 1, DOWN: 0}` says what each word is worth."""
    convert = converter(ValueRule(ValueKind.ENUM, enum_values=(("UP", 1.0), ("DOWN", 0.0))))
    assert (convert("UP"), convert("DOWN"), convert("up")) == (1.0, 0.0, SkipReason.NOT_IN_MAP)


@pytest.mark.parametrize(
    ("unit", "value", "number"),
    [
        ("milliseconds", 250, 0.25),
        ("nanoseconds", 1, 1e-9),
        ("minutes", 3, 180),
        ("days", 1, 86400),
        ("percent", 12.5, 0.125),
        ("bits", 12, 1.5),
        ("kibibytes", 2, 2048),
        ("gigabytes", 3, 3 * 10**9),
    ],
)
def test_units_become_base_units(unit: str, value: Number, number: Number) -> None:
    """`from_unit: milliseconds` publishes seconds, exactly: 250 ms is 0.25, not 0.25000000000000006."""
    assert converter(ValueRule(from_unit=unit))(value) == number


@pytest.mark.parametrize("unit", UNIT_DIVISORS)
def test_a_unit_does_not_make_a_bad_value_good(unit: str) -> None:
    """What is no number stays left out, and what outgrows a float is left out too."""
    convert = converter(ValueRule(from_unit=unit))
    assert convert("x") is SkipReason.NOT_A_NUMBER
    huge = convert(10**308)
    assert huge is SkipReason.NOT_FINITE or (not isinstance(huge, SkipReason) and math.isfinite(huge))


@pytest.mark.parametrize(
    "text",
    [
        "2021-08-16T12:00:00Z",
        "2021-08-16 12:00:00",
        "2021-08-16t12:00:00z",
        "2021-08-16T12:00Z",
        "2021-08-16T17:30:00+05:30",
        "2021-08-16T17:30:00+0530",
        "2021-08-16T17:00+05",
        "2021-08-16 04:00:00 -08:00",
        "2021-08-16T12:00:00.000000000Z",
        "2021-08-16T12:00:00,0Z",
        " 2021-08-16T12:00:00Z\n",
    ],
)
def test_one_instant_in_many_spellings(text: str) -> None:
    """Any ISO 8601 spelling of an instant is the same Unix time; without an offset it is UTC."""
    assert unix_seconds(text) == 1629115200


@pytest.mark.parametrize(
    "text",
    ["", "2021-08-16", "12:00:00", "2021-02-30T00:00:00Z", "2021-08-16T25:00:00Z", "2021-08-16T12:00:00+24:00",
     "2021-08-16T12:00:00+10:75", "2021-08-16T12:00:00.Z", "2021-08-16T12:00:00.0000000001Z", "1629115200",
     "٢٠٢١-08-16T12:00:00Z", "2021-08-16T12:00:00+05:30[Asia/Colombo]"],
)  # fmt: skip
def test_what_is_not_a_time_stamp_is_refused(text: str) -> None:
    """A text that only looks like a time is not guessed at."""
    with pytest.raises(ValueError):  # noqa: PT011 - datetime's own texts differ
        unix_seconds(text)
