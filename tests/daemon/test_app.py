"""The main job over real sockets: poll, publish, keep, drop, stop."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from exporter.simulator import Settings, Simulator
from exporter.simulator.journal import Entry
from tests.conftest import StartExporter, StartInsights
from tests.support.configurations import APIS, ENVIRONMENTS, ROOT, TRAFFIC, choreo_environ, choreo_source, fan_out
from tests.support.processes import PATIENCE_SECONDS, Exporter, Snapshot, eventually, get


def command(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A finished run of the command line."""
    path = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**path, **(environ or {})},
    )


def test_the_page_shows_what_the_organization_did(insights: Simulator, start_exporter: StartExporter) -> None:
    """Environments, traffic, errors and latency are on the page, and equal a count of the single requests."""
    exporter = start_exporter(insights, ENVIRONMENTS + TRAFFIC).wait_until_ready()
    environments = {environment.id: environment.name for environment in insights.model.organizations[0].environments}

    def shown_names() -> set[str]:
        return {labels["environment"] for labels, _ in exporter.samples("choreo_environment_info")}

    eventually(lambda: shown_names() == set(environments.values()), "environments")

    def agrees(environment: str) -> bool:
        page = Snapshot(exporter.page())
        ends = page.samples("insights_exporter_query_window_end_timestamp_seconds", query="traffic")
        shown = page.samples("choreo_window_requests", environment_id=environment)
        if not (ends and shown):
            return False
        seconds = range(int(ends[0][1]), int(insights.now()) + 1)  # from the oldest target's end; ours may be newer
        made = (insights.model.requests(environment, "carbon.super", second - 300, second) for second in seconds)
        return shown[0][1] in {len(list(requests)) for requests in made}

    for environment, name in environments.items():
        eventually(partial(agrees, environment), f"agreement with the model's requests in {name}")


def test_the_first_round_is_made_at_once(insights: Simulator, start_exporter: StartExporter) -> None:
    """A query with a long interval is on the page right after the start."""
    exporter = start_exporter(insights, ENVIRONMENTS.replace("1s", "30d")).wait_until_ready()
    assert exporter.value("insights_exporter_polls_total", query="environments") == 1
    assert exporter.samples("choreo_environment_info")


def test_an_api_in_clear_text_needs_no_authorities(insights: Simulator, stack: ExitStack, tmp_path: Path) -> None:
    """Where no connection is encrypted, the system's certificates are not read: reading these would never end."""
    authorities, config = tmp_path / "authorities.pem", tmp_path / "config.yaml"
    os.mkfifo(authorities)
    config.write_text(choreo_source() + ENVIRONMENTS)
    environ = {**choreo_environ(insights), "SSL_CERT_FILE": str(authorities)}
    exporter = stack.enter_context(Exporter(config, tmp_path / "log", environ=environ)).wait_until_ready()
    assert exporter.samples("choreo_environment_info")


def test_a_row_that_disappears_upstream_disappears_here(insights: Simulator, start_exporter: StartExporter) -> None:
    """The series of an API that is deleted are gone after the next poll."""
    exporter = start_exporter(insights, ENVIRONMENTS + APIS).wait_until_ready()
    gone = eventually(lambda: exporter.samples("choreo_api_info"), "names of APIs")[0][0]["api_id"]
    insights.faults.set(removed_apis=(gone,))
    eventually(lambda: not exporter.samples("choreo_api_info", api_id=gone), "removal of the API")
    assert exporter.samples("choreo_api_info")


def test_the_last_good_values_stay_until_they_are_stale(insights: Simulator, start_exporter: StartExporter) -> None:
    """While the API fails its last answer stays; after `stale_after` it is dropped; then it comes back by itself."""
    queries = ENVIRONMENTS.replace("interval: 1s", "interval: 1s\n    stale_after: 15s")
    exporter = start_exporter(insights, queries).wait_until_ready()
    eventually(lambda: exporter.samples("choreo_environment_info"), "values")
    insights.faults.set(api="error503")
    eventually(
        lambda: exporter.value("insights_exporter_poll_failures_total", query="environments", reason="http_5xx"),
        "counted failure",
    )
    assert exporter.samples("choreo_environment_info")
    assert exporter.value("insights_exporter_query_up", query="environments") == 0
    eventually(lambda: not exporter.samples("choreo_environment_info"), "removal of stale values")
    insights.faults.set(api="ok")
    eventually(lambda: exporter.samples("choreo_environment_info"), "return of the values")
    eventually(lambda: exporter.value("insights_exporter_query_up", query="environments") == 1, "recovery")


