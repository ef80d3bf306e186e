"""Geography: requests by country, which Choreo has for on-premise environments alone."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import Column, bar_gauge, geomap, stat, table, time_series
from exporter.dashboards.promql import in_range, largest, series, total
from exporter.dashboards.shipped.words import RANGE, TWENTY, age_of, dashboard
from exporter.dashboards.variables import places

_BY = ("country", "country_code")
_REQUESTS = in_range("choreo_country_requests_total")
_WINDOW = series("choreo_window_country_requests")


def geography() -> Dashboard:
    """Choreo's page Geo Map, and a table of the same data, as the map needs tiles from the internet."""
    return dashboard(
        "geography",
        "Requests to on-premise environments by country; other environments have no such figures.",
        places(),
        Row("Headlines", _headlines()),
        Row("Map", _map()),
        Row("Over time", _over_time()),
    )


def _headlines() -> tuple[Panel, ...]:
    named = f"{total(_REQUESTS, 'country')} > 0"
    unnamed = total(in_range("choreo_country_requests_total", country_code='=""'))
    return (
        stat("Requests", f"Requests to on-premise environments {RANGE}.", total(_REQUESTS), decimals=0, width=6),
        stat("Countries", f"Countries that requests came from {RANGE}.", f"count({named})", decimals=0, width=6),
        stat(
            "Requests without a code",
            f"Requests {RANGE} from countries whose ISO code is not known: they are in the table, not on the map.",
            f"{unnamed} or vector(0)",
            decimals=0,
            width=6,
        ),
        age_of("countries"),
    )


def _map() -> tuple[Panel, ...]:
    by_country = total(_REQUESTS, *_BY)
    return (
        geomap("Requests by country", f"Requests {RANGE}, placed by ISO code.", by_country, code=_BY[1],
               value="Requests"),
        bar_gauge("Top 10 countries", f"Requests {RANGE}.", largest(total(_REQUESTS, "country"), 10), "{{country}}",
                  width=8, height=12),
        table(
            "Countries",
            f"Requests {RANGE} by country: the data of the map; and in the last 5 minutes.",
            {"country": "Country", "country_code": "ISO code"},
            Column("Requests", by_country, decimals=0),
            Column("Last 5 minutes", total(_WINDOW, *_BY), decimals=0),
        ),
    )  # fmt: skip


def _over_time() -> tuple[Panel, ...]:
    return (
        time_series(
            "Requests by country over time",
            f"Requests in windows of 5 minutes. {TWENTY}",
            (largest(total(_WINDOW, "country")), "{{country}}"),
            width=24,
        ),
    )
