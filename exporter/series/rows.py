"""The rows that queries yielded last, and what is looked up in them; made anew only where rows have changed."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Set
from typing import TypeAlias

from msgspec import Struct

from exporter.model.outcome import Names
from exporter.model.samples import Json
from exporter.model.template import scalar_text
from exporter.plan.operation import FeedingRow
from exporter.plan.plan import LookupPlan, Target

Exports: TypeAlias = Mapping[str, Json]


class _Known(Struct):
    """What is known of one query on one source: the rows of each owner, and what was made of all of them."""

    by_owner: dict[Hashable, tuple[FeedingRow, ...]] = {}
    joined: tuple[FeedingRow, ...] | None = None
    shapes: frozenset[frozenset[str]] = frozenset()  # what the rows' outer values are called
    names: dict[Hashable, Names] = {}
    beside: dict[frozenset[str], dict[str, list[Exports]]] = {}


class Rows:
    """The rows of all queries. Owners are whoever yields them: a query's targets."""

    def __init__(self) -> None:
        self._queries: dict[tuple[str, str], _Known] = {}

    def put(self, query: str, source: str, owner: Hashable, rows: Iterable[Exports], outer: Exports) -> bool:
        """From now on the owner has exactly these rows; whether that is anything new. `outer` are its own values."""
        fresh = tuple(FeedingRow(row, outer) for row in rows)
        known = self._queries.get((query, source))
        if known is None:
            if not fresh:  # most queries have none, and there may be thousands
                return False
            known = _Known()
        if fresh == known.by_owner.get(owner, ()):
            return False
        by_owner = known.by_owner
        if fresh:
            by_owner[owner] = fresh
        else:
            del by_owner[owner]
        self._queries[query, source] = _Known(by_owner)
        return True

    def of(self, query: str, source: str) -> tuple[FeedingRow, ...]:
        """All rows of a query."""
        known = self._queries.get((query, source))
        if known is None:
            return ()
        if known.joined is None:
            known.joined = tuple(row for rows in known.by_owner.values() for row in rows)
            known.shapes = frozenset(frozenset(rows[0].outer) for rows in known.by_owner.values())
        return known.joined

    def beside(self, query: str, source: str, target: Target) -> tuple[Exports, ...]:
        """The rows of a query that agree with this target in what both refer to."""
        known = self._queries.get((query, source))
        if known is None:
            return ()
        rows, names = self.of(query, source), frozenset(target.values)
        groups = known.beside.get(names)
        if groups is None:
            groups = known.beside[names] = {}
            for row in rows:
                groups.setdefault(_key_of_values(row.outer, names), []).append(row.exports)
        ways = {_key_of_values(target.values, shape) for shape in known.shapes}
        return tuple(exports for way in ways for exports in groups.get(way, ()))

    def names(self, lookup: LookupPlan, source: str) -> Names:
        """What a lookup knows at this moment: key -> field -> text."""
        if lookup.query is None:
            return lookup.table
        known = self._queries.get((lookup.query, source))
        if known is None:
            return {}
        which = (lookup.key, *lookup.fields.items())
        if which not in known.names:
            needed = frozenset((lookup.key, *lookup.fields.values()))
            known.names[which] = {
                scalar_text(row.exports[lookup.key]): {
                    name: scalar_text(row.exports[path]) for name, path in lookup.fields.items()
                }
                for row in self.of(lookup.query, source)
                if _has_scalars(row.exports, needed)
            }
        return known.names[which]


def _has_scalars(exports: Exports, needed: Set[str]) -> bool:
    """Whether a row has all that a lookup needs, as texts can be made of it; not so of rows that are left over from
    another configuration, and of odd rows of an API without a schema."""
    return exports.keys() >= needed and not any(isinstance(exports[name], list | dict) for name in needed)


def _key_of_values(values: Exports, names: Iterable[str]) -> str:
    """Those of the values that have one of these names, as a text that is equal where they are."""
    return json.dumps({name: values[name] for name in sorted(names) if name in values})