@pytest.mark.parametrize(
    ("lifetime", "renewals"), [(2.0, 12), pytest.param(2.0, 100, marks=[pytest.mark.long, pytest.mark.timeout(300)])]
)
def test_renewals_lose_no_poll(
    start_insights: StartInsights, start_exporter: StartExporter, lifetime: float, renewals: int
) -> None:
    """Tokens that live shortly are renewed again and again: no poll fails, and the endpoint is not asked too often."""
    insights = start_insights(Settings(delay_seconds=0, token_lifetime_seconds=lifetime))
    exporter = start_exporter(insights, fan_out(15, "10s")).wait_until_ready()

    def requests() -> list[float]:
        return [entry.time for entry in insights.journal.entries() if entry.kind == "token"]

    eventually(lambda: len(requests()) > renewals, f"{renewals} renewals", 2 * renewals * lifetime + 30)
    times = requests()
    elapsed, lead = times[-1] - times[0], min(300.0, lifetime / 2)
    assert len(times) - 1 <= 1.1 * elapsed / (lifetime - lead) + 1
    assert exporter.value("insights_exporter_poll_failures_total") is None, exporter.log
    eventually(lambda: exporter.value("insights_exporter_token_valid") == 1, "a valid token")


def test_a_revoked_token_costs_one_renewal_and_no_poll(insights: Simulator, start_exporter: StartExporter) -> None:
    """When the server forgets the token, the exporter fetches another and repeats the request: nobody notices."""
    exporter = start_exporter(insights, fan_out(15, "10s")).wait_until_ready()
    insights.revoke_all_tokens()
    eventually(lambda: exporter.value("insights_exporter_token_forced_renewals_total") == 1, "forced renewal")
    assert exporter.value("insights_exporter_poll_failures_total") is None, exporter.log


def test_a_wrong_secret_is_said_and_not_repeated(insights: Simulator, start_exporter: StartExporter) -> None:
    """A refused client is reported by a metric and in the log, and the token endpoint is not hammered."""
    source = choreo_source().replace("${CHOREO_CONSUMER_SECRET}", "not-the-demo-secret")
    exporter = start_exporter(insights, ENVIRONMENTS, source=source).wait_until_ready()
    eventually(
        lambda: (exporter.value("insights_exporter_poll_failures_total", reason="token") or 0) >= 3,
        "three failed polls",
    )
    assert exporter.value("insights_exporter_token_blocked") == 1
    assert sum(entry.kind == "token" for entry in insights.journal.entries()) == 1
    assert "invalid_client" in exporter.log
    assert "not-the-demo-secret" not in exporter.log + exporter.page()


def test_a_value_that_is_late_by_delay_is_asked_for_late(insights: Simulator, start_exporter: StartExporter) -> None:
    """The window ends at now less delay, aligned, and has the length that the configuration says."""
    queries = ENVIRONMENTS + TRAFFIC.replace("{length: 5m, align: 1s}", "{length: 5m, delay: 2m, align: 1m}")
    start_exporter(insights, queries).wait_until_ready()

    def asked() -> list[Entry]:
        return [entry for entry in insights.journal.entries() if "getTotalTraffic" in entry.operations]

    entry: Entry = eventually(asked, "question for the traffic")[0]
    sent = entry.variables["recent"]
    start, end = (int(sent[key][14:16]) * 60 + int(sent[key][17:19]) for key in ("from", "to"))
    assert (end - start) % 3600 == 300
    assert end % 60 == 0
    assert 120 <= (entry.time - end) % 3600 < 180 + PATIENCE_SECONDS


def test_stopping_takes_no_time_even_in_a_poll(insights: Simulator, start_exporter: StartExporter) -> None:
    """SIGTERM ends the process within five seconds with exit code 0, while a poll hangs."""
    exporter = start_exporter(insights, ENVIRONMENTS.replace("interval: 1s", "interval: 1m")).wait_until_ready()
    assert exporter.stopped() == 0
    insights.faults.set(api="hang")
    hanging = start_exporter(insights, ENVIRONMENTS.replace("interval: 1s", "interval: 1m"))
    eventually(lambda: hanging.value("insights_exporter_polls_in_flight") == 1, "hanging poll")
    assert hanging.stopped() == 0


def test_the_example_passes_the_check_and_names_what_is_unset() -> None:
    """`--config.check` takes the shipped example, warning of the four variables; the start refuses them."""
    run = command("--config.check", "--config.file=config.example.yaml")
    assert run.returncode == 0, run.stderr
    for name in ("CHOREO_CONSUMER_KEY", "CHOREO_CONSUMER_SECRET", "CHOREO_ORG_HANDLE", "CHOREO_ORG_ID"):
        assert f"the environment variable {name} is unset" in run.stderr
    assert "calls per minute to choreo:" in run.stdout
    refused = command("--config.file=config.example.yaml")
    assert refused.returncode == 1
    assert refused.stderr.count("error:") == run.stderr.count("warning:")


