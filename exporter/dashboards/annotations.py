"""Marks on the charts of every page: alerts that fired, starts of the exporter, and loads of its configuration.

Alerts are those of the exporter's job: the shipped ones, and a user's own.
"""

from __future__ import annotations

from exporter.dashboards.model import DATASOURCE, JsonObject
from exporter.dashboards.promql import of_exporters, own, recorded, selector


def marks() -> tuple[JsonObject, ...]:
    """Those of all pages."""
    return (
        {
            "name": "Alerts",
            "enable": True,
            "datasource": dict(DATASOURCE),
            "expr": of_exporters(recorded("ALERTS", alertstate='="firing"'), within="1d"),
            "step": "60s",
            "iconColor": "red",
            "titleFormat": "{{alertname}}",
            "textFormat": "{{severity}} {{api}} {{environment}} {{query}}",
            "tagKeys": "severity",
        },
        {
            "name": "Restarts",
            "enable": True,
            "datasource": dict(DATASOURCE),
            "expr": f"{of_exporters(selector('process_start_time_seconds'))} * 1000",
            "iconColor": "purple",
            "titleFormat": "Exporter started",
            "textFormat": "{{instance}}",
            "useValueForTime": True,
        },
        {
            "name": "Configuration loaded",
            "enable": True,
            "datasource": dict(DATASOURCE),
            "expr": f"{own('config_last_reload_success_timestamp_seconds')} * 1000",
            "iconColor": "blue",
            "titleFormat": "Configuration loaded",
            "textFormat": "{{instance}}",
            "useValueForTime": True,
        },
    )
