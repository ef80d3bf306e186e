"""`insights-exporter verify`: what was set in the simulated API is read back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from exporter.simulator import Settings
from tests.conftest import StartInsights
from tests.support.configurations import APIS, ENVIRONMENTS, choreo_environ, choreo_source
from tests.support.processes import finished

PATIENT = (ENVIRONMENTS + APIS).replace("interval: 1s", "interval: 1m")
COUNTED = """
  - name: {name}
    for_each: {{environment: environments}}
    window: {{length: 5m, delay: 2m, align: 1m}}
    period: 10m
    document: |
      query ($recent: TimeFilter!, $today: TimeFilter!, $data: DataFilter!) {{
        recent: {field}(filter: $recent, dataFilter: $data)
        today: {field}(filter: $today, dataFilter: $data)
        organizations: listOrganizations {{ name }}
      }}
    variables:
      recent: {{from: "{{{{ window.start }}}}", to: "{{{{ window.end }}}}"}}
      today: {{from: "{{{{ period.start }}}}", to: "{{{{ window.end }}}}"}}
      data: {{orgId: "{{{{ source.org_id }}}}", environmentId: "{{{{ environment.id }}}}", tenant: carbon.super}}
    labels: {{environment: "{{{{ environment.name }}}}"}}
    metrics:
      - {{name: choreo_window_{name}, help: Some., value: recent}}
      - {{name: choreo_{name}_total, type: counter, help: Some., value: today}}
"""
TRAFFIC = COUNTED.format(name="requests", field="getTotalTraffic")
ERRORS = COUNTED.format(name="errors", field="getTotalErrors")
LATENCY = COUNTED.format(name="latency", field="getOverallLatency")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with environments, APIs and traffic."""
    return configuration(tmp_path, TRAFFIC)


def configuration(folder: Path, *more: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(choreo_source() + PATIENT + "".join(more))
    return file


def result_of(output: str, query: str, operation: str) -> str:
    """What a report says of an operation, and why."""
    (found,) = re.findall(rf"^  {query} +{operation} +(.*)$", output, re.MULTILINE)
    return str(found)


def test_an_account_that_works_is_told_so(start_insights: StartInsights, config: Path) -> None:
    """Every operation is listed with what came of it and how long it took, and totals that add up are told with their
    figures; the exit code is 0."""
    insights = start_insights(Settings(delay_seconds=0))
    run = finished("verify", f"--config.file={config}", "--watch=0", environ=choreo_environ(insights))
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"worked +\d+\.\d{3}", result_of(run.stdout, "environments", "listEnvironments"))
    assert result_of(run.stdout, "requests", "getTotalTraffic").startswith("worked")
    (sums,) = re.findall(r"^  requests +yes +(\d+) \+ (\d+) = (\d+)$", run.stdout, re.MULTILINE)
    assert int(sums[0]) + int(sums[1]) == int(sums[2]) > 0
    assert "granularities: 1m, 15m, 1h, 1d, 7d\n" in run.stdout
    assert "aliases in one operation: 64 or more" in run.stdout


def test_limits_and_refusals_are_read_back(start_insights: StartInsights, tmp_path: Path) -> None:
    """What the API refuses is told, operation by operation, with the granularities and the number of aliases that it
    takes; the exit code is 1."""
    settings = Settings(
        delay_seconds=0,
        refused_operations=("getTotalErrors",),
        max_aliases=23,
        granularities=("15m", "1h"),
        default_granularity="1h",
    )
    insights = start_insights(settings)
    config = configuration(tmp_path, TRAFFIC, ERRORS)
    run = finished("verify", f"--config.file={config}", "--watch=0", environ=choreo_environ(insights))
    assert run.returncode == 1
    assert result_of(run.stdout, "requests", "getTotalTraffic").startswith("worked")
    assert re.search(r"^refused .*is not permitted", result_of(run.stdout, "errors", "getTotalErrors"))
    assert result_of(run.stdout, "errors", "listOrganizations").startswith("worked")
    assert "granularities: 15m, 1h; refused: 1m, 1d, 7d" in run.stdout
    assert "default granularity, for two hours: 1h" in run.stdout
    assert "aliases in one operation: 23; refused: 24" in run.stdout


def test_an_operation_that_is_refused_only_with_others_is_told_from_them(
    start_insights: StartInsights, config: Path
) -> None:
    """Where an operation is refused as a whole, its parts are asked alone, so that what works is known."""
    insights = start_insights(Settings(delay_seconds=0, max_aliases=2))
    run = finished("verify", f"--config.file={config}", "--watch=0", environ=choreo_environ(insights))
    assert run.returncode == 1
    for operation in ("getTotalTraffic", "listOrganizations"):
        assert re.search(r"^worked alone .*At most 2 root fields", result_of(run.stdout, "requests", operation))


