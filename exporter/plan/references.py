"""References to sources, times and rows: whether each may stand where it does, and what has to be exported for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from exporter.config.labels import LookupLabel, ReferenceLabel
from exporter.config.nodes import KeyPath
from exporter.config.query import RowsOf
from exporter.model.response_path import parsed_path
from exporter.model.template import Reference, references
from exporter.plan.findings import Findings
from exporter.plan.plan import RowsPlan
from exporter.plan.response_paths import Feeders, ParsedQuery, PathProblem, column

SELF: Final = "."
_TIMES: Final = {"window": ("start", "end", "start_unix", "end_unix"), "period": ("start", "start_unix")}


class References:
    """What the queries want of each other's rows, as their references are followed."""

    def __init__(self, feeders: Feeders, findings: Findings) -> None:
        self._feeders = feeders
        self._findings = findings
        self._needed: dict[str, dict[str, KeyPath]] = defaultdict(dict)  # and where it is first referred to
        self._exports: dict[str, set[str]] = defaultdict(set)

    def needed(self, parsed: ParsedQuery) -> frozenset[str]:
        """The references to `for_each` rows that the targets of a query carry."""
        return frozenset(self._needed[parsed.query.name])

    def rows(self, parsed: ParsedQuery) -> RowsPlan | None:
        """A query's rows with what is wanted of them; complete when every query has been followed."""
        if parsed.query.rows is None:
            return None
        exports = {}
        for text in sorted(self._exports[parsed.query.name]):
            try:
                exports[text] = column(parsed_path(text), parsed.rows)[0]
            except PathProblem:
                continue  # said where it is referred to
        return RowsPlan(parsed.rows.hops, exports)

    def export(self, parsed: ParsedQuery, text: str, place: KeyPath) -> str:
        """Has a query's rows export the path, and gives its name there."""
        self._findings.column(parsed_path(text), parsed.rows, place)
        self._exports[parsed.query.name].add(text)
        return text

    def carry(self, parsed: ParsedQuery, other: ParsedQuery) -> None:
        """Has the targets of a query carry what those of another with the same `for_each` carry."""
        self._needed[parsed.query.name].update(self._needed[other.query.name])

    def follow(self, parsed: ParsedQuery) -> None:
        """Checks a query's references, and has its feeder export what they name. Those that it feeds come before."""
        for place, reference, in_label in _references(parsed):
            self._check(parsed, place, reference, in_label=in_label)
        for needed, first in tuple(self._needed[parsed.query.name].items()):
            self._request(parsed, needed, first)
        for name, over in parsed.query.for_each.items():
            for field in over.where if isinstance(over, RowsOf) else ():
                place = (*parsed.place, "for_each", name, "where", field)
                self._request(parsed, name if field == SELF else f"{name}.{field}", place)

    def _check(self, parsed: ParsedQuery, place: KeyPath, reference: Reference, *, in_label: bool) -> None:
        query, (root, _, rest) = parsed.query, reference.name.partition(".")
        shown = _shown(reference.name)
        if root == "source":
            self._check_source_value(parsed, place, rest, in_label=in_label)
        elif root == "window":
            if query.window is None or rest not in _TIMES[root] or in_label:
                remedy = "add window:" if query.window is None else f"write window.{' or window.'.join(_TIMES[root])}"
                remedy = "a label that changes with every poll makes a new series each time" if in_label else remedy
                self._findings.add(place, f"{shown} cannot stand here", remedy)
        elif root == "period":
            if query.period is None or rest not in _TIMES[root] or in_label:
                remedy = "add period:, and write period.start in variables"
                self._findings.add(place, f"{shown} cannot stand here", remedy)
        elif root in query.for_each:
            if query.batch is not None and in_label and not self._is_outer(parsed, rest):
                self._findings.add(place, f"{shown} is a list, because of batch", "take the label from the answer")
            self._needed[query.name].setdefault(reference.name, place)
        else:
            roots = ", ".join(["source", *query.for_each, *(["window"] if query.window else [])])
            self._findings.add(place, f"{shown} refers to nothing", f"references begin with one of: {roots}")

    def _check_source_value(self, parsed: ParsedQuery, place: KeyPath, name: str, *, in_label: bool) -> None:
        shown = _shown(f"source.{name}")
        for source in parsed.sources:
            if name in source.secret_values:
                if in_label:
                    self._findings.add(place, f"{shown} is secret", "labels are shown; take it from values")
            elif name not in source.values:
                known = ", ".join([*source.values, *source.secret_values]) or "none"
                self._findings.add(place, f"{shown}: the source {source.name} has no such value", f"it has: {known}")

    def _is_outer(self, parsed: ParsedQuery, reference: str) -> bool:
        """Whether a reference from within the rows of a query's feeder goes on to what feeds that one."""
        feeder = self._feeders.get(parsed.query.name)
        return feeder is not None and reference.partition(".")[0] in feeder.query.for_each

    def _request(self, parsed: ParsedQuery, reference: str, place: KeyPath) -> None:
        """Has the feeding query export what a reference names, or carry it if it comes from further out."""
        root, _, rest = reference.partition(".")
        over, shown = parsed.query.for_each[root], _shown(reference)
        if not isinstance(over, RowsOf):
            if not all((rest in item) if isinstance(item, dict) else not rest for item in over):
                self._findings.add(place, f"{shown}: not every item of the list has that", "add it to each")
            return
        feeder = self._feeders.get(parsed.query.name)
        if feeder is None:
            return
        if self._is_outer(parsed, rest):
            self._needed[feeder.query.name].setdefault(rest, place)
            return
        try:
            column(parsed_path(rest or SELF), feeder.rows)
        except PathProblem as problem:
            self._findings.add(place, f"{shown}: {problem.wrong} of {over.query}", problem.remedy)
        except ValueError as error:
            self._findings.add(place, f"{shown}: {error}")
        else:
            self._exports[over.query].add(rest or SELF)


def _references(parsed: ParsedQuery) -> Iterator[tuple[KeyPath, Reference, bool]]:
    """The references of a query with where they stand, and whether that is a label."""
    for name, template in parsed.query.variables.items():
        for reference in references(template):
            yield (*parsed.place, "variables", name), reference, False
    for place, spec in parsed.label_specs():
        key = spec.key if isinstance(spec, LookupLabel) else spec
        for reference in references(key.template) if isinstance(key, ReferenceLabel) else ():
            yield place, reference, True


def _shown(reference: str) -> str:
    return f"{{{{ {reference} }}}}"
