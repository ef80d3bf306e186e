"""Every operation of the simulated Insights API over real HTTP, its figures against a count over single requests."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from exporter.simulator import Settings, Simulator
from exporter.simulator.model import Request
from exporter.simulator.resolvers import RESOLVERS
from tests.support.figures import percentile
from tests.support.processes import http_client

NOW = datetime(2026, 3, 18, 12, 0, tzinfo=UTC)
START, END = NOW - timedelta(hours=5), NOW - timedelta(hours=1)
RANGE = {"from": START.isoformat(), "to": END.isoformat()}
TENANT = "carbon.super"

# The arguments of each operation and what to select of its answer.
OPERATIONS = {
    "listOrganizations": ("", "{ id uuid handle name }"),
    "listEnvironments": ("(org: $org)", "{ id externalEnvId internalEnvId sandboxEnvId name type }"),
    "listTenants": ("(tenantDataFilter: $tenant)", ""),
    "listAllAPI": ("(dataFilter: $data)", "{ id name version provider }"),
    "listApplications": ("(dataFilter: $data)", "{ id name owner }"),
    "listProviders": ("(dataFilter: $data)", "{ name }"),
    "listSubscribers": ("(dataFilter: $data)", "{ name }"),
    "getTotalTraffic": ("(filter: $range, dataFilter: $data)", ""),
    "getTotalErrors": ("(filter: $range, dataFilter: $data)", ""),
    "getOverallLatency": ("(filter: $range, dataFilter: $data)", ""),
    "getLatencySummary": ("(filter: $range, dataFilter: $data)", "{ granularity summary { timeSpan latencyTime } }"),
    "getSuccessSummary": ("(filter: $range, dataFilter: $data)", "{ granularity summary { timeSpan requestCount } }"),
    "getErrorSummary": ("(filter: $range, dataFilter: $data)", "{ granularity summary { timeSpan errorCount } }"),
    "getErrorsByCategory": (
        "(timeFilter: $range, dataFilter: $data)",
        "{ granularity errors { timeSpan auth targetConnectivity throttled other } }",
    ),
    "getErrorsDetails": (
        "(timeFilter: $range, errorsDetailsFilter: {paginationFilter: {limit: 10000}}, dataFilter: $data)",
        "{ usage { apiId timeSpan applicationId applicationName applicationOwner reason count } pagination { total } }",
    ),
    "getProxyTargetErrorsOverTime": (
        "(timeFilter: $range, dataFilter: $data)",
        "{ timeSpan proxy { _4xx _5xx total } target { _4xx _5xx total } }",
    ),
    "getErrorsByStatusCode": (
        "(timeFilter: $range, errorCountByStatusCodeFilter: {errorType: TARGET, paginationFilter: {limit: 50}},"
        " dataFilter: $data)",
        "{ errors { apiId errorCountByCode { statusCode count } } pagination { total limit offset sortBy sortOrder } }",
    ),
    "getTotalErrorsByAPI": ("(filter: $range, dataFilter: $data, apiId: $api)", "{ proxy }"),
    "getAPIUsageOverTime": (
        "(timeFilter: $range, dataFilter: $data)",
        "{ apiId granularity usage { timeSpan count } }",
    ),
    "getAPIUsageByAppOverTime": (
        "(timeFilter: $range, dataFilter: $data)",
        "{ granularity usage { applicationId applicationName applicationOwner usage { timeSpan count } } }",
    ),
    "getAPIUsageByBackendOverTime": (
        "(timeFilter: $range, dataFilter: $data)",
        "{ granularity usage { backend usage { timeSpan count } } }",
    ),
    "getResourceUsage": (
        "(timeFilter: $range, resourceUsageFilter: {paginationFilter: {limit: 500}}, dataFilter: $data)",
        "{ usage { apiId apiResourceTemplate apiMethod count } pagination { total limit offset sortBy sortOrder } }",
    ),
    "getTotalTrafficByAPI": ("(filter: $range, dataFilter: $data, apiId: $api)", ""),
    "topSlowestAPIs": ("(filter: $range, dataFilter: $data, limit: 10)", "{ apiId latency }"),
    "getLatency": (
        '(timeFilter: $range, latencyFilter: {apiId: $apiName, granularity: "1d"}, dataFilter: $data)',
        "{ granularity summary { timeSpan response backend requestMediation responseMediation"
        " responseMedian backendMedian requestMediationMedian responseMediationMedian } }",
    ),
    "getOverallLatencyByAPI": ("(filter: $range, dataFilter: $data, apiId: $api)", "{ response }"),
    "getCacheHitsAndMisses": (
        "(timeFilter: $range, dataFilter: $data)",
        "{ granularity summary { timeSpan hits misses hitPercentage } }",
    ),
    "getTopPlatforms": ("(timeFilter: $range, dataFilter: $data)", "{ platform count }"),
    "getTopUserAgents": ("(timeFilter: $range, dataFilter: $data)", "{ userAgent count }"),
    "getAPIUsageByGeoLocation": ("(timeFilter: $range, dataFilter: $onPrem)", "{ country count }"),
    "getAPIsUsageByApplications": (
        "(timeFilter: $range, dataFilter: $data)",
        "{ apiId applicationId applicationName applicationOwner count }",
    ),
    "getTopAPIsByAlertCount": (
        "(timeFilter: $range, dataFilter: $data)",
        "{ usage { apiId count } pagination { total limit offset sortBy sortOrder } }",
    ),
    "getAlertSummary": (
        "(timeFilter: $range, dataFilter: $data)",
        "{ usage { apiId timestamp category metric severity message } pagination { total } }",
    ),
    "getSuccessAPIsUsageByApplications": (
        "(timeFilter: $range)",
        "{ apiId apiName apiVersion apiCreatorTenantDomain applicationId applicationName applicationOwner count }",
    ),
    "getSuccessAPIsUsageByApplicationsWithOnPremKey": (
        "(onPremKey: $onPremKey, timeFilter: $range)",
        "{ apiId apiName apiVersion apiCreatorTenantDomain applicationId applicationName applicationOwner count }",
    ),
    "getCustomReportOvertime": (
        "(dataFilter: $data, timeFilter: $range, metric: HIT_COUNT, groupByFields: [API_METHOD],"
        ' groupByValues: ["POST"], granularity: "1h")',
        "{ granularity usage { timeSpan value } }",
    ),
    "getCustomReportTopOvertime": (
        "(dataFilter: $data, timeFilter: $range, metric: TARGET_ERRORS, groupByFields: [API_METHOD, API_NAME],"
        ' groupByValues: ["GET"], granularity: "1h")',
        "{ granularity usage { groupByValue usage { timeSpan value } } }",
    ),
    "getGroupByValues": ("(dataFilter: $data, groupByFields: [API_METHOD, PLATFORM], groupByValues: [])", ""),
}
TYPES = {
    "org": "OrgFilter!",
    "tenant": "TenantDataFilter!",
    "data": "DataFilter!",
    "onPrem": "DataFilter!",
    "range": "TimeFilter!",
    "api": "ID!",
    "apiName": "String!",
    "onPremKey": "String!",
}


def document(operation: str) -> str:
    """The document that asks one operation, with the variables that it uses."""
    arguments, selection = OPERATIONS[operation]
    used = [f"${name}: {TYPES[name]}" for name in sorted(set(re.findall(r"\$(\w+)", arguments)))]
    head = f"query ({', '.join(used)})" if used else "query"
    return f"{head} {{ answer: {operation}{arguments} {selection} }}"


class Caller:
    """A client of one simulator with a token, and the variables that its operations need."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.organization = simulator.model.organizations[0]
        self.environment = self.organization.environment("Production")
        self.on_premises = self.organization.environment("On-Premises")
        self.api = self.organization.apis()[0]
        self.client = http_client()
        self.authorization = "Bearer " + self.token()
        self.variables: dict[str, Any] = {
            "org": {"orgId": self.organization.uuid},
            "tenant": {"orgId": self.organization.uuid, "envId": self.environment.id},
            "data": {"orgId": self.organization.uuid, "environmentId": self.environment.id, "tenant": TENANT},
            "onPrem": {"orgId": self.organization.uuid, "environmentIds": [self.on_premises.id], "tenant": TENANT},
            "range": RANGE,
            "api": self.api.id,
            "apiName": self.api.id,
            "onPremKey": simulator.settings.on_prem_key,
        }

    def token(self) -> str:
        """An access token for the first organization."""
        fields = {"grant_type": "client_credentials", "orgHandle": "acme", "scope": "apim:api_manage"}
        answer = self.client.post(self.simulator.token_url, data=fields, auth=("demo-key", "demo-secret"))
        return str(answer.json()["access_token"])

    def ask(self, text: str, authorization: str | None = None, **variables: Any) -> dict[str, Any]:
        """The whole GraphQL answer to a document."""
        body = {"query": text, "variables": {**self.variables, **variables}}
        headers = {"Authorization": authorization or self.authorization}
        found: dict[str, Any] = self.client.post(self.simulator.url, json=body, headers=headers).json()
        return found

    def answer(self, operation: str, authorization: str | None = None, **variables: Any) -> dict[str, Any]:
        """The whole GraphQL answer of an operation."""
        return self.ask(document(operation), authorization, **variables)

    def data(self, operation: str, **variables: Any) -> Any:
        """What an operation answers; fails the test if it answers with errors."""
        found = self.answer(operation, **variables)
        assert "errors" not in found, found["errors"]
        return found["data"]["answer"]


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    settings = Settings(rate=0.5, error_share=0.2, apis=12, alerts_per_day=200)
    with Simulator(settings, now=NOW.timestamp) as simulator:
        caller = Caller(simulator)
        yield caller
        caller.client.close()


