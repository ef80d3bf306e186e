"""`Config` to `Plan`: documents parsed, paths and references resolved, families agreed. Every problem at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from exporter.config.labels import ConstLabel, LabelSpec, LookupLabel, PathLabel, ReferenceLabel
from exporter.config.load import Loaded
from exporter.config.metric import Bucket, Metric, Missing, Top
from exporter.config.nodes import KeyPath
from exporter.config.query import Query, RowsOf
from exporter.config.source import Source
from exporter.document import Document, DocumentError, FieldType, Schema, loaded_schema, parsed_document
from exporter.duration import duration_text
from exporter.errors import ConfigError, Problem
from exporter.model import Family, Json, MetricType
from exporter.path import ResponsePath, parsed_path
from exporter.plan import (
    Bound,
    BucketPlan,
    Column,
    Constant,
    Feed,
    LabelPlan,
    Looked,
    LookupPlan,
    MetricPlan,
    MissingPlan,
    PackPlan,
    PagesPlan,
    Plan,
    QueryPlan,
    RowsPlan,
    TopPlan,
)
from exporter.resolution import ParsedQuery, PathProblem, Scopes, column
from exporter.template import Reference, references
from exporter.value import ValueKind, ValueRule
from exporter.variables import variable_problems
from exporter.window import Window

_SELF = "."
_WINDOW_FIELDS = ("start", "end", "start_unix", "end_unix")


def plan(loaded: Loaded) -> Plan:
    """The plan of a configuration. Raises `ConfigError` with every problem of the file and of its meaning."""
    planner = _Planner(loaded)
    made = planner.plan()
    problems = [*loaded.problems, *planner.problems]
    if problems:
        raise ConfigError(tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0)))
    return made


class _Planner:
    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._queries = {query.name: query for query in loaded.config.queries}
        self._places: dict[str, KeyPath] = {
            query.name: ("queries", index)
            for query, index in zip(loaded.config.queries, loaded.indexes.get("queries", ()), strict=True)
        }
        self._parsed: dict[str, ParsedQuery] = {}
        self._needed: dict[str, dict[str, KeyPath]] = defaultdict(dict)  # and where it is first referred to
        self._exports: dict[str, set[str]] = defaultdict(set)
        self._metric_places: dict[str, list[KeyPath]] = defaultdict(list)
        self._lookups: dict[str, LookupPlan] = {}
        self.problems: list[Problem] = []

    def plan(self) -> Plan:
        self._check_sources()
        for query in self._queries.values():
            if (parsed := self._parse(query)) is not None:
                self._parsed[query.name] = parsed
        order = self._in_order()
        self._lookups = self._planned_lookups()
        for parsed in reversed(order):
            self._collect_references(parsed)
        for parsed in order:
            for place, wrong, remedy in variable_problems(parsed, self._feeder):
                self._problem(place, wrong, remedy)
        planned = [self._planned(parsed) for parsed in order]
        queries = tuple(
            replace(query, rows=self._rows(self._parsed[query.name]), needed=frozenset(self._needed[query.name]))
            for query in planned
        )
        queries, families = self._with_families(queries)
        return Plan(self._loaded.config.sources, queries, families, self._loaded.config.max_series)

    # -------------------------------------------------------------------------------------- sources, documents

    def _check_sources(self) -> None:
        first: Source | None = None
        seen: dict[tuple[tuple[str, str], ...], str] = {}
        for source, index in zip(self._loaded.config.sources, self._loaded.indexes.get("sources", ()), strict=True):
            first = first or source
            place: KeyPath = ("sources", index, "labels")
            if set(source.labels) != set(first.labels):
                names = ", ".join(first.labels) or "none"
                self._problem(place, f"other label names than {first.name} has", f"use the same on each: {names}")
            elif (values := tuple(sorted(source.labels.items()))) in seen:
                self._problem(place, f"the same labels as {seen[values]}", "give each source its own values")
            seen.setdefault(tuple(sorted(source.labels.items())), source.name)

    def _parse(self, query: Query) -> ParsedQuery | None:
        place = self._places[query.name]
        by_name = {source.name: source for source in self._loaded.config.sources}
        sources = tuple(by_name.values()) if query.sources is None else ()
        for name in query.sources or ():
            if name in by_name:
                sources = (*sources, by_name[name])
            elif name not in self._loaded.broken:
                self._problem((*place, "sources"), f"there is no source {name}", f"write one of: {', '.join(by_name)}")
        document = None
        for schema in tuple(dict.fromkeys(source.schema_ for source in sources)) or (None,):
            document = self._document(query, place, schema) or document
        if document is None:
            return None
        rows = Scopes((document.selection,))
        try:
            rows = rows.below(query.rows) if query.rows is not None else rows
        except PathProblem as problem:
            self._problem((*place, "rows"), problem.wrong, problem.remedy)
            return None
        self._check_variables(query, document, place)
        return ParsedQuery(query, place, sources, document, rows)

    def _document(self, query: Query, place: KeyPath, schema_name: str | None) -> Document | None:
        schema: Schema | None = None
        try:
            schema = loaded_schema(schema_name) if schema_name is not None else None
        except (OSError, ValueError) as error:
            wrong = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            for source, index in zip(self._loaded.config.sources, self._loaded.indexes["sources"], strict=True):
                if source.schema_ == schema_name:
                    self._problem(("sources", index, "schema"), wrong, "write choreo, or a file in SDL or JSON")
        try:
            return parsed_document(query.document, schema)
        except DocumentError as error:
            for fault in error.faults:
                self.problems.append(
                    self._loaded.places.text_problem((*place, "document"), fault.line, fault.wrong, fault.remedy)
                )
            return None

    def _check_variables(self, query: Query, document: Document, place: KeyPath) -> None:
        pages = query.pages
        paged = {str(pages.limit), str(pages.offset or pages.cursor)} if pages is not None else set()
        for name, variable in document.variables.items():
            if variable.required and name not in query.variables.keys() | paged:
                self._problem((*place, "variables"), f"${name} has no value", f"add {name}: (it is {variable.type})")
        for name in query.variables:
            if name not in document.variables:
                declared = ", ".join(document.variables) or "none"
                self._problem(
                    (*place, "variables", name), "the document declares no such variable", f"it has: {declared}"
                )

    # -------------------------------------------------------------------------------------- order, references

    def _in_order(self) -> list[ParsedQuery]:
        """The queries, each after the one that feeds it."""
        order: list[ParsedQuery] = []
        done: set[str] = set()
        for parsed in self._parsed.values():
            chain: list[ParsedQuery] = []
            at: ParsedQuery | None = parsed
            while at is not None and at.query.name not in done:
                if at in chain:
                    self._problem(
                        (*at.place, "for_each"), "the queries feed each other in a circle", "break the circle"
                    )
                    break
                chain.append(at)
                at = self._feeder(at)
            order.extend(item for item in reversed(chain) if item.query.name not in done)
            done.update(item.query.name for item in chain)
        return order

    def _feeder(self, parsed: ParsedQuery) -> ParsedQuery | None:
        """The query whose rows feed this one, if any."""
        for name, over in parsed.query.for_each.items():
            if not isinstance(over, RowsOf):
                continue
            place: KeyPath = (*parsed.place, "for_each", name)
            other = over.query
            feeder = self._parsed.get(other)
            if feeder is None:
                if other not in self._queries and other not in self._loaded.broken:
                    self._problem(place, f"there is no query {other}", f"write one of: {', '.join(self._queries)}")
            elif feeder.query.rows is None:
                self._problem(place, f"the query {other} has no rows", f"add rows: to {other}")
            elif not {source.name for source in parsed.sources} <= {source.name for source in feeder.sources}:
                self._problem(place, f"the query {other} does not run on all sources of this one", "give both the same")
            else:
                return feeder
        return None

    def _collect_references(self, parsed: ParsedQuery) -> None:
        query = parsed.query
        for name, template in query.variables.items():
            for reference in references(template):
                self._check_reference(parsed, (*parsed.place, "variables", name), reference, in_label=False)
        for place, labels in self._label_places(parsed):
            for label, spec in labels.items():
                if isinstance(spec, LookupLabel):
                    spec = spec.key  # noqa: PLW2901 - what it refers to
                if isinstance(spec, ReferenceLabel):
                    for reference in references(spec.template):
                        self._check_reference(parsed, (*place, label), reference, in_label=True)
        for needed, first in tuple(self._needed[query.name].items()):
            self._request(parsed, needed, first)
        for name, over in query.for_each.items():
            for field in over.where if isinstance(over, RowsOf) else ():
                place = (*parsed.place, "for_each", name, "where", field)
                self._request(parsed, name if field == _SELF else f"{name}.{field}", place)

    def _label_places(self, parsed: ParsedQuery) -> Iterator[tuple[KeyPath, Mapping[str, LabelSpec]]]:
        yield (*parsed.place, "labels"), parsed.query.labels
        for index, metric in self._metrics(parsed):
            yield (*parsed.place, "metrics", index, "labels"), metric.labels

    def _metrics(self, parsed: ParsedQuery) -> Iterator[tuple[int, Metric]]:
        """The metrics with their positions in the file."""
        metrics = parsed.query.metrics
        yield from zip(self._loaded.metric_indexes.get(parsed.place) or range(len(metrics)), metrics, strict=True)

    def _check_reference(self, parsed: ParsedQuery, place: KeyPath, reference: Reference, *, in_label: bool) -> None:
        query, (root, _, rest) = parsed.query, reference.name.partition(".")
        shown = f"{{{{ {reference.name} }}}}"
        if root == "source":
            for source in parsed.sources:
                if rest in source.secret_values and not in_label:
                    continue
                if rest in source.secret_values:
                    self._problem(place, f"{shown} is secret", "labels are shown; take it from values")
                elif rest not in source.values:
                    known = ", ".join([*source.values, *source.secret_values]) or "none"
                    self._problem(place, f"{shown}: the source {source.name} has no such value", f"it has: {known}")
        elif root == "window":
            if query.window is None or rest not in _WINDOW_FIELDS or in_label:
                remedy = "add window:" if query.window is None else f"write window.{' or window.'.join(_WINDOW_FIELDS)}"
                remedy = "a label that changes with every poll makes a new series each time" if in_label else remedy
                self._problem(place, f"{shown} cannot stand here", remedy)
        elif root == "period":
            if query.period is None or rest not in ("start", "start_unix") or in_label:
                self._problem(place, f"{shown} cannot stand here", "add period:, and write period.start in variables")
        elif root in query.for_each:
            if query.batch is not None and in_label and not self._is_outer(parsed, reference.name):
                self._problem(place, f"{shown} is a list, because of batch", "take the label from the answer")
            self._needed[query.name].setdefault(reference.name, place)
        else:
            roots = ", ".join(["source", *query.for_each, *(["window"] if query.window else [])])
            self._problem(place, f"{shown} refers to nothing", f"references begin with one of: {roots}")

    def _is_outer(self, parsed: ParsedQuery, reference: str) -> bool:
        rest = reference.partition(".")[2]
        feeder = self._feeder(parsed)
        return feeder is not None and rest.partition(".")[0] in feeder.query.for_each

    def _request(self, parsed: ParsedQuery, reference: str, place: KeyPath) -> None:
        """Have the feeding query export what a reference names, or carry it if it comes from further out."""
        root, _, rest = reference.partition(".")
        over = parsed.query.for_each[root]
        if not isinstance(over, RowsOf):
            if not all((rest in item) if isinstance(item, dict) else not rest for item in over):
                self._problem(place, f"{{{{ {reference} }}}}: not every item of the list has that", "add it to each")
            return
        feeder = self._feeder(parsed)
        if feeder is None:
            return
        if rest.partition(".")[0] in feeder.query.for_each:
            self._needed[feeder.query.name].setdefault(rest, place)
            return
        try:
            column(parsed_path(rest or _SELF), feeder.rows)
        except PathProblem as problem:
            self._problem(place, f"{{{{ {reference} }}}}: {problem.wrong} of {over.query}", problem.remedy)
        except ValueError as error:
            self._problem(place, f"{{{{ {reference} }}}}: {error}")
        else:
            self._exports[over.query].add(rest or _SELF)

    # -------------------------------------------------------------------------------------- queries, metrics

    def _planned(self, parsed: ParsedQuery) -> QueryPlan:
        query = parsed.query
        window = query.window
        return QueryPlan(
            name=query.name,
            sources=parsed.sources,
            interval_seconds=query.interval.total_seconds(),
            timeout_seconds=query.timeout_seconds,
            stale_after_seconds=query.stale_after_seconds,
            document=parsed.document,
            variables=query.variables,
            feeds=tuple(_feed(name, over) for name, over in query.for_each.items()),
            needed=frozenset(),
            batch=query.batch,
            pack=_pack(query),
            max_calls=query.max_calls,
            window=Window(window.length, window.delay, window.align, query.timezone) if window is not None else None,
            period=query.period,
            audit_after_seconds=None if query.audit is None else query.audit.after.total_seconds(),
            zone=query.timezone,
            pages=self._pages(parsed),
            rows=None,  # known when all queries are, by _rows
            metrics=tuple(
                planned
                for index, metric in self._metrics(parsed)
                if (planned := self._metric(parsed, metric, (*parsed.place, "metrics", index))) is not None
            ),
            lookups=self._used_lookups(parsed),
            max_series=query.max_series,
            publishes_partial=query.on_partial == "publish",
        )

    def _rows(self, parsed: ParsedQuery) -> RowsPlan | None:
        """The rows with what the other queries, now all known, refer to."""
        if parsed.query.rows is None:
            return None
        exports = {}
        for text in sorted(self._exports[parsed.query.name]):
            try:
                exports[text] = column(parsed_path(text), parsed.rows)[0]
            except PathProblem:
                continue  # said where it is referred to
        return RowsPlan(parsed.rows.hops, exports)

    def _metric(self, parsed: ParsedQuery, metric: Metric, place: KeyPath) -> MetricPlan | None:
        scopes, leaf, constant = parsed.rows, (), None
        if isinstance(metric.value, ResponsePath):
            try:
                scopes, leaf, kind = _value_place(metric.value, scopes)
            except PathProblem as problem:
                self._problem((*place, "value"), problem.wrong, problem.remedy)
                return None
            self._check_value(metric, kind, place)
        else:
            constant = metric.value
        if metric.type is MetricType.COUNTER and parsed.query.period is None:
            self._problem(
                (*place, "type"), "a counter needs the query's period, which it counts from", "add period: day"
            )
        if metric.bucket is not None and parsed.query.window is None:
            self._problem((*place, "bucket"), "a bucket needs the query's window", "add window:")
        faults = len(self.problems)
        labels = self._labels(parsed, metric, scopes, place)
        bucket = self._bucket(metric.bucket, scopes, place)
        if len(self.problems) > faults:
            return None
        self._metric_places[parsed.query.name].append(place)
        names = tuple(sorted(labels))
        family = Family(metric.name, metric.type, metric.help, names)
        rule = ValueRule(metric.from_, metric.from_unit, tuple(metric.map.items()))
        return MetricPlan(
            family,
            scopes.hops,
            leaf,
            constant,
            rule,
            tuple(labels[name] for name in names),
            metric.aggregate,
            bucket,
            self._missing(parsed, metric.missing, labels, place),
            self._top(metric.top, names, place),
        )

    def _check_value(self, metric: Metric, kind: FieldType | None, place: KeyPath) -> None:
        if kind is None:
            return
        wanted = {
            "Int": (ValueKind.NUMBER,),
            "Float": (ValueKind.NUMBER,),
            "Boolean": (ValueKind.BOOLEAN,),
            "String": (ValueKind.STRING, ValueKind.TIMESTAMP, ValueKind.ENUM),
            "ID": (ValueKind.STRING, ValueKind.ENUM),
        }.get(kind.name, (ValueKind.ENUM,) if kind.enum_values else tuple(ValueKind))
        if metric.from_ not in wanted:
            remedy = "write from: " + " or ".join(kind.value for kind in wanted)
            self._problem((*place, "value"), f"{metric.value} is {kind.name}, read as {metric.from_.value}", remedy)

    def _labels(self, parsed: ParsedQuery, metric: Metric, scopes: Scopes, place: KeyPath) -> dict[str, LabelPlan]:
        labels: dict[str, LabelPlan] = {}
        for name in parsed.sources[0].labels if parsed.sources else ():
            labels[name] = Bound(Reference(f"source_label.{name}"))
        for where, specs in ((parsed.place, parsed.query.labels), (place, metric.labels)):
            for name, spec in specs.items():
                key: KeyPath = (*where, "labels", name)
                if name in labels:
                    self._problem(key, f"the label {name} is there already, from the source or the query", "rename it")
                elif (made := self._label(spec, scopes, key)) is not None:
                    labels[name] = made
        return labels

    def _label(self, spec: LabelSpec, scopes: Scopes, place: KeyPath) -> LabelPlan | None:
        match spec:
            case ConstLabel(text):
                return Constant(text)
            case ReferenceLabel(template):
                return Bound(template)
            case PathLabel(path):
                return self._column(path, scopes, place)
            case LookupLabel():
                return self._looked(spec, scopes, place)

    def _column(self, path: ResponsePath, scopes: Scopes, place: KeyPath) -> Column | None:
        try:
            return column(path, scopes)[0]
        except PathProblem as problem:
            self._problem(place, problem.wrong, problem.remedy)
            return None

    def _bucket(self, bucket: Bucket | None, scopes: Scopes, place: KeyPath) -> BucketPlan | None:
        if bucket is None:
            return None
        start = self._column(bucket.start, scopes, (*place, "bucket", "start"))
        return None if start is None else BucketPlan(start, bucket.width)

    def _missing(
        self, parsed: ParsedQuery, missing: Missing | None, labels: Mapping[str, LabelPlan], place: KeyPath
    ) -> MissingPlan | None:
        if missing is None:
            return None
        place = (*place, "missing")
        other = self._parsed.get(missing.rows_of)
        if other is None or other.query.rows is None:
            wrong = f"there is no query {missing.rows_of} with rows"
            self._problem((*place, "rows_of"), wrong, "name one that has rows")
            return None
        if other.query.for_each and other.query.for_each != parsed.query.for_each:
            wrong = f"{missing.rows_of} has another for_each"
            self._problem((*place, "rows_of"), wrong, "use one with the same, or with none")
        made: list[str | Constant | Bound | Looked] = []
        for name, label in sorted(labels.items()):
            if name in missing.labels:
                made.append(self._export(other, str(missing.labels[name]), (*place, "labels", name)))
            elif isinstance(label, Constant | Bound) or (isinstance(label, Looked) and isinstance(label.key, Bound)):
                made.append(label)
            else:
                wrong = f"does not say where the label {name} comes from"
                self._problem((*place, "labels"), wrong, f"add {name}: and a path of the rows of {missing.rows_of}")
        for name in missing.labels.keys() - labels.keys():
            self._problem((*place, "labels", name), "is not a label of this metric", f"it has: {', '.join(labels)}")
        # targets of both queries are matched by what they share, so both carry the same references
        if other.query.for_each:
            self._needed[parsed.query.name].update(self._needed[other.query.name])
        return MissingPlan(missing.rows_of, tuple(made), missing.value)

    def _export(self, parsed: ParsedQuery, text: str, place: KeyPath) -> str:
        """Has a query export the path, and gives its name there."""
        self._column(parsed_path(text), parsed.rows, place)
        self._exports[parsed.query.name].add(text)
        return text

    def _top(self, top: Top | None, names: tuple[str, ...], place: KeyPath) -> TopPlan | None:
        if top is None:
            return None
        if top.label not in names:
            wrong = f"{top.label} is not a label of this metric"
            self._problem((*place, "top", "label"), wrong, f"it has: {', '.join(names) or 'none'}")
            return None
        return TopPlan(top.n, names.index(top.label), top.rest)

    def _pages(self, parsed: ParsedQuery) -> PagesPlan | None:
        pages, place = parsed.query.pages, (*parsed.place, "pages")
        if pages is None:
            return None
        told_at, position = pages.total or pages.info, pages.offset or pages.cursor
        assert told_at is not None  # the schema takes one of the two ways
        assert position is not None
        for key, path in (("limit", pages.limit), ("cursor" if pages.cursor else "offset", position)):
            if not path.steps or path.steps[0] not in parsed.document.variables:
                declared = ", ".join(parsed.document.variables) or "none"
                self._problem((*place, key), f"{path} begins with no variable of the document", f"it has: {declared}")
        try:
            told = Scopes((parsed.document.selection,)).below(told_at)
        except PathProblem as problem:
            self._problem((*place, "total" if pages.total else "info"), problem.wrong, problem.remedy)
            return None
        if pages.info is not None and not {"hasNextPage", "endCursor"} <= told.innermost.children.keys():
            self._problem((*place, "info"), f"{told_at} does not select hasNextPage and endCursor", "select both")
        limit, at = (tuple(str(step) for step in path.steps) for path in (pages.limit, position))
        return PagesPlan(pages.size, limit, at, told.hops, pages.cursor is not None, pages.max_rows)

    # -------------------------------------------------------------------------------------- lookups

    def _planned_lookups(self) -> dict[str, LookupPlan]:
        found = {}
        indexes = self._loaded.indexes.get("lookups", ())
        for lookup, index in zip(self._loaded.config.lookups, indexes, strict=True):
            place: KeyPath = ("lookups", index)
            made = LookupPlan(lookup.name, lookup.rows_of, str(lookup.key), {}, lookup.table or {})
            parsed = self._parsed.get(lookup.rows_of) if lookup.rows_of is not None else None
            if parsed is not None and parsed.query.rows is not None:
                self._export(parsed, str(lookup.key), (*place, "key"))
                paths = lookup.fields.items()
                fields = {name: self._export(parsed, str(path), (*place, "fields", name)) for name, path in paths}
                made = replace(made, fields=fields)
            elif lookup.rows_of is not None and lookup.rows_of not in self._loaded.broken:
                wrong = f"there is no query {lookup.rows_of} with rows"
                self._problem((*place, "rows_of"), wrong, "name one that has rows")
            found[lookup.name] = made
        return found

    def _looked(self, spec: LookupLabel, scopes: Scopes, place: KeyPath) -> Looked | None:
        known = self._lookups.get(spec.lookup)
        if known is None:
            names = ", ".join(self._lookups) or "none"
            self._problem(place, f"there is no lookup {spec.lookup}", f"there is: {names}")
            return None
        fields = known.fields or dict.fromkeys(name for row in known.table.values() for name in row)
        if spec.field not in fields:
            self._problem(place, f"the lookup {spec.lookup} has no field {spec.field}", f"it has: {', '.join(fields)}")
            return None
        key = self._label(spec.key, scopes, place)
        return Looked(spec.lookup, key, spec.field) if isinstance(key, Column | Bound) else None

    def _used_lookups(self, parsed: ParsedQuery) -> tuple[LookupPlan, ...]:
        specs = [spec for _, labels in self._label_places(parsed) for spec in labels.values()]
        used = {spec.lookup for spec in specs if isinstance(spec, LookupLabel)}
        return tuple(lookup for name, lookup in self._lookups.items() if name in used)

    # -------------------------------------------------------------------------------------- families

    def _with_families(self, queries: tuple[QueryPlan, ...]) -> tuple[tuple[QueryPlan, ...], tuple[Family, ...]]:
        """The queries with one family object for each name; its help ends with how it is made."""
        first: dict[str, tuple[Family, KeyPath]] = {}
        made: dict[str, list[str]] = defaultdict(list)
        for plan_ in queries:
            for metric, place in zip(plan_.metrics, self._metric_places[plan_.name], strict=True):
                family = metric.family
                known, known_place = first.setdefault(family.name, (family, place))
                self._check_agreement(family, place, known, known_place)
                if (how := _how_made(plan_, family.type)) not in made[family.name]:
                    made[family.name].append(how)
        self._check_openmetrics_names(first)
        families = {
            name: replace(family, help=f"{family.help} ({'; '.join(made[name])})")
            for name, (family, _) in first.items()
        }
        linked = tuple(
            replace(
                query, metrics=tuple(replace(metric, family=families[metric.family.name]) for metric in query.metrics)
            )
            for query in queries
        )
        return linked, tuple(families[name] for name in sorted(families))

    def _check_agreement(self, family: Family, place: KeyPath, known: Family, known_place: KeyPath) -> None:
        line = self._loaded.places.nodes.line(known_place)
        for what, mine, theirs in (
            ("another type", family.type.value, known.type.value),
            ("another help", family.help, known.help),
            ("other label names", ", ".join(family.label_names), ", ".join(known.label_names)),
        ):
            if mine != theirs:
                wrong = f"{family.name} has {what} than on line {line}"
                self._problem((*place, "name"), wrong, f"use the same ({theirs or 'none'}), or another name")

    def _check_openmetrics_names(self, first: Mapping[str, tuple[Family, Any]]) -> None:
        for name, (family, place) in first.items():
            base = name.removesuffix("_total")
            if family.type is MetricType.COUNTER and base in first:
                wrong = f"{name} and {base} are one family in OpenMetrics"
                self._problem((*place, "name"), wrong, "rename one of the two")

    def _problem(self, place: KeyPath, wrong: str, remedy: str = "") -> None:
        self.problems.append(self._loaded.places.problem(place, wrong, remedy))


def _feed(name: str, over: RowsOf | tuple[Json, ...]) -> Feed:
    if isinstance(over, RowsOf):
        return Feed(name, over.query, where=over.where)
    return Feed(name, None, tuple(dict(item) if isinstance(item, dict) else {_SELF: item} for item in over))


def _pack(query: Query) -> PackPlan | None:
    """A variable is the same for all targets where it refers to none; times are not, as a counter's period may end."""
    if query.pack is None:
        return None
    shared = {
        name
        for name, template in query.variables.items()
        if all(reference.root == "source" for reference in references(template))
    }
    return PackPlan(query.pack, frozenset(shared))


def _value_place(path: ResponsePath, rows: Scopes) -> tuple[Scopes, tuple[Any, ...], FieldType | None]:
    """The walk to the records of a value, the hop from a record to the value, and the value's type."""
    whole = rows.below(path)
    if whole.innermost.children:
        raise PathProblem(
            f"{path} ends in an object", f"go on to one of: {', '.join(sorted(whole.innermost.children))}"
        )
    if not path.steps:
        return rows, (), whole.innermost.type
    return Scopes(whole.selections[:-1], whole.hops[:-1]), whole.hops[-1:], whole.innermost.type


def _how_made(query: QueryPlan, kind: MetricType) -> str:
    """How a family's values come about, for its help."""
    parts = [f"polled every {duration_text(query.interval_seconds)}"]
    if query.window is not None:
        if kind is MetricType.COUNTER and query.period is not None:
            period = query.period
            length = period if isinstance(period, str) else duration_text(period.total_seconds())
            parts.append(f"counted from the start of each {length}")
        else:
            parts.append(f"window {duration_text(query.window.length.total_seconds())}")
        if query.window.delay:
            parts.append(f"{duration_text(query.window.delay.total_seconds())} late")
    return ", ".join(parts)
