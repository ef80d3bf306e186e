"""Which page shows what an alert is about, and the table of alerts that fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.dashboards.links import RUNBOOK, api_of_cells, page_link
from exporter.dashboards.model import Panel
from exporter.dashboards.panels import Column, table
from exporter.dashboards.promql import recorded

# Alerts by the page, and the title of the panel there, that shows what they are about.
LEADS: Final[Mapping[str, Mapping[str, str]]] = {
    "errors": {
        "ChoreoApiErrorRatioHigh": "5xx by API",
        "ChoreoApiThrottling": "Errors by reason",
        "ChoreoApiAuthErrors": "Errors by reason",
    },
    "latency": {
        "ChoreoApiLatencyHigh": "95th percentile by API",
        "ChoreoApiBackendLatencyHigh": "Latency by hop",
    },
    "objectives": {
        "ChoreoApiErrorBudgetBurn": "Burn rates",
        "ChoreoApiTrafficGone": "Requests and what is usual",
        "ChoreoApiTrafficDrop": "Requests and what is usual",
        "ChoreoApiTrafficSpike": "Requests and what is usual",
    },
    "alerts": {"ChoreoAlertRaised": "Alerts by kind"},
    "cache": {"ChoreoCacheHitRatioLow": "Hit ratio"},
    "exporter": {
        "InsightsExporterDown": "Scraped",
        "InsightsExporterAbsent": "Scraped",
        "InsightsExporterQueryFailing": "Queries",
        "InsightsExporterDataStale": "Queries",
        "InsightsExporterTokenRenewalsFailing": "Token renewals",
        "InsightsExporterTokenBlocked": "Access token",
        "InsightsExporterTokenNearExpiry": "Access token",
        "InsightsExporterValuesSkipped": "Values skipped",
        "InsightsExporterSeriesLimitHit": "Poll failures by reason",
        "InsightsExporterTargetsLimitHit": "Poll failures by reason",
        "InsightsExporterRowsCut": "Left out",
        "InsightsExporterSeriesGone": "Queries",
        "InsightsExporterConfigReloadFailed": "Configuration",
        "InsightsExporterPollsMissed": "Ticks missed",
        "InsightsExporterRateLimitExceeded": "Demand on the rate limit",
    },
}
_LABELS: Final = {
    "alertname": "Alert",
    "severity": "Severity",
    "api": "API",
    "environment": "Environment",
    "page": "Page",
    "entry": "Runbook",
}
_SHIPPED: Final = '=~"Choreo.+|InsightsExporter.+"'
_BY: Final = "alertname, severity, api, environment"
_SEVERITIES: Final = {"critical": ("critical", "red"), "warning": ("warning", "orange"), "info": ("info", "blue")}


def firing_alerts() -> Panel:
    """The alerts that fire now, each with links to its page and to its entry in the runbook.

    One that fires for many queries is one row, so that it does not push the others out of sight.
    """
    firing = recorded("ALERTS", alertstate='="firing"', alertname=_SHIPPED)
    states = f"{recorded('ALERTS_FOR_STATE', alertname=_SHIPPED)} and ignoring (alertstate) {firing}"
    entries = {name: (name.lower(), "") for alerts in LEADS.values() for name in alerts}
    return table(
        "Alerts that fire now",
        "Alerts of the shipped rules that fire now, since when the first of a row holds, and how many they are: of the "
        "same alert on many queries, or by several burn rates. A click on the page opens what shows it, a click on the "
        "runbook what to do. Empty as well where Prometheus has not loaded the rules.",
        _LABELS,
        Column("Since", f"{_with_leads(f'min by ({_BY}) ({states})')} * 1000", unit="dateTimeFromNow"),
        Column("How many", _with_leads(f"count by ({_BY}) ({states})")),
        sort_by="Severity",
        ascending=True,
        links={
            "API": (api_of_cells({"api": "API", "environment": "Environment"}),),
            "Page": (_link_to_page(),),
            "Runbook": ({"title": "What to do", "url": f"{RUNBOOK}#${{__value.text}}", "targetBlank": True},),
        },
        words={"Runbook": entries, "Severity": _SEVERITIES},
        nothing="No alert fires",
        height=5,
    )


def _with_leads(expr: str) -> str:
    """The series of alerts with the labels `page` and `entry`, from which the links are made."""
    for page, alerts in LEADS.items():
        expr = f'label_replace({expr}, "page", "{page}", "alertname", "{"|".join(alerts)}")'
    return f'label_join({expr}, "entry", "", "alertname")'


def _link_to_page() -> dict[str, str]:
    link = page_link("What shows it", "PAGE")
    return link | {"url": link["url"].replace("PAGE", "${__value.text}")}
