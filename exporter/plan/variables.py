"""What is known of variables before the first poll, against the types that a schema gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from exporter.config.query import Query, RowsOf
from exporter.document.document import FieldType
from exporter.document.variable_types import KeysBelow, Known, Literal, place_faults, value_faults
from exporter.model.response_path import parse_path
from exporter.model.samples import Json
from exporter.model.template import Reference
from exporter.model.time_format import ISO
from exporter.model.window import TimeRange
from exporter.plan.findings import KeyProblem, impossible_conditions
from exporter.plan.operation import Moment, time_values
from exporter.plan.response_paths import Feeders, ParsedQuery, PathProblem, column

_TEXT: Final = FieldType("String", True)
_WHOLE_NUMBER: Final = FieldType("Int", True)
_SAMPLE: Final = datetime(2026, 1, 1, tzinfo=UTC)


def variable_problems(parsed: ParsedQuery, feeders: Feeders) -> Iterator[KeyProblem]:
    """What is wrong with a query's variables, with what its pages set in them and with the values of `where`."""
    query, declared = parsed.query, parsed.document.variables
    filled = tuple(steps for _, steps, _ in _set_by_pages(query))
    for name, variable in declared.items():
        set_below = tuple(steps[1:] for steps in filled if steps[0] == name)
        if variable.input is None or (name not in query.variables and not any(set_below)):
            continue
        if name not in query.variables and parsed.lacks("variables"):
            continue
        value = query.variables.get(name, {})
        for fault in value_faults(variable.input, value, lambda one: _possible_values(parsed, one, feeders), set_below):
            yield KeyProblem((*parsed.place, "variables", name, *fault.at), fault.wrong, fault.remedy)
    for key, steps, value in _set_by_pages(query):
        if (known := declared.get(str(steps[0]))) is not None and known.input is not None:
            for fault in place_faults(known.input, steps[1:], value):
                yield KeyProblem((*parsed.place, "pages", key), fault.wrong, fault.remedy)
    yield from _where_problems(parsed, feeders)


def _set_by_pages(query: Query) -> Iterator[tuple[str, KeysBelow, Json]]:
    """The keys of `pages` that say where in the variables something is set, and a value such as is set there."""
    pages = query.pages
    if pages is None:
        return
    for key, path, value in (
        ("limit", pages.limit, pages.size),
        ("offset", pages.offset, 0),
        ("page", pages.page, 1),
        ("cursor", pages.cursor, ""),
    ):
        if path is not None and path.steps:
            yield key, tuple(step if isinstance(step, str | int) else str(step) for step in path.steps), value


def _where_problems(parsed: ParsedQuery, feeders: Feeders) -> Iterator[KeyProblem]:
    for name, over in parsed.query.for_each.items():
        for field, wanted in (*over.where.items(), *over.where_not.items()) if isinstance(over, RowsOf) else ():
            reference = name if field == "." else f"{name}.{field}"
            for known in _possible_row_values(parsed, reference, feeders):
                if isinstance(known, FieldType):
                    place = (*parsed.place, "for_each", name, "where", field)
                    yield from impossible_conditions(place, field, known, wanted)


def _possible_values(parsed: ParsedQuery, reference: Reference, feeders: Feeders) -> Iterable[Known]:
    """What a reference can be: for each source, or in all."""
    root, _, rest = reference.name.partition(".")
    if root == "source":
        return [
            _TEXT if rest in source.secret_values else Literal(source.values[rest])
            for source in parsed.sources
            if rest in source.secret_values or rest in source.values
        ]
    if root in ("window", "period"):
        return [] if parsed.lacks("window", "period") else [_possible_time(parsed.query, reference.name)]
    if root not in parsed.query.for_each:
        return []
    return _possible_row_values(parsed, reference.name, feeders)


def _possible_time(query: Query, reference: str) -> Known:
    """What a reference to a time can be: milliseconds are known not to be an Int of GraphQL."""
    sample = Moment(TimeRange(_SAMPLE, _SAMPLE), _SAMPLE)
    value = time_values(sample, query.window.format if query.window is not None else ISO).get(reference)
    if isinstance(value, int | float):
        return Literal(value) if value > _SAMPLE.timestamp() else _WHOLE_NUMBER
    return _TEXT


def _possible_row_values(parsed: ParsedQuery, reference: str, feeders: Feeders) -> Iterable[Known]:
    """What a reference to the rows of a `for_each` can be; a list, for the innermost rows of a batch."""
    root, _, rest = reference.partition(".")
    over = parsed.query.for_each[root]
    batched = parsed.query.batch is not None
    if not isinstance(over, RowsOf):
        items = [
            item[rest] if isinstance(item, dict) else item
            for item in over
            if not isinstance(item, dict) or rest in item
        ]
        return [Literal(items)] if batched else [Literal(item) for item in items]
    outer = feeders.get(parsed.query.name)
    if outer is None or parsed.lacks("batch"):
        return []
    if rest.partition(".")[0] in outer.query.for_each:
        return _possible_row_values(outer, rest, feeders)
    try:
        found = column(parse_path(rest or "."), outer.rows)[1]
    except (PathProblem, ValueError):
        return []
    if found is None:  # inside JSON, or without a schema; that a batch is a list is known
        return [FieldType("", True, lists=1)] if batched else []
    return [FieldType(found.name, True, found.enum_values, int(batched))]
