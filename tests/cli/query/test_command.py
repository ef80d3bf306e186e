"""`insights-exporter query`: one poll, shown step by step, and tried again without the API."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.simulator import Settings, Simulator
from tests.cli.query.conftest import PATIENT
from tests.conftest import StartInsights
from tests.support.configurations import ROOT, choreo_environ, choreo_source
from tests.support.processes import finished

SECRET_TENANT = PATIENT.replace("tenant: carbon.super", 'tenant: "{{ source.tenant }}"')


def series(output: str) -> list[str]:
    """The lines of the exposition text in what a command printed."""
    return re.findall(r"^  (choreo_\S+ \S+)$", output, re.MULTILINE)


def test_a_poll_is_shown_from_the_request_to_the_series(insights: Simulator, config: Path) -> None:
    """The document, the variables as sent, the answer, the series and the time of each step; the figures are true."""
    run = finished("query", "traffic", f"--config.file={config}", environ=choreo_environ(insights))
    assert (run.returncode, run.stderr) == (0, "")
    environment = insights.model.organizations[0].environments[0]
    for expected in ("getTotalTraffic(filter: $recent", f'"environmentId": "{environment.id}"', "access token"):
        assert expected in run.stdout
    start, end = re.findall(r'"(?:from|to)": "([^"]+)"', run.stdout)
    answered = json.loads(run.stdout.partition("Answer:\n")[2].partition("Series")[0])
    (entry,) = [entry for entry in insights.journal.entries("graphql") if "recent" in entry.variables]
    assert entry.variables["recent"] == {"from": start, "to": end}
    (shown,) = [line for line in series(run.stdout) if line.startswith("choreo_window_requests")]
    assert float(shown.split()[-1]) == answered["requests"] > 0
    assert "\x1b" not in run.stdout


@pytest.mark.parametrize(("encoding", "shown"), [("latin-1", r"\u6771\u4eac"), ("ascii", "東京")])
def test_a_terminal_without_unicode_breaks_nothing(
    insights: Simulator, config: Path, encoding: str, shown: str
) -> None:
    """What the terminal's encoding lacks is shown with an escape; ASCII, which is what a terminal without a locale
    has, gets UTF-8."""
    config.write_text(config.read_text().replace("help: Environments.", 'help: "Environments in 東京."'))
    environ = {**choreo_environ(insights), "PYTHONIOENCODING": f"{encoding}:strict"}
    run = finished("query", "environments", f"--config.file={config}", environ=environ)
    assert (run.returncode, run.stderr) == (0, "")
    assert shown in run.stdout
    assert series(run.stdout)


def test_rows_are_a_table(insights: Simulator, config: Path) -> None:
    """The rows that other queries refer to are listed with their columns."""
    run = finished("query", "environments", f"--config.file={config}", environ=choreo_environ(insights))
    environments = insights.model.organizations[0].environments
    assert f"Rows ({len(environments)}):" in run.stdout
    for environment in environments:
        assert re.search(rf"^  {environment.id}  +{environment.name}  +{environment.type}$", run.stdout, re.MULTILINE)


def test_what_cannot_be_read_is_quoted(insights: Simulator, config: Path) -> None:
    """Of the values that are left out, the first is shown as the API wrote it."""
    wrong = "      - {name: number_of_name, help: Wrong., value: name, from: string}\n"
    config.write_text(config.read_text().replace("    metrics:\n", f"    metrics:\n{wrong}", 1))
    run = finished("query", "environments", f"--config.file={config}", environ=choreo_environ(insights))
    assert run.returncode == 0, run.stderr
    name = insights.model.organizations[0].environments[0].name
    assert f'Left out: 4 values (not_a_number)\n  the first: "{name}"\n' in run.stdout


def test_targets_are_chosen_by_a_value_or_all_asked(insights: Simulator, config: Path) -> None:
    """`--target` takes the one with this value, `--all` takes all; a value that none has is told with the others."""
    environ = choreo_environ(insights)
    names = [environment.name for environment in insights.model.organizations[0].environments]
    one = finished("query", "traffic", f"--config.file={config}", "--target", names[1], environ=environ)
    assert f'environment="{names[1]}"' in one.stdout
    assert f'environment="{names[0]}"' not in one.stdout
    every = finished("query", "traffic", f"--config.file={config}", "--all", environ=environ)
    assert all(f'environment="{name}"' in every.stdout for name in names)
    none = finished("query", "traffic", f"--config.file={config}", "--target", "nowhere", environ=environ)
    assert none.returncode == 1
    assert "no target has nowhere" in none.stderr
    alone = finished("query", "environments", f"--config.file={config}", "--target", "nowhere", environ=environ)
    assert alone.returncode == 1
    assert "the query has no for_each, and so no target to choose; leave out --target" in alone.stderr
    assert names[1] in none.stderr


def test_a_kept_answer_stands_in_for_the_api(start_insights: StartInsights, config: Path, tmp_path: Path) -> None:
    """What `--save` kept gives the same series again with `--response`: no account, no credentials, another day."""
    insights = start_insights(Settings(delay_seconds=0))
    kept = tmp_path / "kept.json"
    live = finished(
        "query", "traffic", "--all", f"--config.file={config}", f"--save={kept}", environ=choreo_environ(insights)
    )
    asked = insights.journal.count("graphql")
    environ = choreo_environ(insights)
    offline = {name: environ[name] for name in ("CHOREO_INSIGHTS_URL", "CHOREO_TOKEN_URL")}
    replayed = finished(
        "query", "traffic", "--all", f"--config.file={config}", f"--response={kept}",
        environ={**offline, "CHOREO_ORG_HANDLE": environ["CHOREO_ORG_HANDLE"]},
    )  # fmt: skip
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert series(replayed.stdout) == series(live.stdout) != []
    assert insights.journal.count("graphql") == asked
    assert environ["CHOREO_ORG_ID"] not in kept.read_text()


def test_a_configuration_that_does_not_fit_a_kept_answer_fails(
    insights: Simulator, config: Path, tmp_path: Path
) -> None:
    """In CI: a configuration that asks for more than the answer has ends with exit code 1 and says what is missing."""
    kept, environ = tmp_path / "kept.json", choreo_environ(insights)
    finished("query", "apis", f"--config.file={config}", f"--save={kept}", environ=environ)
    config.write_text(config.read_text().replace("{ id name version }", "{ id name version provider }").replace(
        "version: version", "version: version, provider: provider"))  # fmt: skip
    run = finished("query", "apis", f"--config.file={config}", f"--response={kept}", environ=environ)
    assert run.returncode == 1
    assert "schema: the answer has no provider" in run.stderr
    other = finished("query", "traffic", f"--config.file={config}", f"--response={kept}", environ=environ)
    assert other.returncode == 1
    assert "the file has no answer to this request" in other.stderr


def test_a_poll_without_an_answer_costs_no_kept_ones(insights: Simulator, config: Path, tmp_path: Path) -> None:
    """What was saved on a better day stays, and the command says so before it tells what failed."""
    environ = {**choreo_environ(insights), "CHOREO_INSIGHTS_URL": "http://127.0.0.1:1/"}
    kept, content = tmp_path / "kept.json", '{"format": "insights-exporter recording 1", "of": "a better day"}'
    kept.write_text(content)
    run = finished("query", "environments", f"--config.file={config}", f"--save={kept}", environ=environ)
    assert run.returncode == 1
    assert run.stderr.startswith(f"{kept}: not written, as there is no answer to keep\nerror: environments")
    assert kept.read_text() == content


@pytest.mark.parametrize(
    ("content", "wrong"),
    [("{", "not JSON"), ('{"data": {}}', "has no"), ('{"format": "insights-exporter recording 1"}', "not a whole")],
)
def test_a_file_that_is_no_recording_is_refused(content: str, wrong: str, config: Path, tmp_path: Path) -> None:
    """A wrong file is named, with what is wrong and what would be right."""
    file = tmp_path / "wrong.json"
    file.write_text(content)
    environ = {"CHOREO_INSIGHTS_URL": "http://localhost:1/", "CHOREO_TOKEN_URL": "http://localhost:1/"}
    run = finished("query", "apis", f"--config.file={config}", f"--response={file}", environ=environ)
    assert run.returncode == 1
    assert re.fullmatch(rf"error: {file}: {wrong}.*--save.*\n", run.stderr)


def test_secrets_are_never_shown_and_never_kept(insights: Simulator, tmp_path: Path) -> None:
    """A secret value of the source is `<secret>` in the variables, in the answer and in a kept file."""
    config, kept = tmp_path / "config.yaml", tmp_path / "kept.json"
    config.write_text(choreo_source("secret_values: {tenant: {env: TENANT}}") + SECRET_TENANT + """
  - name: tenants
    for_each: {environment: environments}
    document: "query ($of: TenantDataFilter!) { listTenants(tenantDataFilter: $of) }"
    variables: {of: {orgId: "{{ source.org_id }}", envId: "{{ environment.id }}"}}
    rows: listTenants
