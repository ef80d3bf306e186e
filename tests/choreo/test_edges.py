"""Where the real API bites: pages of five rows, lists of five ids, half-filled buckets, buckets left out, and two
organizations whose environments have the same names. Each setting of the simulated API is turned, and nothing changes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator import Settings, Simulator
from tests.support.configurations import APIS, ENVIRONMENTS, choreo_source
from tests.support.figures import figures
from tests.support.processes import eventually
from tests.support.standstill import answered, differences, including, shown, standstill

SMALL: Final = Settings(apis=4, applications=3, rate=1, daily_rhythm=False, error_share=0.1, alerts_per_day=60)


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        pytest.param(replace(SMALL, page_default=1), ("traffic", "errors", "alerts"), id="rows of a page"),
        pytest.param(replace(SMALL, default_granularity="7d"), ("overview", "errors", "cache"), id="width of a bucket"),
    ],
)
def test_what_the_api_does_by_default_does_not_matter(
    settings: Settings, groups: tuple[str, ...], tmp_path: Path
) -> None:
    """However few rows a page has by default, and however wide a bucket: the figures are those of all requests."""
    with answered(settings, including(groups), tmp_path) as (insights, exporter):
        assert differences(shown(exporter.page()), figures(insights, insights.model.organizations[0], groups)) == []
        filters = (entry.variables.get("by", {}).get("paginationFilter") for entry in insights.journal.entries())
        assert {page["limit"] for page in filters if page} == {50}


def test_buckets_that_are_left_out_or_zero(tmp_path: Path) -> None:
    """Whether the API leaves empty buckets out or gives them as zeros: the figures differ by series of 0 alone."""
    groups = ("overview", "traffic", "errors", "cache")
    settings = replace(SMALL, rate=0.01, zero_rows=True)
    with answered(settings, including(groups), tmp_path) as (insights, exporter):
        found = shown(exporter.page())
        wanted = figures(insights, insights.model.organizations[0], groups)
    zeros = {name: {key for key in found[name] if key not in wanted.get(name, {})} for name in found}
    assert any(zeros.values())
    assert {found[name][key] for name, keys in zeros.items() for key in keys} == {0}
    assert not [name for name, keys in zeros.items() if keys and name.endswith("_seconds")]
    assert differences({n: {k: v for k, v in s.items() if k not in zeros[n]} for n, s in found.items()}, wanted) == []


USAGE = """
  - name: usage
    interval: 1m
    for_each: {api: apis}
    batch: BATCH
    window: {length: 15m, align: 15m}
    document: |
      query ($recent: TimeFilter!, $data: DataFilter!, $of: APIUsageOverTimeFilter) {
        getAPIUsageOverTime(timeFilter: $recent, dataFilter: $data, apiUsageOvertimeFilter: $of) {
          apiId usage { timeSpan count }
        }
      }
    variables:
      recent: {from: "{{ window.start }}", to: "{{ window.end }}"}
      of: {apiIds: "{{ api.id }}", granularity: 15m}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ api.environment.id }}", tenant: carbon.super}
    labels: {environment_id: "{{ api.environment.id }}"}
    metrics:
      - {name: api_requests, help: Requests., value: getAPIUsageOverTime.usage.count, labels: {api_id: apiId}}
"""


@pytest.mark.parametrize("most", [1, 3])
def test_a_limit_of_ids_is_kept_by_batches(most: int, tmp_path: Path) -> None:
    """With `batch` at the API's limit every API has its figure; above it, the query is down and says why."""
    settings = replace(SMALL, max_ids=most, rate=3)
    queries = choreo_source() + ENVIRONMENTS + APIS
    with answered(settings, queries + USAGE.replace("BATCH", str(most)), tmp_path) as (insights, exporter):
        every = len(insights.model.organizations[0].environments) * 4
        eventually(lambda: len(exporter.samples("api_requests")) == every, "every API")
        asked = [entry.variables["of"]["apiIds"] for entry in insights.journal.entries() if "of" in entry.variables]
        assert max(map(len, asked)) == most
    with standstill(settings, queries + USAGE.replace("BATCH", str(most + 1)), tmp_path) as (_, exporter):
        failures = "insights_exporter_poll_failures_total"
        eventually(lambda: exporter.value(failures, query="usage", reason="graphql"), "refusal by the API", 90)
        assert exporter.value("insights_exporter_query_up", query="usage") == 0
        assert f"at most {most} are allowed" in exporter.log


