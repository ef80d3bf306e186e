"""Cache: do the response caches work?"""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import GREEN, GREY, GREY_LINE, Column, Figure, Line, figures, table, time_series
from exporter.dashboards.promql import WEEK, a_minute, a_week_before, highest, in_range, ratio, recorded, series, total
from exporter.dashboards.shipped.words import (
    ENVIRONMENT_LEGEND,
    LAST_WEEK,
    PLACE,
    PLACE_COLUMNS,
    RANGE,
    dashboard,
)
from exporter.dashboards.variables import places

_HITS = "choreo_cache_hits_total"
_MISSES = "choreo_cache_misses_total"


def cache() -> Dashboard:
    """Choreo's page Cache."""
    return dashboard(
        "cache",
        "Do the response caches work? The first figure says which share of the requests to cached resources they "
        "answered; the table says where. Choreo does not know caches by API.",
        places(),
        ("cache", "overview"),
        Row("", (_headlines(), *_charts(), _environments())),
    )


def _share(hits: str, misses: str, *by: str) -> str:
    return ratio(total(hits, *by), f"({total(hits, *by)} + {total(misses, *by)})")


def _headlines() -> Panel:
    hits, misses = a_week_before(_HITS), a_week_before(_MISSES)
    before = f"({hits}) / (({hits}) + ({misses}) > 0)"
    return figures(
        "Caches",
        f"Hits divided by hits and misses {RANGE}, and in the same range a week before; and the hits and misses. "
        "Which ratio is good depends on what is cached.",
        Figure(_share(in_range(_HITS), in_range(_MISSES)), "hit ratio in the range", "percentunit", decimals=1),
        Figure(before, "a week before", "percentunit", GREY, 1),
        Figure(total(in_range(_HITS)), "hits in the range", decimals=0),
        Figure(total(in_range(_MISSES)), "misses in the range", decimals=0),
        height=4,
    )


def _charts() -> tuple[Panel, ...]:
    hits, misses = series("choreo_window_cache_hits"), series("choreo_window_cache_misses")
    latency = series("choreo_response_latency_p95_seconds")
    return (
        time_series(
            "Hit ratio",
            "Hits divided by hits and misses, from windows of five minutes, by environment; the dashed line is the "
            "threshold of the alert, where Prometheus has loaded the rules. (Console: Cache Hit Percentage.)",
            Line(_share(hits, misses, "environment"), ENVIRONMENT_LEGEND),
            Line(
                f"min({recorded('environment:choreo_cache_hit_ratio:threshold', *PLACE)})",
                "threshold",
                "red",
                dashed=True,
            ),
            unit="percentunit",
            width=8,
        ),
        time_series(
            "Hits and misses",
            f"Requests per minute to cached resources, from windows of five minutes. {LAST_WEEK} It is the hits.",
            Line(a_minute("choreo_window_cache_hits"), "hits", GREEN),
            Line(a_minute("choreo_window_cache_misses"), "misses", "blue"),
            Line(a_minute("choreo_window_cache_hits", ago=WEEK), "hits a week before", GREY_LINE, dashed=True),
            stacked=True,
            width=8,
        ),
        time_series(
            "95th percentile",
            "95th percentile of the response latency of all requests in the same windows, by environment. (Console: "
            "Latency.)",
            Line(highest(latency, "environment"), ENVIRONMENT_LEGEND),
            unit="s",
            width=8,
        ),
    )


def _environments() -> Panel:
    return table(
        "Environments",
        f"Hits, misses and their ratio {RANGE}.",
        PLACE_COLUMNS,
        Column("Hit ratio", _share(in_range(_HITS), in_range(_MISSES), *PLACE), unit="percentunit", decimals=1),
        Column("Hits", total(in_range(_HITS), *PLACE)),
        Column("Misses", total(in_range(_MISSES), *PLACE)),
        sort_by="Hit ratio",
        ascending=True,
        height=7,
    )
