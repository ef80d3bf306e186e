"""When polls are made, judged by the upstream's journal."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from exporter.polling.polling import Polling
from exporter.simulator import Settings, Simulator
from exporter.telemetry.reporter import Reporter
from exporter.upstream.gate import Gate
from exporter.upstream.rate_limit import FairPlaces
from tests.conftest import StartExporter, StartInsights
from tests.support.configurations import APIS, ENVIRONMENTS, choreo_source, fan_out
from tests.support.plans import planned
from tests.support.processes import Exporter, eventually
from tests.support.upstream import Behaviour, Call, Upstream, after, answer, grants, reply, status
from tests.support.wiring import until


def polls(insights: Simulator, field: str) -> list[float]:
    """When a root field was asked for, in Unix seconds."""
    return [entry.time for entry in insights.journal.entries("graphql") if field in entry.operations]


def test_a_source_is_left_alone_for_as_long_as_it_asks(
    start_insights: StartInsights, start_exporter: StartExporter
) -> None:
    """After a 429 with Retry-After no request is made until the time is over; a metric shows the wait."""
    insights = start_insights(Settings(delay_seconds=0, limit=3))
    exporter = start_exporter(insights, ENVIRONMENTS.replace("interval: 1s", "interval: 200ms")).wait_until_ready()
    eventually(
        lambda: exporter.value("insights_exporter_poll_failures_total", reason="http_429") == 1, "refusal by the limit"
    )
    refused_at = next(entry.time for entry in insights.journal.entries("graphql") if entry.status == 429)
    wait = exporter.value("insights_exporter_upstream_backoff_seconds", source="acme")
    assert wait is not None
    assert wait > 5
    polled = exporter.value("insights_exporter_web_requests_total", code="200") or 0
    eventually(
        lambda: (exporter.value("insights_exporter_web_requests_total", code="200") or 0) > polled + 20,
        "twenty scrapes",
    )
    assert not [at for at in polls(insights, "listEnvironments") if at > refused_at]


def test_a_slow_upstream_is_never_asked_twice_at_once(
    start_insights: StartInsights, start_exporter: StartExporter
) -> None:
    """A poll that takes a good part of its interval does not overlap with the next."""
    insights = start_insights(Settings(delay_seconds=0, latency_seconds=1))
    exporter = start_exporter(insights, ENVIRONMENTS.replace("interval: 1s", "interval: 4s")).wait_until_ready()
    eventually(lambda: len(polls(insights, "listEnvironments")) >= 3, "three polls")
    assert insights.journal.max_in_flight("graphql") == 1
    assert exporter.value("insights_exporter_poll_failures_total") is None


def test_ticks_that_passed_are_skipped_and_counted(insights: Simulator, start_exporter: StartExporter) -> None:
    """While the API hangs, the ticks of a poll that waits are counted as missed, not made up for."""
    queries = ENVIRONMENTS.replace("interval: 1s", "interval: 300ms")
    exporter = start_exporter(insights, queries).wait_until_ready()
    eventually(lambda: polls(insights, "listEnvironments"), "first poll")
    exporter.popen.send_signal(signal.SIGSTOP)
    at = len(polls(insights, "listEnvironments"))
    eventually(lambda: exporter.popen.poll() is None and _slept(insights), "a while")
    exporter.popen.send_signal(signal.SIGCONT)
    eventually(lambda: (exporter.value("insights_exporter_poll_overruns_total") or 0) >= 2, "missed ticks")
    eventually(lambda: len(polls(insights, "listEnvironments")) > at, "next poll")


def _slept(insights: Simulator) -> bool:
    times = polls(insights, "listEnvironments")
    return insights.now() - times[-1] > 1.2


def test_no_more_polls_at_once_than_the_source_allows(
    start_insights: StartInsights, start_exporter: StartExporter
) -> None:
    """`concurrency` bounds the requests under way, also in the first round of a fan-out."""
    insights = start_insights(Settings(delay_seconds=0, latency_seconds=0.5))
    source = choreo_source("concurrency: 3")
    exporter = start_exporter(insights, fan_out(12, "1m"), source=source).wait_until_ready()
    assert exporter.value("environments") == 12
    assert insights.journal.max_in_flight("graphql") == 3


def test_a_wide_query_does_not_starve_a_narrow_one(insights: Simulator, start_exporter: StartExporter) -> None:
    """Under a rate limit, a query with one target is polled in turn with one that has hundreds of calls waiting."""
    source = choreo_source("rate_limit: {requests: 4, per: 1s}")
    exporter = start_exporter(insights, fan_out(300, "2m") + ENVIRONMENTS, source=source)

    def polled(query: str) -> float:
        return exporter.value("insights_exporter_polls_total", query=query) or 0

    eventually(lambda: polled("environments") >= 5, "five polls of the narrow query")
    assert polled("many") < 100


def test_more_calls_than_the_rate_limit_allows_are_said_once(
    insights: Simulator, start_exporter: StartExporter
) -> None:
    """A metric shows by how much the polls pass the limit, and one log line names the dearest queries."""
    source = choreo_source("rate_limit: {requests: 1, per: 1s}")
    queries = ENVIRONMENTS + APIS.replace("interval: 1s", "interval: 10s") + fan_out(20, "1m")
    exporter = start_exporter(insights, queries, source=source)

    def ratio() -> float:
        return exporter.value("insights_exporter_rate_limit_demand_ratio", source="acme") or 0

    environments = len(insights.model.organizations[0].environments)
    eventually(lambda: round(ratio(), 3) == round((60 + 6 * environments + 20) / 60, 3), "the ratio of the demand")
    lines = [line for line in exporter.log.splitlines() if "rate_limit allows" in line]
    assert len(lines) == 1
    assert 'dearest="environments 60, many 20' in lines[0]
    assert "allowed_per_minute=60" in lines[0]


class CountedTurns(FairPlaces):
    """Places that are counted as they are given."""

    given = 0

    @asynccontextmanager
    async def take(self, query: str) -> AsyncIterator[None]:
        async with super().take(query):
            self.given += 1
            yield


@pytest.mark.parametrize("pack", ["", "pack: 3"], ids=["one by one", "in packs"])
def test_a_place_of_the_source_is_taken_only_to_poll(pack: str) -> None:
    """A target that is not due does not queue for a place, so every place that is given is one request."""
    queries = f"""
        - name: many
          interval: 500ms
          {pack}
          for_each: {{n: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}
          document: "query Many($n: Int) {{ value(n: $n) }}"
          variables: {{n: "{{{{ n }}}}"}}
          labels: {{n: "{{{{ n }}}}"}}
          metrics: [{{name: value, help: Values., value: value}}]
    """
    turns = CountedTurns(1)

    async def run(upstream: Upstream) -> None:
        source = f'sources: [{{name: acme, url: "{upstream.api_url}"}}]\n'
        polling = Polling(planned(queries, source), Reporter())
        polling.lanes.gates["acme"] = Gate(turns)
        task = asyncio.create_task(polling.run())
        await until(lambda: len(upstream.api.journal) >= 40)
        task.cancel()
        await asyncio.wait({task})
        await polling.close()

    with Upstream() as upstream:
        names = [f"r{number}" for number in range(9)]
        upstream.api.always(answer({"data": dict.fromkeys(["value", *names], 1)}))
        asyncio.run(run(upstream))
        assert turns.given - len(upstream.api.journal) in (0, 1)  # the last may have been given up before it was sent


def test_the_rate_limit_holds_where_the_access_token_is_late(tmp_path: Path) -> None:
    """Requests that wait for it are not sent together when it comes."""
    config = tmp_path / "config.yaml"
    with Upstream() as upstream:
        upstream.token.always(grants(delay_seconds=3))
        config.write_text(f"""
sources:
  - name: acme
    url: {upstream.api_url}
    rate_limit: {{requests: 1, per: 1s}}
    oauth2: {{token_url: {upstream.token_url}, client_id: a, client_secret: not-a-secret}}
queries:
  - name: many
    for_each: {{n: [1, 2, 3, 4, 5, 6]}}
    document: "query ($n: Int) {{ value(n: $n) }}"
    variables: {{n: "{{{{ n }}}}"}}
    labels: {{n: "{{{{ n }}}}"}}
    metrics: [{{name: value, help: Values., value: value}}]
""")
        with Exporter(config, tmp_path / "exporter.log"):
            times = [request.at for request in upstream.api.wait_for(6)]
    assert times[5] - times[0] > 3  # and 5, where the machine is not busy


def test_later_rounds_are_spread_over_the_interval(insights: Simulator, start_exporter: StartExporter) -> None:
    """After the first round the calls of a fan-out come spread over the interval, not in a burst."""
    start_exporter(insights, fan_out(40, "4s")).wait_until_ready()

    def spread() -> bool:
        """Whether the latest forty calls are; they would be in no round if each came in a burst."""
        later = polls(insights, "listEnvironments")[45:][-40:]
        fullest = max((sum(at <= other < at + 0.4 for other in later) for at in later), default=0)
        return len(later) == 40 and later[-1] - later[0] > 2 and fullest < 16

    eventually(spread, "round that is spread")  # not the first: a busy machine can hold up one


COUNTER = """
queries:
  - name: counted
    interval: 3s
    window: {length: 1s, delay: 0s, align: 100ms}
    period: 10s
    document: "query ($start: String!, $end: String!) { total(from: $start, to: $end) }"
    variables: {start: "{{ period.start }}", end: "{{ window.end }}"}
    metrics:
      - {name: counted_total, type: counter, help: Counted., value: total}
"""


def test_a_full_total_that_comes_late_stands_for_an_interval(tmp_path: Path) -> None:
    """A poll for the end of a period that takes most of its interval is not replaced at once by the next poll, or
    scrapes that are as frequent as polls would miss the full total."""
    answered: list[tuple[float, datetime]] = []  # a monotonic time, and the end that was asked for
    began: list[float] = []

    def end_of(call: Call) -> datetime:
        return datetime.fromisoformat(call.request.json["variables"]["end"])

    async def noted(call: Call) -> None:
        end = end_of(call)
        answered.append((time.monotonic(), end))
        await answer({"data": {"total": int(end.timestamp() % 10 * 10)}})(call)

    async def slow_at_the_end_of_a_period(call: Call) -> None:
        began.append(time.monotonic())
        await (after(1.7, noted) if end_of(call).timestamp() % 10 == 0 else noted)(call)

    config = tmp_path / "config.yaml"
    with Upstream() as upstream:
        upstream.api.always(slow_at_the_end_of_a_period)
        config.write_text(f"sources: [{{name: acme, url: {upstream.api_url}}}]{COUNTER}")
        with Exporter(config, tmp_path / "exporter.log") as exporter:
            eventually(
                lambda: sum(end.timestamp() % 10 == 0 for _, end in answered[:-1]) >= 2, "ends of two periods", 60
            )
            assert exporter.value("insights_exporter_poll_failures_total") is None
    for number, (at, end) in enumerate(answered[:-1]):
        if end.timestamp() % 10 == 0:
            assert began[number + 1] - at >= 3


def test_chained_targets_follow_their_rows(insights: Simulator, start_exporter: StartExporter) -> None:
    """Queries chained over three levels reach the innermost rows, with the outer rows' fields in reach."""
    tenants = """
  - name: tenants
    interval: 1s
    for_each: {environment: environments}
    document: "query ($of: TenantDataFilter!) { listTenants(tenantDataFilter: $of) }"
    variables: {of: {orgId: "{{ source.org_id }}", envId: "{{ environment.id }}"}}
    rows: listTenants
  - name: applications
    interval: 1s
    for_each: {tenant: tenants}
    document: "query ($data: DataFilter!) { listApplications(dataFilter: $data) { id name } }"
    variables:
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ tenant.environment.id }}", tenant: "{{ tenant }}"}
    rows: listApplications
    labels: {environment: "{{ tenant.environment.name }}", tenant: "{{ tenant }}"}
    metrics:
      - {name: choreo_application_info, help: Applications., labels: {application_id: id, application: name}, value: 1}
"""
    exporter = start_exporter(insights, ENVIRONMENTS + APIS + tenants).wait_until_ready()
    organization = insights.model.organizations[0]
    wanted = {
        (environment.name, tenant) for environment in organization.environments for tenant in organization.tenants
    }

    def found() -> set[tuple[str, str]]:
        samples = exporter.samples("choreo_application_info")
        return {(labels["environment"], labels["tenant"]) for labels, _ in samples}

    eventually(lambda: found() and found() <= wanted and len(found()) >= len(organization.environments), "applications")
    eventually(
        lambda: exporter.value("insights_exporter_query_targets", query="applications") == len(wanted), "targets"
    )


def test_a_row_that_vanishes_takes_the_series_of_all_levels_below(
    insights: Simulator, start_exporter: StartExporter
) -> None:
    """The series below a vanished API go at once, however rarely the queries on the way down are polled."""
    first, second = insights.model.organizations[0].apis("carbon.super")[:2]
    below = f"""
  - name: applications
    interval: 1h
    for_each: {{api: {{query: apis, where: {{id: [{first.id}, {second.id}]}}}}}}
    document: "query ($data: DataFilter!) {{ listApplications(dataFilter: $data) {{ id }} }}"
    variables:
      data: {{orgId: "{{{{ source.org_id }}}}", environmentId: "{{{{ api.environment.id }}}}", tenant: carbon.super}}
    rows: listApplications
  - name: pairs
    interval: 1h
    for_each: {{application: applications}}
    pack: 50
    document: "query ($org: OrgFilter!) {{ listEnvironments(org: $org) {{ id }} }}"
    variables: {{org: {{orgId: "{{{{ source.org_id }}}}"}}}}
    labels:
      application: "{{{{ application.id }}}}"
      api: "{{{{ application.api.id }}}}"
      environment: "{{{{ application.api.environment.id }}}}"
    metrics: [{{name: pair, help: Pairs., value: 1, aggregate: max}}]
"""
    exporter = start_exporter(insights, ENVIRONMENTS + APIS + below).wait_until_ready()

    def apis() -> set[str]:
        return {labels["api"] for labels, _ in exporter.samples("pair")}

    eventually(lambda: apis() == {first.id, second.id}, "series of both APIs")
    insights.faults.set(removed_apis=(first.id,))
    eventually(lambda: apis() == {second.id}, "removal of the vanished API's series")


def test_what_is_stale_goes_also_while_the_source_is_left_alone(
    start_insights: StartInsights, start_exporter: StartExporter
) -> None:
    """`stale_after` holds while no poll is made, because the upstream asked to wait for a minute."""
    insights = start_insights(Settings(delay_seconds=0, limit=2))
    queries = ENVIRONMENTS.replace("interval: 1s", "interval: 2s\n    stale_after: 10s")
    exporter = start_exporter(insights, queries).wait_until_ready()
    eventually(lambda: exporter.value("insights_exporter_upstream_backoff_seconds"), "pause")
    assert exporter.samples("choreo_environment_info")
    eventually(lambda: not exporter.samples("choreo_environment_info"), "removal of what is stale")
    assert (exporter.value("insights_exporter_upstream_backoff_seconds") or 0) > 20


FAILURES: dict[str, Behaviour] = {
    "no_answer": after(60.0, status(200)),
    "http_500": status(500),
    "http_503": status(503),
    "http_404": status(404),
    "no_json": reply(b"<p>no</p>", content_type="text/html"),
    "graphql_errors": answer({"errors": [{"message": "no"}]}),
    "another_shape": answer({"data": {"value": "text"}}),
}


def test_an_api_that_fails_is_asked_no_more_often_than_one_that_works() -> None:
    """Whatever fails, and for twenty intervals, an API has no more requests than another gets that works."""
    data = dict.fromkeys(("value", "t0_value", "t1_value", "t2_value"), 1)
    behaviours = {"healthy": answer({"data": data}), **FAILURES}
    packed = "for_each: {n: [1, 2, 3]}\n          pack: 3"
    queries = "".join(
        f"""
        - name: {name}{number}
          sources: [{name}]
          interval: 600ms
          timeout: 400ms
          {packed if number else ""}
          document: "query Q($n: Int) {{ value(n: $n) }}"
          variables: {{n: {'"{{ n }}"' if number else 1}}}
          labels: {{n: {'"{{ n }}"' if number else "{const: one}"}}}
          metrics: [{{name: {name}{number}, help: Values., value: value}}]"""
        for name in behaviours
        for number in (0, 1)
    )

    async def run(upstreams: Mapping[str, Upstream]) -> None:
        sources = (
            f'- {{name: {name}, url: "{upstreams[name].api_url}", labels: {{to: {name}}}}}' for name in upstreams
        )
        polling = Polling(planned(queries, "\n".join(("sources:", *sources, ""))), Reporter())
        task = asyncio.create_task(polling.run())
        await until(lambda: len(upstreams["healthy"].api.journal) >= 2 * 20)
        task.cancel()
        await asyncio.wait({task})
        await polling.close()

    with ExitStack() as stack:
        upstreams = {name: stack.enter_context(Upstream()) for name in behaviours}
        for name, behaviour in behaviours.items():
            upstreams[name].api.always(behaviour)
        asyncio.run(run(upstreams))
        requests = {name: len(upstream.api.journal) for name, upstream in upstreams.items()}
    allowed = requests.pop("healthy")
    # a quarter more is for ticks at other moments, and for those that a busy machine misses
    assert not {name: count for name, count in requests.items() if not allowed / 4 < count <= 1.25 * allowed}, allowed


def test_what_others_wait_for_is_tried_again_soon() -> None:
    """A hiccup at the start does not cost the interval of the query that all others are made from."""
    queries = """
    - name: items
      interval: 32s
      document: "query Items { items { id } }"
      rows: items
    - name: value
      interval: 32s
      for_each: {item: items}
      document: "query Value($id: ID) { value(id: $id) }"
      variables: {id: "{{ item.id }}"}
      labels: {id: "{{ item.id }}"}
      metrics: [{name: value, help: Values., value: value}]
    """

    async def run(upstream: Upstream) -> None:
        polling = Polling(planned(queries, f'sources: [{{name: acme, url: "{upstream.api_url}"}}]\n'), Reporter())
        task = asyncio.create_task(polling.run())
        await until(lambda: len(upstream.api.journal) >= 3)
        task.cancel()
        await asyncio.wait({task})
        await polling.close()

    with Upstream() as upstream:
        upstream.api.once(status(500))
        upstream.api.always(answer({"data": {"items": [{"id": "a"}], "value": 1}}))
        asyncio.run(run(upstream))
        first, again, fed = (request.at for request in upstream.api.journal[:3])
        assert 1.4 < again - first < 8
        assert fed - again < 8
