"""What is left out of an answer, as it cannot be read, and why: values, and with `on_bad_row: skip` whole rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from exporter.document.answer_shape import key_of
from exporter.model.outcome import ABSENT
from exporter.model.samples import Family, LabelValues
from exporter.model.value import SkipReason

_QUOTED: Final = 200  # characters
_ITEMS: Final = 20  # of a list or an object
_DEPTH: Final = 10


class RowReason(StrEnum):
    """Why a row was left out: a closed list, so that it can be a label value."""

    ABSENT_FIELD = "absent_field"
    WRONG_FORM = "wrong_form"
    DUPLICATE_SERIES = "duplicate_series"


class OddRows(Struct):
    """Collects the rows of one answer that were left out. A row that several metrics lack counts once.

    `first` quotes the first of them, in one short line.
    """

    first: str = ""
    _reasons: dict[int, RowReason] = {}  # by the identity of the row's object
    _nodes: list[object] = []  # which keep their identities while this lives
    _doubles: set[tuple[str, LabelValues]] = set()

    def add(self, node: object, reason: RowReason) -> None:
        """Notes a row by its object in the answer."""
        if id(node) not in self._reasons:
            self._reasons[id(node)] = reason
            self._nodes.append(node)
            self.first = self.first or quote(node)

    def add_double(self, family: Family, key: LabelValues) -> None:
        """Notes a row, of which only a series is known, that another entry of the family has already."""
        self._doubles.add((family.name, key))
        labels = dict(zip(family.label_names, key, strict=True))
        self.first = self.first or quote({"series": family.name, **labels})

    def counts(self) -> Mapping[str, int]:
        """How many rows were left out, by reason."""
        found = Counter(reason.value for reason in self._reasons.values())
        if self._doubles:
            found[RowReason.DUPLICATE_SERIES.value] += len(self._doubles)
        return dict(found)


class LeftOut(Struct):
    """What is left out of an answer: values by reason, `first_value` quotes the first of them, and the rows, where they
    may be left out."""

    rows: OddRows | None = None
    values: Counter[str] = field(default_factory=Counter)
    first_value: str = ""

    def add_values(self, values: Sequence[object], read: Sequence[object]) -> bool:
        """Notes those of the values that were read as a reason to leave them out; whether there are any."""
        reasons = [one.value for one in read if isinstance(one, SkipReason)]
        if not reasons:
            return False
        self.values.update(reasons)
        if not self.first_value:
            self.first_value = quote(
                next(value for value, one in zip(values, read, strict=True) if isinstance(one, SkipReason))
            )
        return True

    def add(self, other: LeftOut) -> None:
        """Notes the values that another part of the answer left out."""
        self.values.update(other.values)
        self.first_value = self.first_value or other.first_value


def quote(node: object) -> str:
    """An object or value of an answer as JSON, cut where it is long. Characters that a terminal obeys, or that change
    the order of others, are escapes in it."""
    text = msgspec.json.encode(_plain(node)).decode()
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def _plain(node: Any, depth: int = 0) -> Any:
    if isinstance(node, msgspec.Struct | dict | list) and depth == _DEPTH:
        return "…"
    if isinstance(node, msgspec.Struct):
        pairs = ((key_of(name), getattr(node, name)) for name in node.__struct_fields__)
        return {key: _plain(value, depth + 1) for key, value in pairs if value is not ABSENT}
    if isinstance(node, dict):
        return {_plain(key): _plain(value, depth + 1) for key, value in islice(node.items(), _ITEMS)}
    if isinstance(node, list):
        return [_plain(item, depth + 1) for item in node[:_ITEMS]]
    if isinstance(node, str):
        return node[:_QUOTED].encode("utf-8", "replace").decode()
    return node
