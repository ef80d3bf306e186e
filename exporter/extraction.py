"""Responses to results: rows, labels and values along the plan's paths. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC
from typing import Final, TypeAlias, cast

from exporter.errors import Reason, ResultFailure
from exporter.model import Family, Json, LabelValues, Number, Response, Result, Samples
from exporter.path import path_text
from exporter.plan import Bound, BucketPlan, Column, Constant, Hop, Hops, MetricPlan, QueryPlan
from exporter.query import Moment
from exporter.template import bound, scalar_text
from exporter.value import SkipReason, converter, unix_seconds
from exporter.window import last_bucket

# The objects on the way from `data` (first) to the record itself (last).
Record: TypeAlias = tuple[Json, ...]

_MERGED: Final[Mapping[str, Callable[[Number, Number], Number]]] = {
    "sum": lambda first, second: first + second,
    "max": max,
    "min": min,
    "last": lambda _, second: second,
}


def extract(query: QueryPlan, response: Response, values: Mapping[str, Json], moment: Moment) -> Result:
    """The result of a response. `values` are what the references in labels can name.

    Null is no sample. What cannot be converted is left out and counted. Raises `ResultFailure`: `schema` where the
    answer lacks what the document selects, `duplicate_series`, or `cardinality`; then nothing of it is published.
    """
    data = cast("Json", response.data)
    skipped: Counter[str] = Counter()
    series: dict[Family, dict[LabelValues, Number]] = {}
    by_walk: dict[Hops, list[Record]] = {}
    for metric in query.metrics:
        if metric.walk not in by_walk:
            by_walk[metric.walk] = _records(data, metric.walk)
        _add_series(series, metric, by_walk[metric.walk], values, moment, skipped)
        if sum(map(len, series.values())) > query.max_series:
            raise ResultFailure(Reason.CARDINALITY, _grown(series, query.max_series))
    window = moment.window
    return Result(
        samples=tuple(Samples(family, found) for family, found in series.items()),
        rows=_exported_rows(query, data),
        skipped=dict(skipped),
        partial=bool(response.errors),
        graphql_errors=len(response.errors),
        window_seconds=window.end.timestamp() - window.start.timestamp() if window else None,
        window_end_time=window.end.timestamp() if window else None,
        period_start_time=moment.period_start.timestamp() if moment.period_start else None,
    )


def _exported_rows(query: QueryPlan, data: Json) -> tuple[Mapping[str, Json], ...]:
    if query.rows is None or not query.rows.exports:
        return ()
    records = _records(data, query.rows.walk)
    columns = {name: _column(records, column) for name, column in query.rows.exports.items()}
    return tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _add_series(
    series: dict[Family, dict[LabelValues, Number]],
    metric: MetricPlan,
    records: Sequence[Record],
    values: Mapping[str, Json],
    moment: Moment,
    skipped: Counter[str],
) -> None:
    if metric.bucket is not None:
        records = _in_bucket(records, metric.bucket, moment)
    records, raw = _values(records, metric)
    keys = zip(*(_label_column(records, label, values) for label in metric.labels), strict=True)
    pairs = zip(keys if metric.labels else ((),) * len(records), raw, strict=True)
    found = series.setdefault(metric.family, {})
    convert = converter(metric.rule)
    merged = _MERGED.get(metric.aggregate or "")
    for key, value in pairs:
        if value is None:
            continue
        number = convert(value)
        if isinstance(number, SkipReason):
            skipped[number.value] += 1
        elif key not in found:
            found[key] = number
        elif merged is not None:
            found[key] = merged(found[key], number)
        else:
            raise ResultFailure(
                Reason.DUPLICATE_SERIES,
                f"{metric.family.name} has two values for one set of labels"
                f" ({', '.join(metric.family.label_names) or 'no labels'}); add a label that tells them apart,"
                " or aggregate:",
            )


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


def _records(data: Json, walk: Hops) -> list[Record]:
    """The records that a walk leads to; lists explode, nulls end."""
    level: list[Record] = [(data,)]
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


def _label_column(records: Sequence[Record], label: Column | Constant | Bound, values: Mapping[str, Json]) -> list[str]:
    match label:
        case Constant(text):
            return [text] * len(records)
        case Bound(template):
            return [scalar_text(bound(template, values))] * len(records)
    texts = _column(records, label)
    if set(map(type, texts)) == {str}:
        return cast("list[str]", texts)
    try:
        return [scalar_text(text) for text in texts]
    except TypeError:
        raise ResultFailure(
            Reason.SCHEMA, f"{_shown(label.hops)} is a list or an object, which cannot be a label"
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