@pytest.fixture(scope="module")
def requests(caller: Caller) -> list[Request]:
    """The single requests of the range, environment and tenant that most operations are asked about."""
    return list(caller.simulator.model.requests(caller.environment.id, TENANT, START, END))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_answers(caller: Caller, operation: str) -> None:
    """Each of the 38 operations answers with data: 36 to an access token alone, 2 with the on-premise key."""
    needs_key = operation == "getSuccessAPIsUsageByApplications"
    found = caller.answer(operation, caller.simulator.settings.on_prem_key if needs_key else None)
    assert "errors" not in found
    assert found["data"]["answer"]


def test_the_list_of_operations_is_complete() -> None:
    """No operation of the published schema is left out."""
    assert OPERATIONS.keys() == RESOLVERS.keys()
    assert len(RESOLVERS) == 38


def test_totals(caller: Caller, requests: list[Request]) -> None:
    """Traffic and errors are the counts of single requests; successes and errors make up the traffic."""
    assert caller.data("getTotalTraffic") == len(requests)
    errors = sum(r.error_side in ("proxy", "target") for r in requests)
    assert 0 < errors < len(requests)
    assert caller.data("getTotalErrors") == errors
    successes = caller.data("getSuccessSummary")["summary"]
    assert sum(row["requestCount"] for row in successes) == len(requests) - errors
    assert sum(row["errorCount"] for row in caller.data("getErrorSummary")["summary"]) == errors


