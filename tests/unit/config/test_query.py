"""The rules of a query: what belongs together, and what is meant where nothing is written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from exporter.config.query import Query

GAUGE = {"name": "shop_orders", "help": "Orders.", "value": "open"}
COUNTER = {"name": "shop_orders_total", "help": "Orders.", "type": "counter", "value": "open"}
GOOD: dict[str, Any] = {"name": "orders", "document": "{ open }", "metrics": [GAUGE]}
WINDOW = {"window": {"length": "5m"}}
AUDITED = {**WINDOW, "period": "day", "audit": {"after": "6h"}, "metrics": [COUNTER]}
PAGES = {"size": 10, "limit": "n", "offset": "o", "total": "count", "max_rows": 100}


def query(**keys: Any) -> Query:
    return Query.model_validate({key: value for key, value in {**GOOD, **keys}.items() if value is not ...})


@pytest.mark.parametrize(
    ("keys", "timeout", "stale_after"),
    [
        ({}, 10, 600),
        ({"interval": "5s"}, 5, 600),
        ({"interval": "10m"}, 10, 3000),
        ({"interval": "2m"}, 10, 600),
        ({"timeout": "30s"}, 30, 600),
        ({"timeout": "1m"}, 60, 600),
        ({"stale_after": "1s"}, 10, 1),
    ],
)
def test_times_follow_the_interval(keys: dict[str, Any], timeout: float, stale_after: float) -> None:
    """A poll has ten seconds, never more than the interval; values stay for five intervals, ten minutes at least."""
    made = query(**keys)
    assert (made.timeout_seconds, made.stale_after_seconds) == (timeout, stale_after)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"metrics": ...}, "has neither metrics nor rows, so it has no effect; add metrics"),
        ({"timeout": "61s"}, "timeout is longer than interval; shorten it, or poll less often"),
        ({"period": "day"}, "period needs a window, whose end it counts to; add window"),
        ({"audit": {"after": "6h"}}, "audit needs a period, whose totals it asks for again; add period"),
        (
            {**AUDITED, "audit": {"after": "1d"}},
            "audit would run after the end of the next period; shorten after",
        ),
        (
            {**AUDITED, "metrics": [GAUGE]},
            "audit compares counters, and there is none; give a metric type: counter",
        ),
        (
            {**WINDOW, "period": "119s"},
            "period is shorter than two intervals, so a poll could miss a period's end; lengthen it",
        ),
        (
            {"for_each": {"a": "b", "c": "d"}},
            "for_each names more than one query; chain them: let one query be for each row of another",
        ),
        (
            {**WINDOW, "period": "day", "interval": "36h"},
            "interval is longer than period, so polls cannot keep up with it; poll more often",
        ),
        (
            {"period": "10m", "window": {"length": "5m", "align": "1h"}},
            "the window's align is longer than two periods, so it jumps over a period; shorten align",
        ),
        (
            {"period": "day", "window": {"length": "5m", "align": "7d"}},
            "the window's align is longer than two periods, so it jumps over a period; shorten align",
        ),
        ({"batch": 2}, "batch needs for_each, whose rows it groups; add for_each"),
        (
            {"batch": 2, "for_each": {"a": "b", "c": [1, 2]}},
            "batch groups the rows of one for_each entry; keep one",
        ),
        ({"pack": 2}, "pack needs for_each, whose calls it puts together; add for_each"),
        (
            {"pack": 2, "for_each": {"a": "b"}, "rows": "open", "pages": PAGES},
            "pack and pages cannot be combined, because each target has its own pages; keep one",
        ),
        ({"pages": PAGES}, "pages needs rows, the list that comes in pages; add rows"),
    ],
)
def test_what_does_not_go_together_is_refused(keys: dict[str, Any], said: str) -> None:
    """With what would be right."""
    with pytest.raises(ValidationError) as refused:
        query(**keys)
    assert [str(details["ctx"]["error"]) for details in refused.value.errors()] == [said]


@pytest.mark.parametrize(
    "keys",
    [
        {"metrics": ..., "rows": "open"},
        {"timeout": "1m"},
        {**WINDOW, "period": "2m"},
        {**WINDOW, "period": "month"},
        {**WINDOW, "period": "day", "interval": "24h"},
        {"period": "10m", "window": {"length": "5m", "align": "20m"}},
        {"period": "month", "window": {"length": "7d", "align": "7d"}},
        AUDITED,
        {**AUDITED, "audit": {"after": "22h"}},
        {**AUDITED, "period": "month", "audit": {"after": "26d"}},
        {**AUDITED, "metrics": [GAUGE, COUNTER]},
        {"for_each": {"a": "b", "c": [1, 2]}},
        {"for_each": {"a": {"query": "b", "where": {"type": "X"}}}, "batch": 2},
        {"for_each": {"a": [{"id": 1, "of": "x"}]}, "pack": 2},
        {"rows": "open", "pages": PAGES},
    ],
)
def test_the_right_forms_of_them_are_taken(keys: dict[str, Any]) -> None:
    """The rules refuse no more than they say."""
    assert query(**keys).name == "orders"


@pytest.mark.parametrize(
    "value", [5, None, [], [[1]], [None], [{"a": []}], {}, {"query": "b"}, {"query": "b", "where": {}}]
)
def test_a_for_each_is_a_query_or_a_list(value: object) -> None:
    """Of scalars, or of mappings of scalars; an empty one would mean nothing."""
    with pytest.raises(ValidationError) as refused:
        query(for_each={"a": value})
    assert [details["loc"] for details in refused.value.errors()] == [("for_each", "a")]


@pytest.mark.parametrize("where", [{"type": []}, {"type": {"a": 1}}, {"type": [[1]]}])
def test_a_condition_compares_with_scalars(where: object) -> None:
    """One, or a list of some."""
    with pytest.raises(ValidationError, match="where compares a field with a scalar or a list of scalars"):
        query(for_each={"a": {"query": "b", "where": where}})
