"""Alerts: those that Choreo itself raises, which it keeps for a week."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import SOME_IS_BAD, Column, bar_gauge, pie_chart, stat, table, time_series
from exporter.dashboards.promql import highest, in_range, largest, series, total
from exporter.dashboards.shipped.words import (
    API,
    API_COLUMNS,
    API_LEGEND,
    FIRST_SEEN,
    PLACE_COLUMNS,
    RANGE,
    TWENTY,
    age_of,
    dashboard,
)
from exporter.dashboards.variables import apis, places

_WEEK = series("choreo_window_7d_api_alerts", "api")
_RAISED = in_range("choreo_alerts_total", "api")
_LAST = series("choreo_alert_last_timestamp_seconds", "api")


def alerts() -> Dashboard:
    """Choreo's page Alerts. The alerts' texts are prose, and so no labels."""
    return dashboard(
        "alerts",
        "Alerts that Choreo raised: by API, category, what was measured, and severity.",
        (*places(), apis()),
        Row("Headlines", _headlines()),
        Row("APIs", _apis()),
        Row("Over time", _over_time()),
        Row("Each kind", (_summary(),)),
    )


def _headlines() -> tuple[Panel, ...]:
    high = highest(series("choreo_alert_last_timestamp_seconds", "api", severity='="HIGH"'))
    return (
        stat("Alerts, last 7 days", "Alerts in the last seven days.", total(_WEEK), decimals=0, width=5,
             thresholds=SOME_IS_BAD),
        stat("Alerts", f"Alerts {RANGE}. {FIRST_SEEN}", total(_RAISED), decimals=0, width=5, thresholds=SOME_IS_BAD),
        stat("Last alert", "Time since the last alert of today (UTC), as of now.", f"time() - {highest(_LAST)}",
             unit="s", width=5),
        stat("Last alert of severity HIGH", "Time since the last one of today (UTC), as of now; none, if there was "
             "none.", f"time() - {high}", unit="s", width=5),
        age_of("alerts"),
    )  # fmt: skip


def _apis() -> tuple[Panel, ...]:
    return (
        bar_gauge(
            "Top APIs by alert count",
            "Alerts of each API in the last seven days.",
            largest(total(_WEEK, *API), 10),
            API_LEGEND,
            thresholds=SOME_IS_BAD,
            width=16,
        ),
        pie_chart(
            "Shares of the APIs",
            "Alerts of each API in the last seven days.",
            largest(total(_WEEK, *API), 10),
            API_LEGEND,
        ),
        table(
            "Alerts of each API",
            "Alerts of each API in the last seven days.",
            {**API_COLUMNS, **PLACE_COLUMNS},
            Column("Alerts", total(_WEEK, *API, *PLACE_COLUMNS), decimals=0),
            height=7,
        ),
    )


def _over_time() -> tuple[Panel, ...]:
    return (
        time_series(
            "Alerts of the last 7 days",
            f"Alerts of each API in the seven days before each moment. {TWENTY}",
            (largest(total(_WEEK, *API)), API_LEGEND),
            width=24,
        ),
    )


def _summary() -> Panel:
    labels = {
        **API_COLUMNS,
        "environment": "Environment",
        "category": "Category",
        "alert_metric": "Measured",
        "severity": "Severity",
    }
    return table(
        "Alert summary",
        f"How many alerts of each kind there were {RANGE}, and when the last one of today (UTC) was. {FIRST_SEEN}",
        labels,
        Column("Alerts", total(_RAISED, *labels), decimals=0),
        Column("Last", f"{highest(_LAST, *labels)} * 1000", unit="dateTimeAsIso"),
        sort_by="Last",
    )
