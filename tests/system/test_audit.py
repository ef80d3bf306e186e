"""The audit: what came too late for the page is told, to the request."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import pytest

from exporter.simulator import Settings, Simulator
from tests.conftest import StartInsights
from tests.daemon.test_reload import reload
from tests.support.configurations import ENVIRONMENTS, choreo_environ, choreo_source
from tests.support.processes import PATIENCE_SECONDS, Exporter, Snapshot, lines_of
from tests.support.standstill import access_token

PERIOD_SECONDS: Final = 10
AFTER_SECONDS: Final = 6
# A fifth of the requests is counted five seconds late: after the end of a period is on the page, before its audit.
LATE: Final = Settings(
    apis=2, applications=1, rate=50, daily_rhythm=False, delay_seconds=0, late_share=0.2, late_by_seconds=5
)
DIFFERENCE: Final = "insights_exporter_audit_difference"
TARGETS: Final = "insights_exporter_audit_targets"
TIMESTAMP: Final = "insights_exporter_audit_timestamp_seconds"
FAILURES: Final = "insights_exporter_audit_failures_total"
COUNTED: Final = f"""
  - name: counted
    interval: 2s
    for_each: {{environment: environments}}
    window: {{length: 5s, delay: 1s, align: 1s}}
    period: {PERIOD_SECONDS}s
    audit: {{after: {AFTER_SECONDS}s}}
    document: |
      query ($period: TimeFilter!, $data: DataFilter!) {{ total: getTotalTraffic(filter: $period, dataFilter: $data) }}
    variables:
      period: {{from: "{{{{ period.start }}}}", to: "{{{{ window.end }}}}"}}
      data: {{orgId: "{{{{ source.org_id }}}}", environmentId: "{{{{ environment.id }}}}", tenant: carbon.super}}
    labels: {{environment_id: "{{{{ environment.id }}}}"}}
    metrics:
      - {{name: choreo_requests_total, type: counter, help: Requests., value: total}}
"""
OTHER: Final = ENVIRONMENTS.replace("name: environments", "name: other").replace("_environment_", "_other_")
_LOOKED_AT: Final = r"(?:choreo_requests_total|insights_exporter_(?:audit|query)_\w+)"
PACKED: Final = COUNTED.replace("    document:", "    pack: 10\n    document:")


@dataclass
class Watched:
    """A running exporter, and the totals that stood on its page at the end of each period, by target."""

    exporter: Exporter
    label: str = "environment_id"
    page: Snapshot = field(default_factory=lambda: Snapshot(""))
    at_end: dict[float, dict[str, float]] = field(default_factory=dict)
    _before: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """Scrapes once. A total that fell was, before, that of the period that has ended."""
        try:
            # Looked at as often as can be: what stands there at the end of a period may be replaced two seconds later.
            self.page = Snapshot(lines_of(_LOOKED_AT, self.exporter.page()))
        except httpx.TransportError:  # it starts, or has been killed
            self._before = {}
            return
        now = {labels[self.label]: value for labels, value in self.page.samples("choreo_requests_total")}
        fallen = {target: value for target, value in self._before.items() if now.get(target, value) < value}
        if fallen:
            self.at_end.setdefault(last_end(), {}).update(fallen)
        self._before = now

    @property
    def audited_end(self) -> float | None:
        """The end of the period that was audited last, unless its calls failed for a whole period."""
        found = self.page.samples(TIMESTAMP, query="counted")
        return (found[0][1] - AFTER_SECONDS) // PERIOD_SECONDS * PERIOD_SECONDS if found else None


def last_end() -> float:
    """The last moment at which a period ended."""
    return time.time() // PERIOD_SECONDS * PERIOD_SECONDS


def watched_until(condition: Callable[[], object], what: str, *watched: Watched) -> None:
    """Looks at all of them again and again until it holds."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        for one in watched:
            one.look()
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"there was no {what}; the log is: {watched[0].exporter.log}")


def watch(stack: ExitStack, folder: Path, insights: Simulator, name: str, queries: str, *flags: str) -> Watched:
    """An exporter of that name on these queries, which starts."""
    config = folder / f"{name}.yaml"
    config.write_text(choreo_source() + queries)
    exporter = Exporter(config, folder / f"{name}.log", *flags, environ=choreo_environ(insights))
    return Watched(stack.enter_context(exporter))


