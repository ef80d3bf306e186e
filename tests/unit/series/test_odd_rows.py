"""What is left out of an answer is counted by reason, each row once, and the first is quoted in one short line."""

from __future__ import annotations

import json

import pytest

from exporter.model.samples import Family, MetricType
from exporter.model.value import SkipReason
from exporter.series.odd_rows import LeftOut, OddRows, RowReason, quote

FAMILY = Family("a", MetricType.GAUGE, "A.", ("id",))


def test_a_row_counts_once() -> None:
    """Several metrics may lack it, each for a reason of its own: the first stands."""
    odd, row = OddRows(), {"id": "x"}
    odd.add(row, RowReason.ABSENT_FIELD)
    odd.add(row, RowReason.WRONG_FORM)
    odd.add_double(FAMILY, ("1",))
    odd.add_double(FAMILY, ("1",))
    assert odd.counts() == {"absent_field": 1, "duplicate_series": 1}
    assert odd.first == '{"id":"x"}'


def test_values_are_counted_by_reason() -> None:
    """What was read well is not counted."""
    left = LeftOut()
    assert not left.add_values([1], [1])
    assert left.add_values([1, "x", True], [1, SkipReason.NOT_A_NUMBER, SkipReason.NOT_A_NUMBER])
    more = LeftOut()
    more.add(left)
    assert (more.values, more.first_value) == ({"not_a_number": 2}, '"x"')


def test_a_quotation_is_short() -> None:
    """A text of any length, and half of a surrogate pair, make one line."""
    assert len(quote("x" * 10_000)) < 220
    assert quote("\ud800") == '"?"'


def test_a_quotation_of_an_object_without_end_is_short() -> None:
    """However deep or wide a row is, its beginning is shown."""
    deep: object = 1
    for _ in range(5000):
        deep = {"a": [deep]}
    assert quote(deep).startswith('{"a":[{"a":[{')
    assert quote({str(at): at for at in range(100_000)}).startswith('{"0":0,"1":1,')
    assert quote({"\ud800": "\ud800"}) == '{"?":"?"}'


@pytest.mark.parametrize("mark", ["\x7f", "\x9b", "\u202e", "\u2028", "\U000e0001"])
def test_a_quotation_is_printable(mark: str) -> None:
    """A terminal obeys control characters, and shows text behind a bidi mark in another order."""
    found = quote({f"a{mark}": f"ü{mark}evil"})
    assert found.isprintable()
    assert json.loads(found) == {f"a{mark}": f"ü{mark}evil"}
    assert len(quote(mark * 10_000)) <= 201
