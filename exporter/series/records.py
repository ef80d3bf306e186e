"""What response paths lead to in an answer, held by columns: not one object more for each record.

The answer's objects are those that the query's `AnswerShape` makes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from itertools import chain, compress, repeat, zip_longest
from operator import attrgetter
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import astuple, replace

from exporter.document.answer_shape import attribute
from exporter.document.json_texts import NotJson
from exporter.document.table import Table
from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import ABSENT
from exporter.model.response_path import Mark, Pick, path_text
from exporter.model.template import scalar_text
from exporter.plan.plan import Column, Hop, Hops
from exporter.series.entries import entries, items, keys, null_count, opens
from exporter.series.odd_rows import OddRows, RowReason

Node: TypeAlias = Any  # an object of the answer, a scalar, or a list of either
_WRONG_SHAPE: Final = (AttributeError, TypeError)
_PART: Final = 2000  # records: what is read of them stays in the processor's cache


class Most(Struct, frozen=True):
    """The most rows of all pages together, and the walk that leads to the rows."""

    walk: Hops
    count: int


class Texts(Struct, frozen=True):
    """A column of texts, in which equal ones are one object. `different` has each of them, and may have more."""

    column: Sequence[str]
    different: Collection[str]


class Records(Struct, frozen=True):
    """The records that a walk leads to: `levels[0]` has the data that each is in, `levels[-1]` the records themselves,
    those between the objects on the way. All levels are of one length.

    `columns` and `texts` are what was read of them ahead. `nulls` is how many nulls ended the walk, by their path.
    `lacking` is how many items of the last list on the way led to no record. `keys` has, by depth, the key in the map
    or the position in the list of each.
    """

    levels: tuple[Sequence[Node], ...]
    columns: Mapping[Column, Sequence[Node]] = {}
    texts: Mapping[Column, Texts] = {}
    nulls: Mapping[str, int] = {}
    lacking: int = 0
    keys: Mapping[int, Sequence[Node]] = {}

    def __len__(self) -> int:
        return len(self.levels[-1])

    def where(self, wanted: Sequence[bool]) -> Records:
        """Those records alone."""
        return Records(
            tuple(_those(level, wanted) for level in self.levels),
            {column: list(compress(values, wanted)) for column, values in self.columns.items()},
            {
                column: Texts(list(compress(texts.column, wanted)), texts.different)
                for column, texts in self.texts.items()
            },
            keys={depth: list(compress(keys, wanted)) for depth, keys in self.keys.items()},
        )

    def without(self, reasons: Sequence[RowReason | None], odd: OddRows) -> Records:
        """Those records that have no reason to be left out; `odd` takes the others."""
        for node, reason in zip(self.levels[-1], reasons, strict=True):
            if reason is not None:
                odd.add(node, reason)
        return self.where([reason is None for reason in reasons])

    def column(self, column: Column) -> Sequence[Node]:
        """One value for each record; null on the way is null. Raises `ResultFailure` (`schema`)."""
        if column.is_key:
            return self.keys[column.depth]
        nodes = self.levels[column.depth]
        for hop in column.hops:
            nodes = _children(nodes, hop, column.hops)
        return nodes

    def oddities(self, column: Column, *, lists: bool) -> list[RowReason | None]:
        """Why a column of each record cannot be read as a value, or with `lists` as values; None of those that can."""
        if column.is_key:
            return [None] * len(self)
        return [oddity(node, column.hops) or _odd_form(node, column.hops, lists) for node in self.levels[column.depth]]

    def raw_column(self, column: Column) -> Sequence[Node]:
        """The same, but that `ABSENT` may be among the values: whoever looks at their types anyway sees it there, and
        takes `column` then."""
        if column in self.columns:
            return self.columns[column]
        if len(column.hops) == 1 and not column.hops[0].indexes:
            try:
                return _attributes(self.levels[column.depth], column.hops[0].name)
            except AttributeError:  # a null among them, perhaps
                pass
        return self.column(column)

    def read(self, values: Collection[Column], labels: Collection[Column]) -> Records:
        """The same records with these columns read in one go, which is quicker than one after the other. What is not
        an attribute of every record, or of a label not text, is left to be read when it is needed."""
        if isinstance(self.levels[-1], Table):
            return self._read_of_table(self.levels[-1], values, labels)
        positions = self._positions(values), self._positions(labels)
        columns: dict[Column, list[Node]] = {column: [] for column in positions[0]}
        texts: dict[Column, list[str]] = {column: [] for column in positions[1]}
        known: dict[Column, dict[Node, str]] = {column: {} for column in positions[1]}
        try:
            for rows in self._parts_by_column() if columns or texts else ():
                for column, position in positions[0].items():
                    columns[column].extend(rows[position])
                for column, position in positions[1].items():
                    row = rows[position]
                    texts[column].extend(map(known[column].setdefault, row, row))
        except TypeError:  # a record is no object, or a label has no hash
            return self
        alike = {column: Texts(texts[column], each) for column, each in known.items() if set(map(type, each)) <= {str}}
        return replace(self, columns=columns, texts=alike)

    def _read_of_table(self, table: Table, values: Iterable[Column], labels: Iterable[Column]) -> Records:
        depth = len(self.levels) - 1
        texts: dict[Column, Texts] = {}
        for column in labels:
            if column.depth == depth and len(column.hops) == 1 and not column.hops[0].indexes:
                name = attribute(column.hops[0].name)
                if (different := table.different(name)) is not None:
                    texts[column] = Texts(table.column(name), different)
        return replace(self, columns={}, texts=texts)

    def _positions(self, columns: Collection[Column]) -> dict[Column, int]:
        """Where these columns stand in each record, of those that are its attributes."""
        first = self.levels[-1][0] if len(self) else None
        if not isinstance(first, Struct):
            return {}
        attributes = {name: at for at, name in enumerate(first.__struct_fields__)}
        depth = len(self.levels) - 1
        return {
            column: attributes[name]
            for column in columns
            if column.depth == depth and len(column.hops) == 1 and not column.hops[0].indexes
            if (name := attribute(column.hops[0].name)) in attributes
        }

    def _parts_by_column(self) -> Iterable[list[tuple[Node, ...]]]:
        """The attributes of the records by columns, so many records at a time as stay in the processor's cache. Raises
        `TypeError` where one is no object."""
        nodes = self.levels[-1]
        for at in range(0, len(nodes), _PART):
            yield list(zip(*map(astuple, nodes[at : at + _PART]), strict=True))

    def explode(self, values: Sequence[Node]) -> tuple[Records, Sequence[Node]]:
        """The records and these values of theirs, where a value that is a list stands once for each of its items."""
        parts = [items(value) for value in values]
        return Records(_repeat(self.levels, parts), keys=_repeat_keys(self.keys, parts)), _join(parts)


def records_at(
    data: Sequence[Node],
    walk: Hops,
    most: Most | None = None,
    odd: OddRows | None = None,
    keyed: Set[int] = frozenset(),
) -> Records:
    """The records that a walk leads to in the data of each page; lists explode, nulls end. Raises `ResultFailure`.

    Where the walk leads to the rows of `most`, or through them, only the first of these rows count. Where there is
    `odd`, it takes the objects on the way from which the walk cannot go on, but for the data itself. `keyed` are the
    depths whose keys and positions are wanted.
    """
    if None in data:
        raise ResultFailure(Reason.SCHEMA, "the answer has no data")
    levels: tuple[Sequence[Node], ...] = (data,)
    records = Records(levels)
    nulls: dict[str, int] = {}
    lacking: int | None = None  # until a list is opened
    for depth, (hop, following) in enumerate(_with_following(walk)):
        if odd is not None and depth:
            before = len(records)
            records = _without_odd(records, hop, odd)
            lacking = None if lacking is None else lacking + before - len(records)
        way = walk[: depth + 1]
        children = _children(records.levels[-1], hop, way)
        opened = [child for child in children if opens(child, hop, following)] if _has_any_to_open(children) else []
        ends, null_items = sum(child is None for child in children), sum(null_count(one, following) for one in opened)
        nulls |= _nulls_by_path(way, ends, null_items)
        if opened:
            lacking = null_items
        elif lacking is not None:
            lacking += ends
        parts = entries(children, hop, following)
        wanted = dict(_repeat_keys(records.keys, parts))
        if depth + 1 in keyed:
            wanted[depth + 1] = _join(keys(children, hop, following))
        levels = (*_repeat(records.levels, parts), _join(parts))
        if most is not None and len(levels[-1]) > most.count and way == most.walk:
            levels = tuple(level[: most.count] for level in levels)
            wanted = {at: found[: most.count] for at, found in wanted.items()}
        records = Records(levels, keys=wanted)
    return replace(records, nulls=nulls, lacking=lacking or 0)


def _has_any_to_open(nodes: Sequence[Node]) -> bool:
    return not {list, dict, Table}.isdisjoint(map(type, nodes))


def _nulls_by_path(way: Hops, ends: int, null_items: int) -> dict[str, int]:
    """Of a hop, how many nulls it has led to, and how many it has left out of what it opened."""
    hop, found = way[-1], {}
    if ends and (hop.inside or not hop.optional):
        found[hops_text(way)] = ends
    if null_items:
        below = () if hop.mark is not None else (Hop(str(Mark.EVERY), mark=Mark.EVERY),)
        found[hops_text((*way, *below))] = null_items
    return found


def _without_odd(records: Records, hop: Hop, odd: OddRows) -> Records:
    """The records without those from which that hop leads nowhere."""
    try:
        _children(records.levels[-1], hop, ())
    except ResultFailure:
        return records.without([oddity(node, (hop,)) for node in records.levels[-1]], odd)
    return records


def oddity(node: Node, hops: Hops) -> RowReason | None:
    """Why a way cannot be gone from a record; None where it can."""
    for hop in hops:
        if node is None:
            return None
        try:
            node = _child(node, hop)
        except _WRONG_SHAPE:
            is_absent = isinstance(node, Struct) and getattr(node, attribute(hop.name), None) is ABSENT
            return RowReason.ABSENT_FIELD if is_absent else RowReason.WRONG_FORM
    return None


def _odd_form(node: Node, hops: Hops, lists: bool) -> RowReason | None:
    """Whether a way that can be gone ends in something that is no value."""
    for hop in hops:
        node = None if node is None else _child(node, hop)
    values = items(node) if lists else (node,)
    return RowReason.WRONG_FORM if any(isinstance(value, Struct | dict | list) for value in values) else None


def is_known(node: Node, way: Hops) -> bool:
    """Whether a way from here ends in values or in lists that are empty, and nowhere in a null."""
    found = [node]
    for hop, following in _with_following(way):
        try:
            children = [_child(one, hop) for one in found]
        except _WRONG_SHAPE:
            return False
        if None in children:
            return False
        found = list(chain.from_iterable(entries(children, hop, following)))
    return True


def _with_following(hops: Hops) -> list[tuple[Hop, Hop | None]]:
    """Each hop with the one that follows it."""
    return list(zip_longest(hops, hops[1:]))


def hops_text(hops: Hops) -> str:
    """The path as messages write it."""
    return path_text(tuple(hop.mark or hop.name for hop in hops))


def _repeat(levels: Iterable[Sequence[Node]], parts: Sequence[Sequence[Node]]) -> tuple[Sequence[Node], ...]:
    """Each level with every object as often as there are items in its part."""
    if len(parts) == 1:
        return tuple(list(level) * len(parts[0]) for level in levels)
    counts = list(map(len, parts))
    return tuple(list(chain.from_iterable(map(repeat, level, counts))) for level in levels)


def _repeat_keys(keys: Mapping[int, Sequence[Node]], parts: Sequence[Sequence[Node]]) -> Mapping[int, Sequence[Node]]:
    return dict(zip(keys, _repeat(keys.values(), parts), strict=True)) if keys else keys


def _join(parts: Sequence[Sequence[Node]]) -> Sequence[Node]:
    """The items of all parts."""
    return parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))


def _those(level: Sequence[Node], wanted: Sequence[bool]) -> Sequence[Node]:
    return level.where(wanted) if isinstance(level, Table) else list(compress(level, wanted))


def _attributes(nodes: Sequence[Node], name: str) -> Sequence[Node]:
    """The values at a response key of each node, `ABSENT` among them. Raises `AttributeError`."""
    return nodes.column(attribute(name)) if isinstance(nodes, Table) else list(map(attrgetter(attribute(name)), nodes))


def _children(nodes: Sequence[Node], hop: Hop, way: Hops) -> Sequence[Node]:
    """What a hop leads to from each node. Raises `ResultFailure`, which names the whole way."""
    if not hop.indexes and not hop.inside and hop.mark is None:
        try:
            found = _attributes(nodes, hop.name)
        except AttributeError:  # a null among them, perhaps
            pass
        else:
            if ABSENT not in found:
                return found
    try:
        return [None if node is None else _child(node, hop) for node in nodes]
    except _WRONG_SHAPE:
        also = "; a text on the way is not JSON" if any(isinstance(node, NotJson) for node in nodes) else ""
        raise ResultFailure(Reason.SCHEMA, f"the answer has no {hops_text(way)} in every row{also}") from None


def _child(node: Node, hop: Hop) -> Node:
    """What a hop leads to. Raises `AttributeError` or `TypeError` where the answer is not of that shape."""
    if hop.mark is not None:
        if node is None or isinstance(node, dict | list | Table):
            return node
        raise TypeError("neither a list nor a map")
    child = _inner(node, hop.name) if hop.inside else getattr(node, attribute(hop.name))
    if child is ABSENT:
        if hop.optional:
            return None
        raise AttributeError(hop.name)
    for index in hop.indexes:
        if child is None:
            return None
        if not isinstance(child, list):
            raise TypeError("not a list")
        if isinstance(index, Pick):
            child = next((item for item in child if item is not None and _is_picked(item, index)), None)
        else:
            child = child[index] if -len(child) <= index < len(child) else None
    return child


def _inner(node: Node, key: str) -> Node:
    """What is at a key of JSON, which may be of any form."""
    if isinstance(node, NotJson):
        raise TypeError("not JSON")
    return node.get(key) if isinstance(node, dict) else None


def _is_picked(item: Node, pick: Pick) -> bool:
    """Whether an item's field has the text. Raises `AttributeError` or `TypeError` where it cannot have one."""
    value = _inner(item, pick.field) if isinstance(item, dict) else getattr(item, attribute(pick.field))
    return value is not ABSENT and scalar_text(value) == pick.text
