"""The commands that the documents tell: each runs as it stands there, or a reason says why not here."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
import pytest
from _pytest.mark.structures import ParameterSet

from exporter.simulator import Settings, Simulator
from tests.conftest import StartInsights
from tests.support.configurations import ROOT, choreo_environ
from tests.support.processes import eventually, free_port, get, post, program

DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "grafana" / "README.md"])
BLOCK: Final = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
COMMENT: Final = re.compile(r"\s+# .*$")
SERVES: Final = re.compile(r'(make demo|(make run ARGS="|insights-exporter )--config\.file=\S+( --shards?=\d)*)$')
NOT_HERE: Final[Mapping[str, str]] = {
    r"export .*=…": "is for the reader to fill in; the tests' environment has it",
    r"(CI=1 )?make test(-all)?$": "is what runs this test",
    r"make setup$": "was run before this test; test_setup tries it",
    r"\. \.venv/bin/activate$": "changes a shell; each command has one of its own here, which finds the program",
    r"make sbom$": "is tried by test_dist",
    r"make audit$": "asks a public database",
    r"git (commit|tag)": "would change the history",
    r"docker ": "needs a container engine; tests/system tries the image and the stack, where there is one",
    r"kubectl ": "needs a cluster; test_kubernetes checks the manifests",
    r"python3 -m venv|\S+/pip install|/tmp/try/": "takes packages from an index; test_dist tries the archives",
    r"install -|systemctl |sed .* /etc/": "would change this machine; tests/system/test_systemd tries the unit",
    r"curl .*:8428|vmctl |mimirtool |thanos ": "needs a store that Debian does not have",
}
BEGINS_WITH_NOTHING: Final = ("README.md", "commands.md", "quick-start.md")
LONG: Final = ("alerting.md",)  # every case of every rule, which test_rules runs, too


def commands(document: Path) -> list[str]:
    """The lines of its shell blocks, continued ones joined, without comments."""
    blocks = BLOCK.findall(document.read_text("utf-8"))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [COMMENT.sub("", line).strip() for line in lines if line.strip()]


def reason_not_here(command: str) -> str | None:
    """Why a command is not run here, if it is not."""
    return next((reason for pattern, reason in NOT_HERE.items() if re.match(pattern, command)), None)


def tried() -> list[ParameterSet]:
    """The documents with commands that are run; those that take minutes are marked."""
    return [
        pytest.param(file, id=str(file.relative_to(ROOT)), marks=[pytest.mark.long] if file.name in LONG else [])
        for file in DOCUMENTS
        if any(reason_not_here(command) is None for command in commands(file))
    ]


def access_token(insights: Simulator) -> str:
    """A token that the simulated API takes."""
    environ = choreo_environ(insights)
    form = {"grant_type": "client_credentials", "orgHandle": environ["CHOREO_ORG_HANDLE"], "scope": "apim:api_manage"}
    client = (environ["CHOREO_CONSUMER_KEY"], environ["CHOREO_CONSUMER_SECRET"])
    return str(post(insights.token_url, data=form, auth=client).raise_for_status().json()["access_token"])


def fill(folder: Path, document: Path, insights: Simulator) -> None:
    """Puts into the folder what a reader of the document has."""
    for name in ("prometheus", "deploy/kubernetes", "grafana/dashboards", "docs/examples"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / ".env.example", folder)
    (folder / "token.txt").write_text(access_token(insights))
    if document.name not in BEGINS_WITH_NOTHING:
        (folder / "backfill.om").write_text("# TYPE requests gauge\nrequests 1 1700000000\n# EOF\n")
        shutil.copy(ROOT / "config.example.yaml", folder / "config.yaml")


def environment(insights: Simulator) -> dict[str, str]:
    """The environment of a reader whose account is the simulated API's."""
    return {
        **choreo_environ(insights),
        "HOME": os.environ.get("HOME", "/tmp"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ENVIRONMENT_ID": insights.model.organizations[0].environments[0].id,
        "GITHUB_TOKEN": "any",
        "GITHUB_ORGANIZATION": "any",
        "GITHUB_GRAPHQL_URL": insights.url,
    }


def serve(command: str, folder: Path, environ: Mapping[str, str], log: Path) -> None:
    """Runs a command that serves, at a free port, until it answers."""
    port = free_port()
    flag = f"--web.listen-address=127.0.0.1:{port}"
    if command == "make demo":
        command += f" ARGS={flag}"
    else:
        command = f'{command[:-1]} {flag}"' if command.endswith('"') else f"{command} {flag}"
    with log.open("w") as output:
        popen = subprocess.Popen(
            command, shell=True, cwd=folder, env=dict(environ), stdout=output, stderr=output, start_new_session=True
        )

    def answers() -> bool:
        assert popen.poll() is None, f"{command}\n{log.read_text()}"
        try:
            return get(f"http://127.0.0.1:{port}/-/healthy").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        eventually(answers, f"answer of {command}", 90)
    finally:
        os.killpg(popen.pid, signal.SIGTERM)
        popen.wait(30)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("document", tried())
def test_every_command_of_a_document_runs(document: Path, start_insights: StartInsights, tmp_path: Path) -> None:
    """One after the other, in the order of the document: none of them fails."""
    insights = start_insights(Settings(delay_seconds=5))
    fill(tmp_path, document, insights)
    environ = environment(insights)
    for command in commands(document):
        if reason_not_here(command) is not None:
            continue
        folder = ROOT if command.startswith("make") else tmp_path
        if SERVES.match(command):
            serve(command, folder, environ, tmp_path / "log")
            continue
        if not command.startswith("insights-exporter"):
            program(command.split()[0])
        run = subprocess.run(
            command, shell=True, cwd=folder, env=environ, capture_output=True, text=True, timeout=250, check=False
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"


@pytest.mark.parametrize("pattern", NOT_HERE)
def test_no_reason_is_left_over(pattern: str) -> None:
    """Each reason not to run a command is one of a command that is there."""
    told = [command for document in DOCUMENTS for command in commands(document)]
    assert any(re.match(pattern, command) for command in told)