@pytest.mark.timeout(240)
def test_the_example_works_on_the_simulated_api(insights: Simulator, tmp_path: Path) -> None:
    """With its variables set, the shipped example polls without a failure; the demo runs the same queries, and those of
    two groups that the example has in comments, so that each dashboard has something to show."""
    example = ROOT / "config.example.yaml"
    with Exporter(example, tmp_path / "log", environ=choreo_environ(insights)) as exporter:
        exporter.wait_until_ready()
        eventually(lambda: exporter.value("choreo_requests_total"), "requests", 60)
        eventually(lambda: all(up for _, up in exporter.samples("insights_exporter_query_up")), "every query up", 60)
    demo = (ROOT / "exporter" / "choreo" / "demo.yaml").read_text()
    for group in ("reports", "geography"):
        assert f"  - choreo/{group}  " in demo
        demo = demo.replace(f"  - choreo/{group}  ", f"  # - choreo/{group}")
    assert demo == example.read_text().partition("\n")[2]  # without the line for editors


def test_the_start_page_leads_on(insights: Simulator, start_exporter: StartExporter) -> None:
    """`/` names the program and its version and links to the metrics."""
    exporter = start_exporter(insights, ENVIRONMENTS).wait_until_ready()
    page = get(exporter.url).text
    assert "Insights Exporter" in page
    assert 'href="metrics"' in page
    assert get(f"{exporter.url}/-/healthy").status_code == 200


def test_how_old_the_figures_are_and_why_outlives_them(insights: Simulator, start_exporter: StartExporter) -> None:
    """Whoever asks how current a query is gets an answer also after its figures went: when it last succeeded, the end
    of its newest window, the reason word, and when it is tried next."""
    queries = (
        ENVIRONMENTS
        + """
  - name: hour
    interval: 1s
    stale_after: 4s
    for_each: {environment: environments}
    window: {length: 1h, align: 1s}
    document: |
      query ($hour: TimeFilter!, $data: DataFilter!) { n: getTotalTraffic(filter: $hour, dataFilter: $data) }
    variables:
      hour: {from: "{{ window.start }}", to: "{{ window.end }}"}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    labels: {environment_id: "{{ environment.id }}"}
    metrics: [{name: hour_requests, help: Requests., value: n}]
"""
    )
    exporter = start_exporter(insights, queries).wait_until_ready()
    eventually(
        lambda: exporter.value("insights_exporter_query_failure_reason", query="hour") is None, "polls that all succeed"
    )
    insights.faults.set(api="error503")
    eventually(lambda: not exporter.samples("hour_requests"), "removal of stale values")
    targets = exporter.value("insights_exporter_query_targets", query="hour")
    reason = partial(exporter.value, "insights_exporter_query_failure_reason", query="hour", reason="http_5xx")
    eventually(lambda: reason() == targets, "the reason for all targets")
    ends = exporter.value("insights_exporter_query_window_end_timestamp_seconds", query="hour") or 0.0
    succeeded = exporter.value("insights_exporter_query_last_success_timestamp_seconds", query="hour") or 0.0
    assert 0 <= succeeded - ends < 4
    eventually(
        lambda: (
            (exporter.value("insights_exporter_query_next_poll_timestamp_seconds", query="hour") or 0) > time.time()
        ),
        "time of the next poll",
    )
    insights.faults.set(api="ok")
    eventually(
        lambda: exporter.value("insights_exporter_query_failure_reason", query="hour") is None, "end of the failure"
    )


def test_a_rate_limit_holds_and_its_waiting_shows(insights: Simulator, start_exporter: StartExporter) -> None:
    """Requests beyond the limit wait for their time, which a metric shows; polls do not fail for it."""
    source = choreo_source("rate_limit: {requests: 5, per: 1s}")
    exporter = start_exporter(insights, fan_out(40, "1m"), source=source).wait_until_ready()
    times = [entry.time for entry in insights.journal.entries("graphql")]
    assert len(times) >= 40
    assert times[39] - times[0] > 4  # eight lots of five, a second apart; but the first waits for the access token
    eventually(lambda: (exporter.value("insights_exporter_rate_limit_wait_seconds_total") or 0) > 10, "waiting")
    assert exporter.value("insights_exporter_poll_failures_total") is None