def started(stack: ExitStack, folder: Path, insights: Simulator, name: str, queries: str, *flags: str) -> Watched:
    """The same, ready."""
    watched = watch(stack, folder, insights, name, queries, *flags)
    watched.exporter.wait_until_ready()
    return watched


def settled(insights: Simulator, end: float) -> dict[str, float]:
    """What the API says now of the period that ended then, by environment."""
    organization = insights.model.organizations[0]
    times = {"from": iso(end - PERIOD_SECONDS), "to": iso(end)}
    document = "query ($f: TimeFilter!, $d: DataFilter!) { n: getTotalTraffic(filter: $f, dataFilter: $d) }"
    found = {}
    headers = {"authorization": f"Bearer {access_token(insights)}"}
    with httpx.Client(headers=headers, timeout=PATIENCE_SECONDS) as http:
        for environment in organization.environments:
            data = {"orgId": organization.uuid, "environmentId": environment.id, "tenant": "carbon.super"}
            answer = http.post(insights.url, json={"query": document, "variables": {"f": times, "d": data}})
            found[environment.id] = float(answer.raise_for_status().json()["data"]["n"])
    return found


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def late(at_end: Mapping[str, float], now: Mapping[str, float]) -> float:
    """What the API says now of the targets that were on the page, above what was on the page."""
    return sum(now[target] - value for target, value in at_end.items())


def test_what_came_late_is_told_to_the_request(start_insights: StartInsights, stack: ExitStack, tmp_path: Path) -> None:
    """Over several targets, alone or in packs, in one exporter or in shards: the difference is exactly what the API
    says later of the period, less what the page said at its end. Of the period in which the exporter started nothing
    wrong is said. Packs are audited as packs."""
    insights = start_insights(LATE)
    alone = started(stack, tmp_path, insights, "alone", ENVIRONMENTS + COUNTED)
    packed = started(stack, tmp_path, insights, "packed", ENVIRONMENTS + PACKED)
    shards = [
        started(stack, tmp_path, insights, f"shard{index}", ENVIRONMENTS + COUNTED, f"--shard={index}", "--shards=2")
        for index in range(2)
    ]
    everyone = (alone, packed, *shards)
    ends: set[float | None] = set()

    def all_audited_the_same() -> bool:
        ends.clear()
        ends.update(one.audited_end for one in everyone)
        return len(ends) == 1 and all(ends <= one.at_end.keys() for one in everyone)

    watched_until(all_audited_the_same, "audits of one period", *everyone)
    end = ends.pop()
    assert end is not None
    now = settled(insights, end)
    for one in (alone, packed):
        assert one.at_end[end].keys() == now.keys()
        difference = late(one.at_end[end], now)
        assert one.page.samples(DIFFERENCE) == [
            ({"source": "acme", "query": "counted", "metric": "choreo_requests_total"}, difference)
        ]
        assert difference > 0
        assert one.page.total(f"{DIFFERENCE}_ratio") == difference / sum(one.at_end[end].values())
        assert one.page.total(TARGETS) == len(now)
    for shard in shards:
        assert shard.page.total(DIFFERENCE) == late(shard.at_end[end], now)
    assert {target for shard in shards for target in shard.at_end[end]} == now.keys()
    assert sum(shard.page.total(TARGETS) for shard in shards) == len(now)
    audits = [entry for entry in insights.journal.entries("graphql") if entry.time > end + AFTER_SECONDS]
    of_period = [entry.operations for entry in audits if iso(end - PERIOD_SECONDS)[:19] in str(entry.variables)]
    assert {"getTotalTraffic": len(now)} in of_period


