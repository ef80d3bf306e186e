"""A query of a configuration: when and for what it asks, and what becomes of the answer. Frozen, with its rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from msgspec import Struct
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from exporter.config.labels import Labels
from exporter.config.metric import Metric
from exporter.config.scalars import (
    Alignment,
    Count,
    Duration,
    File,
    Name,
    Path_,
    PeriodLength,
    PositiveDuration,
    ReferenceName,
    Strict,
    TimeForm,
    Tree,
    Zone,
    check_name,
    conditions,
)
from exporter.model.response_path import ResponsePath
from exporter.model.samples import Json
from exporter.model.window import shortest, usual_length

DEFAULT_MAX_SERIES: Final = 20_000


class WindowConfig(Strict):
    """The time range that a query asks for: end = floor(now - delay, align), start = end - length."""

    length: PositiveDuration
    """How long it is: start = end - length.

    Example: 5m"""
    delay: Duration = timedelta(0)
    """How late the API's data is: end = floor(now - delay, align).

    Example: 2m"""
    align: Alignment = timedelta(minutes=1)
    """The end is rounded down to this; must divide a day without remainder, or be `7d`.

    Example: 1h"""
    format: TimeForm = Field("iso", validate_default=True)
    """How `{{ window.start }}`, `{{ window.end }}` and `{{ period.start }}` are written: `iso`, `date`, `unix`,
    `unix_ms`, or a strftime text such as `%d.%m.%Y`.

    Example: unix"""


class Audit(Strict):
    """A period's totals are asked for again, and the difference to what was published becomes a metric."""

    after: PositiveDuration = timedelta(hours=6)
    """Time after the period's end: longer than the delay of the data, shorter than the period.

    Example: 2h"""


class Pages(Strict):
    """Where page size and position go in the variables, and how a page tells whether there is a further one."""

    size: Annotated[int, Field(ge=1)]
    """Rows of a page.

    Example: 100"""
    limit: Path_ | None = None
    """The variable for the page size, if the API has one.

    Example: first"""
    offset: Path_ | None = None
    """The variable for the number of rows to skip; starts at its value in `variables`, or 0. One
    of this, `page` and `cursor`.

    Example: filter.skip"""
    page: Path_ | None = None
    """The variable for the page number; starts at its value in `variables`, or 1.

    Example: page"""
    cursor: Path_ | None = None
    """The variable for the cursor, from the second page on; with `info` or `next`.

    Example: after"""
    total: Path_ | None = None
    """The path of the number of rows; with `offset` or `page`.

    Example: orders.totalCount"""
    more: Path_ | None = None
    """The path of a boolean: whether there is another page. Without `total`, `more`, `info` and `next`
    a page of fewer rows than `size` is the last.

    Example: orders.hasMore"""
    info: Path_ | None = None
    """Where the answer has its `pageInfo { hasNextPage endCursor }`, or `{ hasPreviousPage startCursor }` to go
    backwards; with `cursor`.

    Example: orders.pageInfo"""
    next: Path_ | None = None
    """Where the answer has the next page's cursor, of which null or no text is the end, or the last row's own, such as
    `orders.edges[-1].cursor`; with `cursor`.

    Example: orders.nextToken"""
    max_rows: Annotated[int, Field(ge=1)] = 5000
    """The largest number of rows that a poll publishes; the rest is counted in
    `insights_exporter_query_rows_cut_total`.

    Example: 20000"""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if [self.offset, self.page, self.cursor].count(None) != 2:
            raise ValueError("needs one of offset, page and cursor, which is where a page begins")
        if self.cursor is not None and (self.info is None) == (self.next is None):
            raise ValueError("a cursor needs the path of the next one; write either info or next")
        if self.cursor is None and (self.info or self.next) is not None:
            raise ValueError("info and next are for a cursor; write total or more, or neither")
        if [self.total, self.more, self.info].count(None) < 2 or (self.cursor and self.total) is not None:
            raise ValueError("has two ways to find the last page; keep one of total, more, info and next")
        return self

    @property
    def way(self) -> tuple[Literal["offset", "page", "cursor"], ResponsePath]:
        """What a page's position is, and where it goes in the variables."""
        if self.offset is not None:
            return "offset", self.offset
        if self.page is not None:
            return "page", self.page
        assert self.cursor is not None  # there is one of them
        return "cursor", self.cursor


