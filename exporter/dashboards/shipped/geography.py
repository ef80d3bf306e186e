"""Geography: where do the callers sit? Choreo knows it of on-premise environments alone."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import GREY, GREY_LINE, Column, Figure, Line, figures, geomap, table, time_series
from exporter.dashboards.promql import (
    in_range,
    leading_a_minute,
    or_zero,
    others_a_minute,
    series,
    total,
)
from exporter.dashboards.shipped.words import RANGE, TEN, dashboard
from exporter.dashboards.variables import places

_BY = ("country", "country_code")
_REQUESTS = in_range("choreo_country_requests_total")
_WINDOW = series("choreo_window_country_requests")


def geography() -> Dashboard:
    """Choreo's page Geo Map, and a table of the same data, as the map needs tiles from the internet."""
    return dashboard(
        "geography",
        "Where are the callers? The map and the bars show the countries of the range. Choreo knows countries only "
        "for on-premise environments, and not by API.",
        places(),
        ("countries",),
        Row("", (_headlines(), *_map(), _below())),
    )


def _headlines() -> Panel:
    unnamed = total(in_range("choreo_country_requests_total", country_code='=""'))
    return figures(
        "Callers",
        f"Requests to on-premise environments {RANGE}; the countries that they came from; and requests from countries "
        "whose ISO code is not known: they are in the table, not on the map.",
        Figure(total(_REQUESTS), "requests in the range", decimals=0),
        Figure(f"count({total(_REQUESTS, 'country')} > 0) or vector(0)", "countries in the range", decimals=0),
        Figure(or_zero(unnamed), "not on the map", thresholds=GREY, decimals=0),
        height=4,
    )


def _map() -> tuple[Panel, ...]:
    by_country = total(_REQUESTS, *_BY)
    return (
        geomap(
            "Requests by country",
            f"Requests {RANGE}, placed by ISO code. (Console: Geo Map.)",
            by_country,
            code=_BY[1],
            value="Requests",
        ),
        table(
            "Countries",
            f"Requests {RANGE} by country: the data of the map.",
            {"country": "Country", "country_code": "ISO code"},
            Column("Requests", by_country, bar=True),
            width=8,
            height=12,
        ),
    )


def _below() -> Panel:
    return time_series(
        "Requests by country over time",
        f"Requests per minute, from windows of five minutes. {TEN}",
        Line(leading_a_minute(_WINDOW, "country"), "{{country}}"),
        Line(others_a_minute(_WINDOW, "country"), "Others", GREY_LINE),
        stacked=True,
        width=24,
        height=10,
    )
