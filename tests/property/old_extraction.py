"""The extraction as it was when an answer was a tree of dictionaries: what the new one is held to, and nothing else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import reduce
from itertools import chain, compress, repeat
from operator import itemgetter
from types import NoneType
from typing import Any, Final, cast

from exporter.model.duration import duration_text
from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import Response, Result
from exporter.model.response_path import path_text
from exporter.model.samples import Family, Json, LabelValues, Number, Samples
from exporter.model.template import bind, scalar_text
from exporter.model.time_format import unix_seconds
from exporter.model.value import SkipReason, converter
from exporter.model.window import last_bucket
from exporter.plan.operation import Moment, is_at_end_of_period
from exporter.plan.plan import (
    Bound,
    BucketPlan,
    Column,
    Constant,
    Hop,
    Hops,
    LabelPlan,
    LookupColumn,
    MetricPlan,
    MissingPlan,
    PagesPlan,
    QueryPlan,
    TopPlan,
)
from exporter.series.label_texts import Surroundings
from exporter.series.page_state import PageState

_WRONG_SHAPE: Final = (KeyError, TypeError)
_PART: Final = 1000


@dataclass(frozen=True, slots=True)
class Records:
    """The records that a walk leads to: `levels[0]` has the data that each is in, `levels[-1]` the records themselves,
    those between the objects on the way. All levels are of one length."""

    levels: tuple[Sequence[Json], ...]

    def __len__(self) -> int:
        return len(self.levels[-1])

    def where(self, wanted: Sequence[bool]) -> Records:
        """Those records alone."""
        return Records(tuple(list(compress(level, wanted)) for level in self.levels))

    def column(self, column: Column) -> Sequence[Json]:
        """One value for each record; null on the way is null. Raises `ResultFailure` (`schema`)."""
        nodes = self.levels[column.depth]
        for hop in column.hops:
            nodes = _children(nodes, hop, column.hops)
        return nodes

    def parts(self) -> Iterator[Records]:
        """The same records, so many at a time as stay in the processor's cache while several columns are read."""
        for at in range(0, len(self), _PART):
            yield Records(tuple(level[at : at + _PART] for level in self.levels))

    def exploded(self, values: Sequence[Json]) -> tuple[Records, Sequence[Json]]:
        """The records and these values of theirs, where a value that is a list stands once for each of its items."""
        parts = [_items(value) for value in values]
        return Records(_repeated(self.levels, parts)), list(chain.from_iterable(parts))


def records_at(data: Sequence[Json], walk: Hops) -> Records:
    """The records that a walk leads to in the data of each page; lists explode, nulls end. Raises `ResultFailure`."""
    if None in data:
        raise ResultFailure(Reason.SCHEMA, "the answer has no data")
    levels: tuple[Sequence[Json], ...] = (data,)
    for depth, hop in enumerate(walk):
        parts = [_items(child) for child in _children(levels[-1], hop, walk[: depth + 1])]
        levels = (*_repeated(levels, parts), list(chain.from_iterable(parts)))
    return Records(levels)


def shown(hops: Hops) -> str:
    """The path as messages write it."""
    return path_text(tuple(hop.name for hop in hops))


def _repeated(levels: Iterable[Sequence[Json]], parts: Sequence[Sequence[Json]]) -> tuple[Sequence[Json], ...]:
    """Each level with every object as often as there are items in its part."""
    counts = list(map(len, parts))
    return tuple(list(chain.from_iterable(map(repeat, level, counts))) for level in levels)


def _items(value: Json) -> Sequence[Json]:
    """The items of a list, at any depth, without nulls; what is no list is its own only item."""
    if not isinstance(value, list):
        return () if value is None else (value,)
    kinds = set(map(type, value))
    if list in kinds:
        return [leaf for item in value for leaf in _items(item)]
    return [item for item in value if item is not None] if NoneType in kinds else value


