"""Metrics: where their values stand, how they are read, and which labels they have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Final

from msgspec import Struct

from exporter.config.load import Loaded
from exporter.config.metric import Bucket, Each, Metric, Missing, Top, Where
from exporter.config.nodes import KeyPath
from exporter.config.query import Query
from exporter.document.document import FieldType
from exporter.model.response_path import Mark, ResponsePath, parse_path
from exporter.model.samples import Family, MetricType, Number
from exporter.model.template import references
from exporter.model.value import QUANTITIES, ValueKind, ValueRule
from exporter.plan.findings import Findings, impossible_conditions
from exporter.plan.for_each import check_sources
from exporter.plan.labels import Labels
from exporter.plan.plan import (
    BucketPlan,
    Condition,
    Constant,
    Hops,
    LabelPlan,
    MetricPlan,
    MissingPlan,
    StatesPlan,
    TopPlan,
    label_columns,
)
from exporter.plan.response_paths import (
    ANYTHING,
    OWN_SCALARS,
    ParsedQuery,
    PathProblem,
    Scopes,
    column,
    value_scopes,
)
from exporter.plan.words import omissions, word_problems

# How a value of each of GraphQL's own scalars can be read; one of an API's own in any way.
_READ_FROM: Final[Mapping[str, tuple[ValueKind, ...]]] = {
    "Int": (ValueKind.NUMBER,),
    "Float": (ValueKind.NUMBER,),
    "Boolean": (ValueKind.BOOLEAN,),
    "String": (ValueKind.STRING, ValueKind.TIMESTAMP, ValueKind.ENUM),
    "ID": (ValueKind.STRING, ValueKind.ENUM),
}

# The keys that say how a value is read.
_READING_KEYS: Final = frozenset(
    {"aggregate", "default", "format", "from", "from_unit", "map", "pattern", "states", "type", "value"}
)
_ANYWHERE: Final = Scopes((ANYTHING,))
_SUFFIXES: Final = ("_sum", "_count", "_bucket")
_LABELS: Final[Mapping[str, str]] = {"le": "histogram", "quantile": "summary"}


class Metrics:
    """Metrics as they are written become plans of their series."""

    def __init__(self, loaded: Loaded, queries: Mapping[str, ParsedQuery], labels: Labels, findings: Findings) -> None:
        self._loaded = loaded
        self._queries = queries
        self._labels = labels
        self._findings = findings

    def of_query(self, parsed: ParsedQuery) -> dict[KeyPath, MetricPlan]:
        """The metrics of a query that can be published, and where they stand in the file."""
        planned: dict[KeyPath, MetricPlan] = {}
        for place, metric in parsed.metrics():
            if (made := self._metric_plan(parsed, metric, place)) is not None:
                self._check_repetition(made, place, planned)
                planned[place] = made
        return planned

    def _check_repetition(self, made: MetricPlan, place: KeyPath, others: Mapping[KeyPath, MetricPlan]) -> None:
        """Notes a metric whose every series is one of another: the values have no say in that."""
        for where, other in others.items():
            if other == made:  # another help, or other labels, is an error of its own
                wrong = f"{made.family.name} has the same series as the metric {self._findings.line_text(where, place)}"
                self._findings.add((*place, "name"), wrong, "keep one of the two, or give each its own name")
                return

    def _metric_plan(self, parsed: ParsedQuery, metric: Metric, place: KeyPath) -> MetricPlan | None:
        unknown = parsed.unknown.get(place, frozenset())
        try:
            rows = _ANYWHERE if "value" in unknown else parsed.rows
            at = _value_place(metric, rows, may_count="aggregate" in unknown)
        except PathProblem as problem:
            self._findings.add((*place, "value"), problem.wrong, problem.remedy)
            self._check_the_rest(parsed, metric, place)
            return None
        if unknown:
            if unknown.isdisjoint(_READING_KEYS):
                self._check_value(metric, at.type, place)
                self._check_times(parsed, metric, at, place)
            self._check_the_rest(parsed, metric, place, at.scopes)
            return None
        written = metric.value.path if isinstance(metric.value, Each) else metric.value
        way, of_rows = at.walk + at.leaf, parsed.rows.hops  # of which the check has said already that they are JSON
        below = way[len(of_rows) :] if way[: len(of_rows)] == of_rows else way
        self._findings.leave_unproved((*place, "value"), written, below)
        self._check_value(metric, at.type, place)
        self._check_times(parsed, metric, at, place)
        labels = self._labels.of_metric(parsed, metric, at.scopes, place)
        bucket = self._bucket(metric.bucket, at.scopes, place)
        where = self._where(metric, at.scopes, place)
        if labels is None or where is None or (bucket is None) != (metric.bucket is None):
            return None
        if metric.states is not None:
            if metric.states.label in labels:
                wrong = f"the label {metric.states.label} is there already"
                self._findings.add((*place, "states"), wrong, "write {label: another name, words: [..]}")
                return None
            labels[metric.states.label] = Constant("")  # which the words take the place of
        self._warn_of_names(metric, labels, place)
        if parsed.query.pages is not None and any(_is_row_number(one, parsed.rows) for one in labels.values()):
            wrong = "the positions of rows begin at 0 on each page"
            self._findings.add((*place, "labels"), wrong, "leave out @key, or take a field of the row")
        names = tuple(sorted(labels))
        return MetricPlan(
            Family(metric.name, metric.type, metric.help, names),
            at.walk,
            at.leaf,
            at.constant,
            _rule(metric, parsed.zone),
            tuple(labels[name] for name in names),
            metric.aggregate,
            bucket,
            self._missing(parsed, metric.missing, labels, place),
            self._top(metric.top, labels, place),
            None if metric.states is None else StatesPlan(names.index(metric.states.label), metric.states.words),
            at.outside,
            where,
        )

    def _check_the_rest(self, parsed: ParsedQuery, metric: Metric, place: KeyPath, scopes: Scopes = _ANYWHERE) -> None:
        """Notes what is wrong with a metric that has a fault already, where that says nothing of it."""
        labels = self._labels.of_metric(parsed, metric, scopes, place)
        self._bucket(metric.bucket, scopes, place)
        self._where(metric, scopes, place)
        self._missing(parsed, metric.missing, labels, place)
        self._top(metric.top, labels, place)

    def _warn_of_names(self, metric: Metric, labels: Mapping[str, LabelPlan], place: KeyPath) -> None:
        """Names that both formats allow, and that hardly mean what they do elsewhere."""
        if suffix := next((one for one in _SUFFIXES if metric.name.endswith(one)), None):
            wrong = f"a name that ends in {suffix} is read as that of a histogram or summary"
            self._findings.warn((*place, "name"), wrong, "drop the ending, if no dashboard needs it")
        for name in _LABELS.keys() & labels.keys():
            wrong = f"the label {name} is read as that of a {_LABELS[name]}"
            self._findings.warn(place, wrong, "choose another name, if no dashboard needs it")

    def _check_value(self, metric: Metric, kind: FieldType | None, place: KeyPath) -> None:
        if kind is None:
            return
        self._findings.extend(word_problems(metric, kind, place))
        for problem in omissions(metric, kind, place):
            self._findings.warn(problem.place, problem.wrong, problem.remedy)
        readable = _READ_FROM.get(kind.name, (ValueKind.ENUM,) if kind.enum_values else tuple(ValueKind))
        if kind.name in ("Int", "Float") and metric.time_format.text in ("unix", "unix_ms"):
            readable = (ValueKind.TIMESTAMP,)
        if metric.kind is ValueKind.NUMBER and kind.leaf and not kind.enum_values and kind.name not in OWN_SCALARS:
            wrong = f"{metric.value} is {kind.name}, of which the schema does not say whether it is a number or text"
            self._findings.leave_open((*place, "value"), wrong, "from: string reads both")
        in_text = QUANTITIES if ValueKind.STRING in readable else ()
        if metric.kind not in (*readable, *in_text, ValueKind.ENUM):
            remedy = "write from: " + " or ".join(kind.value for kind in readable)
            wrong = f"{metric.value} is {kind.name}, read as {metric.kind.value}"
            self._findings.add((*place, "value"), wrong, remedy)

    def _check_times(self, parsed: ParsedQuery, metric: Metric, at: _ValuePlace, place: KeyPath) -> None:
        if metric.type is MetricType.COUNTER and not parsed.lacks("window", "period", "variables"):
            self._check_counter(parsed.query, metric, at.times(parsed.query), (*place, "type"))
        if metric.bucket is not None and parsed.query.window is None and not parsed.lacks("window"):
            self._findings.add((*place, "bucket"), "a bucket needs the query's window", "add window:")

    def _check_counter(self, query: Query, metric: Metric, times: frozenset[str], place: KeyPath) -> None:
        """A counter is the API's own, published as it comes, or with a period the total from the period's start."""
        if query.period is not None:
            if not any(time.startswith("period.start") for time in times):
                wrong = "its query does not begin at {{ period.start }}, so each decrease would be held back"
                remedy = "write {{ period.start }} in its variables, or drop period if the API counts by itself"
                self._findings.warn(place, wrong, remedy)
        elif metric.aggregate == "count" or not isinstance(metric.value, ResponsePath):
            wrong = "a counter of rows needs the query's period, from whose start it counts"
            self._findings.add(place, wrong, "add period: day, or make it a gauge")
        elif any(time.startswith("window.start") for time in times):
            wrong = "the figure of a window is not a counter, because each window begins at 0"
            self._findings.add(place, wrong, "add period: day and ask from {{ period.start }}, or make it a gauge")

    def _bucket(self, bucket: Bucket | None, scopes: Scopes, place: KeyPath) -> BucketPlan | None:
        if bucket is None:
            return None
        start = self._findings.column(bucket.start, scopes, (*place, "bucket", "start"))
        return None if start is None else BucketPlan(start, bucket.width, bucket.format)

    def _where(self, metric: Metric, scopes: Scopes, place: KeyPath) -> tuple[Condition, ...] | None:
        """The conditions of a metric; none, and problems, where a field is not there or never has a value."""
        made: list[Condition] = []
        where = metric.where or Where({}, {})
        wanted = [(text, values, False) for text, values in where.values.items()]
        for text, values, negated in (*wanted, *((text, values, True) for text, values in where.others.items())):
            key = (*place, "where", text)
            try:
                found, kind = column(parse_path(text), scopes)
            except PathProblem as problem:
                self._findings.add(key, problem.wrong, problem.remedy)
                return None
            if kind is not None:
                self._findings.extend(impossible_conditions(key, text, kind, values))
            self._findings.leave_unproved(key, text, found.hops)
            made.append(Condition(found, values, negated))
        return tuple(made)

    def _missing(
        self, parsed: ParsedQuery, missing: Missing | None, labels: Mapping[str, LabelPlan] | None, place: KeyPath
    ) -> MissingPlan | None:
        if missing is None:
            return None
        other = self._queries.get(missing.rows_of)
        if other is None and self._loaded.may_have("queries", missing.rows_of):
            return None
        if other is None or other.query.rows is None:
            wrong = f"there is no query {missing.rows_of} with rows"
            self._findings.add((*place, "missing", "rows_of"), wrong, "name one that has rows")
            return None
        check_sources(parsed, other, (*place, "missing", "rows_of"), self._findings)
        feeds_known = not (other.lacks("for_each") or parsed.lacks("for_each"))
        if feeds_known and other.query.for_each and other.query.for_each != parsed.query.for_each:
            wrong = f"{missing.rows_of} has another for_each"
            self._findings.add((*place, "missing", "rows_of"), wrong, "use one with the same, or with none")
        if labels is None:
            for name, path in missing.labels.items():
                self._findings.column(path, other.rows, (*place, "missing", "labels", name))
            return None
        made = self._labels_of_missing(missing, labels, other, (*place, "missing", "labels"))
        return MissingPlan(missing.rows_of, made, missing.value)

    def _labels_of_missing(
        self, missing: Missing, labels: Mapping[str, LabelPlan], other: ParsedQuery, place: KeyPath
    ) -> tuple[str | LabelPlan, ...]:
        """For each label, the export of the other query's row that it comes from, or its plan where that knows."""
        made: list[str | LabelPlan] = []
        for name, label in sorted(labels.items()):
            if name in missing.labels:
                self._findings.column(missing.labels[name], other.rows, (*place, name))
                made.append(str(missing.labels[name]))
            elif not any(label_columns(label)):
                made.append(label)
            else:
                wrong = f"does not say where the label {name} comes from"
                self._findings.add(place, wrong, f"add {name}: and a path of the rows of {missing.rows_of}")
        for name in missing.labels.keys() - labels.keys():
            self._findings.add((*place, name), "is not a label of this metric", f"it has: {', '.join(labels)}")
        return tuple(made)

    def _top(self, top: Top | None, labels: Mapping[str, LabelPlan] | None, place: KeyPath) -> TopPlan | None:
        if top is None or labels is None:
            return None
        names = tuple(sorted(labels))
        if top.label not in names:
            wrong = f"{top.label} is not a label of this metric"
            self._findings.add((*place, "top", "label"), wrong, f"it has: {', '.join(names) or 'none'}")
            return None
        return TopPlan(top.n, names.index(top.label), top.rest)


