"""What the configuration means: every query's calls known, every path resolved. Frozen types, made by `planner`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta, tzinfo
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TypeAlias

from msgspec import Struct, structs

from exporter.config.source import Source
from exporter.document.answer_shape import AnswerShape
from exporter.document.document import Document
from exporter.model.errors import Problem
from exporter.model.label_text import TextChange
from exporter.model.response_path import Mark, Pick
from exporter.model.samples import Family, Json, Number
from exporter.model.template import Reference, Template, Text, exact_text
from exporter.model.time_format import ISO, TimeFormat
from exporter.model.value import ValueKind, ValueRule
from exporter.model.window import Period, Window


class Hop(Struct, frozen=True):
    """One step down an answer: a response key, then the elements picked of the lists under it, by their place or by a
    field.

    `optional`: the key may be absent, as with `@include` or a type condition. `inside`: it is a key inside a value that
    is JSON, of which nothing is known before. `mark`: it leads to each value of a map or item of a list, or to the key
    of the record.
    """

    name: str
    indexes: tuple[int | Pick, ...] = ()
    optional: bool = False
    inside: bool = False
    mark: Mark | None = None


Hops: TypeAlias = tuple[Hop, ...]
KEY_HOPS: Final[Hops] = (Hop(str(Mark.KEY), mark=Mark.KEY),)


class Column(Struct, frozen=True):
    """A scalar of each record: `hops` below the object at `depth` of the walk (0 is `data`), or with `KEY_HOPS` the key
    or position by which the walk came to it."""

    depth: int
    hops: Hops

    @property
    def is_key(self) -> bool:
        return self.hops == KEY_HOPS


class Constant(Struct, frozen=True):
    """The same label value always."""

    text: str


class Bound(Struct, frozen=True):
    """A label value made of references."""

    template: Reference | Text


class LookupColumn(Struct, frozen=True):
    """A label value that a lookup gives for a key; an empty one where it does not know the key."""

    lookup: str
    key: Column | Bound
    field: str


class MadeText(Struct, frozen=True):
    """A label value made of the texts of others, one after the other, and of what becomes of the whole."""

    parts: tuple[LabelPlan, ...]
    change: TextChange


LabelPlan: TypeAlias = Column | Constant | Bound | LookupColumn | MadeText


def label_columns(label: LabelPlan) -> Iterator[Column]:
    """What a label is read from, if it depends on the record."""
    match label:
        case Column():
            yield label
        case LookupColumn(key=Column() as key):
            yield key
        case MadeText(parts):
            for part in parts:
                yield from label_columns(part)


class BucketPlan(Struct, frozen=True):
    """Only the records whose time stamp in `start` is the start of the last whole bucket of that width."""

    start: Column
    width: timedelta
    format: TimeFormat = ISO


class MissingPlan(Struct, frozen=True):
    """Publish `value` for each row of a query that a successful answer did not name.

    `labels` has, for each label of the family, the export of the row that it comes from, or the label's own plan.
    """

    query: str
    labels: tuple[str | LabelPlan, ...]
    value: Number


class TopPlan(Struct, frozen=True):
    """The n largest; the rest is summed under one value of the label at that position."""

    n: int
    position: int
    rest: str


class Condition(Struct, frozen=True):
    """Only the records whose value in that column is one of these, or with `negated` none of them."""

    column: Column
    values: tuple[Json, ...]
    negated: bool = False


class StatesPlan(Struct, frozen=True):
    """A series for each word, which stands in the label at that position."""

    position: int
    words: tuple[str, ...]


class MetricPlan(Struct, frozen=True):
    """How one entry of `metrics` becomes series. `walk` leads from `data` to the records; lists on it explode.

    The value is `constant`, or stands at `leaf` below the record. `labels` are in the order of the family's names.
    `outside`: it stands beside what is around the rows, so that each page of an answer says it again.
    """

    family: Family
    walk: Hops
    leaf: Hops
    constant: Number | None
    rule: ValueRule
    labels: tuple[LabelPlan, ...]
    aggregate: Literal["sum", "max", "min", "last", "count"] | None = None
    bucket: BucketPlan | None = None
    missing: MissingPlan | None = None
    top: TopPlan | None = None
    states: StatesPlan | None = None
    outside: bool = False
    where: tuple[Condition, ...] = ()


def columns_of(metric: MetricPlan) -> Iterator[Column]:
    """All that a metric reads of its records."""
    yield Column(len(metric.walk), metric.leaf)
    for label in metric.labels:
        yield from label_columns(label)
    if metric.bucket is not None:
        yield metric.bucket.start
    for condition in metric.where:
        yield condition.column


class RowsPlan(Struct, frozen=True):
    """The rows that other queries refer to, and the columns of them that are referred to, by their text."""

    walk: Hops
    exports: Mapping[str, Column]


class Feed(Struct, frozen=True):
    """What a query runs for each of: the rows of a query, or a list of the file, under a name. Of the rows, those whose
    field, or outer field, has one of the values in `where`, and none of those in `where_not`."""

    name: str
    query: str | None
    items: tuple[Mapping[str, Json], ...] = ()
    where: Mapping[str, tuple[Json, ...]] = {}
    where_not: Mapping[str, tuple[Json, ...]] = {}


class PagesPlan(Struct, frozen=True):
    """How an answer comes in pages. `limit` (if the API takes a size) and `position` are key paths into the variables;
    `by` is what a position is. `total`, `more` and `next` are where a page tells of the others, if it does.
    `backwards`: the page that comes first is the last."""

    size: int
    limit: tuple[str, ...] | None
    by: Literal["offset", "page", "cursor"]
    position: tuple[str, ...]
    max_rows: int
    total: Hops | None = None
    more: Hops | None = None
    next: Hops | None = None
    backwards: bool = False

    @property
    def signs(self) -> tuple[Hops, ...]:
        """All that a page tells of the others."""
        return tuple(hops for hops in (self.total, self.more, self.next) if hops is not None)

    @property
    def next_is_of_a_row(self) -> bool:
        """Whether the next cursor is one that the last row has, so that it says nothing of a further page. The last is
        counted from the end; another place, as in `boards[0].page.cursor`, picks what the rows are in."""
        places = (index for hop in self.next or () for index in hop.indexes)
        return any(isinstance(index, int) and index < 0 for index in places)


class PackPlan(Struct, frozen=True):
    """The calls of up to `size` targets go into one operation. `shared` are the variables that all targets share."""

    size: int
    shared: frozenset[str]


class LookupPlan(Struct, frozen=True):
    """Names for ids: from the exports of a query's rows, or from a table of the file."""

    name: str
    query: str | None
    key: str
    fields: Mapping[str, str]
    table: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """A query, ready to run. `needed` are the references to `for_each` rows that its targets carry; `shape` reads the
    answers. On which `sources` it runs makes no other query of it."""

    name: str
    sources: tuple[Source, ...] = field(compare=False)
    interval_seconds: float
    timeout_seconds: float
    stale_after_seconds: float
    document: Document
    variables: Mapping[str, Template]
    feeds: tuple[Feed, ...]
    needed: frozenset[str]
    batch: int | None
    pack: PackPlan | None
    max_calls: int
    window: Window | None
    period: Period | None
    zone: tzinfo
    pages: PagesPlan | None
    rows: RowsPlan | None
    metrics: tuple[MetricPlan, ...]
    lookups: tuple[LookupPlan, ...]
    max_series: int
    publishes_partial: bool
    skips_bad_rows: bool
    fails_on_null: bool
    shape: AnswerShape = field(compare=False)  # which follows from the rest
    audit_after_seconds: float | None = None
    time_format: TimeFormat = ISO
    zone_by_source: bool = False
    publishes_created: bool = True
    _types: bytes = field(init=False, repr=False)  # compared: 1 equals True, and an API takes one of them alone

    def __post_init__(self) -> None:
        conditions = [[condition.values for condition in metric.where] for metric in self.metrics]
        text = exact_text((self.variables, self.feeds, conditions))
        object.__setattr__(self, "_types", blake2b(text.encode(), digest_size=16).digest())

    @property
    def most_in_call(self) -> int:
        """How many targets one call asks for at most."""
        return 1 if self.pack is None else self.pack.size

    def on(self, source: Source) -> QueryPlan:
        """The query by the clock of a source, where its sources do not have the same."""
        zone = source.timezone
        if not self.zone_by_source or zone == self.zone:
            return self
        rules = (
            structs.replace(metric.rule, zone=zone) if metric.rule.kind is ValueKind.TIMESTAMP else metric.rule
            for metric in self.metrics
        )
        return replace(
            self,
            zone=zone,
            window=None if self.window is None else structs.replace(self.window, zone=zone),
            metrics=tuple(structs.replace(metric, rule=rule) for metric, rule in zip(self.metrics, rules, strict=True)),
        )

    def on_each(self) -> Iterator[tuple[QueryPlan, Source]]:
        """The query by the clock of each of its sources, and the source; the sources of one zone have one plan."""
        by_zone: dict[tzinfo, QueryPlan] = {}
        for source in self.sources:
            zone = source.timezone
            if zone not in by_zone:
                by_zone[zone] = self.on(source)
            yield by_zone[zone], source

    @property
    def feeder(self) -> str | None:
        """The query whose rows are its targets, if any."""
        return next((feed.query for feed in self.feeds if feed.query is not None), None)

    @property
    def keyed_depths(self) -> frozenset[int]:
        """The depths of walks at which keys or positions are read."""
        exports = () if self.rows is None else self.rows.exports.values()
        columns = chain(exports, *map(columns_of, self.metrics))
        return frozenset(column.depth for column in columns if column.is_key)

    @property
    def counts_over(self) -> frozenset[str]:
        """The queries whose rows have a value even where an answer does not name them."""
        return frozenset(metric.missing.query for metric in self.metrics if metric.missing is not None)

    @property
    def reads(self) -> frozenset[str]:
        """The queries whose rows an answer is read with: for names, and for what it does not name."""
        return self.counts_over | {lookup.query for lookup in self.lookups if lookup.query is not None}


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole configuration, ready to run. Queries stand after those that feed them. `warnings` are what can run, but
    is hardly meant; `unproved` what only answers can show to be right; `files` were read for it, and
    `file_patterns` name further ones, of which `target_patterns` are followed always."""

    sources: tuple[Source, ...]
    queries: tuple[QueryPlan, ...]
    families: tuple[Family, ...]
    max_series: int
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    unproved: tuple[Problem, ...] = field(default=(), compare=False)
    files: tuple[Path, ...] = field(default=(), compare=False)
    file_patterns: tuple[Path, ...] = field(default=(), compare=False)
    target_patterns: tuple[Path, ...] = field(default=(), compare=False)

    @property
    def identities(self) -> dict[tuple[str, str], tuple[QueryPlan, Source]]:
        """All that decides what becomes of a query on a source, by their names."""
        return {
            (query.name, source.name): (by_clock, source)
            for query in self.queries
            for by_clock, source in query.on_each()
        }

    @property
    def audited(self) -> frozenset[str]:
        """The queries whose periods are asked for again."""
        return frozenset(query.name for query in self.queries if query.audit_after_seconds is not None)

    @property
    def read_by_others(self) -> frozenset[str]:
        """The queries whose rows others are polled for, or are read with."""
        return frozenset(name for query in self.queries for name in (query.feeder, *query.reads) if name is not None)


class Target(Struct, frozen=True):
    """One element of a fan-out: the values of the references that its query needs. Equal values, same target."""

    values: Mapping[str, Json]
    key: str = ""

    def __hash__(self) -> int:
        return hash(self.key)
