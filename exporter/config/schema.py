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
    """The name, for `{lookup: name, …}` in labels."""
    rows_of: Name | None = None
    """The query whose rows it is made of; with `key` and `fields`."""
    key: Path_ | None = None
    """Which field of those rows is the key."""
    fields: Mapping[ReferenceName, Path_] = Field(default_factory=dict)
    """Which field of those rows each field of the lookup is."""
    table: Mapping[str, Mapping[ReferenceName, str]] | None = None
    """Key → the fields, written here instead."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        parts = (self.rows_of is not None, self.key is not None, bool(self.fields))
        if (self.table is not None and any(parts)) or (self.table is None and not all(parts)):
            raise ValueError("needs either rows_of, key and fields, or table")
        return self


class Config(Strict):
    """A whole configuration file."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where to ask, and as whom."""
    queries: Annotated[tuple[Query, ...], Field(min_length=1)]
    """What to ask, and what becomes of it; this, `include` or both."""
    include: tuple[str, ...] = ()
    """Ready-made queries of Choreo Insights, by group."""
    overrides: Mapping[Name, Any] = Field(default_factory=dict)
    """`{query: {interval: 5m}}`: keys of included queries that are other here. Mappings are merged key by key, lists
    and all else replaced."""
    lookups: tuple[Lookup, ...] = ()
    """Names for ids."""
    query_files: tuple[str, ...] = ()
    """Further files with `queries` and `lookups`: names, or patterns such as `queries/*.yaml`, from this file's
    folder."""
    source_files: tuple[str, ...] = ()
    """Further files with `sources`; the same."""
    max_series: Count = 200_000
    """The most series in all; beyond it nothing of an answer is taken."""
    created_series: bool = True
    """Whether OpenMetrics has a `_created` sample for each counter with a `period`: when the period began, in Unix
    seconds. They are not counted against `max_series`."""
