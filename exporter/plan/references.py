"""References to sources, times and rows: whether each may stand where it does, and has an answer. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from exporter.config.nodes import KeyPath
from exporter.config.query import RowsOf
from exporter.model.response_path import parse_path
from exporter.model.template import Reference
from exporter.plan.findings import KeyProblem
from exporter.plan.operation import time_names
from exporter.plan.response_paths import Feeders, ParsedQuery, PathProblem, column
from exporter.plan.wants import SELF, is_outer, query_references, row_references

_FORMS: Final = "or one with _unix, _unix_ms, _date, _year, _month or _day behind it"
_TIMES: Final = {"window": time_names("start", "end"), "period": time_names("start")}


def reference_problems(parsed: ParsedQuery, feeders: Feeders, carried: Mapping[str, KeyPath]) -> Iterator[KeyProblem]:
    """What is wrong with the references of a query, and with those that its targets carry for others."""
    feeder = feeders.get(parsed.query.name)
    for place, reference, in_label in query_references(parsed):
        yield from _place_problems(parsed, feeder, place, reference, in_label=in_label)
    for place, name in row_references(parsed, carried):
        yield from _row_problems(parsed, feeder, place, name)


def has_unused_window(parsed: ParsedQuery) -> bool:
    """Whether a query has a window that nothing is asked by: no variable has its times, and no bucket ends with it."""
    query = parsed.query
    if query.window is None or query.period is not None or parsed.lacks("window", "variables", "period", "metrics"):
        return False
    if any(metric.bucket is not None for metric in query.metrics):
        return False
    return all(reference.name.partition(".")[0] != "window" for _, reference, _ in query_references(parsed))


def _place_problems(
    parsed: ParsedQuery, feeder: ParsedQuery | None, place: KeyPath, reference: Reference, *, in_label: bool
) -> Iterator[KeyProblem]:
    query, (root, _, rest) = parsed.query, reference.name.partition(".")
    shown = _in_braces(reference.name)
    if root == "source":
        yield from _source_value_problems(parsed, place, rest, in_label=in_label)
    elif root in _TIMES and parsed.lacks(root):
        return
    elif root == "window":
        if query.window is None or rest not in _TIMES[root] or in_label:
            remedy = "add window:" if query.window is None else f"write window.start or window.end, {_FORMS}"
            remedy = "a label that changes with every poll makes a new series each time" if in_label else remedy
            yield KeyProblem(place, f"{shown} cannot be used here", remedy)
    elif root == "period":
        if query.period is None or rest not in _TIMES[root] or in_label:
            yield KeyProblem(place, f"{shown} cannot be used here", "add period:, and write period.start in variables")
    elif root in query.for_each or parsed.lacks("for_each"):
        if query.batch is not None and in_label and root in query.for_each and not is_outer(rest, feeder):
            yield KeyProblem(place, f"{shown} is a list, because of batch", "take the label from the answer")
    else:
        roots = ", ".join(["source", *query.for_each, *(["window"] if query.window else [])])
        yield KeyProblem(place, f"{shown} refers to nothing", f"references begin with one of: {roots}")


def _source_value_problems(parsed: ParsedQuery, place: KeyPath, name: str, *, in_label: bool) -> Iterator[KeyProblem]:
    shown = _in_braces(f"source.{name}")
    for source in parsed.sources:
        if name in source.secret_values:
            if in_label:
                yield KeyProblem(place, f"{shown} is secret", "labels are public; take it from values")
        elif name not in source.values and not parsed.source_lacks(source, "values", "secret_values"):
            known = ", ".join([*source.values, *source.secret_values]) or "none"
            yield KeyProblem(place, f"{shown}: the source {source.name} has no such value", f"it has: {known}")


def _row_problems(
    parsed: ParsedQuery, feeder: ParsedQuery | None, place: KeyPath, reference: str
) -> Iterator[KeyProblem]:
    """A reference to rows which the list, or the feeding query, does not have."""
    root, _, rest = reference.partition(".")
    over, shown = parsed.query.for_each[root], _in_braces(reference)
    if not isinstance(over, RowsOf):
        if not all((rest in item) if isinstance(item, dict) else not rest for item in over):
            yield KeyProblem(place, f"{shown}: not every item of the list has that", "add it to each")
        return
    if feeder is None or is_outer(rest, feeder) or feeder.lacks("for_each"):
        return
    try:
        column(parse_path(rest or SELF), feeder.rows)
    except PathProblem as problem:
        yield KeyProblem(place, f"{shown}: {problem.wrong} of {over.query}", problem.remedy)
    except ValueError as error:
        yield KeyProblem(place, f"{shown}: {error}")


def _in_braces(reference: str) -> str:
    return f"{{{{ {reference} }}}}"
