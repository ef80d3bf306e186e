"""Values: a finite number or a reason, always; time stamps to the nanosecond."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model.duration import duration_seconds, duration_text
from exporter.model.samples import Json
from exporter.model.time_format import unix_seconds
from exporter.model.value import UNIT_DIVISORS, SkipReason, ValueKind, ValueRule, converter

rules = st.builds(
    ValueRule,
    st.sampled_from(ValueKind),
    st.none() | st.sampled_from(sorted(UNIT_DIVISORS)),
    st.just((("UP", 1.0), ("DOWN", 0.0))),
)
numbers = st.integers(-(10**320), 10**320) | st.floats() | st.integers()
number_texts = numbers.map(str) | st.from_regex(r"[-+]?[0-9_.,]{1,6}(e[-+]?[0-9]{1,4})?", fullmatch=True)
values: st.SearchStrategy[Json] = st.one_of(
    st.booleans(),
    numbers,
    number_texts,
    st.text(max_size=12),
    st.sampled_from(["UP", "DOWN", "inf", "-inf", "nan", "2021-08-16T12:00:00Z", "9999-12-31T23:59:59-23:59"]),
    st.builds(lambda items: items, st.lists(st.integers(), max_size=2)),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@given(rules, values)
@example(ValueRule(ValueKind.STRING, "bits"), "1_000")
def test_a_value_becomes_a_finite_number_or_a_reason(rule: ValueRule, value: Json) -> None:
    """No sample is ever NaN or infinite, and nothing that an API answers breaks the conversion."""
    number = converter(rule)(value)
    assert isinstance(number, SkipReason) or math.isfinite(number)
    assert not isinstance(number, bool)


@given(rules, values)
def test_zero_is_published_only_for_a_zero(rule: ValueRule, value: Json) -> None:
    """A value that could not be read is never a 0."""
    number = converter(rule)(value)
    if not isinstance(number, SkipReason) and number == 0:
        zero = {"DOWN": 0, "1970-01-01T00:00:00Z": 0}.get(value, value) if isinstance(value, str) else value
        assert isinstance(zero, int | float | str)
        assert abs(float(zero)) < 1e-300


@given(st.sampled_from(sorted(UNIT_DIVISORS)), st.integers(-(10**15), 10**15))
def test_units_are_converted_as_exactly_as_a_float_can(unit: str, value: int) -> None:
    """The figure is the float nearest to the true quotient."""
    number = converter(ValueRule(from_unit=unit))(value)
    assert not isinstance(number, SkipReason)
    assert float(number) == float(Fraction(value) / UNIT_DIVISORS[unit])


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300))
def test_a_number_in_a_text_is_that_number(value: float) -> None:
    """`from: string` reads what JSON would have read without the quotes."""
    assert converter(ValueRule(ValueKind.STRING))(json.dumps(value)) == value


offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)).map(
        lambda t: t.replace(microsecond=0)
    ),
    offsets,
    st.text(alphabet="0123456789", max_size=9),
    st.sampled_from(["T", " ", "t"]),
    st.booleans(),
)
def test_any_offset_and_up_to_nine_digits_are_read(
    clock: datetime, offset: int, fraction: str, joint: str, colon: bool
) -> None:
    """A time stamp is its instant, whatever its offset and however fine its fraction."""
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    text = clock.isoformat(joint) + (f".{fraction}" if fraction else "")
    text += f"{sign}{hours:02}{':' if colon else ''}{minutes:02}"
    moment = clock.replace(tzinfo=timezone(timedelta(minutes=offset)))
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    exact = whole + Fraction(int(fraction or "0"), 10 ** len(fraction))
    assert abs(Fraction(unix_seconds(text)) - exact) <= Fraction(math.ulp(float(exact)))


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\+[0-9]{4})?"))
def test_any_text_is_a_time_stamp_or_is_refused(text: str) -> None:
    """A text that is no time stamp raises `ValueError` and nothing else."""
    with suppress(ValueError):
        assert math.isfinite(unix_seconds(text))


@given(st.integers(0, 100 * 365 * 86_400_000))
def test_every_duration_is_read_back_as_it_is_shown(milliseconds: int) -> None:
    """The duration in a HELP text can be copied into the configuration."""
    assert round(duration_seconds(duration_text(milliseconds / 1000)) * 1000) == milliseconds


@given(st.text(max_size=10) | st.from_regex(r"([0-9]{1,40}(y|w|d|h|m|s|ms)){1,4}", fullmatch=True))
def test_any_text_is_a_duration_or_is_refused(text: str) -> None:
    """No text becomes a negative, infinite or absurd duration."""
    with suppress(ValueError):
        assert 0 <= duration_seconds(text) <= 100 * 365 * 86400
