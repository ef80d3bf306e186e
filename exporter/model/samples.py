"""What flows between the stages: frozen values."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import repeat
from typing import Final, TypeAlias

from msgspec import Struct

Json: TypeAlias = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Number: TypeAlias = int | float
LabelValues: TypeAlias = tuple[str, ...]
LARGEST_EXACT_INTEGER: Final = 2**53  # up to here every integer is a float


class MetricType(StrEnum):
    """The types of metric families that a query can publish."""

    GAUGE = "gauge"
    COUNTER = "counter"


class Family(Struct, frozen=True):
    """A metric family. `name` is the sample's name (a counter's ends in `_total`).

    It has its label names once, so that two of its series cannot have different ones.
    """

    name: str
    type: MetricType
    help: str
    label_names: tuple[str, ...]


@dataclass(frozen=True)
class Samples:
    """The series of one family by columns, which need no object for each series: of `labels` one column for each of
    `family.label_names`, and their values.

    `different` has for each label, if it is known, all values that are in its column; it may have more.
    `exact_integers`: all numbers are known to be integers that a float can hold.
    """

    family: Family
    labels: Sequence[Sequence[str]]
    numbers: Sequence[Number]
    different: Sequence[Collection[str]] = field(default=(), compare=False, repr=False)
    exact_integers: bool = field(default=False, compare=False, repr=False)

    @classmethod
    def of(cls, family: Family, series: Mapping[LabelValues, Number]) -> Samples:
        """Those of label values, in the order of `family.label_names`, with a value each."""
        columns = list(zip(*series, strict=True))
        return cls(family, columns or [()] * len(family.label_names), list(series.values()))

    def __len__(self) -> int:
        return len(self.numbers)

    def label_values(self) -> Iterator[LabelValues]:
        """The label values of each series."""
        return zip(*self.labels, strict=True) if self.labels else repeat((), len(self.numbers))

    def items(self) -> Iterator[tuple[LabelValues, Number]]:
        """The label values of each series, and its value."""
        return zip(self.label_values(), self.numbers, strict=True)

    def label_sets(self) -> Sequence[Collection[str]]:
        """For each label all values that are in its column, and perhaps more."""
        return self.different or list(map(set, self.labels))

    @property
    def series(self) -> dict[LabelValues, Number]:
        """Label values -> value."""
        return dict(self.items())

    @property
    def hashes(self) -> array[int]:
        """The hash of each series' label values."""
        return self._hashes[0]

    @property
    def are_distinct(self) -> bool:
        """Whether there is each series once."""
        return self._hashes[1]

    @cached_property
    def _hashes(self) -> tuple[array[int], bool]:
        hashes = list(map(hash, self.label_values()))
        return array("q", hashes), len(set(hashes)) == len(hashes)

    def join(self, others: Samples) -> Samples:
        """These series and the others, of the same family."""
        labels = [[*column, *more] for column, more in zip(self.labels, others.labels, strict=True)]
        return Samples(self.family, labels, [*self.numbers, *others.numbers])


def counter_totals(samples: Iterable[Samples]) -> dict[str, float]:
    """The sum of each counter's series, by its name."""
    return {one.family.name: total(one.numbers) for one in samples if one.family.type is MetricType.COUNTER}


def total(numbers: Collection[Number]) -> float:
    """The sum, which may be infinite; of integers that a float can hold together, the exact one."""
    try:
        return float(sum(numbers))
    except OverflowError:  # integers that are too large for a float only together
        return sum(map(float, numbers))
