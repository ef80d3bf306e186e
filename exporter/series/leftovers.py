"""What queries yielded under another configuration, and whether it can stay beside what they yield now."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar

from exporter.model.samples import Family, MetricType

Owner = TypeVar("Owner", bound=Hashable)
_Shape: TypeAlias = tuple[str, MetricType, tuple[str, ...]]


class Leftovers(Generic[Owner]):
    """The owners of such results. Of those on the page it is known which families they have, so that a poll looks at
    those of its own families alone, and of these at those of another shape: after a reload of thousands of queries,
    each is polled beside thousands of them."""

    def __init__(self) -> None:
        self._families: dict[Owner, tuple[Family, ...]] = {}
        self._by_shape: dict[str, dict[_Shape, dict[Owner, None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._families)

    def __contains__(self, owner: Owner) -> bool:
        return owner in self._families

    def add(self, owner: Owner, families: Iterable[Family]) -> None:
        """From now on the owner's results, which are in these families, are of another configuration."""
        self.discard(owner)
        self._families[owner] = tuple(families)
        for family in self._families[owner]:
            self._by_shape.setdefault(_base(family), {}).setdefault(_shape(family), {})[owner] = None

    def discard(self, owner: Owner) -> None:
        """The owner has no such results, or others."""
        self.clear(owner)
        self._families.pop(owner, None)

    def clear(self, owner: Owner) -> None:
        """The owner's results are not on the page any more."""
        for family in self._families.get(owner, ()):
            shapes = self._by_shape[_base(family)]
            shapes[_shape(family)].pop(owner, None)
            if not shapes[_shape(family)]:
                del shapes[_shape(family)]
            if not shapes:
                del self._by_shape[_base(family)]
        if owner in self._families:
            self._families[owner] = ()

    def on_page(self) -> Iterator[Owner]:
        """Whose results are on the page."""
        return (owner for owner, families in self._families.items() if families)

    def of_other_shape(self, family: Family) -> Iterator[Owner]:
        """Whose results cannot be on a page with this family (OpenMetrics: `x` and `x_total` are one):
        one family has one shape."""
        for shape, owners in self._by_shape.get(_base(family), {}).items():
            if shape != _shape(family):
                yield from owners


def _base(family: Family) -> str:
    return family.name.removesuffix("_total")


def _shape(family: Family) -> _Shape:
    return family.name, family.type, family.label_names
