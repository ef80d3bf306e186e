"""What a hop of a walk opens: lists by themselves, maps and single levels of lists where a path has `.*`."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.model.response_path import Mark
from exporter.plan.plan import Hop
from exporter.series.entries import entries, items, keys, null_count, opens

NAME, EVERY = Hop("a"), Hop("*", mark=Mark.EVERY)


@pytest.mark.parametrize(
    ("node", "hop", "following", "opened"),
    [
        ([1, None, 2], NAME, None, {0: 1, 2: 2}),
        ({"x": 1}, NAME, None, {None: {"x": 1}}),
        (None, NAME, None, {}),
        (None, EVERY, None, {}),
        ({"x": 1, "y": None, "z": 3}, EVERY, None, {"x": 1, "z": 3}),
        ([7, None, 9], EVERY, None, {0: 7, 2: 9}),
        ([[1], None], NAME, EVERY, {None: [[1], None]}),
        ([[1], None, [2]], EVERY, EVERY, {0: [1], 2: [2]}),
        ({"x": {"y": 1}, "z": None}, EVERY, EVERY, {"x": {"y": 1}}),
    ],
)
def test_each_item_has_its_key_or_position(node: Any, hop: Hop, following: Hop | None, opened: dict[Any, Any]) -> None:
    """Positions are those in the answer, nulls counted, though nulls are left out."""
    (found,) = entries([node], hop, following)
    assert list(found) == list(opened.values())
    assert list(map(list, keys([node], hop, following))) == [list(opened)]


@pytest.mark.parametrize(
    ("node", "hop", "following", "count"),
    [
        ([1, None, None], NAME, None, 2),
        ([[1, None], None, []], NAME, None, 2),
        ({"x": None, "y": [None]}, EVERY, None, 2),
        ({"x": None, "y": [None]}, EVERY, EVERY, 1),
        ([[1, None], None], EVERY, EVERY, 1),
        ([], NAME, None, 0),
    ],
)
def test_the_nulls_that_are_left_out_are_counted(node: Any, hop: Hop, following: Hop | None, count: int) -> None:
    """Those in what is opened here, and not those that are left to the next hop."""
    assert opens(node, hop, following)
    assert null_count(node, following) == count


@pytest.mark.parametrize(("node", "following"), [({"x": None}, None), (None, None), ([None], EVERY), ("x", None)])
def test_what_is_not_opened_is_known(node: Any, following: Hop | None) -> None:
    """An object, a null, a scalar, and a list that the next hop opens."""
    assert not opens(node, NAME, following)


def test_a_list_in_a_map_is_opened_under_the_key_of_the_map() -> None:
    """Each of its items is one of that key."""
    node = {"x": [1, [2, None]], "y": []}
    assert entries([node], EVERY, None) == [[1, 2]]
    assert keys([node], EVERY, None) == [["x", "x"]]


def test_items_are_those_of_all_depths_without_nulls() -> None:
    """What is no list is its own only item."""
    assert [list(items(one)) for one in ([[1, None], [[2]], None], 5, None, [])] == [[1, 2], [5], [], []]


def test_lists_nested_deeper_than_calls_may_be_are_opened() -> None:
    """An answer decides how deep they are."""
    deep: Any = [7]
    for _ in range(100_000):
        deep = [deep, None]
    assert list(items(deep)) == [7]
    assert keys([{"x": deep}], EVERY, None) == [["x"]]
