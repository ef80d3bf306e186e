"""Series by columns: they go in as a mapping, and come out as it."""

from __future__ import annotations

import math

import pytest

from exporter.model.samples import (
    LARGEST_EXACT_INTEGER,
    Family,
    LabelValues,
    MetricType,
    Number,
    Samples,
    counter_totals,
    total,
)

GAUGE = Family("load", MetricType.GAUGE, "Load.", ("api", "code"))
ALONE = Family("load", MetricType.GAUGE, "Load.", ())


@pytest.mark.parametrize(
    ("family", "series"),
    [(GAUGE, {("a", "200"): 1, ("b", "500"): 2.5}), (GAUGE, {}), (ALONE, {(): 7}), (ALONE, {})],
    ids=["several", "none of labels", "one without labels", "none"],
)
def test_series_come_out_as_they_went_in(family: Family, series: dict[LabelValues, Number]) -> None:
    """Each has its label values in the order of the family's names, and its value, however few there are."""
    samples = Samples.of(family, series)
    assert samples.series == series
    assert list(samples.items()) == list(series.items())
    assert list(samples.label_values()) == list(series)
    assert len(samples) == len(series)
    assert len(samples.labels) == len(family.label_names)


def test_there_is_a_column_for_each_label() -> None:
    """A column has one label's value of each series."""
    samples = Samples.of(GAUGE, {("a", "200"): 1, ("b", "500"): 2})
    assert [list(column) for column in samples.labels] == [["a", "b"], ["200", "500"]]
    assert list(samples.numbers) == [1, 2]


def test_equal_label_values_have_equal_hashes() -> None:
    """Owners of a series are found by the hash of its label values, whatever its value."""
    first, second = Samples.of(GAUGE, {("a", "200"): 1, ("b", "500"): 2}), Samples.of(GAUGE, {("b", "500"): 9})
    assert list(first.hashes) == [hash(("a", "200")), hash(("b", "500"))]
    assert list(second.hashes) == list(first.hashes)[1:]
    assert list(Samples.of(ALONE, {(): 1}).hashes) == [hash(())]


def test_series_are_distinct_where_no_two_have_the_same_labels() -> None:
    """Values do not matter for that."""
    assert Samples(GAUGE, [["a", "a"], ["200", "500"]], [1, 1]).are_distinct
    assert not Samples(GAUGE, [["a", "a"], ["200", "200"]], [1, 2]).are_distinct
    assert Samples.of(GAUGE, {}).are_distinct


def test_each_label_knows_the_values_in_its_column() -> None:
    """Where they were found before they are not looked for again, though there may be more of them."""
    samples = Samples.of(GAUGE, {("a", "200"): 1, ("b", "200"): 2})
    assert [set(values) for values in samples.label_sets()] == [{"a", "b"}, {"200"}]
    known = Samples(GAUGE, samples.labels, samples.numbers, [["a", "b", "c"], ["200"]])
    assert [set(values) for values in known.label_sets()] == [{"a", "b", "c"}, {"200"}]


@pytest.mark.parametrize("family", [GAUGE, ALONE], ids=["with labels", "without labels"])
def test_joined_series_are_those_of_both(family: Family) -> None:
    """Series of several metrics of one family stand one behind the other; neither of the two changes."""
    key = ("a", "200")[: len(family.label_names)]
    one, two = Samples.of(family, {key: 1}), Samples.of(family, {key: 2})
    assert list(one.join(two).items()) == [(key, 1), (key, 2)]
    assert list(one.items()) == [(key, 1)]


def test_columns_of_different_lengths_are_a_fault() -> None:
    """A value is never given to the labels of another series."""
    with pytest.raises(ValueError, match="zip"):
        list(Samples(GAUGE, [["a", "b"], ["200"]], [1, 2]).label_values())
    with pytest.raises(ValueError, match="zip"):
        list(Samples(GAUGE, [["a"], ["200"]], [1, 2]).items())
    with pytest.raises(ValueError, match="zip"):
        Samples.of(GAUGE, {("a", "200"): 1, ("b",): 2})
    with pytest.raises(ValueError, match="zip"):
        Samples.of(GAUGE, {("a", "200"): 1}).join(Samples.of(ALONE, {(): 1}))


def test_totals_are_those_of_counters() -> None:
    """An audit compares the sum of a counter's series; gauges are not summed."""
    counter = Family("calls_total", MetricType.COUNTER, "Calls.", ("api",))
    found = counter_totals([Samples.of(GAUGE, {("a", "b"): 5}), Samples.of(counter, {("a",): 1, ("b",): 2.5})])
    assert found == {"calls_total": 3.5}
    assert all(isinstance(total, float) for total in found.values())


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([10**308, 10**308], math.inf), ([-(10**308), -(10**308)], -math.inf), ([10**308, 10**308, 0.5], math.inf)],
)
def test_a_total_that_no_float_can_hold_is_infinite(numbers: list[Number], expected: float) -> None:
    """Each of them may be a value of a series, so their sum must not end a poll or an audit."""
    assert total(numbers) == expected


def test_a_total_of_integers_is_exact() -> None:
    """Large integers that cancel each other leave what is small."""
    assert total([10**20, 1, -(10**20)]) == 1.0


def test_the_largest_exact_integer_is_the_last_that_a_float_holds() -> None:
    """The next one would come out of Prometheus as its neighbour."""
    assert float(LARGEST_EXACT_INTEGER) == LARGEST_EXACT_INTEGER
    assert float(LARGEST_EXACT_INTEGER - 1) == LARGEST_EXACT_INTEGER - 1
    assert float(LARGEST_EXACT_INTEGER + 1) == LARGEST_EXACT_INTEGER
