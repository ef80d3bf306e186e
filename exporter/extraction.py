"""Responses to results: rows, labels and values along the plan's paths. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from functools import reduce
from typing import Final, TypeAlias, cast

from exporter.errors import Reason, ResultFailure
from exporter.model import Family, Json, LabelValues, Number, Response, Result, Samples
from exporter.path import path_text
from exporter.plan import (
    Bound,
    BucketPlan,
    Column,
    Constant,
    Hop,
    Hops,
    LabelPlan,
    Looked,
    MetricPlan,
    MissingPlan,
    PagesPlan,
    QueryPlan,
    TopPlan,
)
from exporter.query import Moment
from exporter.template import bound, scalar_text
from exporter.value import SkipReason, converter, unix_seconds
from exporter.window import last_bucket

# What a lookup knows: key -> field -> text.
Names: TypeAlias = Mapping[str, Mapping[str, str]]

# The objects on the way from `data` (first) to the record itself (last).
Record: TypeAlias = tuple[Json, ...]


def _sum(first: Number, second: Number) -> Number:
    """The sum; not a number where no float can hold it, and then whatever is added later."""
    try:
        total = first + second
        return total if math.isfinite(total) else math.nan
    except OverflowError:
        return math.nan


_MERGED: Final[Mapping[str, Callable[[Number, Number], Number]]] = {
    "sum": _sum,
    "max": max,
    "min": min,
    "last": lambda _, second: second,
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an extraction needs beside the answer: what references in labels can name, what lookups know, and the rows
    of other queries, for what an answer does not name."""

    values: Mapping[str, Json] = field(default_factory=dict)
    names: Mapping[str, Names] = field(default_factory=dict)
    rows: Mapping[str, Sequence[Mapping[str, Json]]] = field(default_factory=dict)


def extract(
    query: QueryPlan, responses: Sequence[Response], around: Surroundings, moment: Moment, rows_cut: int = 0
) -> Result:
    """The result of an answer, in one response or in pages.

    Null is no sample. What cannot be converted is left out and counted. Raises `ResultFailure`: `schema` where the
    answer lacks what the document selects, `duplicate_series`, or `cardinality`; then nothing of it is published.
    """
    data = [cast("Json", response.data) for response in responses]
    labels = _Labels(around)
    skipped: Counter[str] = Counter()
    series: dict[Family, dict[LabelValues, Number]] = {}
    by_walk: dict[Hops, list[Record]] = {}
    for metric in query.metrics:
        if metric.walk not in by_walk:
            by_walk[metric.walk] = records_at(data, metric.walk)
        _add_series(series, metric, by_walk[metric.walk], labels, moment, skipped)
        if sum(map(len, series.values())) > query.max_series:
            raise ResultFailure(Reason.CARDINALITY, _grown(series, query.max_series))
    for family in {metric.family for metric in query.metrics if metric.aggregate == "sum" or metric.top is not None}:
        for key in [key for key, value in series[family].items() if math.isnan(value)]:
            del series[family][key]
            skipped[SkipReason.NOT_FINITE.value] += 1
    window = moment.window
    return Result(
        samples=tuple(Samples(family, found) for family, found in series.items()),
        rows=_exported_rows(query, data),
        skipped=dict(skipped),
        lookup_misses=labels.misses,
        rows_cut=rows_cut,
        partial=any(response.errors for response in responses),
        graphql_errors=sum(len(response.errors) for response in responses),
        window_seconds=window.end.timestamp() - window.start.timestamp() if window else None,
        window_end_time=window.end.timestamp() if window else None,
        period_start_time=moment.period_start.timestamp() if moment.period_start else None,
    )


@dataclass(frozen=True, slots=True)
class PagesTold:
    """What a page says of the others: how many rows there are in all, or the cursor of the next page."""

    total: int | None = None
    next_cursor: str | None = None

    def goes_on(self, rows: int) -> bool:
        """Whether there is more after so many rows."""
        return self.next_cursor is not None if self.total is None else rows < self.total

    def next_position(self, rows: int) -> Json:
        """Where the next page begins: a cursor, or an offset."""
        return self.next_cursor if self.total is None else rows