ForEachList: TypeAlias = tuple[Any, ...]


class RowsOf(Struct, frozen=True):
    """The rows of a query, or those of them whose fields have one of the values in `where`, and none of those in
    `where_not`."""

    query: str
    where: Mapping[str, tuple[Json, ...]]
    where_not: Mapping[str, tuple[Json, ...]] = {}


def _for_each_value(value: object) -> RowsOf | ForEachList:
    match value:
        case RowsOf():
            return value
        case str():
            return RowsOf(check_name(value), {})
        case {"query": str(query), "where": dict(where), **rest} if not rest and where:
            return RowsOf(check_name(query), *conditions(where))
        case list() | tuple() if value:
            for item in value:
                fields = item.values() if isinstance(item, dict) else [item]
                if any(isinstance(field, dict | list) or field is None for field in fields):
                    raise ValueError("the list of a for_each has scalars, or mappings of scalars")
            return tuple(value)
    raise ValueError(
        "for_each takes the name of a query, {query: name, where: {field: value}}, or a list that is not empty"
    )


_FOR_EACH_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "minItems": 1},
            {
                "type": "object",
                "properties": {"query": {"type": "string"}, "where": {"type": "object", "minProperties": 1}},
                "required": ["query", "where"],
                "additionalProperties": False,
            },
        ]
    }
)