def _children(nodes: Sequence[Json], hop: Hop, way: Hops) -> Sequence[Json]:
    """What a hop leads to from each node. Raises `ResultFailure`, which names the whole way."""
    if not (hop.indexes or hop.optional):
        try:
            return list(map(itemgetter(hop.name), cast("Sequence[dict[str, Json]]", nodes)))
        except _WRONG_SHAPE:  # a null among them, perhaps
            pass
    try:
        return [None if node is None else _child(node, hop) for node in nodes]
    except _WRONG_SHAPE:
        raise ResultFailure(Reason.SCHEMA, f"the answer has no {shown(way)} in every row") from None


def _child(node: Json, hop: Hop) -> Json:
    """What a hop leads to. Raises `KeyError` or `TypeError` where the answer is not of that shape."""
    if not isinstance(node, dict):  # the one change: a text without the key stood for an object without it
        raise TypeError("not an object")
    if hop.optional and hop.name not in node:
        return None
    child = node[hop.name]
    for index in hop.indexes:
        assert isinstance(index, int)  # an item by its field is newer than this way
        if child is None:
            return None
        if not isinstance(child, list):
            raise TypeError("not a list")
        child = child[index] if index < len(child) else None
    return child


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
    found: dict[Family, Samples] = {}
    by_walk: dict[Hops, Records] = {}
    for metric in query.metrics:
        if metric.walk not in by_walk:
            by_walk[metric.walk] = records_at(data, metric.walk)
        samples = _samples(metric, by_walk[metric.walk], labels, moment, skipped)
        before = found.get(metric.family)
        found[metric.family] = samples if before is None else _distinct(before.join(samples), metric)
        if sum(map(len, found.values())) > query.max_series:
            raise ResultFailure(Reason.CARDINALITY, _grown(found.values(), query.max_series))
    for family in {metric.family for metric in query.metrics if metric.aggregate == "sum" or metric.top is not None}:
        if any(map(math.isnan, found[family].numbers)):
            finite = {key: number for key, number in found[family].items() if not math.isnan(number)}
            skipped[SkipReason.NOT_FINITE.value] += len(found[family]) - len(finite)
            found[family] = Samples.of(family, finite)
    if query.rows is not None and query.rows.walk not in by_walk:
        by_walk[query.rows.walk] = records_at(data, query.rows.walk)
    window = moment.window
    return Result(
        samples=tuple(found.values()),
        rows=_exported_rows(query, by_walk),
        row_count=0 if query.rows is None else len(by_walk[query.rows.walk]),
        skipped=dict(skipped),
        lookup_misses=labels.misses,
        rows_cut=rows_cut,
        partial=any(response.errors for response in responses),
        graphql_errors=sum(len(response.errors) for response in responses),
        window_seconds=window.end.timestamp() - window.start.timestamp() if window else None,
        window_end_time=window.end.timestamp() if window else None,
        period_start_time=moment.period_start.timestamp() if moment.period_start else None,
        period_complete=is_at_end_of_period(query, moment),
    )


def pages_told(pages: PagesPlan, response: Response) -> PageState:
    """What a page says of the others. Raises `ResultFailure` (`schema`)."""
    record = Records(([cast("Json", response.data)],))
    total, more, cursor = cast(
        "tuple[Any, Any, Any]",
        tuple(
            None if hops is None else record.column(Column(0, hops))[0]
            for hops in (pages.total, pages.more, pages.next)
        ),
    )
    if pages.total is not None and (isinstance(total, bool) or not isinstance(total, int)):
        raise ResultFailure(Reason.SCHEMA, f"{shown(pages.total)} is not a number of rows")
    if pages.more is None:
        return PageState(total)
    if not isinstance(more, bool):
        raise ResultFailure(Reason.SCHEMA, f"{shown(pages.more)} is not true or false")
    if not more:
        return PageState(total, more)
    if isinstance(cursor, bool) or not isinstance(cursor, str | int | None):
        raise ResultFailure(Reason.SCHEMA, f"{shown(cast('Hops', pages.next))} is not a cursor")
    return PageState(total, more, cursor or None)


