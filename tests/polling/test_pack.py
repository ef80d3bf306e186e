"""`pack`: the calls of several targets in one operation, judged by the upstream's journal."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator import Settings, Simulator
from tests.conftest import StartExporter, StartInsights
from tests.support.configurations import APIS, ENVIRONMENTS, fan_out
from tests.support.processes import eventually

PER_API = """
  - name: per_api
    interval: 4s
    for_each: {api: apis}
    pack: 4
    window: {length: 5m, align: 1s}
    document: |
      query ($data: DataFilter!, $api: ID!, $recent: TimeFilter!) {
        requests: getTotalTrafficByAPI(filter: $recent, dataFilter: $data, apiId: $api)
        errors: getTotalErrorsByAPI(filter: $recent, dataFilter: $data, apiId: $api) { proxy }
      }
    variables:
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ api.environment.id }}", tenant: carbon.super}
      api: "{{ api.id }}"
      recent: {from: "{{ window.start }}", to: "{{ window.end }}"}
    labels: {api_id: "{{ api.id }}", environment_id: "{{ api.environment.id }}"}
    metrics:
      - {name: choreo_window_api_requests, help: Requests., value: requests}
"""


def asked(insights: Simulator, field: str) -> list[tuple[int, int]]:
    """How often each request asked for a root field, and its status."""
    entries = insights.journal.entries("graphql")
    return [(entry.operations[field], entry.status) for entry in entries if field in entry.operations]


def packed(queries: str, size: int) -> str:
    return queries.replace("    document:", f"    pack: {size}\n    document:")


def test_three_hundred_calls_become_twelve(insights: Simulator, start_exporter: StartExporter) -> None:
    """`pack: 25` asks for 300 targets in 12 requests a round, spread over the interval, and each has its series."""
    exporter = start_exporter(insights, packed(fan_out(300, "10s"), 25)).wait_until_ready()
    assert exporter.value("environments") == 300
    assert exporter.value("insights_exporter_query_targets") == 300
    assert exporter.value("insights_exporter_query_pack_size") == 25
    eventually(lambda: len(asked(insights, "listEnvironments")) >= 24, "two rounds")
    assert {count for count, _ in asked(insights, "listEnvironments")} == {25}
    times = [entry.time for entry in insights.journal.entries("graphql")][12:24]
    assert max(times) - min(times) > 5


def test_a_server_that_takes_fewer_aliases_is_asked_in_smaller_packs(
    start_insights: StartInsights, start_exporter: StartExporter
) -> None:
    """Refused packs are found out in the first round, without a hole in the series, said once and remembered."""
    insights = start_insights(Settings(delay_seconds=0, max_aliases=10))
    exporter = start_exporter(insights, packed(fan_out(40, "3s"), 25)).wait_until_ready()
    assert len(exporter.samples("environments")) == 40
    size = exporter.value("insights_exporter_query_pack_size")
    assert size is not None
    assert 5 <= size <= 10
    assert exporter.value("insights_exporter_poll_failures_total") is None
    assert exporter.value("insights_exporter_pack_refusals_total") in (1, 2)  # both packs may find it out at once
    first = len(asked(insights, "listEnvironments"))
    eventually(lambda: len(asked(insights, "listEnvironments")) > first + 20, "two more rounds")
    assert {status for _, status in asked(insights, "listEnvironments")[first + 4 :]} == {200}
    assert max(count for count, _ in asked(insights, "listEnvironments")[first + 4 :]) <= size
    assert exporter.log.count("fewer targets go into one operation") == 1


def test_errors_of_one_target_are_its_own(insights: Simulator, start_exporter: StartExporter) -> None:
    """A target that the API refuses fails alone, with its own message; the others of its pack have their values."""
    environments = [environment.id for environment in insights.model.organizations[0].environments]
    queries = f"""
  - name: traffic
    interval: 10s
    for_each: {{environment: [{", ".join(environments)}, unknown]}}
    pack: 10
    window: {{length: 5m, align: 1s}}
    document: |
      query ($recent: TimeFilter!, $data: DataFilter!) {{ n: getTotalTraffic(filter: $recent, dataFilter: $data) }}
    variables:
      recent: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}
      data: {{orgId: "{{{{ source.org_id }}}}", environmentId: "{{{{ environment }}}}", tenant: carbon.super}}
    labels: {{environment_id: "{{{{ environment }}}}"}}
    metrics: [{{name: requests, help: Requests., value: n}}]
"""
    exporter = start_exporter(insights, queries).wait_until_ready()

    def published() -> set[str]:
        return {labels["environment_id"] for labels, _ in exporter.samples("requests")}

    eventually(lambda: published() == set(environments), "series of the environments that there are")
    eventually(lambda: exporter.value("insights_exporter_query_targets_failing") == 1, "one failing target alone")
    assert exporter.value("insights_exporter_poll_failures_total", reason="graphql") is not None
    assert "no such organization, environment" in exporter.log
    assert exporter.value("insights_exporter_query_pack_size") == 10


def test_packs_follow_their_targets(insights: Simulator, start_exporter: StartExporter) -> None:
    """A target that vanishes takes its series, and no other target's; packs close up, and one that comes joins them."""
    exporter = start_exporter(insights, ENVIRONMENTS + APIS + PER_API).wait_until_ready()

    def series() -> Mapping[tuple[str, str], float]:
        found = exporter.samples("choreo_window_api_requests")
        return {(labels["environment_id"], labels["api_id"]): value for labels, value in found}

    organization = insights.model.organizations[0]
    apis = organization.apis("carbon.super")
    everything = {(environment.id, api.id) for environment in organization.environments for api in apis}
    eventually(lambda: set(series()) == everything, "series of every API")
    gone = apis[0].id
    insights.faults.set(removed_apis=(gone,))
    left = {pair for pair in everything if pair[1] != gone}

    def only_what_is_left() -> bool:
        now = set(series())
        assert left <= now
        return now == left

    eventually(only_what_is_left, "removal of the vanished API's series")
    eventually(
        lambda: exporter.value("insights_exporter_query_targets", query="per_api") == len(left), "targets that are left"
    )
    rounds = 2 * -(-len(left) // 4)
    eventually(
        lambda: sum(count for count, _ in asked(insights, "getTotalTrafficByAPI")[-rounds:]) > 3.5 * rounds,
        "two rounds of full packs",
    )
    insights.faults.set(removed_apis=())
    eventually(lambda: set(series()) == everything, "series of the API that came back")
