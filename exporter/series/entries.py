"""What a hop of a walk opens: the items of a list, or the values of a map, with their positions or keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Any, TypeAlias

from exporter.document.table import Table
from exporter.plan.plan import Hop

Node: TypeAlias = Any  # an object of the answer, a scalar, or a list of either


def entries(nodes: Sequence[Node], hop: Hop, following: Hop | None) -> list[Sequence[Node]]:
    """What each node that a hop has led to is opened to, without nulls: lists at any depth, maps where the hop says so.
    What `following` opens is left to it."""
    stays = _is_left(following)
    if hop.mark is None and not stays:
        return [items(node) for node in nodes]
    return [_leaves(_open(node, hop, stays)[1], stays) for node in nodes]


def keys(nodes: Sequence[Node], hop: Hop, following: Hop | None) -> list[Sequence[Node]]:
    """The keys in the map, or the positions in the list, of what `entries` gives; null where neither is opened."""
    stays = _is_left(following)
    found: list[Sequence[Node]] = []
    for node in nodes:
        known, values = _open(node, hop, stays)
        if _are_leaves(values):
            found.append(list(known))
        else:
            each = zip(known, values, strict=True)
            found.append([key for key, value in each for _ in _leaves((value,), stays)])
    return found


def opens(node: Node, hop: Hop, following: Hop | None) -> bool:
    """Whether `entries` gives what is in a node, and not the node itself."""
    if isinstance(node, dict):
        return hop.mark is not None
    return isinstance(node, list | Table) and (hop.mark is not None or not _is_left(following))


def null_count(node: Node, following: Hop | None) -> int:
    """How many nulls `entries` leaves out of what is in a node that it opens."""
    if isinstance(node, Table):
        return node.nulls
    values = node.values() if isinstance(node, dict) else node
    if _is_left(following):
        return sum(value is None for value in values)
    return _nulls_in(values)


def _nulls_in(values: Iterable[Node]) -> int:
    """The nulls among these values, and in lists among them at any depth."""
    count, rest = 0, [values]
    while rest:
        for value in rest.pop():
            if value is None:
                count += 1
            elif isinstance(value, list):
                rest.append(value)
    return count


def items(value: Node) -> Sequence[Node]:
    """The items of a list, at any depth, without nulls; what is no list is its own only item."""
    if isinstance(value, Table):
        return value
    if not isinstance(value, list):
        return () if value is None else (value,)
    kinds = set(map(type, value))
    if list in kinds:
        return _flatten(value)
    return [item for item in value if item is not None] if NoneType in kinds else value


def _flatten(value: Sequence[Node]) -> list[Node]:
    """The same of lists in lists, which an answer may nest deeper than calls may be."""
    leaves: list[Node] = []
    around = [iter(value)]
    while around:
        for item in around[-1]:
            if isinstance(item, list):
                around.append(iter(item))
                break
            if item is not None:
                leaves.append(item)
        else:
            around.pop()
    return leaves


def _is_left(following: Hop | None) -> bool:
    return following is not None and following.mark is not None


def _open(node: Node, hop: Hop, stays: bool) -> tuple[Sequence[Node], Sequence[Node]]:
    """The keys or positions of what is one level below a node, and these values."""
    if isinstance(node, dict) and hop.mark is not None:
        return list(node), list(node.values())
    if isinstance(node, list | Table) and (hop.mark is not None or not stays):
        return range(len(node)), node
    return (None,), (node,)


def _are_leaves(values: Sequence[Node]) -> bool:
    return isinstance(values, Table) or set(map(type, values)).isdisjoint((list, NoneType))


def _leaves(values: Sequence[Node], stays: bool) -> Sequence[Node]:
    if _are_leaves(values):
        return values
    return [value for value in values if value is not None] if stays else _flatten(values)
