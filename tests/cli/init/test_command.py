"""`insights-exporter init`: from credentials to a configuration that runs, and what is missing where it cannot be."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from exporter.simulator import Settings, Simulator
from tests.conftest import StartInsights
from tests.support.configurations import ROOT, choreo_environ
from tests.support.processes import Exporter, finished


def account(simulator: Simulator, **changes: str) -> dict[str, str]:
    """The environment of a new user, who knows no UUID; an empty change takes a variable away."""
    environ = {**choreo_environ(simulator), "CHOREO_ORG_ID": "", **changes}
    return {name: value for name, value in environ.items() if value}


def test_credentials_become_a_configuration_that_runs(insights: Simulator, tmp_path: Path) -> None:
    """With key, secret and handle alone: the organization, its environments and tenants are found, and the exporter
    runs on what was written, which editors can check by the schema beside it. The secret stays where it was, and the
    file says so."""
    environ = account(insights)
    run = finished("init", environ=environ, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    organization = insights.model.organizations[0]
    for expected in (organization.uuid, organization.name, *(one.name for one in organization.environments)):
        assert expected in run.stdout
    config = tmp_path / "config.yaml"
    assert environ["CHOREO_CONSUMER_SECRET"] not in config.read_text() + run.stdout
    assert "# Needs:     CHOREO_CONSUMER_SECRET in the environment" in config.read_text()
    assert f"Next:    insights-exporter --config.file={config.name}" in run.stdout
    first_line = config.read_text().partition("\n")[0]  # by which editors find the schema
    assert first_line == "# yaml-language-server: $schema=config.schema.json"
    schema = json.loads((tmp_path / "config.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(config.read_text()), schema)
    secret = {"CHOREO_CONSUMER_SECRET": environ["CHOREO_CONSUMER_SECRET"]}
    check = finished("--config.check", f"--config.file={config}", environ=secret)
    assert (check.returncode, check.stderr) == (0, "")
    with Exporter(config, tmp_path / "log", environ=secret) as exporter:
        exporter.wait_until_ready()
        assert exporter.samples("choreo_environment_info", organization=organization.handle)


def test_what_is_not_given_is_asked_for_and_the_secret_is_not_shown(insights: Simulator, tmp_path: Path) -> None:
    """At a terminal: the secret is typed without being shown, and kept in a file that its user alone can read."""
    environ = account(insights, CHOREO_CONSUMER_KEY="", CHOREO_CONSUMER_SECRET="", CHOREO_ORG_HANDLE="")
    answers = [insights.model.organizations[0].handle, "demo-key", "demo-secret"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "init"],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, start_new_session=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
    ) as run:  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
                if shown.endswith(b": ") and answers:
                    os.write(ours, answers.pop(0).encode() + b"\n")
        except OSError:  # how a terminal tells that the other side has gone
            pass
    os.close(ours)
    assert run.returncode == 0, shown
    assert b"demo-key" in shown
    assert b"demo-secret" not in shown
    secret = tmp_path / "config.secret"
    assert secret.read_text() == "demo-secret\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert b"keep config.secret out of version control" in shown
    assert "demo-secret" not in (tmp_path / "config.yaml").read_text()
    check = finished("--config.check", f"--config.file={tmp_path / 'config.yaml'}")
    assert (check.returncode, check.stderr) == (0, "")


def test_nothing_is_replaced_without_being_told_to(insights: Simulator, tmp_path: Path) -> None:
    """A file that is there stays, unless `--force` is given; a secret's file is referred to, not copied."""
    (tmp_path / "config.yaml").write_text("mine\n")
    (tmp_path / "key.txt").write_text("demo-secret\n")
    environ = account(insights, CHOREO_CONSUMER_SECRET="")
    arguments = ("init", "--consumer-secret-file=key.txt")
    run = finished(*arguments, environ=environ, cwd=tmp_path)
    assert (run.returncode, run.stderr.startswith("error: config.yaml is there already")) == (1, True)
    assert (tmp_path / "config.yaml").read_text() == "mine\n"
    assert not insights.journal.entries()
    run = finished(*arguments, "--force", environ=environ, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert f'client_secret_file: "{tmp_path / "key.txt"}"' in (tmp_path / "config.yaml").read_text()
    assert {file.name for file in tmp_path.iterdir()} == {"config.yaml", "config.schema.json", "key.txt"}


@pytest.mark.parametrize(
    ("settings", "changes", "wrong", "likely"),
    [
        (Settings(), {"CHOREO_CONSUMER_SECRET": "other"}, "invalid_client", "consumer key or the secret is wrong"),
        (Settings(client_id="k"), {}, "invalid_client", "Production Keys"),
        (Settings(), {"CHOREO_ORG_HANDLE": "nobody"}, "invalid_scope", "handle is wrong"),
        (Settings(subscribed=False), {}, "answered 403", "add the Insights API"),
        (Settings(subscribed=False), {}, "answered 403", "choose Request Access"),
        (Settings(), {"CHOREO_ORG_ID": "12345"}, "not 12345", "UUID is wrong"),
        (Settings(), {"CHOREO_TOKEN_URL": "http://127.0.0.1:1/"}, "cannot connect", "cannot reach it"),
        (Settings(), {"CHOREO_CONSUMER_KEY": ""}, "Consumer key is missing", "CHOREO_CONSUMER_KEY"),
        (Settings(), {"CHOREO_TOKEN_URL": "http://a.example/"}, "clear text", "https://"),
        (Settings(), {"CHOREO_REVOCATION_URL": "nowhere"}, "oauth2.revocation_url: not a URL", "write one such as"),
        (Settings(), {"CHOREO_INSIGHTS_URL": "nowhere"}, "not a URL", "write one such as"),
        (Settings(refused_operations=("listEnvironments",)), {}, "not permitted", "UUID is wrong"),
    ],
)
def test_what_is_missing_is_said(
    settings: Settings, changes: dict[str, str], wrong: str, likely: str, start_insights: StartInsights, tmp_path: Path
) -> None:
    """Where the account does not answer: what failed, and the step of the guide that is likely missing. Nothing is
    written."""
    environ = account(start_insights(settings))
    if settings.client_id != Settings().client_id:
        environ["CHOREO_CONSUMER_KEY"] = "another"
    run = finished("init", environ={**environ, **changes}, cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith("error: ")
    assert wrong in run.stderr
    assert likely in run.stderr
    assert "Traceback" not in run.stderr
    assert environ["CHOREO_CONSUMER_SECRET"] not in run.stderr
    assert not list(tmp_path.iterdir())


def test_an_organization_without_environments_is_said(insights: Simulator, tmp_path: Path) -> None:
    """An organization that the token does not see is not taken for an empty one."""
    insights.faults.set(removed_organizations=(insights.model.organizations[0].handle,))
    run = finished("init", environ=account(insights), cwd=tmp_path)
    assert run.returncode == 1
    assert "does not see the organization" in run.stderr
    unseen = finished("init", environ=choreo_environ(insights), cwd=tmp_path)
    assert "has no environments" in unseen.stderr
    assert "likely: the organization's UUID is wrong" in unseen.stderr