BUCKETS = """
  - name: buckets
    interval: 1m
    timeout: 1m
    for_each: {environment: environments}
    window: {length: 5h, align: 1m}
    document: |
      query ($recent: TimeFilter!, $data: DataFilter!) {
        getSuccessSummary(filter: $recent, dataFilter: $data) { summary { timeSpan requestCount } }
      }
    variables:
      recent: {from: "{{ window.start }}", to: "{{ window.end }}"}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    labels: {environment_id: "{{ environment.id }}"}
    metrics:
      - name: bucket_requests
        help: Requests in the newest whole bucket.
        value: getSuccessSummary.summary.requestCount
        bucket: {start: timeSpan, width: WIDTH}
"""


NOON: Final = datetime(2026, 3, 18, 12, 37, 30, tzinfo=UTC)


@pytest.mark.parametrize(("width", "length"), [("1m", 60), ("15m", 900), ("1h", 3600)])
def test_the_newest_whole_bucket_is_published(width: str, length: int, tmp_path: Path) -> None:
    """However wide the API's buckets are: the last that is over counts, not the half-filled one after it."""
    settings = replace(SMALL, delay_seconds=0, default_granularity=width)
    queries = choreo_source() + ENVIRONMENTS + BUCKETS.replace("WIDTH", width)
    with answered(settings, queries, tmp_path, now=NOON) as (insights, exporter):
        for environment in insights.model.organizations[0].environments:
            end = (NOON - timedelta(seconds=30)).timestamp() // length * length
            bucket = insights.model.requests(environment.id, "carbon.super", end - length, end)
            shown_value = exporter.value("bucket_requests", environment_id=environment.id)
            assert shown_value == sum(not request.failed for request in bucket)


@pytest.mark.parametrize(("given", "width", "reason"), [("1m", "1h", "schema"), ("1h", "15m", None)])
def test_no_bucket_is_taken_for_a_wider_one(given: str, width: str, reason: str | None, tmp_path: Path) -> None:
    """Where the API's buckets are not as wide as the configuration says, there is no figure rather than a wrong one."""
    settings = replace(SMALL, delay_seconds=0, default_granularity=given)
    queries = choreo_source() + ENVIRONMENTS + BUCKETS.replace("WIDTH", width)
    failures = "insights_exporter_poll_failures_total"
    with standstill(settings, queries, tmp_path, NOON) as (_, exporter):
        if reason:
            eventually(lambda: exporter.value(failures, query="buckets", reason=reason), "refusal of the answer", 90)
        assert not exporter.samples("bucket_requests")
        told = exporter.samples(failures, query="buckets")
        assert {labels["reason"] for labels, _ in told} == ({reason} if reason else set())
        assert ("the buckets of the answer are narrower than the width, 1h" in exporter.log) == bool(reason)


def test_two_organizations_with_the_same_environments_do_not_mix(tmp_path: Path) -> None:
    """Two sources in one configuration, each with its own token and scope: every series is its organization's."""
    groups = ("overview", "traffic")
    source, include = including(groups).split("include:")
    settings = replace(SMALL, organizations=2)
    second = Simulator(settings).model.organizations[1]
    other = source.removeprefix("sources:\n").replace("name: acme", "name: globex")
    other = other.replace("${CHOREO_ORG_HANDLE}", second.handle).replace("${CHOREO_ORG_ID}", second.uuid)
    with answered(settings, f"{source}{other}include:{include}", tmp_path) as (insights, exporter):
        first, second = insights.model.organizations
        assert {e.name for e in second.environments} < {e.name for e in first.environments}
        wanted = figures(insights, first, groups)
        for name, series in figures(insights, second, groups).items():
            wanted[name] = wanted[name] | series
        assert differences(shown(exporter.page()), wanted) == []