""")  # fmt: skip
    environ = {**choreo_environ(insights), "TENANT": "carbon.super"}
    for query in ("traffic", "tenants"):
        run = finished("query", query, f"--config.file={config}", f"--save={kept}", environ=environ)
        assert run.returncode == 0
        assert "<secret>" in run.stdout
        for text in (run.stdout, run.stderr, kept.read_text()):
            assert "carbon.super" not in text
            assert environ["CHOREO_CONSUMER_SECRET"] not in text


def test_what_fails_is_said_and_the_exit_code_tells(start_insights: StartInsights, config: Path) -> None:
    """A refusal is told with its reason, also of a query that feeds the one asked for; the exit code is 1."""
    insights = start_insights(Settings(delay_seconds=0, refused_operations=("getTotalErrors", "listAllAPI")))
    environ = choreo_environ(insights)
    run = finished("query", "traffic", f"--config.file={config}", environ=environ)
    assert run.returncode == 1
    assert "graphql: getTotalErrors is not permitted." in run.stderr
    wrong = finished("query", "traffic", f"--config.file={config}", environ={**environ, "CHOREO_CONSUMER_SECRET": "x"})
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "invalid_client" in wrong.stderr
    unknown = finished("query", "trafic", f"--config.file={config}", environ=environ)
    assert unknown.returncode == 1
    assert "there is no query trafic; there is: environments, apis, traffic" in unknown.stderr


def test_a_query_says_once_that_its_feeder_failed(start_insights: StartInsights, config: Path) -> None:
    """Where rows are missing because their query failed, the error says so. Targets that fail alike are one line."""
    environ = choreo_environ(start_insights(Settings(delay_seconds=0, refused_operations=("listEnvironments",))))
    run = finished("query", "traffic", f"--config.file={config}", environ=environ)
    assert run.returncode == 1
    failed, why = re.findall("error: (.*)", run.stderr)
    assert failed.startswith("environments: graphql: listEnvironments is not permitted.")
    assert why == "traffic was not asked, as it is asked for each row of environments; fix environments first"
    environ = choreo_environ(start_insights(Settings(delay_seconds=0, refused_operations=("getTotalTraffic",))))
    run = finished("query", "traffic", "--all", f"--config.file={config}", environ=environ)
    assert run.returncode == 1
    (failed,) = re.findall("error: (.*)", run.stderr)
    assert " and 3 more: graphql: getTotalTraffic is not permitted." in failed


def test_a_terminal_gets_colours(insights: Simulator, config: Path) -> None:
    """On a terminal the same is shown in colours."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "query", "environments", f"--config.file={config}"],
        stdout=theirs,
        env={**os.environ, **choreo_environ(insights), "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
    ) as run:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # how a terminal tells that the other side has gone
            pass
    os.close(ours)
    assert run.returncode == 0
    assert b"\x1b[1m" in shown
    assert b"choreo_environment_info" in shown


def test_what_an_account_refuses_leads_to_the_step_that_is_missing(start_insights: StartInsights, config: Path) -> None:
    """Wrong credentials and a missing subscription are told with what is likely the matter."""
    environ = choreo_environ(start_insights(Settings()))
    run = finished(
        "query", "traffic", f"--config.file={config}", environ={**environ, "CHOREO_CONSUMER_SECRET": "other"}
    )
    assert run.returncode == 1
    assert "error: no access token: invalid_client: " in run.stderr
    assert "likely: the consumer key or the secret is wrong" in run.stderr
    unsubscribed = choreo_environ(start_insights(Settings(subscribed=False)))
    run = finished("query", "traffic", f"--config.file={config}", environ=unsubscribed)
    assert run.returncode == 1
    assert "likely: the application is not subscribed" in run.stderr
