"""Pages, names for ids, zeros for the absent, and the largest of many, on the simulated API."""

from __future__ import annotations

from functools import partial

from exporter.simulator import Settings, Simulator
from tests.conftest import StartExporter, StartInsights
from tests.support.configurations import APIS, ENVIRONMENTS, choreo_source
from tests.support.processes import eventually

LOOKUPS = """
lookups:
  - name: api
    rows_of: apis
    key: id
    fields: {name: name}
  - name: team
    table: {Development: {team: payments}}
"""

RESOURCES = """
  - name: resources
    interval: 10s
    for_each: {environment: environments}
    window: {length: 1h, align: 1m}
    document: |
      query ($recent: TimeFilter!, $data: DataFilter!, $by: ResourceUsageFilter) {
        getResourceUsage(timeFilter: $recent, dataFilter: $data, resourceUsageFilter: $by) {
          usage { apiId apiResourceTemplate apiMethod count }
          pagination { total }
        }
      }
    variables:
      recent: {from: "{{ window.start }}", to: "{{ window.end }}"}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    pages:
      size: 7
      limit: by.paginationFilter.limit
      offset: by.paginationFilter.offset
      total: getResourceUsage.pagination.total
      max_rows: 5000
    rows: getResourceUsage.usage
    labels: {environment_id: "{{ environment.id }}", team: {lookup: team, key: "{{ environment.name }}", field: team}}
    metrics:
      - name: choreo_window_resource_requests
        help: Requests.
        value: count
        labels:
          api_id: apiId
          api: {lookup: api, key: apiId, field: name}
          resource: apiResourceTemplate
          method: apiMethod
"""


def test_all_pages_are_read_and_ids_have_names(insights: Simulator, start_exporter: StartExporter) -> None:
    """Every row of every page is published, and the names of the ids stand beside them from the first round on."""
    exporter = start_exporter(insights, ENVIRONMENTS + APIS + RESOURCES + LOOKUPS).wait_until_ready()
    environment = insights.model.organizations[0].environments[0]

    def agrees() -> bool:
        end = exporter.value("insights_exporter_query_window_end_timestamp_seconds", query="resources")
        if end is None:
            return False
        requests = list(insights.model.requests(environment.id, "carbon.super", end - 3600, end))
        samples = exporter.samples("choreo_window_resource_requests", environment_id=environment.id)
        wanted = {(one.api.id, one.api.name, one.resource, one.method) for one in requests}
        found = {(a["api_id"], a["api"], a["resource"], a["method"]) for a, _ in samples}
        return found == wanted and sum(value for _, value in samples) == len(requests) and len(found) > 14

    eventually(agrees, "agreement of all pages with the model")
    teams = {
        labels["environment_id"]: labels["team"] for labels, _ in exporter.samples("choreo_window_resource_requests")
    }
    assert {team for id_, team in teams.items() if team} == {"payments"}
    assert exporter.value("insights_exporter_lookup_misses_total", query="resources")  # of the other environments
    assert exporter.value("insights_exporter_query_rows_cut_total", query="resources") == 0


def test_a_cut_at_the_maximum_is_seen(insights: Simulator, start_exporter: StartExporter) -> None:
    """Where `max_rows` ends the pages, a metric counts what was left behind."""
    queries = ENVIRONMENTS + APIS + RESOURCES.replace("max_rows: 5000", "max_rows: 14") + LOOKUPS
    exporter = start_exporter(insights, queries).wait_until_ready()
    wanted = 14 * len(insights.model.organizations[0].environments)
    eventually(lambda: exporter.value("insights_exporter_query_series", query="resources") == wanted, "cut at 14 rows")
    eventually(lambda: exporter.value("insights_exporter_query_rows_cut_total", query="resources"), "count of the rest")


SLOWEST = """
  - name: alerts
    interval: 10s
    for_each: {environment: environments}
    window: {length: 5m, align: 1m}
    document: |
      query ($recent: TimeFilter!, $data: DataFilter!) {
        getAPIsUsageByApplications(timeFilter: $recent, dataFilter: $data) { apiId count }
        getTopUserAgents(timeFilter: $recent, dataFilter: $data) { userAgent count }
      }
    variables:
      recent: {from: "{{ window.start }}", to: "{{ window.end }}"}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    labels: {environment_id: "{{ environment.id }}"}
    metrics:
      - name: choreo_window_api_requests
        help: Requests.
        value: getAPIsUsageByApplications.count
        labels: {api_id: apiId}
        aggregate: sum
        missing: {rows_of: apis, labels: {api_id: id}, value: 0}
      - name: choreo_window_user_agent_requests
        help: Requests.
        value: getTopUserAgents.count
        labels: {user_agent: userAgent}
        top: {n: 3, label: user_agent, rest: Other}
"""


