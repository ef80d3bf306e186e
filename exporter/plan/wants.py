"""What queries want of each other's rows, from what is written alone: the first pass of planning. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from msgspec import Struct

from exporter.config.labels import ReferenceLabel, parts_of
from exporter.config.nodes import KeyPath
from exporter.config.query import RowsOf
from exporter.config.schema import Lookup
from exporter.model.response_path import parse_path
from exporter.model.template import Reference, references
from exporter.plan.plan import RowsPlan
from exporter.plan.response_paths import Feeders, ParsedQuery, PathProblem, column

SELF: Final = "."


class Wants(Struct, frozen=True):
    """By the name of a query: the references to `for_each` rows that its targets carry, each with where it is first
    written, and the paths that others want of its rows."""

    carried: Mapping[str, Mapping[str, KeyPath]]
    exports: Mapping[str, frozenset[str]]

    def rows(self, parsed: ParsedQuery) -> RowsPlan | None:
        """A query's rows with what is wanted of them, as far as its document has it."""
        if parsed.query.rows is None:
            return None
        columns = {}
        for text in sorted(self.exports.get(parsed.query.name, ())):
            try:
                columns[text] = column(parse_path(text), parsed.rows)[0]
            except (PathProblem, ValueError):
                continue  # reported where it is written
        return RowsPlan(parsed.rows.hops, columns)


def wants(order: Sequence[ParsedQuery], feeders: Feeders, lookups: Iterable[Lookup]) -> Wants:
    """What the queries, in the order of feeding, and the lookups want."""
    carried = _carry_references(order, feeders)
    exports: defaultdict[str, set[str]] = defaultdict(set)
    for query, text in (*_of_targets(order, feeders, carried), *_of_lookups(lookups), *_of_missing(order)):
        exports[query].add(text)
    return Wants(
        _with_those_of_expected_rows(order, carried), {query: frozenset(texts) for query, texts in exports.items()}
    )


def query_references(parsed: ParsedQuery) -> Iterator[tuple[KeyPath, Reference, bool]]:
    """The references of a query with where they stand, and whether that is a label."""
    for name, template in parsed.query.variables.items():
        for reference in references(template):
            yield (*parsed.place, "variables", name), reference, False
    for place, spec in parsed.label_specs():
        templates = (part.template for part in parts_of(spec) if isinstance(part, ReferenceLabel))
        for reference in chain.from_iterable(map(references, templates)):
            yield place, reference, True


def row_references(parsed: ParsedQuery, carried: Mapping[str, KeyPath]) -> Iterator[tuple[KeyPath, str]]:
    """The references to rows that a query's feeder has to answer: what its targets carry, and the fields of `where`."""
    for reference, place in tuple(carried.items()):
        yield place, reference
    for name, over in parsed.query.for_each.items():
        for field in (*over.where, *over.where_not) if isinstance(over, RowsOf) else ():
            yield (*parsed.place, "for_each", name, "where", field), name if field == SELF else f"{name}.{field}"


def is_outer(reference: str, feeder: ParsedQuery | None) -> bool:
    """Whether a reference from within the rows of a query's feeder goes on to what feeds that one."""
    return feeder is not None and reference.partition(".")[0] in feeder.query.for_each


def _carry_references(order: Sequence[ParsedQuery], feeders: Feeders) -> dict[str, dict[str, KeyPath]]:
    """What each query refers to itself, and what those that it feeds refer to further out."""
    carried: dict[str, dict[str, KeyPath]] = {parsed.query.name: {} for parsed in order}
    for parsed in reversed(order):
        own = carried[parsed.query.name]
        for place, reference, _ in query_references(parsed):
            if reference.name.partition(".")[0] in parsed.query.for_each:
                own.setdefault(reference.name, place)
        for feeder, place, name in _references_to_feeder(parsed, feeders, own):
            if is_outer(name, feeder):
                carried[feeder.query.name].setdefault(name, place)
    return carried


def _references_to_feeder(
    parsed: ParsedQuery, feeders: Feeders, carried: Mapping[str, KeyPath]
) -> Iterator[tuple[ParsedQuery, KeyPath, str]]:
    """The references to the rows of a query's feeder, as they read from within these."""
    feeder = feeders.get(parsed.query.name)
    if feeder is None:
        return
    for place, reference in row_references(parsed, carried):
        root, _, rest = reference.partition(".")
        if isinstance(parsed.query.for_each[root], RowsOf):
            yield feeder, place, rest


def _of_targets(
    order: Sequence[ParsedQuery], feeders: Feeders, carried: Mapping[str, Mapping[str, KeyPath]]
) -> Iterator[tuple[str, str]]:
    for parsed in order:
        for feeder, _, reference in _references_to_feeder(parsed, feeders, carried[parsed.query.name]):
            if not is_outer(reference, feeder):
                yield feeder.query.name, reference or SELF


def _of_lookups(lookups: Iterable[Lookup]) -> Iterator[tuple[str, str]]:
    for lookup in lookups:
        for path in (lookup.key, *lookup.fields.values()) if lookup.rows_of is not None else ():
            yield str(lookup.rows_of), str(path)


def _of_missing(order: Sequence[ParsedQuery]) -> Iterator[tuple[str, str]]:
    for parsed in order:
        for _, metric in parsed.metrics():
            if metric.missing is not None:
                yield from ((metric.missing.rows_of, str(path)) for path in metric.missing.labels.values())


def _with_those_of_expected_rows(
    order: Sequence[ParsedQuery], carried: Mapping[str, Mapping[str, KeyPath]]
) -> Mapping[str, Mapping[str, KeyPath]]:
    """Targets are matched with those of the query of `missing` by what they share: both carry the same references."""
    found = dict(carried)
    queries = {parsed.query.name: parsed.query for parsed in order}
    for query in queries.values():
        for metric in query.metrics:
            other = queries.get(metric.missing.rows_of) if metric.missing is not None else None
            if other is not None and other.for_each == query.for_each:
                found[query.name] = {**found[query.name], **found[other.name]}
    return found
