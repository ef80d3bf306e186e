"""Where the values of labels come from: columns of the answer, references, constants, lookups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from exporter.config.labels import ConstLabel, LabelSpec, LookupLabel, PathLabel, ReferenceLabel, TextLabel, parts_of
from exporter.config.load import Loaded
from exporter.config.metric import Metric
from exporter.config.nodes import KeyPath
from exporter.model.response_path import ResponsePath
from exporter.model.template import Reference
from exporter.plan.findings import Findings
from exporter.plan.for_each import check_sources
from exporter.plan.plan import Bound, Column, Constant, LabelPlan, LookupColumn, LookupPlan, MadeText
from exporter.plan.response_paths import ParsedQuery, PathProblem, Scopes, column

Lookups: TypeAlias = Mapping[str, LookupPlan | None]
"""Plans of lookups by name; none, of one that has a fault."""


def lookup_plans(loaded: Loaded, queries: Mapping[str, ParsedQuery], findings: Findings) -> Lookups:
    """The lookups by name."""
    found: dict[str, LookupPlan | None] = {}
    for place, lookup in zip(loaded.places_of("lookups"), loaded.config.lookups, strict=True):
        parsed, fields = queries.get(lookup.rows_of) if lookup.rows_of is not None else None, {}
        if parsed is not None and parsed.query.rows is not None and lookup.key is not None:
            findings.column(lookup.key, parsed.rows, (*place, "key"))
            for name, path in lookup.fields.items():
                findings.column(path, parsed.rows, (*place, "fields", name))
                fields[name] = str(path)
        elif lookup.rows_of is not None and not loaded.may_have("queries", lookup.rows_of):
            wrong = f"there is no query {lookup.rows_of} with rows"
            findings.add((*place, "rows_of"), wrong, "name one that has rows")
        if loaded.lacks(place, "rows_of", "key", "fields", "table"):
            found[lookup.name] = None
            continue
        found[lookup.name] = LookupPlan(lookup.name, lookup.rows_of, str(lookup.key), fields, lookup.table or {})
    return found


def check_lookups(
    parsed: ParsedQuery, lookups: Lookups, queries: Mapping[str, ParsedQuery], findings: Findings
) -> None:
    """Notes the labels of a query whose lookup has no rows on one of its sources, so that they would stay empty."""
    for place, spec in parsed.label_specs():
        for part in parts_of(spec):
            known = lookups.get(part.lookup) if isinstance(part, LookupLabel) else None
            other = None if known is None or known.query is None else queries.get(known.query)
            if other is not None:
                check_sources(parsed, other, place, findings)


def used_lookups(parsed: ParsedQuery, lookups: Lookups) -> tuple[LookupPlan, ...]:
    """The lookups that the labels of a query name."""
    used = {part.lookup for _, spec in parsed.label_specs() for part in parts_of(spec) if isinstance(part, LookupLabel)}
    return tuple(lookup for name, lookup in lookups.items() if name in used and lookup is not None)


class Labels:
    """Labels as they are written become plans of their values."""

    def __init__(self, loaded: Loaded, lookups: Lookups, findings: Findings) -> None:
        self._loaded = loaded
        self._lookups = lookups
        self._findings = findings

    def of_metric(
        self, parsed: ParsedQuery, metric: Metric, scopes: Scopes, place: KeyPath
    ) -> dict[str, LabelPlan] | None:
        """The labels of the source, the query and the metric; none where one of them cannot be."""
        of_source = parsed.sources[0].labels if parsed.sources else ()
        labels: dict[str, LabelPlan] = {name: Bound(Reference(f"source_label.{name}")) for name in of_source}
        for where, specs in ((parsed.place, parsed.query.labels), (place, metric.labels)):
            for name, spec in specs.items():
                key: KeyPath = (*where, "labels", name)
                if name in labels:
                    wrong = f"the label {name} is there already, from the source or the query"
                    self._findings.add(key, wrong, "rename it")
                elif (path := _path_in_rows(spec, scopes, parsed.rows)) is not None:
                    wrong = f"{path} is in the rows, and the value of {metric.name} is outside them"
                    remedy = f"leave the label out, or write {{const: {path}}} for that very text"
                    if where is parsed.place:
                        remedy = "move the label to the metrics whose values are in the rows"
                    self._findings.add(key, wrong, remedy)
                elif (made := self._label(spec, scopes, key)) is not None:
                    labels[name] = made
        return labels if len(labels) == len(of_source) + len(parsed.query.labels) + len(metric.labels) else None

    def _label(self, spec: LabelSpec, scopes: Scopes, place: KeyPath) -> LabelPlan | None:
        match spec:
            case ConstLabel(text):
                return Constant(text)
            case ReferenceLabel(template):
                return Bound(template)
            case PathLabel(path):
                is_word = len(path.steps) == 1 and not path.innermost
                literal = f"or write {{const: {path}}} for that very text" if is_word else ""
                return self._findings.column(path, scopes, place, literal)
            case TextLabel(parts, change):
                made = [self._label(part, scopes, place) for part in parts]
                known = tuple(part for part in made if part is not None)
                return MadeText(known, change) if len(known) == len(made) else None
            case LookupLabel():
                return self._lookup_column(spec, scopes, place)

    def _lookup_column(self, spec: LookupLabel, scopes: Scopes, place: KeyPath) -> LookupColumn | None:
        known = self._lookups.get(spec.lookup)
        if known is None:
            if spec.lookup not in self._lookups and not self._loaded.may_have("lookups", spec.lookup):
                names = ", ".join(self._loaded.names("lookups")) or "none"
                self._findings.add(place, f"there is no lookup {spec.lookup}", f"there is: {names}")
            return None
        fields = known.fields or dict.fromkeys(name for row in known.table.values() for name in row)
        if spec.field not in fields:
            wrong = f"the lookup {spec.lookup} has no field {spec.field}"
            self._findings.add(place, wrong, f"it has: {', '.join(fields)}")
            return None
        key = self._label(spec.key, scopes, place)
        return LookupColumn(spec.lookup, key, spec.field) if isinstance(key, Column | Bound) else None


def _path_in_rows(spec: LabelSpec, scopes: Scopes, rows: Scopes) -> ResponsePath | None:
    """The path of a label that the rows have, and the place of a value outside them has not."""
    if scopes.hops[: len(rows.hops)] == rows.hops:
        return None
    paths = (part.path for part in parts_of(spec) if isinstance(part, PathLabel))
    return next((path for path in paths if not _has(scopes, path) and _has(rows, path)), None)


def _has(scopes: Scopes, path: ResponsePath) -> bool:
    try:
        column(path, scopes)
    except PathProblem:
        return False
    return True