def test_figures_of_one_api(caller: Caller, requests: list[Request]) -> None:
    """The figures of an API count its own requests alone."""
    own = [r for r in requests if r.api.id == caller.api.id]
    assert caller.data("getTotalTrafficByAPI") == len(own)
    assert caller.data("getTotalErrorsByAPI") == {"proxy": sum(r.error_side == "proxy" for r in own)}
    assert caller.data("getOverallLatencyByAPI") == {"response": percentile([r.response_ms for r in own], 95)}


def test_an_optional_time_filter_means_the_last_day(caller: Caller) -> None:
    """Without a time filter the operations for one API answer for the 24 hours before now."""
    counted = caller.simulator.model.requests(caller.environment.id, TENANT, NOW - timedelta(days=1), NOW, NOW)
    own = sum(r.api.id == caller.api.id for r in counted)
    text = "query ($data: DataFilter!, $api: ID!) { getTotalTrafficByAPI(dataFilter: $data, apiId: $api) }"
    assert caller.ask(text)["data"] == {"getTotalTrafficByAPI": own}


def test_latencies(caller: Caller, requests: list[Request]) -> None:
    """Latencies are nearest-rank percentiles of single requests; hops that were not reached took no time."""
    assert caller.data("getOverallLatency") == percentile([r.response_ms for r in requests], 95)
    own = [r for r in requests if r.api.id == caller.api.id]
    (row,) = caller.data("getLatency")["summary"]
    backend = [r.backend_ms or 0 for r in own]
    assert row["response"] == percentile([r.response_ms for r in own], 95)
    assert row["responseMedian"] == percentile([r.response_ms for r in own], 50)
    assert row["backend"] == percentile(backend, 95)
    assert row["backendMedian"] == percentile(backend, 50)
    assert row["requestMediation"] == percentile([r.request_mediation_ms for r in own], 95)
    slowest = caller.data("topSlowestAPIs")
    by_api = {row["apiId"]: row["latency"] for row in slowest}
    assert len(slowest) == 10
    assert by_api.get(caller.api.id, row["response"]) == row["response"]
    assert [row["latency"] for row in slowest] == sorted(by_api.values(), reverse=True)


