"""What a hop of a walk opens: the items of a list, or the values of a map, with their positions or keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    return [[leaf for _, item in _opened(node, hop, stays) for leaf in _leaves(item, stays)] for node in nodes]


def keys(nodes: Sequence[Node], hop: Hop, following: Hop | None) -> list[Sequence[Node]]:
    """The keys in the map, or the positions in the list, of what `entries` gives; null where neither is opened."""
    stays = _is_left(following)
    return [[key for key, item in _opened(node, hop, stays) for _ in _leaves(item, stays)] for node in nodes]


def items(value: Node) -> Sequence[Node]:
    """The items of a list, at any depth, without nulls; what is no list is its own only item."""
    if isinstance(value, Table):
        return value
    if not isinstance(value, list):
        return () if value is None else (value,)
    kinds = set(map(type, value))
    if list in kinds:
        return [leaf for item in value for leaf in items(item)]
    return [item for item in value if item is not None] if NoneType in kinds else value


def _is_left(following: Hop | None) -> bool:
    return following is not None and following.mark is not None


def _opened(node: Node, hop: Hop, stays: bool) -> Iterator[tuple[Node, Node]]:
    """What is one level below a node, with its key or position."""
    if isinstance(node, dict) and hop.mark is not None:
        yield from node.items()
    elif isinstance(node, list) and (hop.mark is not None or not stays):
        yield from enumerate(node)
    else:
        yield None, node


def _leaves(item: Node, stays: bool) -> Sequence[Node]:
    if stays:
        return () if item is None else (item,)
    return items(item)
