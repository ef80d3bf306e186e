"""What the status page shows, as frozen values. Times are Unix seconds."""

from __future__ import annotations

from msgspec import Struct

from exporter.telemetry.recent_polls import RecentPolls
from exporter.web.found_series import FamilyView


class WindowView(Struct, frozen=True):
    """The window of the figures that are published, and where their counters begin; ISO 8601, as they were sent."""

    start: str
    end: str
    counters_since: str = ""


class QueryView(Struct, frozen=True):
    """A query on a source, over all its targets. `problem` is the last that any of them had, `remedy` what to do.

    `next_in_seconds` is None while it is polled, and where nothing is to be polled; `feeder` is the query whose rows
    are its targets. `paused_until_time` is of its source.
    """

    name: str
    source: str
    up: bool | None
    targets: int
    failing: int
    polled_time: float | None
    success_time: float | None
    duration_seconds: float | None
    recent: RecentPolls
    rows: int | None
    series: int
    in_flight: int
    next_in_seconds: float | None
    paused_until_time: float | None
    feeder: str
    window: WindowView | None
    problem: str
    problem_time: float | None
    remedy: str


class SourceView(Struct, frozen=True):
    """A source and its access token, if it has one. `well` is whether it has the token that it needs."""

    name: str
    url: str
    token: str
    well: bool
    remaining_seconds: float | None
    age_seconds: float | None
    renewals: int
    failed_renewals: int
    paused_until_time: float | None
    problem: str
    remedy: str


class View(Struct, frozen=True):
    """All that the page shows. `sought` is what the filter box holds, `refresh` whether the page loads itself again."""

    now: float
    version: str
    metrics_path: str
    queries: tuple[QueryView, ...]
    sources: tuple[SourceView, ...]
    families: tuple[FamilyView, ...]
    sought: str
    refresh: bool