@pytest.mark.parametrize(("granularity", "hours"), [("1m", 1), ("15m", 4), ("1h", 24), ("1d", 72), ("7d", 168)])
def test_no_hop_takes_longer_than_the_whole(caller: Caller, granularity: str, hours: int) -> None:
    """Whoever stacks the hops of any API below its response, in windows of any length, sees them fit: each percentile
    of a hop is at most that of the response, and that of the backend is below it."""
    text = (
        "query ($data: DataFilter!, $range: TimeFilter!, $latency: LatencyFilter!) {"
        " getLatency(timeFilter: $range, latencyFilter: $latency, dataFilter: $data) { summary {"
        " response backend requestMediation responseMediation"
        " responseMedian backendMedian requestMediationMedian responseMediationMedian } } }"
    )
    asked = {"from": (END - timedelta(hours=hours)).isoformat(), "to": END.isoformat()}
    for api in caller.organization.apis():
        answer = caller.ask(text, range=asked, latency={"apiId": api.id, "granularity": granularity})
        found = answer["data"]["getLatency"]["summary"]
        assert found
        for row in found:
            for percentile_ in ("", "Median"):
                whole = row[f"response{percentile_}"]
                assert row[f"backend{percentile_}"] < whole, (api.name, row)
                assert row[f"requestMediation{percentile_}"] <= whole, (api.name, row)
                assert row[f"responseMediation{percentile_}"] <= whole, (api.name, row)


def test_latency_buckets(caller: Caller, requests: list[Request]) -> None:
    """A bucket's latency is the percentile of the requests that were made in it."""
    found = caller.data("getLatencySummary")
    assert found["granularity"] == "15m"
    first = START + timedelta(minutes=15)
    in_first = [r.response_ms for r in requests if r.time < first.timestamp()]
    assert found["summary"][0] == {
        "timeSpan": "2026-03-18T07:00:00.0000000+00:00",
        "latencyTime": percentile(in_first, 95),
    }


def test_categories_and_sides_are_the_same_errors(caller: Caller, requests: list[Request]) -> None:
    """By category, by side and class, by code, or in detail: it is the same errors each time."""
    errors = [r for r in requests if r.failed]
    categories = Counter(r.category for r in errors)
    rows = caller.data("getErrorsByCategory")["errors"]
    assert {c: sum(row[c] for row in rows) for c in ("auth", "targetConnectivity", "throttled", "other")} == {
        "auth": categories["AUTH"],
        "targetConnectivity": categories["TARGET_CONNECTIVITY"],
        "throttled": categories["THROTTLED"],
        "other": categories["OTHER"],
    }
    sides = caller.data("getProxyTargetErrorsOverTime")
    assert sum(row["proxy"]["total"] for row in sides) == sum(r.error_side == "proxy" for r in errors)
    proxy_4xx = sum(r.error_side == "proxy" and 400 <= r.status_code <= 499 for r in errors)
    assert sum(row["proxy"]["_4xx"] for row in sides) == proxy_4xx
    target_5xx = sum((r.target_status_code or 0) >= 500 and r.error_side == "target" for r in errors)
    assert sum(row["target"]["_5xx"] for row in sides) == target_5xx
    details = caller.data("getErrorsDetails")
    assert sum(row["count"] for row in details["usage"]) == len(errors)
    assert details["pagination"]["total"] == len(details["usage"])


def test_status_codes(caller: Caller, requests: list[Request]) -> None:
    """The heat map of an API and a code counts that API's errors with that code."""
    found = caller.data("getErrorsByStatusCode")
    own = Counter((r.api.id, r.target_status_code) for r in requests if r.error_side == "target")
    assert own == {
        (row["apiId"], int(cell["statusCode"])): cell["count"]
        for row in found["errors"]
        for cell in row["errorCountByCode"]
    }
    assert found["pagination"]["sortOrder"] == "desc"


def test_usage(caller: Caller, requests: list[Request]) -> None:
    """Usage by API, application, backend and resource each adds up to all requests."""
    by_api = {row["apiId"]: sum(u["count"] for u in row["usage"]) for row in caller.data("getAPIUsageOverTime")}
    assert by_api == Counter(r.api.id for r in requests)
    apps = caller.data("getAPIUsageByAppOverTime")["usage"]
    by_app = {row["applicationId"]: sum(u["count"] for u in row["usage"]) for row in apps}
    assert by_app == Counter(r.application.id for r in requests)
    backends = caller.data("getAPIUsageByBackendOverTime")["usage"]
    by_backend = {row["backend"]: sum(u["count"] for u in row["usage"]) for row in backends}
    assert by_backend == Counter(r.backend for r in requests)
    resources = caller.data("getResourceUsage")["usage"]
    by_resource = {(row["apiId"], row["apiResourceTemplate"], row["apiMethod"]): row["count"] for row in resources}
    assert by_resource == Counter((r.api.id, r.resource, r.method) for r in requests)
    pairs = {(row["apiId"], row["applicationId"]): row["count"] for row in caller.data("getAPIsUsageByApplications")}
    assert pairs == Counter((r.api.id, r.application.id) for r in requests)


