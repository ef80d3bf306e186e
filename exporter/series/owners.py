"""Who publishes which series: each has one owner."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Iterator
from itertools import chain, islice
from typing import Final, Generic, TypeVar

from msgspec import Struct, field

from exporter.model.samples import LabelValues, Samples

Owner = TypeVar("Owner", bound=Hashable)
_TOLD: Final = 100


class Keys(Struct, frozen=True):
    """The series that one owner has in one family, by the hashes of their label values.

    The texts of 100 000 series would take 40 MB, and hold the memory of the whole answer that they were cut out of. A
    hash has 64 bits and another salt in each process: that any two of a million series share one is a chance of 1 in
    40 million. `some` are the first series, for messages.
    """

    hashes: array[int] = field(default_factory=lambda: array("q"))
    some: tuple[LabelValues, ...] = ()

    @classmethod
    def of(cls, samples: Samples) -> Keys:
        return cls(samples.hashes, tuple(islice(samples.label_values(), _TOLD)))

    def __len__(self) -> int:
        return len(self.hashes)

    def isdisjoint(self, hashes: Iterable[int]) -> bool:
        """Whether none of these series is among them."""
        return frozenset(self.hashes).isdisjoint(hashes)


NONE: Final = Keys()


class Claims(Generic[Owner]):
    """The series of each family by owner. A family with one owner, as most are, needs no word for each series."""

    def __init__(self) -> None:
        self._holders: dict[str, dict[Owner, Keys]] = {}
        self._owner_of: dict[str, dict[int, Owner]] = {}  # by hash, of the families that have several

    def count(self, family: str) -> int:
        """How many series a family has."""
        return sum(map(len, self._holders.get(family, {}).values()))

    def some(self, family: str) -> Iterator[LabelValues]:
        """Series of a family, some of each owner."""
        return chain.from_iterable(keys.some for keys in self._holders.get(family, {}).values())

    def other(self, owner: Owner, family: str, keys: Keys) -> Owner | None:
        """Who else has one of these series, if anybody."""
        return next(self.others(owner, family, keys), None)

    def others(self, owner: Owner, family: str, keys: Keys) -> Iterator[Owner]:
        """Who else has some of these series; who has several comes as often."""
        if (owner_of := self._owner_of.get(family)) is not None:
            return (owner_of[each] for each in keys.hashes if owner_of.get(each, owner) != owner)
        holders = self._holders.get(family, {}).items()
        return (other for other, held in holders if other != owner and not keys.isdisjoint(held.hashes))

    def put(self, owner: Owner, family: str, keys: Keys) -> None:
        """From now on the owner has exactly these series, which nobody else has; without any, it is gone."""
        holders = self._holders.setdefault(family, {})
        before = holders.pop(owner, NONE)
        if keys:
            holders[owner] = keys
        if len(holders) < 2:
            self._owner_of.pop(family, None)
            if not holders:
                del self._holders[family]
        elif (owner_of := self._owner_of.get(family)) is not None:
            for each in before.hashes:
                del owner_of[each]
            owner_of.update(dict.fromkeys(keys.hashes, owner))
        else:
            self._owner_of[family] = {each: holder for holder, held in holders.items() for each in held.hashes}
