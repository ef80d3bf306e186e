"""Cache: hits and misses of the response caches, and the ratio made of both."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import HIT_RATIO, Column, stat, table, time_series
from exporter.dashboards.promql import highest, in_range, ratio, series, total
from exporter.dashboards.shipped.words import PLACE, PLACE_COLUMNS, PLACE_LEGEND, RANGE, age_of, dashboard
from exporter.dashboards.variables import places

_HITS = in_range("choreo_cache_hits_total")
_MISSES = in_range("choreo_cache_misses_total")


def cache() -> Dashboard:
    """Choreo's page Cache."""
    return dashboard(
        "cache",
        "Requests that the response caches answered, and those that they could not.",
        places(),
        Row("Headlines", _headlines()),
        Row("Over time", _over_time()),
        Row("Environments", (_environments(),)),
    )


def _hit_ratio(hits: str, misses: str, *by: str) -> str:
    return ratio(total(hits, *by), f"({total(hits, *by)} + {total(misses, *by)})")


def _headlines() -> tuple[Panel, ...]:
    now = _hit_ratio(series("choreo_window_cache_hits"), series("choreo_window_cache_misses"))
    return (
        stat(
            "Cache hit ratio",
            f"Hits divided by hits and misses, {RANGE}.",
            _hit_ratio(_HITS, _MISSES),
            unit="percentunit",
            thresholds=HIT_RATIO,
            decimals=1,
            width=6,
        ),
        stat(
            "Cache hit ratio, last 5 minutes",
            "Hits divided by hits and misses, in the last 5 minutes.",
            now,
            unit="percentunit",
            thresholds=HIT_RATIO,
            decimals=1,
            width=6,
        ),
        stat("Hits", f"Requests that a cache answered {RANGE}.", total(_HITS), decimals=0),
        stat("Misses", f"Requests that a cache could not answer {RANGE}.", total(_MISSES), decimals=0),
        age_of("cache"),
    )


def _over_time() -> tuple[Panel, ...]:
    hits, misses = series("choreo_window_cache_hits"), series("choreo_window_cache_misses")
    return (
        time_series(
            "Cache hit ratio",
            "Hits divided by hits and misses, in windows of 5 minutes.",
            (_hit_ratio(hits, misses, *PLACE), PLACE_LEGEND),
            unit="percentunit",
        ),
        time_series(
            "Hits and misses",
            "Requests that a cache answered, and those that it could not, in windows of 5 minutes.",
            (total(hits), "hits"),
            (total(misses), "misses"),
            stacked=True,
        ),
        time_series(
            "95th percentile latency",
            "95th percentile of the response latency of all requests in the same windows.",
            (
                highest(series("choreo_response_latency_p95_seconds"), *PLACE, "tenant"),
                f"{PLACE_LEGEND} {{{{tenant}}}}",
            ),
            unit="s",
            width=24,
        ),
    )


def _environments() -> Panel:
    return table(
        "Environments",
        f"Hits, misses and their ratio {RANGE}.",
        PLACE_COLUMNS,
        Column("Hits", total(_HITS, *PLACE), decimals=0),
        Column("Misses", total(_MISSES, *PLACE), decimals=0),
        Column(
            "Cache hit ratio", _hit_ratio(_HITS, _MISSES, *PLACE), unit="percentunit", thresholds=HIT_RATIO, decimals=1
        ),
        height=7,
    )
