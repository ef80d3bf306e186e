"""Choreo's alerts: what did Choreo itself raise? It keeps alerts for a week."""

from __future__ import annotations

from exporter.dashboards.links import api_of_cells, api_of_labels
from exporter.dashboards.model import Dashboard, Panel, Row
from exporter.dashboards.panels import SOME_IS_BAD, Column, Figure, Line, figures, table, time_series
from exporter.dashboards.promql import highest, leading, or_zero, over_range, series, steps_in_range, total
from exporter.dashboards.shipped.words import API, API_COLUMNS, API_LEGEND, API_PLACE_COLUMNS, RANGE, dashboard
from exporter.dashboards.variables import apis, places

_WEEK = series("choreo_window_7d_api_alerts", "api")
_RAISED = "choreo_alerts_total"
_LAST = series("choreo_alert_last_timestamp_seconds", "api")


def alerts() -> Dashboard:
    """Choreo's page Alerts. The alerts' texts are prose, and so no labels."""
    return dashboard(
        "alerts",
        "Which alerts did Choreo raise? They are configured in Choreo, by API, kind and severity; the alerts of "
        "Prometheus are on Overview.",
        (*places(), apis()),
        ("alerts", "api_alerts"),
        Row("", (_headlines(), _kinds(), *_by_api())),
        title="Choreo's alerts",
    )


def _headlines() -> Panel:
    high = highest(series("choreo_alert_last_timestamp_seconds", "api", severity='="HIGH"'))
    raised_high = steps_in_range(_RAISED, "api", severity='="HIGH"')
    return figures(
        "Raised",
        f"Alerts {RANGE}, and those of severity HIGH among them; alerts in the seven days before now, by Choreo's own "
        "count; and when the last one of severity HIGH since midnight UTC was, if there was one.",
        Figure(or_zero(total(steps_in_range(_RAISED, "api"))), "in the range", decimals=0),
        Figure(or_zero(total(raised_high)), "HIGH in the range", decimals=0, thresholds=SOME_IS_BAD),
        Figure(or_zero(total(_WEEK)), "last 7 days", decimals=0),
        Figure(f"{high} * 1000", "last HIGH today", "dateTimeFromNow"),
        height=4,
    )


def _kinds() -> Panel:
    labels = {
        **API_COLUMNS,
        "environment": "Environment",
        "category": "Category",
        "alert_metric": "Measured",
        "severity": "Severity",
    }
    return table(
        "Alerts by kind",
        f"How many alerts of each kind there were {RANGE}, and when the last one since midnight UTC was. (Console: "
        "Alert Summary.)",
        labels,
        Column("Alerts", total(steps_in_range(_RAISED, "api"), *labels)),
        Column("Last today", f"{highest(_LAST, *labels)} * 1000", unit="dateTimeAsIso"),
        links={"API": (api_of_cells({**API_COLUMNS, "environment": "Environment"}),)},
        words={"Severity": {"HIGH": ("HIGH", "red"), "MEDIUM": ("MEDIUM", "orange"), "LOW": ("LOW", "text")}},
        nothing="No alert was raised",
        height=10,
    )


def _by_api() -> tuple[Panel, ...]:
    return (
        time_series(
            "Alerts of seven days by API",
            "Alerts in the seven days before each moment, of the ten APIs with most over the whole range.",
            Line(leading(total(_WEEK, *API), API, over_range(_WEEK, *API)), API_LEGEND),
            unit="none",
            calcs=("lastNotNull", "max"),
            links=(api_of_labels(API),),
            height=10,
            interval="5m",
        ),
        table(
            "APIs, last 7 days",
            "Alerts of each API in the seven days before now, by environment. (Console: Top APIs by Alert Count.)",
            API_PLACE_COLUMNS,
            Column("Alerts", f"{total(_WEEK, *API_PLACE_COLUMNS)} > 0", bar=True),
            links={"API": (api_of_cells(API_PLACE_COLUMNS),)},
            width=12,
            height=10,
        ),
    )