def test_what_is_empty_is_told_as_such(start_insights: StartInsights, config: Path) -> None:
    """An answer with nothing in it is no failure, and not taken for a good one."""
    insights = start_insights(Settings(delay_seconds=0))
    insights.faults.set(removed_apis=tuple(api.id for api in insights.model.organizations[0].apis("carbon.super")))
    run = finished("verify", f"--config.file={config}", "--watch=0", environ=choreo_environ(insights))
    assert run.returncode == 0, run.stdout
    assert result_of(run.stdout, "apis", "listAllAPI").startswith("empty")


def test_totals_that_do_not_add_up_are_told(start_insights: StartInsights, tmp_path: Path) -> None:
    """A figure that is no total, such as a percentile, is found out if it is taken for a counter."""
    insights = start_insights(Settings(delay_seconds=0))
    config = configuration(tmp_path, LATENCY)
    run = finished("verify", f"--config.file={config}", "--watch=0", environ=choreo_environ(insights))
    assert run.returncode == 1
    assert re.search(r"^  latency +no +choreo_latency_total: \S+ in two windows, \S+ in one$", run.stdout, re.MULTILINE)


@pytest.mark.parametrize("delay", [10, pytest.param(20, marks=pytest.mark.long)])
def test_the_delay_of_the_upstream_is_read_back(delay: int, start_insights: StartInsights, config: Path) -> None:
    """Requests are counted within a time after they were made: the report names just that time as the delay to set."""
    insights = start_insights(Settings(delay_seconds=delay, rate=150, daily_rhythm=False))
    run = finished(
        "verify", f"--config.file={config}", f"--watch={2 * delay + 5}s", "--max-aliases=0",
        environ=choreo_environ(insights),
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    assert f"set delay: {delay}s (requests has 2m)" in run.stdout
    assert "old changed, too" not in run.stdout


def test_a_delay_seen_by_few_requests_is_said_to_be_too_short(start_insights: StartInsights, config: Path) -> None:
    """Where little was counted, the slowest may not have been among it, and the report says so beside its figure."""
    # Fifteen seconds are more than a busy machine takes from the start of the watch to its first look.
    insights = start_insights(Settings(delay_seconds=15, rate=15, daily_rhythm=False))
    run = finished(
        "verify", f"--config.file={config}", "--watch=30s", "--max-aliases=0", environ=choreo_environ(insights)
    )
    assert "set delay: " in run.stdout
    assert re.search(r"^  at most \d+ were counted in one window, too few", run.stdout, re.MULTILINE)


def test_a_watch_that_was_too_short_and_late_counts_are_told(start_insights: StartInsights, config: Path) -> None:
    """While the past still changes no delay is named; what is counted much later is told with its age."""
    # Some ten requests a second are counted ten minutes late: a watch of seconds cannot miss them by chance.
    settings = Settings(delay_seconds=600, rate=300, daily_rhythm=False, late_share=0.5, late_by_seconds=590)
    insights = start_insights(settings)
    run = finished(
        "verify", f"--config.file={config}", "--watch=5s", "--max-aliases=0", environ=choreo_environ(insights)
    )
    assert "watch longer, with --watch" in run.stdout
    assert "set delay" not in run.stdout
    assert "what was 10m old changed, too" in run.stdout


def test_a_recording_has_no_names_and_can_be_replayed(
    start_insights: StartInsights, config: Path, tmp_path: Path
) -> None:
    """The recording of an account gives its series again without it; names and ids in it are others."""
    insights = start_insights(Settings(delay_seconds=0))
    environ, file = choreo_environ(insights), tmp_path / "recording.json"
    config.write_text(config.read_text().replace("name: acme", "name: choreo"))  # which is the organization's, too
    run = finished(
        "verify", f"--config.file={config}", "--watch=0", "--max-aliases=0", f"--record={file}", environ=environ
    )
    assert run.returncode == 0, run.stdout
    organization = insights.model.organizations[0]
    names = {organization.uuid, organization.handle, organization.name}
    names |= {text for one in organization.environments for text in (one.id, one.name)}
    names |= {text for api in organization.apis("carbon.super") for text in (api.id, api.name)}
    strings = set(re.findall(r'"((?:[^"\\]|\\.)*)"', file.read_text()))
    assert not strings & names
    assert json.loads(file.read_text())["answers"]
    for query in ("apis", "requests"):
        replayed = finished("query", query, f"--config.file={config}", f"--response={file}", environ=environ)
        assert replayed.returncode == 0, replayed.stderr
        assert "choreo_" in replayed.stdout


def test_what_cannot_be_asked_is_told(start_insights: StartInsights, config: Path) -> None:
    """A query whose feeding query fails is told as not asked, and why; a wrong duration is refused at once."""
    insights = start_insights(Settings(delay_seconds=0, refused_operations=("listEnvironments",)))
    run = finished("verify", f"--config.file={config}", "--watch=0", environ=choreo_environ(insights))
    assert run.returncode == 1
    assert "needs environments" in result_of(run.stdout, "requests", "getTotalTraffic")
    assert run.stdout.count("environments did not work; what needs its rows was not asked: ") == 1
    wrong = finished("verify", f"--config.file={config}", "--watch=long", environ=choreo_environ(insights))
    assert (wrong.returncode, wrong.stderr.startswith("error: --watch long: not a duration")) == (1, True)


def test_a_query_is_asked_on_a_source_that_it_runs_on(start_insights: StartInsights, tmp_path: Path) -> None:
    """The first source is another API. Without a source for all queries, or with a wrong one, nothing is asked."""
    insights = start_insights(Settings(delay_seconds=0))
    shop = "sources:\n  - {name: shop, url: 'http://127.0.0.1:9/', labels: {organization: shop}}\n"
    query = 'name: orders, document: "{ n }", sources: [shop], metrics: [{name: n, help: N., value: n}]'
    environments = ENVIRONMENTS.replace("- name: environments\n", "- name: environments\n    sources: [acme]\n")
    file = tmp_path / "config.yaml"
    file.write_text(choreo_source().replace("sources:\n", shop) + environments + f"  - {{{query}}}\n")
    command = ("verify", f"--config.file={file}", "--watch=0", "--query=environments")
    run = finished(*command, environ=choreo_environ(insights))
    assert (run.returncode, run.stderr) == (0, "")
    assert result_of(run.stdout, "environments", "listEnvironments").startswith("worked")
    asked = len(insights.journal.entries("graphql"))
    for more, where in (("--query=orders", "no source"), ("--source=shop", "the source shop")):
        run = finished(*command, more, environ=choreo_environ(insights))
        assert run.returncode == 1
        assert run.stderr.startswith(f"error: {where} has ")
        assert "--query for one source: environments runs on acme" in run.stderr
    assert len(insights.journal.entries("graphql")) == asked


def test_an_account_that_refuses_is_one_error(start_insights: StartInsights, config: Path) -> None:
    """Wrong credentials are said once, with the step of the guide to look at; a missing subscription, too."""
    environ = choreo_environ(start_insights(Settings()))
    run = finished("verify", f"--config.file={config}", environ={**environ, "CHOREO_CONSUMER_SECRET": "other"})
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("error: no access token: invalid_client: ")
    assert "likely: the consumer key or the secret is wrong" in run.stderr
    unsubscribed = choreo_environ(start_insights(Settings(subscribed=False)))
    run = finished("verify", f"--config.file={config}", "--watch=0", environ=unsubscribed)
    assert run.returncode == 1
    assert run.stderr.startswith("likely: the application is not subscribed")


SAME = """
  - name: same
    interval: 1m
    document: "query ($org: OrgFilter!) { listEnvironments(org: $org) { id name } }"
    variables: {org: {orgId: "{{ source.org_id }}"}}
    rows: listEnvironments
    metrics:
      - {name: same_for_all, help: Without a label., value: 1}
"""
UNREADABLE = (
    SAME.replace("name: same", "name: unreadable", 1)
    .replace(": same_for_all", ": no_number")
    .replace("value: 1", "value: name, labels: {id: id}")
)


def test_a_poll_that_publishes_nothing_has_not_worked(start_insights: StartInsights, tmp_path: Path) -> None:
    """Where the answer came, but its rows are one series or its values are no numbers, the report says that, as the
    running exporter would; the exit code is 1."""
    insights = start_insights(Settings(delay_seconds=0))
    config = configuration(tmp_path, SAME, UNREADABLE)
    config.write_text(config.read_text().replace("schema: choreo", ""))  # with it, the check finds the text
    run = finished("verify", f"--config.file={config}", "--watch=0", environ=choreo_environ(insights))
    assert run.returncode == 1, run.stdout
    assert re.match(r"failed .*duplicate_series: ", result_of(run.stdout, "same", "listEnvironments"))
    assert re.match(
        r"failed .*no value can be published: \d not_a_number", result_of(run.stdout, "unreadable", "listEnvironments")
    )
    assert result_of(run.stdout, "environments", "listEnvironments").startswith("worked")
