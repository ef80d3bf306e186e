"""Devices: what do the callers use?"""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import Line, bar_gauge, time_series
from exporter.dashboards.promql import (
    largest,
    leading_a_minute,
    series,
    total,
    windows_in_range,
)
from exporter.dashboards.shipped.words import RANGE, dashboard
from exporter.dashboards.variables import places

_LISTS = (
    ("platform", "platform", "Platforms", "Top Platforms"),
    ("user_agent", "user agent", "User agents", "Top User Agents"),
)


def devices() -> Dashboard:
    """Choreo's page Devices. Its lists end with Other, which changes with the rest: there are no counters."""
    return dashboard(
        "devices",
        "What do the callers use? The bars are the platforms and user agents of the range. Choreo names the nine "
        "most frequent of each environment, the others are Other; it does not know them by API.",
        places(),
        ("devices",),
        Row("", (*(_bars(*one) for one in _LISTS), *(_lines(*one) for one in _LISTS))),
    )


def _window(label: str) -> str:
    return f"choreo_window_{label}_requests"


def _bars(label: str, name: str, title: str, console: str) -> Panel:
    return bar_gauge(
        f"{title} in the range",
        f"Requests by {name} {RANGE}: the ten largest. (Console: {console}.)",
        largest(total(windows_in_range(_window(label)), label)),
        f"{{{{{label}}}}}",
        height=10,
    )


def _lines(label: str, name: str, title: str, _: str) -> Panel:
    window = series(_window(label))
    return time_series(
        title,
        f"Requests per minute by {name}, from windows of five minutes: the ten largest over the whole range.",
        Line(leading_a_minute(window, label), f"{{{{{label}}}}}"),
        stacked=True,
        interval="5m",
    )