class _ValuePlace(Struct, frozen=True):
    """Where a value stands: the walk to its records, the hop from a record to the value or else the number of each
    record, and the value's type, where a schema tells it. Labels are found in `scopes`. `variables` are those that the
    fields on the way name. `outside`: it is not below the rows, but beside what is around them."""

    scopes: Scopes
    walk: Hops
    leaf: Hops
    constant: Number | None
    type: FieldType | None
    variables: frozenset[str]
    outside: bool = False

    def times(self, query: Query) -> frozenset[str]:
        """The references to times that those variables have."""
        used = [references(query.variables[name]) for name in self.variables if name in query.variables]
        return frozenset(
            reference.name for found in used for reference in found if reference.root in ("window", "period")
        )


def _is_row_number(label: LabelPlan, rows: Scopes) -> bool:
    """Whether a label has the position of a row, or of what is around it, in a list."""
    depths = [column.depth for column in label_columns(label) if column.is_key]
    return any(depth <= len(rows.hops) and not rows.hops[depth - 1].inside for depth in depths)


def _rule(metric: Metric, zone: tzinfo) -> ValueRule:
    """How the values are read; those of states are told as yes or no."""
    if metric.states is not None:
        return ValueRule(ValueKind.BOOLEAN, pattern=metric.pattern)
    zone = zone if metric.kind is ValueKind.TIMESTAMP else UTC
    return ValueRule(
        metric.kind,
        metric.from_unit,
        tuple(metric.map.items()),
        metric.default,
        metric.time_format,
        zone,
        metric.pattern,
        metric.number_form,
    )