def pages_told(pages: PagesPlan, response: Response) -> PagesTold:
    """What a page says of the others. Raises `ResultFailure` (`schema`)."""
    found = _column([(cast("Json", response.data),)], Column(0, pages.told))[0]
    if not pages.by_cursor:
        if isinstance(found, bool) or not isinstance(found, int):
            raise ResultFailure(Reason.SCHEMA, f"{_shown(pages.told)} is not a number of rows")
        return PagesTold(total=found)
    if not isinstance(found, dict) or not isinstance(found.get("hasNextPage"), bool):
        raise ResultFailure(Reason.SCHEMA, f"{_shown(pages.told)} does not say hasNextPage")
    cursor = found.get("endCursor")
    return PagesTold(next_cursor=cursor if found["hasNextPage"] and isinstance(cursor, str) else None)


def row_count(query: QueryPlan, response: Response) -> int:
    """How many rows a page has. Raises `ResultFailure` (`schema`)."""
    return len(records_at([cast("Json", response.data)], query.rows.walk)) if query.rows is not None else 0


def _exported_rows(query: QueryPlan, data: Sequence[Json]) -> tuple[Mapping[str, Json], ...]:
    if query.rows is None or not query.rows.exports:
        return ()
    records = records_at(data, query.rows.walk)
    columns = {name: _column(records, column) for name, column in query.rows.exports.items()}
    return tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _add_series(
    series: dict[Family, dict[LabelValues, Number]],
    metric: MetricPlan,
    records: Sequence[Record],
    labels: _Labels,
    moment: Moment,
    skipped: Counter[str],
) -> None:
    if metric.bucket is not None:
        records = _in_bucket(records, metric.bucket, moment)
    records, raw = _values(records, metric)
    keys = zip(*(labels.column(records, label) for label in metric.labels), strict=True)
    pairs = zip(keys if metric.labels else ((),) * len(records), raw, strict=True)
    found: dict[LabelValues, Number] = {}
    convert = converter(metric.rule)
    for key, value in pairs:
        if value is None:
            continue
        number = convert(value)
        if isinstance(number, SkipReason):
            skipped[number.value] += 1
        else:
            _put(found, key, number, metric)
    if metric.missing is not None:
        for key in labels.keys_of_missing(metric.missing):
            found.setdefault(key, metric.missing.value)
    if metric.top is not None:
        found = _top(found, metric.top)
    of_family = series.setdefault(metric.family, {})
    for key, number in found.items():
        _put(of_family, key, number, metric)


def _put(series: dict[LabelValues, Number], key: LabelValues, number: Number, metric: MetricPlan) -> None:
    if key not in series:
        series[key] = number
    elif metric.aggregate is not None:
        series[key] = _MERGED[metric.aggregate](series[key], number)
    else:
        raise ResultFailure(
            Reason.DUPLICATE_SERIES,
            f"{metric.family.name} has two values for one set of labels"
            f" ({', '.join(metric.family.label_names) or 'no labels'}); add a label that tells them apart,"
            " or aggregate:",
        )


def _top(found: Mapping[LabelValues, Number], top: TopPlan) -> dict[LabelValues, Number]:
    """The n largest of the series that differ in the one label alone; the others summed, with what was rest before."""
    at = top.position
    groups: dict[LabelValues, list[tuple[Number, LabelValues]]] = {}
    for key, value in found.items():
        groups.setdefault((*key[:at], top.rest, *key[at + 1 :]), []).append((value, key))
    kept: dict[LabelValues, Number] = {}
    for rest_key, members in groups.items():
        named = sorted((member for member in members if member[1] != rest_key), key=lambda one: (-one[0], one[1]))
        kept.update({key: value for value, key in named[: top.n]})
        others = [*named[top.n :], *(member for member in members if member[1] == rest_key)]
        if others:
            kept[rest_key] = reduce(_sum, (value for value, _ in others))
    return kept


def _values(records: Sequence[Record], metric: MetricPlan) -> tuple[Sequence[Record], list[Json]]:
    """The value of each record; a record whose value is a list stands once for each of its items."""
    if metric.constant is not None:
        return records, [metric.constant] * len(records)
    raw = _column(records, Column(len(metric.walk), metric.leaf))
    if any(isinstance(value, list) for value in raw):
        exploded = [(record, item) for record, value in zip(records, raw, strict=True) for item in _exploded(value)]
        records, raw = [record for record, _ in exploded], [item for _, item in exploded]
    if any(isinstance(value, dict) for value in raw):
        raise ResultFailure(Reason.SCHEMA, f"{_shown(metric.walk + metric.leaf)} is an object, not a value")
    return records, raw


def records_at(data: Sequence[Json], walk: Hops) -> list[Record]:
    """The records that a walk leads to in the data of each page; lists explode, nulls end. Raises `ResultFailure`."""
    level: list[Record] = [(page,) for page in data]
    for depth, hop in enumerate(walk):
        try:
            level = [(*record, item) for record in level for item in _exploded(_child(record[-1], hop))]
        except (KeyError, TypeError):
            raise ResultFailure(Reason.SCHEMA, f"the answer has no {_shown(walk[: depth + 1])}") from None
    return level


