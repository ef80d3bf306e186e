"""Samples with time stamps: what is kept, and the OpenMetrics that they become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.cli.backfill.history import DuplicateSeries, History
from exporter.model.outcome import Result
from exporter.model.samples import Family, LabelValues, MetricType, Number, Samples

GAUGE = Family("depth", MetricType.GAUGE, 'How "deep".', ("name",))
COUNTER = Family("requests_total", MetricType.COUNTER, "Requests.", ("name",))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path / "h")
    yield made
    made.close()


def result(family: Family, series: Mapping[LabelValues, Number], period: float | None = None) -> Result:
    return Result((Samples.of(family, series),), period_start_time=period)


def points(history: History, labels: Mapping[str, str] | None = None) -> list[tuple[str, dict[str, str], float, float]]:
    """Name, labels, value and time of every sample in the file, as Prometheus' own client reads it."""
    out = BytesIO()
    history.write(out, labels or {})
    return [
        (sample.name, dict(sample.labels), sample.value, float(sample.timestamp))
        for family in text_string_to_metric_families(out.getvalue().decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
    ]


def test_samples_of_a_series_stand_together_in_the_order_of_time(history: History) -> None:
    """However they came, the file is what OpenMetrics asks for: families and series in order, times rising."""
    history.save("two", 20.5, result(GAUGE, {("b",): 2.5}))
    history.save("one", 20, result(GAUGE, {("a",): 3}))
    history.save("one", 10, result(GAUGE, {("a",): 1, ("c",): 7}))
    history.save("three", 10, result(COUNTER, {("a",): 4}, 0.0))
    assert points(history) == [
        ("depth", {"name": "a"}, 1, 10),
        ("depth", {"name": "a"}, 3, 20),
        ("depth", {"name": "b"}, 2.5, 20.5),
        ("depth", {"name": "c"}, 7, 10),
        ("requests_total", {"name": "a"}, 4, 10),
    ]


def test_a_counter_does_not_fall_within_its_period(history: History) -> None:
    """As in the running exporter: what the upstream took back is held, and a new period begins at its own figure."""
    for time, value, period in ((1, 5, 0.0), (2, 4, 0.0), (3, 6, 0.0), (4, 1, 4.0), (5, 0, 4.0)):
        history.save("one", time, result(COUNTER, {("a",): value}, period))
        history.save("two", time, result(GAUGE, {("a",): value}, period))
    found = points(history)
    assert [value for name, _, value, _ in found if name == "requests_total"] == [5, 5, 6, 1, 1]
    assert [value for name, _, value, _ in found if name == "depth"] == [5, 4, 6, 1, 0]


def test_a_counter_begins_at_0(history: History) -> None:
    """What a series begins with counts: it is 0 at the step before, if that step was asked for and had no such series.
    At the first step of all, and where a period follows another without a gap, it is what it is."""
    steps: list[tuple[float, dict[LabelValues, Number], float]] = [
        (1, {("a",): 5}, 0.0),
        (2, {("a",): 5, ("b",): 2}, 0.0),
        (3, {("a",): 1}, 3.0),
        (4, {("a",): 1}, 3.0),
        (5, {("a",): 1, ("b",): 3}, 3.0),
    ]
    for time, series, period in steps:
        history.save("one", time, result(COUNTER, series, period))
    found = points(history)
    assert [(value, at) for _, labels, value, at in found if labels == {"name": "a"}] == [
        (5, 1), (5, 2), (1, 3), (1, 4), (1, 5),
    ]  # fmt: skip
    assert [(value, at) for _, labels, value, at in found if labels == {"name": "b"}] == [
        (0, 1), (2, 2), (0, 4), (3, 5),
    ]  # fmt: skip


def test_labels_of_prometheus_are_added_and_own_ones_stay(history: History) -> None:
    """`--label` stands on every series; a label that the series has itself is kept, as with honor_labels."""
    history.save("one", 1, result(GAUGE, {("a",): 1}))
    assert points(history, {"job": 'the "job"\\', "name": "other"})[0][1] == {"name": "a", "job": 'the "job"\\'}


def test_what_was_kept_is_there_when_the_run_goes_on(tmp_path: Path) -> None:
    """A run that was stopped finds its samples, its series and what it had asked for already."""
    first = History(tmp_path / "h")
    first.say({"from": "30d"})
    first.save("one", 1, result(GAUGE, {("a",): 1}))
    first.close()
    second = History(tmp_path / "h")
    assert second.about == {"from": "30d"}
    assert second.has("one", 1)
    assert not second.has("one", 2)
    assert not second.has("two", 1)
    second.save("one", 2, result(GAUGE, {("a",): 2}))
    assert [value for _, _, value, _ in points(second)] == [1, 2]
    with pytest.raises(DuplicateSeries, match="depth"):
        second.save("two", 3, result(GAUGE, {("a",): 3}))
    second.close()


def test_odd_labels_and_numbers_come_back(history: History) -> None:
    """A label with quotes, a line's end or half of a character, and numbers that are large or small."""
    series: dict[LabelValues, Number] = {('q"\\\n',): 0.1, ("",): 10**30, ("🦊",): -5e-324, ("0\0",): 3}
    history.save("one", 1, result(GAUGE, series))
    found = {labels["name"]: value for _, labels, value, _ in points(history)}
    assert found == {text: float(value) for (text,), value in series.items()}