def test_devices(caller: Caller, requests: list[Request]) -> None:
    """Devices are the nine largest and the rest under "Other"."""
    agents = Counter(r.user_agent for r in requests)
    largest = sorted(agents.values(), reverse=True)
    found = caller.data("getTopUserAgents")
    assert [row["count"] for row in found] == [*largest[:9], sum(largest[9:])]
    assert found[-1]["userAgent"] == "Other"
    platforms = Counter(r.platform for r in requests)
    assert all(platforms[row["platform"]] == row["count"] for row in caller.data("getTopPlatforms")[:9])


def test_countries_of_on_premise_environments(caller: Caller) -> None:
    """Countries are known for on-premise environments; for others the operation says that they are not."""
    counted = caller.simulator.model.requests(caller.on_premises.id, TENANT, START, END)
    found = {row["country"]: row["count"] for row in caller.data("getAPIUsageByGeoLocation")}
    assert found == Counter(r.country for r in counted)
    refused = caller.answer("getAPIUsageByGeoLocation", onPrem=caller.variables["data"])
    assert "on-premise" in refused["errors"][0]["message"]
    assert refused["errors"][0]["path"] == ["answer"]
    assert refused["data"] == {"answer": None}


def test_cache(caller: Caller, requests: list[Request]) -> None:
    """Hits and misses are those of single requests, and the percentage is theirs."""
    rows = caller.data("getCacheHitsAndMisses")["summary"]
    hits, misses = (sum(r.cache == kind for r in requests) for kind in ("hit", "miss"))
    assert hits > 0
    assert misses > 0
    assert (sum(row["hits"] for row in rows), sum(row["misses"] for row in rows)) == (hits, misses)
    assert all(row["hitPercentage"] == 100 * row["hits"] / (row["hits"] + row["misses"]) for row in rows)


def test_on_premise_key(caller: Caller) -> None:
    """Successes of on-premise environments, all tenants, for the key's holder only."""
    own = Counter(
        (r.api.id, r.application.id)
        for tenant in caller.organization.tenants
        for r in caller.simulator.model.requests(caller.on_premises.id, tenant, START, END)
        if not r.failed
    )
    by_argument = caller.data("getSuccessAPIsUsageByApplicationsWithOnPremKey")
    assert {(row["apiId"], row["applicationId"]): row["count"] for row in by_argument} == own
    key = caller.simulator.settings.on_prem_key
    by_header = caller.answer("getSuccessAPIsUsageByApplications", f"Bearer {key}")["data"]["answer"]
    assert by_header == by_argument
    assert "errors" in caller.answer("getSuccessAPIsUsageByApplications")
    assert "errors" in caller.answer("getSuccessAPIsUsageByApplicationsWithOnPremKey", onPremKey="wrong")
    with_project = {**caller.variables["onPrem"], "projectId": caller.organization.project_ids[0]}
    assert "errors" in caller.answer("getAPIUsageByGeoLocation", key, onPrem=with_project)


def test_reports(caller: Caller, requests: list[Request]) -> None:
    """Custom reports count the requests with the values that were given."""
    report = caller.data("getCustomReportOvertime")["usage"]
    assert sum(row["value"] for row in report) == sum(r.method == "POST" for r in requests)
    gets = [r for r in requests if r.method == "GET"]
    for row in caller.data("getCustomReportTopOvertime")["usage"]:
        own = sum(r.error_side == "target" and r.api.name == row["groupByValue"] for r in gets)
        assert sum(u["value"] for u in row["usage"]) == own
    methods, platforms = caller.data("getGroupByValues")
    assert {"GET", "POST"} <= set(methods)
    assert "Windows" in platforms