def _value_place(metric: Metric, rows: Scopes, *, may_count: bool) -> _ValuePlace:
    """Where a metric's value stands. What is counted may be an object. Raises `PathProblem`."""
    value = metric.value
    if isinstance(value, int | float):
        return _ValuePlace(rows, rows.hops, (), value, None, _variables(rows))
    path = value.path if isinstance(value, Each) else value
    start = value_scopes(path, rows)
    if path.steps[-1:] == (Mark.KEY,):
        return _key_place(metric, path, start, rows)
    whole = start.below(path)
    within = whole
    if whole.hops != start.hops and not whole.innermost.children and whole.hops[-1].mark is None:
        within = whole.outer(len(whole.hops) - 1)  # nothing is below a scalar
    if isinstance(value, Each) or may_count or (metric.aggregate == "count" and metric.states is None):
        constant = value.number if isinstance(value, Each) else 1
        return _ValuePlace(whole, whole.hops, (), constant, None, _variables(whole), _is_outside(whole, rows))
    if whole.innermost.children:
        raise PathProblem(
            f"{value} ends in an object", f"go on to one of: {', '.join(sorted(whole.innermost.children))}"
        )
    leaf = whole.hops[len(within.hops) :]
    return _ValuePlace(
        within, within.hops, leaf, None, whole.innermost.type, _variables(whole), _is_outside(whole, rows)
    )


def _key_place(metric: Metric, path: ResponsePath, start: Scopes, rows: Scopes) -> _ValuePlace:
    """Where the key or position of what a path opens stands. Raises `PathProblem`."""
    if isinstance(metric.value, Each) or metric.aggregate == "count":
        raise PathProblem(f"{path} is the key of an item, and not an item", "leave out .@key")
    steps = path.steps[:-1]
    at = start.below(ResponsePath(steps, path.innermost)) if steps else start
    key = column(ResponsePath((Mark.KEY,), innermost=True), at)[0]
    if key.depth != len(at.hops):
        raise PathProblem(f"{path}: the rows are below what was opened", f"write {at.outer(key.depth).text}.@key")
    return _ValuePlace(at, at.hops, key.hops, None, None, _variables(at), _is_outside(at, rows))


def _is_outside(scopes: Scopes, rows: Scopes) -> bool:
    """Whether a walk leads past the rows, so that it is not they that have the value."""
    return scopes.hops[: len(rows.hops)] != rows.hops


def _variables(scopes: Scopes) -> frozenset[str]:
    return frozenset[str]().union(*(selection.variables for selection in scopes.selections))