def test_a_restart_is_not_taken_for_late_data_and_a_reload_changes_nothing(
    start_insights: StartInsights, stack: ExitStack, tmp_path: Path
) -> None:
    """Between the end of a period and its audit: who is restarted says nothing of that period, and the truth about the
    next; who loads a configuration in which the query is as before audits as if nothing had been. What a query's audit
    found goes with the query, also while its audit goes on."""
    insights = start_insights(LATE)
    production = next(one for one in insights.model.organizations[0].environments if one.name == "Production").id
    one_target = COUNTED.replace("environments}", "{query: environments, where: {name: Production}}}")
    reloaded = started(stack, tmp_path, insights, "reloaded", ENVIRONMENTS + one_target)
    with ExitStack() as first:
        restarted = started(first, tmp_path, insights, "restarted", ENVIRONMENTS + COUNTED)
        watched_until(lambda: last_end() in restarted.at_end and last_end() in reloaded.at_end, "end of a period",
                      restarted, reloaded)  # fmt: skip
        end = max(restarted.at_end)
        restarted.exporter.popen.kill()
    config = tmp_path / "reloaded.yaml"
    config.write_text(choreo_source() + ENVIRONMENTS + one_target + OTHER)
    reload(reloaded.exporter)
    restarted = watch(stack, tmp_path, insights, "restarted", ENVIRONMENTS + COUNTED)
    watched_until(lambda: reloaded.audited_end == end, "audit after a reload", reloaded, restarted)
    assert reloaded.page.total(DIFFERENCE) == settled(insights, end)[production] - reloaded.at_end[end][production]
    assert restarted.page.samples(DIFFERENCE) == []

    watched_until(lambda: restarted.audited_end is not None, "audit after a restart", reloaded, restarted)
    later = restarted.audited_end
    assert later is not None
    assert later > end
    assert restarted.page.total(DIFFERENCE) == late(restarted.at_end[later], settled(insights, later))

    watched_until(lambda: last_end() > later and last_end() in reloaded.at_end, "end of a period", reloaded)
    insights.faults.set(api="hang")
    watched_until(lambda: reloaded.page.total(FAILURES, query="counted") > 0, "audit that asks again", reloaded)
    config.write_text(choreo_source().replace("name: acme", "name: other") + ENVIRONMENTS)
    reload(reloaded.exporter)
    insights.faults.clear()
    watched_until(lambda: reloaded.page.total("insights_exporter_query_up", source="other") == 1, "polls", reloaded)
    assert reloaded.page.samples(TIMESTAMP) == []


@pytest.mark.long
def test_a_target_that_is_off_does_not_silence_the_others(
    start_insights: StartInsights, stack: ExitStack, tmp_path: Path
) -> None:
    """One of two organizations refuses within a period: the audit tells of the other, and how many were compared; back
    again, both are."""
    insights = start_insights(dataclasses.replace(LATE, sees_all_organizations=True))
    stays, goes = insights.model.organizations
    places = [f"{{organization: {one.uuid}, id: {one.environments[0].id}}}" for one in (stays, goes)]
    queries = COUNTED.replace("environment: environments", f"environment: [{', '.join(places)}]")
    queries = queries.replace("{{ source.org_id }}", "{{ environment.organization }}")
    watched = started(stack, tmp_path, insights, "exporter", queries)
    watched_until(lambda: watched.page.total(TARGETS) == 2, "audit of both", watched)
    insights.faults.set(removed_organizations=(goes.handle,))
    watched_until(lambda: watched.page.total(TARGETS) == 1, "audit of the other", watched)
    end = watched.audited_end
    assert end is not None
    environment = stays.environments[0].id
    assert watched.page.total(DIFFERENCE) == settled(insights, end)[environment] - watched.at_end[end][environment]
    assert watched.page.total("insights_exporter_query_targets") == 2
    insights.faults.clear()
    watched_until(lambda: watched.page.total(TARGETS) == 2, "audit of both again", watched)


@pytest.mark.long
def test_an_audit_that_fails_is_told_and_made_again(
    start_insights: StartInsights, stack: ExitStack, tmp_path: Path
) -> None:
    """An API that is down when a period is to be audited: the failure is counted with its reason and logged once, what
    was found of the period before stays, and the audit is made as soon as the API answers again."""
    insights = start_insights(LATE)
    watched = started(stack, tmp_path, insights, "exporter", ENVIRONMENTS + COUNTED)
    watched_until(lambda: watched.audited_end is not None, "audit", watched)
    before = watched.audited_end
    environments = {one.id for one in insights.model.organizations[0].environments}

    def every_target_ended() -> bool:
        return last_end() != before and watched.at_end.get(last_end(), {}).keys() == environments

    watched_until(every_target_ended, "end of the next period", watched)
    end = last_end()
    insights.faults.set(api="error503")
    watched_until(lambda: watched.page.total(FAILURES) > 0, "failure", watched)
    assert watched.audited_end == before
    insights.faults.clear()
    assert [labels["reason"] for labels, _ in watched.page.samples(FAILURES)] == ["http_5xx"]
    watched_until(lambda: watched.audited_end != before, "audit", watched)
    assert watched.audited_end == end
    assert watched.page.total(DIFFERENCE) == late(watched.at_end[end], settled(insights, end))
    assert watched.page.total(TARGETS) == len(watched.at_end[end])
    assert watched.exporter.log.count("an audit's call failed") <= len(watched.at_end[end])