def row_count(query: QueryPlan, response: Response) -> int:
    """How many rows a page has. Raises `ResultFailure` (`schema`)."""
    return len(records_at([cast("Json", response.data)], query.rows.walk)) if query.rows is not None else 0


def _exported_rows(query: QueryPlan, by_walk: Mapping[Hops, Records]) -> tuple[Mapping[str, Json], ...]:
    if query.rows is None or not query.rows.exports:
        return ()
    records = by_walk[query.rows.walk]
    columns = {name: records.column(column) for name, column in query.rows.exports.items()}
    return tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _samples(metric: MetricPlan, records: Records, labels: _Labels, moment: Moment, skipped: Counter[str]) -> Samples:
    """What one metric makes of its records. Raises `ResultFailure` (`schema`, `duplicate_series`)."""
    if metric.bucket is not None:
        records = _in_bucket(records, metric.bucket, moment, skipped)
    records, values = _values(records, metric)
    read = list(map(converter(metric.rule), values))
    if read is not values and (reasons := [one.value for one in read if isinstance(one, SkipReason)]):
        skipped.update(reasons)
        kept = [not isinstance(one, SkipReason) for one in read]
        records, read = records.where(kept), [one for one in read if not isinstance(one, SkipReason)]
    columns = labels.columns(records, metric.labels)
    found = _distinct(Samples(metric.family, columns, cast("Sequence[Number]", read)), metric)
    if metric.missing is not None:
        absent = dict.fromkeys(labels.keys_of_missing(metric.missing), metric.missing.value)
        for key in found.label_values():
            absent.pop(key, None)
        found = found.join(Samples.of(metric.family, absent)) if absent else found
    return found if metric.top is None else Samples.of(metric.family, _top(found.series, metric.top))


def _distinct(samples: Samples, metric: MetricPlan) -> Samples:
    """Each series once. Raises `ResultFailure` (`duplicate_series`)."""
    if len(set(samples.hashes)) == len(samples):
        return samples
    series: dict[LabelValues, Number] = {}
    for key, number in samples.items():
        _put(series, key, number, metric)
    return Samples.of(metric.family, series)


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
            " or write aggregate: sum",
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


def _values(records: Records, metric: MetricPlan) -> tuple[Records, Sequence[Json]]:
    """The records that have a value, and their values; a record stands once for each item of a value that is a list."""
    if metric.constant is not None:
        return records, [metric.constant] * len(records)
    values = records.column(Column(len(metric.walk), metric.leaf))
    kinds = set(map(type, values))
    if list in kinds:
        records, values = records.exploded(values)
        kinds = set(map(type, values))
    if dict in kinds:
        raise ResultFailure(Reason.SCHEMA, f"{shown(metric.walk + metric.leaf)} is an object, not a value")
    if NoneType in kinds:
        records = records.where([value is not None for value in values])
        values = [value for value in values if value is not None]
    return records, values