class Query(Strict):
    """Our configured unit: a document with its variables, an interval and the metrics made of its answer."""

    name: Name
    """The name, a label of the exporter's own metrics.

    Example: orders"""
    interval: PositiveDuration = timedelta(minutes=1)
    """How often it is polled.

    Example: 5m"""
    timeout: PositiveDuration | None = None
    """Timeout of a poll, at most the interval; default 10s.

    Example: 30s"""
    stale_after: PositiveDuration | None = None
    """How long the last good values stay; default 5 intervals, at least 10m.

    Example: 1h"""
    sources: tuple[Name, ...] | None = None
    """The sources of the query; default all.

    Example: [shop]"""
    for_each: Mapping[ReferenceName, Annotated[Any, BeforeValidator(_for_each_value), _FOR_EACH_SCHEMA]] = Field(
        default_factory=dict
    )
    """`{name: query}`: one call for each row of that query; `{name: [..]}`: for each item of the list; `{name:
    {query: tenants, where: {environment.type: ON_PREM}}}`: for each row whose field, or outer row's field, has that
    value, or one of a list, or `{not: …}` none of it.

    Example: {status: [NEW, PAID]}"""
    batch: Count | None = None
    """Passes the rows in lists of at most this length; default one by one.

    Example: 50"""
    pack: Annotated[Count, Field(le=1000)] | None = None
    """Sends the calls of up to this number of targets as aliases in one operation; default one by one.

    Example: 25"""
    max_calls: Count = 1000
    """The largest number of calls in a round (a pack counts once); if there are more, the old targets stay.

    Example: 200"""
    window: WindowConfig | None = None
    """The time range of the request.

    Example: {length: 5m, delay: 2m}"""
    period: PeriodLength | None = None
    """`day`, `week`, `month`, `quarter`, `year` or a duration of two intervals or more: what counters count from. Days
    and longer periods use `timezone`; weeks begin on Monday. The full total of a period is published for one interval,
    so scrape at least as often.

    Example: day"""
    audit: Audit | None = None
    """Compares, once per period, the published total with the API's later total: `{after: 6h}`.

    Example: {after: 6h}"""
    timezone: Zone | None = None
    """The clock of window and period, and of times in the answer that have no offset: an IANA name; default: the
    source's.

    Example: Europe/Zurich"""
    document: Annotated[str, Field(min_length=1)]
    """One GraphQL query operation, or several of which `operation` names one. One of this and `document_file`.

    Example: '{ orders { id open } }'"""
    document_file: File | None = None
    """The file with the document, instead of `document`; relative names are relative to the file that has the key.
    `${NAME}` is not replaced in it.

    Example: orders.graphql"""
    operation: str | None = None
    """The operation of the document to send.

    Example: Totals"""
    variables: Mapping[str, Tree] = Field(default_factory=dict)
    """Its variables; `{{ references }}` are bound at each poll, and a value that is one whole reference keeps its
    type.

    Example: {status: "{{ status }}", first: 10}"""
    pages: Pages | None = None
    """The answer comes in pages.

    Example: {size: 100, limit: first, cursor: after, info: orders.pageInfo}"""
    rows: Path_ | None = None
    """The response path of the rows; default: the data.

    Example: orders"""
    json_texts: tuple[Path_, ...] = ()
    """The response paths, from the data, of texts that hold JSON: paths go on into them.

    Example: [orders.payload]"""
    labels: Labels = Field(default_factory=dict)
    """Labels of all metrics of the query.

    Example: {id: id, place: {const: Bern}}"""
    metrics: tuple[Metric, ...] = ()
    """The metrics; may be omitted if other queries use the `rows`.

    Example: [{name: shop_open_orders, help: Open orders., value: open}]"""
    max_series: Count = DEFAULT_MAX_SERIES
    """The largest number of series; an answer with more is rejected.

    Example: 1000"""
    on_partial: Literal["keep", "publish"] = "keep"
    """For an answer with errors and data: `keep` the old values, or `publish` the data.

    Example: publish"""
    on_null: Literal["publish", "fail"] = "publish"
    """For an answer with a null on the path to the rows: `publish` the other rows and count the null, or `fail` and
    keep the old values.

    Example: fail"""
    on_bad_row: Literal["fail", "skip"] = "fail"
    """For an answer with a row that lacks a field, has a list or an object instead of a value, or has the labels of
    another row: `fail` keeps the old values, `skip` leaves out the row and counts it.

    Example: skip"""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.metrics and self.rows is None:
            raise ValueError("has neither metrics nor rows, so it has no effect; add metrics")
        if self.pages is not None and self.rows is None:
            raise ValueError("pages needs rows, the list that comes in pages; add rows")
        return self

    @model_validator(mode="after")
    def _sound_timeout(self) -> Self:
        if self.timeout is not None and self.timeout > self.interval:
            raise ValueError("timeout is longer than interval; shorten it, or poll less often")
        return self

    @model_validator(mode="after")
    def _sound_period_length(self) -> Self:
        if isinstance(self.period, timedelta) and self.period < 2 * self.interval:
            raise ValueError("period is shorter than two intervals, so a poll could miss a period's end; lengthen it")
        if self.period is not None and self.interval > usual_length(self.period):
            raise ValueError("interval is longer than period, so polls cannot keep up with it; poll more often")
        if self.period is not None and self.window is not None and self.window.align > 2 * usual_length(self.period):
            raise ValueError("the window's align is longer than two periods, so it jumps over a period; shorten align")
        return self

    @model_validator(mode="after")
    def _sound_period(self) -> Self:
        if self.period is not None and self.window is None:
            raise ValueError("period needs a window, whose end it counts to; add window")
        if self.audit is not None and self.period is None:
            raise ValueError("audit needs a period, whose totals it asks for again; add period")
        if self.audit is not None and self.period is not None and self.audit.after >= shortest(self.period):
            raise ValueError("audit would run after the end of the next period; shorten after")
        if self.audit is not None and all(metric.type != "counter" for metric in self.metrics):
            raise ValueError("audit compares counters, and there is none; give a metric type: counter")
        return self

    @model_validator(mode="after")
    def _sound_feeding(self) -> Self:
        feeding = [name for name, over in self.for_each.items() if isinstance(over, RowsOf)]
        if len(feeding) > 1:
            raise ValueError("for_each names more than one query; chain them: let one query be for each row of another")
        if self.batch is not None and not self.for_each:
            raise ValueError("batch needs for_each, whose rows it groups; add for_each")
        if self.batch is not None and len(self.for_each) > 1:
            raise ValueError("batch groups the rows of one for_each entry; keep one")
        return self

    @model_validator(mode="after")
    def _sound_pack(self) -> Self:
        if self.pack is not None and not self.for_each:
            raise ValueError("pack needs for_each, whose calls it puts together; add for_each")
        if self.pack is not None and self.pages is not None:
            raise ValueError("pack and pages cannot be combined, because each target has its own pages; keep one")
        return self

    @property
    def timeout_seconds(self) -> float:
        """Seconds that one poll may take in total; never above the interval."""
        return min(self.timeout or timedelta(seconds=10), self.interval).total_seconds()

    @property
    def stale_after_seconds(self) -> float:
        """Seconds after which the last good values are dropped: by default 5 intervals, at least 10 minutes."""
        return (self.stale_after or max(5 * self.interval, timedelta(minutes=10))).total_seconds()