def test_absent_is_zero_only_where_the_configuration_says_so(
    start_insights: StartInsights, start_exporter: StartExporter
) -> None:
    """An API without traffic is published as 0 with `missing`, right from the start; and only after a good answer."""
    insights = start_insights(Settings(delay_seconds=0, rate=0.02))
    exporter = start_exporter(insights, ENVIRONMENTS + APIS + SLOWEST).wait_until_ready()
    environment = insights.model.organizations[0].environments[0]
    apis = {api.id for api in insights.model.organizations[0].apis("carbon.super")}

    def known() -> dict[str, float]:
        samples = exporter.samples("choreo_window_api_requests", environment_id=environment.id)
        return {labels["api_id"]: value for labels, value in samples}

    eventually(lambda: known().keys() == apis, "every API")
    assert 0 in known().values()


def test_zeros_are_there_right_after_a_restart(start_insights: StartInsights, start_exporter: StartExporter) -> None:
    """A process that has just begun knows the APIs before it publishes their traffic: none is missing for a while."""
    insights = start_insights(Settings(delay_seconds=0, rate=0.02))
    apis = {api.id for api in insights.model.organizations[0].apis("carbon.super")}
    for _ in range(2):
        queries = (ENVIRONMENTS + APIS).replace("interval: 1s", "interval: 5s") + SLOWEST  # the deadline as well
        exporter = start_exporter(insights, queries).wait_until_ready()
        first = eventually(partial(exporter.samples, "choreo_window_api_requests"), "zeros")
        assert {labels["api_id"] for labels, _ in first} == apis
        exporter.popen.kill()


def test_absent_is_unknown_where_there_is_no_answer(
    start_insights: StartInsights, start_exporter: StartExporter
) -> None:
    """While the API gives no answer, nothing is published as 0, though the APIs are known."""
    insights = start_insights(Settings(delay_seconds=0, refused_operations=("getAPIsUsageByApplications",)))
    exporter = start_exporter(insights, ENVIRONMENTS + APIS + SLOWEST).wait_until_ready()
    eventually(lambda: exporter.samples("choreo_api_info"), "APIs")  # whose polls of a second fail on a busy machine
    eventually(lambda: exporter.value("insights_exporter_query_up", query="alerts") == 0, "a refusal")
    assert not exporter.samples("choreo_window_api_requests")


def test_an_id_without_a_name_has_an_empty_one_and_is_counted(
    insights: Simulator, start_exporter: StartExporter
) -> None:
    """An API that is deleted has no name any more, but its traffic of the last hour is published all the same."""
    gone = insights.model.organizations[0].apis()[0].id
    insights.faults.set(removed_apis=(gone,))
    exporter = start_exporter(insights, ENVIRONMENTS + APIS + RESOURCES + LOOKUPS).wait_until_ready()

    def shown() -> bool:
        samples = exporter.samples("choreo_window_resource_requests")
        return {labels["api"] for labels, _ in samples if labels["api_id"] == gone} == {""}

    eventually(shown, "traffic without a name")
    named = [labels for labels, _ in exporter.samples("choreo_window_resource_requests") if labels["api_id"] != gone]
    assert all(labels["api"] for labels in named)
    assert exporter.value("insights_exporter_lookup_misses_total", query="resources")


def test_the_largest_stand_alone_and_the_rest_together(insights: Simulator, start_exporter: StartExporter) -> None:
    """`top` keeps the n largest and sums the others under one value, whose total stays what it was."""
    exporter = start_exporter(insights, ENVIRONMENTS + APIS + SLOWEST, source=choreo_source()).wait_until_ready()
    environment = insights.model.organizations[0].environments[0]

    def agrees() -> bool:
        end = exporter.value("insights_exporter_query_window_end_timestamp_seconds", query="alerts")
        if end is None:  # its first poll, which may last a second, was late on a busy machine
            return False
        requests = list(insights.model.requests(environment.id, "carbon.super", end - 300, end))
        samples = exporter.samples("choreo_window_user_agent_requests", environment_id=environment.id)
        return len(samples) == 4 and sum(value for _, value in samples) == len(requests)

    eventually(agrees, "agreement with the model")
