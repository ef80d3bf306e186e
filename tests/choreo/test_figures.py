"""The figures of the whole catalogue, through the running exporter, at a moment at which all clocks stand still."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from exporter.config.include import catalogue_names
from exporter.config.load import load
from exporter.plan.planner import plan
from exporter.simulator import Settings, Simulator
from exporter.simulator.resolvers import RESOLVERS
from tests.support.configurations import choreo_environ
from tests.support.figures import figures
from tests.support.standstill import NOW, access_token, answered, differences, including, shown
from tests.unit.choreo.test_catalogue import ON_DEMAND, content

GROUPS: Final = tuple(name.removeprefix("choreo/") for name in catalogue_names())
FOR_EACH_API: Final = ("latency", "reports")


PRODUCTION: Final = {"environment": "Production", "tenant": "carbon.super"}
ORDERS: Final = {**PRODUCTION, "api": "Orders API", "version": "1.0.0"}
PAYMENTS: Final = {**PRODUCTION, "api": "Payments API", "version": "1.1.0"}
# Counted over the single requests that seed 1 makes, and written down: they hold whatever becomes of model and count.
BY_HAND: Final[list[tuple[str, dict[str, str], float]]] = [
    ("choreo_window_requests", PRODUCTION, 329),
    ("choreo_requests_total", PRODUCTION, 4427),
    ("choreo_window_errors", PRODUCTION, 30),
    ("choreo_errors_total", PRODUCTION, 457),
    ("choreo_response_latency_p95_seconds", PRODUCTION, 0.263),
    ("choreo_response_latency_15m_p95_seconds", PRODUCTION, 0.265),
    ("choreo_window_api_requests", ORDERS, 45),
    ("choreo_api_requests_total", ORDERS, 781),
    ("choreo_window_15m_api_requests", ORDERS, 149),
    ("choreo_window_application_requests", {**PRODUCTION, "application": "Mobile App"}, 86),
    ("choreo_window_backend_requests", {**PRODUCTION, "backend": "https://orders.acme.example"}, 45),
    ("choreo_resource_requests_total", {**ORDERS, "method": "GET", "resource": "/orders/{id}"}, 281),
    ("choreo_window_errors_by_category", {**PRODUCTION, "category": "auth"}, 10),
    ("choreo_errors_by_category_total", {**PRODUCTION, "category": "throttled"}, 39),
    ("choreo_proxy_errors_total", {**PRODUCTION, "code_class": "4xx"}, 228),
    ("choreo_target_errors_total", {**PRODUCTION, "code_class": "5xx"}, 65),
    ("choreo_api_proxy_errors_total", {**ORDERS, "code": "401"}, 15),
    ("choreo_api_target_errors_total", {**PAYMENTS, "code": "404"}, 11),
    (
        "choreo_errors_by_reason_total",
        {**PAYMENTS, "application": "Mobile App", "reason": "Target Responded 404"},
        11,
    ),
    ("choreo_api_backend_latency_p50_seconds", ORDERS, 0.126),
    ("choreo_slowest_api_response_latency_p95_seconds", ORDERS, 0.396),
    ("choreo_window_cache_hits", PRODUCTION, 65),
    ("choreo_cache_misses_total", PRODUCTION, 1528),
    ("choreo_window_platform_requests", {**PRODUCTION, "platform": "Windows"}, 88),
    ("choreo_window_user_agent_requests", {**PRODUCTION, "user_agent": "Other"}, 36),
    ("choreo_alerts_total", {**PAYMENTS, "category": "LATENCY", "severity": "LOW"}, 1),
    ("choreo_alert_last_timestamp_seconds", {**PAYMENTS, "alert_metric": "RESPONSE_LATENCY"}, 1773794806.792),
    ("choreo_window_7d_api_alerts", PAYMENTS, 39),
    ("choreo_country_requests_total", {"country": "Sri Lanka", "country_code": "LK", "tenant": "carbon.super"}, 739),
    ("choreo_api_application_requests_total", {**PAYMENTS, "application": "Mobile App"}, 314),
    ("choreo_window_24h_api_proxy_errors", ORDERS, 806),
    (
        "choreo_on_premise_successful_requests_total",
        {"tenant": "carbon.super", "api": "Orders API", "application": "Web Shop"},
        363,
    ),
]


@pytest.mark.timeout(500)
def test_every_figure_of_every_group_is_the_one_that_was_counted(tmp_path: Path) -> None:
    """Every series of the catalogue, no more and no less, has the value that a count of single requests gives; for some
    it stands here as a number. Every operation in the role of a metric or a lookup was asked, and answered."""
    settings = Settings(rate=1, daily_rhythm=False, error_share=0.1, alerts_per_day=60)
    with answered(settings, including(GROUPS), tmp_path, seconds=300) as (insights, exporter):
        found = shown(exporter.page())
        assert differences(found, figures(insights, insights.model.organizations[0], GROUPS)) == []
        families = plan(load(tmp_path / "config.yaml", choreo_environ(insights))).families
        assert found.keys() == {family.name for family in families}
        asked = {operation for entry in insights.journal.entries() for operation in entry.operations}
        assert asked == RESOLVERS.keys() - ON_DEMAND
    for name, labels, value in BY_HAND:
        (only,) = [number for key, number in found[name].items() if labels.items() <= dict(key).items()]
        assert only == value, (name, labels)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "groups",
    [
        pytest.param([group for group in GROUPS if group not in FOR_EACH_API], id="groups for tenants"),
        pytest.param(GROUPS, id="all groups", marks=[pytest.mark.long]),
    ],
)
def test_three_hundred_apis_and_forty_applications_are_counted_too(groups: list[str], tmp_path: Path) -> None:
    """Where pages of the answers and batches of five ids matter, nothing is lost or counted twice."""
    settings = Settings(rate=1, daily_rhythm=False, error_share=0.1, alerts_per_day=60, apis=300, applications=40)
    with answered(settings, including(groups), tmp_path, seconds=1000) as (insights, exporter):
        found = shown(exporter.page())
        assert differences(found, figures(insights, insights.model.organizations[0], groups)) == []
        assert not exporter.value("insights_exporter_query_rows_cut_total")
        variables = [entry.variables for entry in insights.journal.entries() if entry.status == 200]
    of_apis = [sent for sent in variables if "apiIds" in sent.get("of", {})]
    batches = {(sent["data"]["environmentId"], *sent["of"]["apiIds"]) for sent in of_apis}
    assert len({(batch[0], api) for batch in batches for api in batch[1:]}) == 4 * (300 + 75)
    assert len(batches) == 4 * (60 + 15)
    pages = [sent["by"]["paginationFilter"] for sent in variables if "paginationFilter" in sent.get("by", {})]
    assert max(page.get("offset", 0) for page in pages) > 500
    assert len(found["choreo_api_info"]) == 4 * (300 + 75)


@pytest.mark.parametrize(("name", "entry"), content("on_demand").items())
def test_what_is_on_demand_answers_as_it_is_shipped(name: str, entry: dict[str, Any]) -> None:
    """A document of the catalogue that is not polled has data, once its blanks are filled in."""
    with Simulator(Settings(rate=1), now=NOW.timestamp) as insights:
        organization = insights.model.organizations[0]
        blanks = {
            "{{ source.org_id }}": organization.uuid,
            "<environment id>": organization.environment("Production").id,
            "<API id>": organization.apis()[0].id,
            "<API name>": organization.apis()[0].name,
            "2026-01-01T00:00:00.000Z": "2026-03-17T22:00:00.000Z",
            "2026-01-08T00:00:00.000Z": "2026-03-18T01:00:00.000Z",
        }
        text = json.dumps(entry["variables"])
        for blank, value in blanks.items():
            text = text.replace(blank, value)
        key = insights.settings.on_prem_key if name == "on_premise_usage" else access_token(insights)
        body = {"query": entry["document"], "variables": json.loads(text)}
        answer = httpx.post(insights.url, json=body, headers={"authorization": f"Bearer {key}"}, timeout=60).json()
        assert "errors" not in answer
        assert all(answer["data"].values())
