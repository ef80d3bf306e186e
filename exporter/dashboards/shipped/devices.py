"""Devices: the platforms and user agents that requests come from."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import Column, pie_chart, stat, table, time_series
from exporter.dashboards.promql import series, total
from exporter.dashboards.shipped.words import age_of, dashboard
from exporter.dashboards.variables import places

_PLATFORMS = total(series("choreo_window_platform_requests"), "platform")
_AGENTS = total(series("choreo_window_user_agent_requests"), "user_agent")


def devices() -> Dashboard:
    """Choreo's page Devices. Its lists end with Other, which changes with the rest: there are no counters."""
    return dashboard(
        "devices",
        "The nine most frequent platforms and user agents of each environment; all others are Other.",
        places(),
        Row("Headlines", _headlines()),
        Row("Over time", _over_time()),
        Row("Each", _tables()),
    )


def _headlines() -> tuple[Panel, ...]:
    return (
        pie_chart(
            "Top platforms",
            "Requests in the last 5 minutes by platform of the device.",
            _PLATFORMS,
            "{{platform}}",
            width=10,
        ),
        pie_chart(
            "Top user agents", "Requests in the last 5 minutes by user agent.", _AGENTS, "{{user_agent}}", width=10
        ),
        age_of("devices"),
        stat(
            "Requests, last 5 minutes",
            "Requests in the last 5 minutes from all platforms.",
            total(series("choreo_window_platform_requests")),
            decimals=0,
        ),
    )


def _over_time() -> tuple[Panel, ...]:
    return (
        time_series(
            "Requests by platform", "Requests in windows of 5 minutes.", (_PLATFORMS, "{{platform}}"), stacked=True
        ),
        time_series(
            "Requests by user agent", "Requests in windows of 5 minutes.", (_AGENTS, "{{user_agent}}"), stacked=True
        ),
    )


def _tables() -> tuple[Panel, ...]:
    return (
        table(
            "Platforms",
            "Requests in the last 5 minutes by platform of the device.",
            {"platform": "Platform"},
            Column("Requests", _PLATFORMS, decimals=0),
            width=12,
        ),
        table(
            "User agents",
            "Requests in the last 5 minutes by user agent.",
            {"user_agent": "User agent"},
            Column("Requests", _AGENTS, decimals=0),
            width=12,
        ),
    )
