"""The dashboards of the catalogue: the overview, one API, its objectives, one for each page of Choreo's Insights, and
the exporter itself."""

from __future__ import annotations

from exporter.dashboards.model import Dashboard
from exporter.dashboards.shipped.alerts import alerts
from exporter.dashboards.shipped.api import api
from exporter.dashboards.shipped.cache import cache
from exporter.dashboards.shipped.devices import devices
from exporter.dashboards.shipped.errors import errors
from exporter.dashboards.shipped.exporter import exporter
from exporter.dashboards.shipped.geography import geography
from exporter.dashboards.shipped.latency import latency
from exporter.dashboards.shipped.objectives import objectives
from exporter.dashboards.shipped.overview import overview
from exporter.dashboards.shipped.reports import reports
from exporter.dashboards.shipped.traffic import traffic


def dashboards() -> tuple[Dashboard, ...]:
    """All that are shipped; a dashboard's file has its uid as its name."""
    return (
        overview(),
        api(),
        objectives(),
        traffic(),
        errors(),
        latency(),
        cache(),
        devices(),
        alerts(),
        geography(),
        reports(),
        exporter(),
    )
