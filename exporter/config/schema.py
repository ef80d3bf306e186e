"""A whole configuration file. Its sections are in `source`, `query`, `metric` and `labels`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from exporter.config.query import Query
from exporter.config.scalars import Count, Name, Path_, ReferenceName, Strict
from exporter.config.source import Source


class Lookup(Strict):
    """Names for ids: from the rows of a query, or from a table in the file."""

    name: Name
    """The name, for `{lookup: name, …}` in labels.

    Example: region"""
    rows_of: Name | None = None
    """The query whose rows make the lookup; with `key` and `fields`.

    Example: countries"""
    key: Path_ | None = None
    """The field of those rows that is the key.

    Example: code"""
    fields: Mapping[ReferenceName, Path_] = Field(default_factory=dict)
    """The field of those rows for each field of the lookup.

    Example: {name: region.name}"""
    table: Mapping[str, Mapping[ReferenceName, str]] | None = None
    """Key → the fields, written here instead.

    Example: {CH: {name: Europe}}"""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        parts = (self.rows_of is not None, self.key is not None, bool(self.fields))
        if (self.table is not None and any(parts)) or (self.table is None and not all(parts)):
            raise ValueError("needs either rows_of, key and fields, or table")
        return self


class Config(Strict):
    """A whole configuration file."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """The APIs, and how to authenticate.

    Example: [{name: shop, url: "https://shop.example.com/graphql"}]"""
    queries: Annotated[tuple[Query, ...], Field(min_length=1)]
    """The queries and their metrics; this, `include` or both.

    Example: [{name: orders, document: "{ open }", metrics: [{name: shop_open, help: Open orders., value: open}]}]"""
    include: tuple[str, ...] = ()
    """Ready-made queries of Choreo Insights, by group.

    Example: [choreo/overview, choreo/latency]"""
    overrides: Mapping[Name, Any] = Field(default_factory=dict)
    """`{query: {interval: 5m}}`: other values for keys of included queries. Mappings are merged key by key; lists and
    other values are replaced.

    Example: {overview: {interval: 5m}}"""
    lookups: tuple[Lookup, ...] = ()
    """Names for ids.

    Example: [{name: region, table: {CH: {name: Europe}}}]"""
    query_files: tuple[str, ...] = ()
    """Further files with `queries` and `lookups`: names, or patterns such as `queries/*.yaml`, from this file's
    folder.

    Example: [queries/*.yaml]"""
    source_files: tuple[str, ...] = ()
    """Further files with `sources`; the same.

    Example: [sources.yaml]"""
    max_series: Count = 200_000
    """The largest number of series in all; an answer that would exceed it is rejected.

    Example: 50000"""
    created_series: bool = True
    """Whether OpenMetrics has a `_created` sample for each counter with a `period`: when the period began, in Unix
    seconds. They are not counted against `max_series`.

    Example: false"""
