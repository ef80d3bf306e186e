"""Responses to results: rows, labels and values along the plan's paths. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import UTC, tzinfo
from functools import reduce
from itertools import chain
from types import NoneType
from typing import Final, cast

from msgspec import UnsetType

from exporter.model.duration import duration_text
from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import Response, Result
from exporter.model.samples import Family, Json, LabelValues, MetricType, Number, Samples
from exporter.model.time_format import TimeFormat
from exporter.model.value import SkipReason, ValueKind, ValueRule, numbers
from exporter.model.window import last_bucket
from exporter.plan.operation import Moment, is_at_end_of_period, is_one_of
from exporter.plan.plan import (
    BucketPlan,
    Column,
    Condition,
    Hops,
    MetricPlan,
    QueryPlan,
    StatesPlan,
    TopPlan,
    columns_of,
    label_columns,
)
from exporter.series.label_texts import LabelTexts, Surroundings, has_object
from exporter.series.odd_rows import LeftOut, OddRows, RowReason, quote
from exporter.series.page_state import answer_data, row_count
from exporter.series.records import Most, Node, Records, hops_text, is_known, records_at


def _is_negative(number: Number) -> bool:
    return number < 0


def _without(is_bad: Callable[[Number], bool], samples: Samples, reason: SkipReason, left: LeftOut) -> Samples:
    """The samples without those whose numbers cannot be published."""
    kept = Samples.of(samples.family, {key: number for key, number in samples.items() if not is_bad(number)})
    left.values[reason.value] += len(samples) - len(kept)
    return kept


def _leave_out_unfit(query: QueryPlan, found: dict[Family, Samples], left: LeftOut) -> None:
    """Takes out what no page may have: sums that no float can hold, and totals of counters below zero."""
    for family in {metric.family for metric in query.metrics if metric.aggregate == "sum" or metric.top is not None}:
        if any(map(math.isnan, found[family].numbers)):
            found[family] = _without(math.isnan, found[family], SkipReason.NOT_FINITE, left)
    for family, samples in found.items():
        if family.type is MetricType.COUNTER and (least := min(samples.numbers, default=0)) < 0:
            left.first_value = left.first_value or quote(least)
            found[family] = _without(_is_negative, samples, SkipReason.NEGATIVE, left)


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
    "count": _sum,
}


def extract(query: QueryPlan, responses: Sequence[Response], around: Surroundings, moment: Moment) -> Result:
    """The result of an answer, in one response or in pages, of which the first `max_rows` rows are read.

    Null is no sample. What cannot be converted is left out and counted. Raises `ResultFailure`: `schema` where the
    answer lacks what the document selects, `duplicate_series`, or `cardinality`; then nothing of it is published.
    """
    data, most = [answer_data(query, response) for response in responses], _most(query)
    last = data[-1:]
    if (
        _is_backwards(query)
        and most is not None
        and sum(row_count(query, response) for response in responses) <= most.count
    ):
        data.reverse()  # of more rows, those that were read last are cut
    labels = LabelTexts(around)
    left = LeftOut(OddRows() if query.skips_bad_rows else None)
    found: dict[Family, Samples] = {}
    by_walk: dict[Hops, Records] = {}
    keyed = query.keyed_depths
    for metric in query.metrics:
        pages = last if metric.outside else data
        if metric.outside:
            records = _read(records_at(pages, metric.walk, odd=left.rows, keyed=keyed), [metric])
        elif metric.walk in by_walk:
            records = by_walk[metric.walk]
        else:
            alike = [one for one in query.metrics if one.walk == metric.walk and one.bucket is None]
            records = by_walk[metric.walk] = _read(records_at(data, metric.walk, most, left.rows, keyed), alike)
        samples = _samples_of_readable(metric, records, labels, moment, left)
        if metric.aggregate == "count" and metric.bucket is None and metric.top is None:
            zeros = _zeros(metric, (pages, most), labels, set(samples.label_values()), left)
            samples = samples.join(zeros) if zeros.numbers else samples
        before = found.get(metric.family)
        found[metric.family] = samples if before is None else _distinct(before.join(samples), metric, left)
        if sum(map(len, found.values())) > query.max_series:
            raise ResultFailure(Reason.CARDINALITY, _over_limit(found.values(), query.max_series))
    _leave_out_unfit(query, found, left)
    if query.rows is not None and query.rows.walk not in by_walk:
        by_walk[query.rows.walk] = records_at(data, query.rows.walk, most, left.rows, keyed)
    nulls = _nulls(query, by_walk)
    window = moment.window
    return Result(
        samples=tuple(found.values()),
        rows=_export_rows(query, by_walk, left),
        row_count=0 if query.rows is None else len(by_walk[query.rows.walk]),
        skipped=dict(left.values),
        first_skipped=left.first_value,
        skipped_rows={} if left.rows is None else left.rows.counts(),
        first_skipped_row="" if left.rows is None else left.rows.first,
        lookup_misses=labels.misses,
        names=around.names,
        nulls=nulls,
        partial=any(response.errors for response in responses),
        largest_only=frozenset(metric.family for metric in query.metrics if metric.top is not None),
        graphql_errors=sum(len(response.errors) for response in responses),
        window_seconds=window.end.timestamp() - window.start.timestamp() if window else None,
        window_end_time=window.end.timestamp() if window else None,
        period_start_time=moment.period_start.timestamp() if moment.period_start else None,
        period_complete=is_at_end_of_period(query, moment),
        publishes_created=query.publishes_created,
    )


def _nulls(query: QueryPlan, by_walk: Mapping[Hops, Records]) -> Mapping[str, int]:
    """How many nulls there are on the way to the rows, or without rows to the values, by their path. Raises
    `ResultFailure` (`schema`) where they are declared a failure."""
    walks = by_walk if query.rows is None else (query.rows.walk,)
    found = {path: count for walk in walks for path, count in by_walk[walk].nulls.items()}
    if found and query.fails_on_null:
        raise ResultFailure(Reason.SCHEMA, f"{next(iter(found))} is null where rows are expected")
    return found


def _is_backwards(query: QueryPlan) -> bool:
    return query.pages is not None and query.pages.backwards


def _most(query: QueryPlan) -> Most | None:
    return Most(query.rows.walk, query.pages.max_rows) if query.rows is not None and query.pages is not None else None


def _export_rows(query: QueryPlan, by_walk: Mapping[Hops, Records], left: LeftOut) -> tuple[Mapping[str, Json], ...]:
    if query.rows is None or not query.rows.exports:
        return ()
    records = by_walk[query.rows.walk]
    if left.rows is not None:
        records = _readable(records, query.rows.exports.values(), (), left.rows)
    columns = {name: records.column(column) for name, column in query.rows.exports.items()}
    return tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _samples_of_readable(
    metric: MetricPlan, records: Records, labels: LabelTexts, moment: Moment, left: LeftOut
) -> Samples:
    """What one metric makes of its records, or where rows may be left out, of those that can be read."""
    if left.rows is None:
        return _samples(metric, records, labels, moment, left)
    attempt, misses = LeftOut(left.rows), labels.misses
    try:
        samples = _samples(metric, records, labels, moment, attempt)
    except ResultFailure:
        attempt, labels.misses = LeftOut(left.rows), misses
        value = (Column(len(metric.walk), metric.leaf),) if metric.constant is None else ()
        readable = _readable(records, [one for one in columns_of(metric) if one not in value], value, left.rows)
        kept = set(map(id, readable.levels[-1]))
        unread = records.where([id(node) not in kept for node in records.levels[-1]])
        samples = _samples(metric, readable, labels, moment, attempt, unread)
    left.add(attempt)
    return samples


def _readable(records: Records, texts: Iterable[Column], values: Iterable[Column], odd: OddRows) -> Records:
    """The records of which all these columns can be read; those of `values` may be lists."""
    for lists, columns in ((False, texts), (True, values)):
        for column in columns:
            records = records.without(records.oddities(column, lists=lists), odd)
    return records


def _samples(
    metric: MetricPlan,
    records: Records,
    labels: LabelTexts,
    moment: Moment,
    left: LeftOut,
    unread: Records | None = None,
) -> Samples:
    """What one metric makes of its records; `unread` are those that were left out of them. Raises `ResultFailure`
    (`schema`, `duplicate_series`)."""
    if metric.bucket is not None:
        records = _read(_in_bucket(records, metric.bucket, moment, left), [metric])
    records, values, kinds = _values(_matching(records, metric.where), metric)
    if metric.states is not None:
        samples = _state_samples(metric, metric.states, (records, values, kinds), labels, left)
        return _distinct(samples, metric, left, records.levels[-1])
    read = numbers(metric.rule, values, kinds)
    found = read.values
    if found is not values and left.add_values(values, found):
        records = records.where([not isinstance(one, SkipReason) for one in found])
        found = [one for one in found if not isinstance(one, SkipReason)]
    texts = labels.texts(records, metric.labels)
    columns, different = [text.column for text in texts], [text.different for text in texts]
    samples = Samples(
        metric.family, columns, cast("Sequence[Number]", found), different, exact_integers=read.exact_integers
    )
    samples = _distinct(samples, metric, left, records.levels[-1])
    if metric.missing is not None:
        absent = dict.fromkeys(labels.keys_of_missing(metric.missing), metric.missing.value)
        for key in [*samples.label_values(), *_keys_of_unread(metric, unread, labels, absent)]:
            absent.pop(key, None)
        samples = samples.join(Samples.of(metric.family, absent)) if absent else samples
    return samples if metric.top is None else Samples.of(metric.family, _top(samples.series, metric.top))


def _keys_of_unread(
    metric: MetricPlan, unread: Records | None, labels: LabelTexts, expected: Iterable[LabelValues]
) -> Iterable[LabelValues]:
    """Which series an answer has rows of that could not be read: any of those that are expected, where such a row does
    not say its labels."""
    if not unread:
        return ()
    columns = list(chain.from_iterable(map(label_columns, metric.labels)))
    telling = _readable(unread, columns, (), OddRows())
    if len(telling) < len(unread):
        return list(expected)
    return zip(*(texts.column for texts in labels.texts(telling, metric.labels)), strict=True)


def _read(records: Records, metrics: Sequence[MetricPlan]) -> Records:
    """The records with what these metrics read of them."""
    labels = {column: None for metric in metrics for label in metric.labels for column in label_columns(label)}
    values = {Column(len(metric.walk), metric.leaf): None for metric in metrics if metric.constant is None}
    return records.read(values, labels)


def _matching(records: Records, where: Sequence[Condition]) -> Records:
    """The records that meet these conditions."""
    for condition in where:
        found = [is_one_of(value, condition.values) for value in records.column(condition.column)]
        records = records.where([one != condition.negated for one in found])
    return records


def _zeros(
    metric: MetricPlan,
    read: tuple[Sequence[Node], Most | None],
    labels: LabelTexts,
    found: set[LabelValues],
    left: LeftOut,
) -> Samples:
    """The 0 of everything whose labels are known and of which nothing is counted. A null says nothing. `read` is the
    data of the pages, and how many of their rows count."""
    columns = list(chain.from_iterable(map(label_columns, metric.labels)))
    depth = max((column.depth for column in columns), default=0)
    keyed = {column.depth for column in columns if column.is_key}
    around = records_at(read[0], metric.walk[:depth], read[1], left.rows, keyed)
    below = metric.walk[depth:] + metric.leaf
    conditions = [one for one in metric.where if one.column.depth <= depth]
    if left.rows is not None:
        around = _readable(around, [*columns, *(one.column for one in conditions)], (), left.rows)
    around = _matching(around, conditions)
    around = around.where([is_known(node, below) for node in around.levels[-1]])
    texts: list[Sequence[str]] = [one.column for one in labels.texts(around, metric.labels)]
    if metric.states is not None:
        texts = _by_word(texts, metric.states)
    absent = zip(*texts, strict=True) if texts else [()] * len(around)
    return Samples.of(metric.family, {key: 0 for key in absent if key not in found})


def _state_samples(
    metric: MetricPlan,
    states: StatesPlan,
    found: tuple[Records, Sequence[Node], Set[type]],
    labels: LabelTexts,
    left: LeftOut,
) -> Samples:
    """A sample for each word and record; of a word that is none of them, all are 0, and it is counted."""
    (records, values, kinds), words = found, states.words
    numbered = tuple((word, at) for at, word in enumerate(words))
    rule = ValueRule(ValueKind.ENUM, enum_values=numbered, pattern=metric.rule.pattern)
    read = numbers(rule, values, kinds).values
    left.add_values(values, read)
    columns = _by_word([texts.column for texts in labels.texts(records, metric.labels)], states)
    return Samples(metric.family, columns, [int(one == at) for one in read for at in range(len(words))])


def _by_word(columns: Iterable[Sequence[str]], states: StatesPlan) -> list[Sequence[str]]:
    """These columns with each row once for each word of the states, which stands in its place."""
    words = states.words
    return [
        list(words) * len(column) if at == states.position else [text for text in column for _ in words]
        for at, column in enumerate(columns)
    ]


def _distinct(samples: Samples, metric: MetricPlan, left: LeftOut, nodes: Sequence[Node] = ()) -> Samples:
    """Each series once. Raises `ResultFailure` (`duplicate_series`), unless rows may be left out.

    `nodes` are the records that the samples are of, in their order, where that is known.
    """
    if samples.are_distinct:
        return samples
    series: dict[LabelValues, Number] = {}
    each = len(samples) // len(nodes) if nodes else 0  # a record has a sample for each word of states
    for at, (key, number) in enumerate(samples.items()):
        if left.rows is not None and metric.aggregate is None and key in series:
            if nodes:
                left.rows.add(nodes[at // each], RowReason.DUPLICATE_SERIES)
            else:
                left.rows.add_double(metric.family, key)
        else:
            _insert(series, key, number, metric)
    return Samples.of(metric.family, series)


def _insert(series: dict[LabelValues, Number], key: LabelValues, number: Number, metric: MetricPlan) -> None:
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


def _values(records: Records, metric: MetricPlan) -> tuple[Records, Sequence[Node], Set[type]]:
    """The records that have a value, their values and the types of these; a record stands once for each item of a value
    that is a list."""
    if metric.constant is not None:
        return records, [metric.constant] * len(records), {type(metric.constant)}
    column = Column(len(metric.walk), metric.leaf)
    values = records.raw_column(column)
    kinds = set(map(type, values))
    if UnsetType in kinds:
        values = records.column(column)
        kinds = set(map(type, values))
    if list in kinds:
        records, values = records.explode(values)
        kinds = set(map(type, values))
    if has_object(kinds):
        raise ResultFailure(Reason.SCHEMA, f"{hops_text(metric.walk + metric.leaf)} is an object, not a value")
    if NoneType in kinds:
        records = records.where([value is not None for value in values])
        values = [value for value in values if value is not None]
    return records, values, kinds - {NoneType}


def _in_bucket(records: Records, bucket: BucketPlan, moment: Moment, left: LeftOut) -> Records:
    """The records of the last bucket, by the clock, that ends at or before the window's end. Those whose start cannot
    be read are counted.

    Raises `ResultFailure` where others begin within it: the upstream's buckets are narrower then, and one of them is
    not the figure of the whole.
    """
    window = moment.window
    if window is None:
        return records.where([False] * len(records))
    zone = window.end.tzinfo or UTC
    last = last_bucket(window.end, bucket.width, zone)
    start, end = last.start.timestamp(), last.end.timestamp()
    begins = [_begins_at(value, bucket.format, zone) for value in records.column(bucket.start)]
    left.add_values(records.column(bucket.start), [SkipReason.NOT_A_TIMESTAMP if at is None else at for at in begins])
    if any(at is not None and start < at < end for at in begins):
        wrong = f"the buckets of the answer are narrower than the width, {duration_text(bucket.width.total_seconds())}"
        raise ResultFailure(Reason.SCHEMA, f"{wrong}; ask for that granularity")
    return records.where([at == start for at in begins])


def _begins_at(value: Json, form: TimeFormat, zone: tzinfo) -> float | None:
    try:
        return form.read(value, zone)
    except (ValueError, OverflowError):
        return None


def _over_limit(found: Iterable[Samples], limit: int) -> str:
    """Which family and label went over the limit."""
    most = max(found, key=len)
    widest = widest_label(most.family, most.label_values())
    return f"more than max_series ({limit}): {most.family.name} has {len(most)}; {widest}"


def widest_label(family: Family, keys: Iterable[LabelValues]) -> str:
    """In words, which label of a family has the most values."""
    values = [set(column) for column in zip(*keys, strict=True)]
    sizes = dict(zip(family.label_names, map(len, values), strict=False))
    return f"its label {max(sizes, key=lambda name: sizes[name])} has the most values" if sizes else "it has no labels"
