"""Who publishes which series: each has one owner."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set
from itertools import chain
from typing import Generic, TypeAlias, TypeVar

from exporter.model import LabelValues

Keys: TypeAlias = Set[LabelValues]
Owner = TypeVar("Owner", bound=Hashable)


class Claims(Generic[Owner]):
    """The series of each family by owner. A family with one owner, as most are, needs no word for each series."""

    def __init__(self) -> None:
        self._holders: dict[str, dict[Owner, Keys]] = {}
        self._owner_of: dict[str, dict[LabelValues, Owner]] = {}  # of the families that have several

    def count(self, family: str) -> int:
        """How many series a family has."""
        return sum(map(len, self._holders.get(family, {}).values()))

    def keys(self, family: str) -> Iterator[LabelValues]:
        """The series of a family."""
        return chain.from_iterable(self._holders.get(family, {}).values())

    def other(self, owner: Owner, family: str, keys: Keys) -> Owner | None:
        """Who else has one of these series, if anybody."""
        if (owner_of := self._owner_of.get(family)) is not None:
            return next((owner_of[key] for key in keys if owner_of.get(key, owner) != owner), None)
        holders = self._holders.get(family, {}).items()
        return next((other for other, held in holders if other != owner and not keys.isdisjoint(held)), None)

    def put(self, owner: Owner, family: str, keys: Keys) -> None:
        """From now on the owner has exactly these series, which nobody else has; without any, it is gone."""
        holders = self._holders.setdefault(family, {})
        before = holders.pop(owner, frozenset())
        if keys:
            holders[owner] = keys
        if len(holders) < 2:
            self._owner_of.pop(family, None)
            if not holders:
                del self._holders[family]
        elif (owner_of := self._owner_of.get(family)) is not None:
            for key in before - keys:
                del owner_of[key]
            owner_of.update(dict.fromkeys(keys, owner))
        else:
            self._owner_of[family] = {key: each for each, held in holders.items() for key in held}
