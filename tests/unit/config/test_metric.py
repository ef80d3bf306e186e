"""The rules of one metric of a configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.config.metric import Metric
from exporter.model.response_path import parse_path
from exporter.model.samples import MetricType
from exporter.model.value import ValueKind

GOOD: dict[str, Any] = {"name": "shop_orders", "help": "Orders.", "value": "usage.count"}
COUNTER: dict[str, Any] = {"name": "shop_orders_total", "type": "counter"}


def metric(**keys: Any) -> Metric:
    return Metric.model_validate({**GOOD, **keys})


def place_and_reason(**keys: Any) -> tuple[str, str]:
    """Where a metric is refused, and what is said of it."""
    with pytest.raises(ValidationError) as refused:
        metric(**keys)
    (details,) = refused.value.errors()
    return ".".join(map(str, details["loc"])), str(details.get("ctx", {}).get("error", details["type"]))


def test_what_is_not_written_has_its_default() -> None:
    """A metric of three keys is a gauge of numbers, without labels, units, sums or missing values."""
    made = metric()
    assert (made.type, made.from_, made.value) == (MetricType.GAUGE, ValueKind.NUMBER, parse_path("usage.count"))
    assert (made.labels, made.from_unit, made.map, made.aggregate) == ({}, None, {}, None)
    assert (made.bucket, made.missing, made.top) == (None, None, None)


@pytest.mark.parametrize("value", [1, 0, -0.5, parse_path("a")])
def test_a_value_may_be_a_number(value: object) -> None:
    """A number stands for itself, and a path that has been read stays."""
    assert metric(value=value).value == value


@pytest.mark.parametrize("value", [True, None, [1], {"a": 1}])
def test_what_is_neither_path_nor_number_is_no_value(value: object) -> None:
    """Above all `true`, which Python takes for 1."""
    assert place_and_reason(value=value) == (
        "value",
        "not a value; write a response path such as usage.count, a number, or {const: 1, of: path}",
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"type": "counter"}, "a counter's name ends in _total; write shop_orders_total"),
        (
            {"name": "shop_orders_total"},
            "a name that ends in _total is a counter's; write type: counter, or drop _total",
        ),
        (
            {"name": "shop_orders_created"},
            "a name that ends in _created belongs to a counter or a histogram; drop the ending",
        ),
        ({"from": "enum"}, "from: enum needs the numbers of its words; write map: {WORD: number}, or states"),
        ({"from": "string", "map": {"UP": 1}}, "from: string cannot be combined with map or states; remove from"),
        (
            {**COUNTER, "value": 1},
            "a counter's value comes from the answer; write a response path, or aggregate: sum for rows",
        ),
        (
            {**COUNTER, "value": 1.5, "aggregate": "max"},
            "a counter's value comes from the answer; write a response path, or aggregate: sum for rows",
        ),
    ],
)
def test_names_and_keys_that_do_not_fit_are_refused(keys: dict[str, Any], said: str) -> None:
    """What Prometheus would misread, and keys that mean nothing together, are refused with what would be right."""
    assert place_and_reason(**keys) == ("", said)


@pytest.mark.parametrize(
    "keys",
    [
        COUNTER,
        {**COUNTER, "value": 1, "aggregate": "sum"},
        {"from": "enum", "map": {"UP": 1, "DOWN": 0}},
        {"name": "shop_total_orders"},
        {"value": 1, "aggregate": "max"},
    ],
)
def test_the_right_forms_of_them_are_taken(keys: dict[str, Any]) -> None:
    """The rules refuse no more than they say."""
    assert metric(**keys).name == keys.get("name", "shop_orders")


@pytest.mark.parametrize(
    ("place", "keys"),
    [
        ("help", {"help": ""}),
        ("top.n", {"top": {"n": 0, "label": "api"}}),
        ("missing.labels", {"missing": {"rows_of": "apis", "labels": {}}}),
        ("bucket.width", {"bucket": {"start": "at", "width": "7m"}}),
        ("from_unit", {"from_unit": "fortnights"}),
        ("aggregate", {"aggregate": "mean"}),
    ],
)
def test_parts_have_their_own_rules(place: str, keys: dict[str, Any]) -> None:
    """Each fault stands at the key that has it."""
    assert place_and_reason(**keys)[0] == place


def test_parts_are_read() -> None:
    """Buckets, missing rows and the largest values, with their defaults."""
    made = metric(
        bucket={"start": "timeSpan", "width": "15m"},
        missing={"rows_of": "apis", "labels": {"api": "id"}},
        top={"n": 3, "label": "api"},
    )
    assert made.bucket is not None
    assert made.missing is not None
    assert made.top is not None
    assert (made.bucket.start, made.bucket.width) == (parse_path("timeSpan"), timedelta(minutes=15))
    assert (made.missing.rows_of, made.missing.labels, made.missing.value) == ("apis", {"api": parse_path("id")}, 0)
    assert (made.top.n, made.top.label, made.top.rest) == (3, "api", "Other")
