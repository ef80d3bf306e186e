"""Marks on the charts of every page: alerts that fired, starts of the exporter, and loads of its configuration."""

from __future__ import annotations

from exporter.dashboards.model import DATASOURCE, JsonObject
from exporter.dashboards.promql import own, recorded, selector


def marks() -> tuple[JsonObject, ...]:
    """Those of all pages."""
    return (
        {
            "name": "Alerts",
            "enable": True,
            "datasource": dict(DATASOURCE),
            "expr": recorded("ALERTS", alertstate='="firing"'),
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
            "expr": f"{selector('process_start_time_seconds')} * 1000",
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