def test_alerts(caller: Caller) -> None:
    """The alerts of a range, oldest first, and the APIs that have most of them."""
    long = {"from": (NOW - timedelta(days=30)).isoformat(), "to": NOW.isoformat()}
    summary = caller.data("getAlertSummary", range=long)
    top = caller.data("getTopAPIsByAlertCount", range=long)
    alerts = caller.simulator.model.alerts.between(
        caller.environment.id, TENANT, 0, int(NOW.timestamp() * 1000), int(NOW.timestamp() * 1000)
    )
    assert summary["pagination"]["total"] == len(alerts)
    assert len(summary["usage"]) == 5
    assert min(a.time_ms for a in alerts) >= (NOW - timedelta(days=7)).timestamp() * 1000
    counts = sorted(Counter(a.api.id for a in alerts).values(), reverse=True)
    assert [row["count"] for row in top["usage"]] == counts[:5]


def test_another_offset_of_the_filter(caller: Caller) -> None:
    """Days begin at the midnight of the filter's offset, and the answer is written in it."""
    local = timezone(timedelta(hours=5, minutes=30))
    start = datetime(2026, 3, 15, tzinfo=local)
    wanted = {"from": start.isoformat(timespec="milliseconds"), "to": (start + timedelta(days=2)).isoformat()}
    rows = caller.data("getProxyTargetErrorsOverTime", range=wanted)
    assert rows[0]["timeSpan"] == "2026-03-15T00:00:00.0000000+05:30"
    found = caller.ask(
        "query ($range: TimeFilter!, $data: DataFilter!) { getSuccessSummary(filter: $range, dataFilter: $data,"
        ' granularity: "1d") { summary { timeSpan requestCount } } }',
        range=wanted,
    )
    days = [start, start + timedelta(days=1)]
    assert found["data"]["getSuccessSummary"]["summary"] == [
        {
            "timeSpan": day.strftime("%Y-%m-%dT00:00:00.0000000+05:30"),
            "requestCount": sum(
                not r.failed
                for r in caller.simulator.model.requests(caller.environment.id, TENANT, day, day + timedelta(days=1))
            ),
        }
        for day in days
    ]


def test_organizations_do_not_mix(caller: Caller) -> None:
    """Another organization's data is an empty list or an error for this token, though its environments are alike."""
    other = caller.simulator.model.organization("globex")
    assert {e.name for e in other.environments} <= {e.name for e in caller.organization.environments}
    foreign = {"orgId": other.uuid, "environmentId": other.environments[0].id, "tenant": TENANT}
    assert caller.data("listEnvironments", org={"orgId": other.uuid}) == []
    assert caller.data("listAllAPI", data=foreign) == []
    assert "errors" in caller.answer("getTotalTraffic", data=foreign)
    mixed = {"orgId": caller.organization.uuid, "environmentId": other.environments[0].id, "tenant": TENANT}
    assert "errors" in caller.answer("getTotalTraffic", data=mixed)
    assert [o["handle"] for o in caller.data("listOrganizations")] == ["acme"]


def test_several_environments_and_a_project(caller: Caller) -> None:
    """Several environments add up; a project narrows to its own APIs."""
    ids = [caller.environment.id, caller.on_premises.id]
    both = {"orgId": caller.organization.uuid, "environmentIds": ids, "tenant": TENANT}
    counted = [r for i in ids for r in caller.simulator.model.requests(i, TENANT, START, END)]
    assert caller.data("getTotalTraffic", data=both) == len(counted)
    project = caller.organization.project_ids[0]
    own = sum(r.api.project_id == project for r in counted)
    assert 0 < own < len(counted)
    assert caller.data("getTotalTraffic", data={**both, "projectId": project}) == own


def test_search(caller: Caller, requests: list[Request]) -> None:
    """A search narrows rows by text, and to APIs if they are named; APIs without a text are refused."""
    text = (
        "query ($range: TimeFilter!, $data: DataFilter!, $search: SearchFilter) { getResourceUsage(timeFilter: $range,"
        " dataFilter: $data, resourceUsageFilter: {searchFilter: $search, paginationFilter: {limit: 500}})"
        " { usage { count } } }"
    )

    def found(**search: Any) -> int:
        return sum(row["count"] for row in caller.ask(text, search=search)["data"]["getResourceUsage"]["usage"])

    assert found(searchText="/items") == sum("/items" in r.resource for r in requests) > 0
    own = sum("{id}" in r.resource and r.api.id == caller.api.id for r in requests)
    assert found(searchText="{ID}", apiIds=[caller.api.id]) == own > 0
    refused = caller.ask(text, search={"searchText": " ", "apiIds": [caller.api.id]})
    assert "searchText" in refused["errors"][0]["message"]