class _Labels:
    """Label values of one extraction; counts the keys that lookups did not know."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.misses = 0

    def columns(self, records: Records, labels: Sequence[LabelPlan]) -> list[Sequence[str]]:
        """For each label one text for each record."""
        sources = list(map(_column_of, labels))
        read = [column for column in dict.fromkeys(sources) if column is not None]
        texts = dict(zip(read, _texts(records, read), strict=True))
        return [
            [self._fixed(label)] * len(records) if source is None else self._read(label, texts[source])
            for label, source in zip(labels, sources, strict=True)
        ]

    def _read(self, label: LabelPlan, texts: Sequence[str]) -> Sequence[str]:
        """What a label makes of the texts of its column."""
        if isinstance(label, LookupColumn):
            return [self._looked(label.lookup, text, label.field) for text in texts]
        return texts

    def keys_of_missing(self, missing: MissingPlan) -> list[LabelValues]:
        """The label values of every row that an answer should have named."""
        parts = [part if isinstance(part, str) else (self._fixed(part),) for part in missing.labels]
        needed = {part for part in parts if isinstance(part, str)}
        return [
            tuple(scalar_text(row[part]) if isinstance(part, str) else part[0] for part in parts)
            for row in self._around.rows.get(missing.query, ())
            if row.keys() >= needed  # not so of rows that are left over from another configuration
        ]

    def _fixed(self, label: LabelPlan) -> str:
        """The text of a label that does not depend on the record."""
        match label:
            case Constant(text):
                return text
            case Bound(template):
                return scalar_text(bind(template, self._around.values))
            case LookupColumn(lookup, key, name):
                return self._looked(lookup, self._fixed(key), name)
        raise AssertionError("the planner takes no column here")

    def _looked(self, lookup: str, key: str, name: str) -> str:
        row = self._around.names.get(lookup, {}).get(key)
        if row is None:
            self.misses += 1
            return ""
        return row.get(name, "")


def _column_of(label: LabelPlan) -> Column | None:
    """What a label is read from, if it depends on the record."""
    read = label.key if isinstance(label, LookupColumn) else label
    return read if isinstance(read, Column) else None


def _texts(records: Records, columns: Sequence[Column]) -> list[Sequence[str]]:
    """The texts of each column; equal ones are one object, so that a set of labels is cheaper to hash and to write."""
    shared: list[list[Json]] = [[] for _ in columns]
    known: list[dict[Json, Json]] = [{} for _ in columns]
    for part in records.parts():
        for column, texts, known_texts in zip(columns, shared, known, strict=True):
            values = part.column(column)
            try:
                texts.extend(map(known_texts.setdefault, values, values))
            except TypeError:  # it has no hash
                wrong = f"{shown(column.hops)} is a list or an object, which cannot be a label"
                raise ResultFailure(Reason.SCHEMA, wrong) from None
    return [
        cast("Sequence[str]", texts)
        if set(map(type, known_texts)) <= {str}
        else list(map(scalar_text, records.column(column)))  # 1 and true would be one
        for column, texts, known_texts in zip(columns, shared, known, strict=True)
    ]


def _in_bucket(records: Records, bucket: BucketPlan, moment: Moment, skipped: Counter[str]) -> Records:
    """The records of the last bucket, by the clock, that ends at or before the window's end. Those whose start cannot
    be read are counted, which the old way did not do.

    Raises `ResultFailure` where others begin within it: the upstream's buckets are narrower then, and one of them is
    not the figure of the whole.
    """
    window = moment.window
    if window is None:
        return records.where([False] * len(records))
    last = last_bucket(window.end, bucket.width, window.end.tzinfo or UTC)
    start, end = last.start.timestamp(), last.end.timestamp()
    begins = [_begins_at(text) for text in records.column(bucket.start)]
    if unread := begins.count(None):
        skipped[SkipReason.NOT_A_TIMESTAMP.value] += unread
    if any(at is not None and start < at < end for at in begins):
        wrong = f"the buckets of the answer are narrower than the width, {duration_text(bucket.width.total_seconds())}"
        raise ResultFailure(Reason.SCHEMA, f"{wrong}; ask for that granularity")
    return records.where([at == start for at in begins])


def _begins_at(text: Json) -> float | None:
    try:
        return unix_seconds(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _grown(found: Iterable[Samples], limit: int) -> str:
    """Which family and label went over the limit."""
    most = max(found, key=len)
    widest = widest_label(most.family, most.label_values())
    return f"more than max_series ({limit}): {most.family.name} has {len(most)}; {widest}"


def widest_label(family: Family, keys: Iterable[LabelValues]) -> str:
    """In words, which label of a family has the most values."""
    values = [set(column) for column in zip(*keys, strict=True)]
    sizes = dict(zip(family.label_names, map(len, values), strict=False))
    return f"its label {max(sizes, key=lambda name: sizes[name])} has the most values" if sizes else "it has no labels"