def _exploded(value: Json) -> Iterable[Json]:
    if not isinstance(value, list):
        return () if value is None else (value,)
    if any(isinstance(item, list) for item in value):
        return [leaf for item in value for leaf in _exploded(item)]
    return [item for item in value if item is not None]


def _child(node: Json, hop: Hop) -> Json:
    """What a hop leads to. Raises `KeyError` or `TypeError` where the answer is not of that shape."""
    if hop.optional and hop.name not in cast("dict[str, Json]", node):
        return None
    child = cast("dict[str, Json]", node)[hop.name]
    for index in hop.indexes:
        if child is None:
            return None
        if not isinstance(child, list):
            raise TypeError("not a list")
        child = child[index] if index < len(child) else None
    return child


def _column(records: Sequence[Record], column: Column) -> list[Json]:
    """One value for each record; null on the way is null."""
    nodes: list[Json] = [record[column.depth] for record in records]
    try:
        for hop in column.hops:
            if hop.indexes or hop.optional or None in nodes:
                nodes = [None if node is None else _child(node, hop) for node in nodes]
            else:
                name = hop.name
                nodes = [cast("dict[str, Json]", node)[name] for node in nodes]
    except (KeyError, TypeError):
        raise ResultFailure(Reason.SCHEMA, f"the answer has no {_shown(column.hops)} in every row") from None
    return nodes


class _Labels:
    """Label values of one extraction; counts the keys that lookups did not know."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.misses = 0

    def column(self, records: Sequence[Record], label: LabelPlan) -> list[str]:
        """One text for each record."""
        match label:
            case Column():
                return _text_column(records, label)
            case Looked(lookup, key, name):
                return [self._looked(lookup, text, name) for text in self.column(records, key)]
        return [self._fixed(label)] * len(records)

    def keys_of_missing(self, missing: MissingPlan) -> list[LabelValues]:
        """The label values of every row that an answer should have named."""
        parts = [part if isinstance(part, str) else (self._fixed(part),) for part in missing.labels]
        return [
            tuple(scalar_text(row[part]) if isinstance(part, str) else part[0] for part in parts)
            for row in self._around.rows.get(missing.query, ())
        ]

    def _fixed(self, label: LabelPlan) -> str:
        """The text of a label that does not depend on the record."""
        match label:
            case Constant(text):
                return text
            case Bound(template):
                return scalar_text(bound(template, self._around.values))
            case Looked(lookup, key, name):
                return self._looked(lookup, self._fixed(key), name)
        raise AssertionError("the planner takes no column here")

    def _looked(self, lookup: str, key: str, name: str) -> str:
        row = self._around.names.get(lookup, {}).get(key)
        if row is None:
            self.misses += 1
            return ""
        return row.get(name, "")


def _text_column(records: Sequence[Record], column: Column) -> list[str]:
    texts = _column(records, column)
    if set(map(type, texts)) == {str}:
        return cast("list[str]", texts)
    try:
        return [scalar_text(text) for text in texts]
    except TypeError:
        raise ResultFailure(
            Reason.SCHEMA, f"{_shown(column.hops)} is a list or an object, which cannot be a label"
        ) from None


def _in_bucket(records: Sequence[Record], bucket: BucketPlan, moment: Moment) -> list[Record]:
    """The records of the last bucket, by the clock, that ends at or before the window's end."""
    window = moment.window
    if window is None:
        return []
    start = last_bucket(window.end, bucket.width, window.end.tzinfo or UTC).start.timestamp()
    return [record for record, text in zip(records, _column(records, bucket.start), strict=True) if _is_at(text, start)]


def _is_at(text: Json, start: float) -> bool:
    try:
        return isinstance(text, str) and unix_seconds(text) == start
    except ValueError:
        return False


def _grown(series: Mapping[Family, Mapping[LabelValues, Number]], limit: int) -> str:
    """Which family and label went over the limit."""
    family, found = max(series.items(), key=lambda item: len(item[1]))
    sizes = {name: len({key[position] for key in found}) for position, name in enumerate(family.label_names)}
    label = max(sizes, key=lambda name: sizes[name]) if sizes else "no label"
    return f"more than max_series ({limit}): {family.name} has {len(found)}; its label {label} has the most values"


def _shown(hops: Hops) -> str:
    return path_text(tuple(hop.name for hop in hops))
